/* Frames in. Each entry is checked against what a node could mean, and who says it against its key. */
#include "dispatcher/ring.h"

#include <errno.h>

#include "base/fault.h"
#include "base/metric.h"

static bool is_home(unsigned partition, struct span queue)
{
    return span_equal(queue, SPAN(QUEUE_FANOUT)) || partition_of(queue) == partition;
}

static bool is_sound(const struct frame *f)
{
    if (f->grant_count || f->loan_count || ((f->report_count || f->borrow_count) && !f->has_hello) ||
        (f->report_count && f->borrow_count)) /* it is of a courier, or of a dispatcher */
        return false;
    for (size_t i = 0; i < f->ring_count; i++)
        if (!is_home(f->rings[i].partition, f->rings[i].queue))
            return false;
    return true; /* reports tell of what was found in a partition, whoever put it there */
}

/* Reports are for couriers, borrowing for dispatchers; one that is in no view yet is judged by the next. */
static bool is_of_its_role(const struct couriers *c, uint64_t node, const struct frame *f)
{
    enum role wanted = f->borrow_count ? ROLE_DISPATCHER : ROLE_COURIER;

    for (size_t i = 0; c->view && i < c->view->count; i++)
        if (c->view->peers[i].incarnation == node)
            return c->view->peers[i].stats.role == wanted;
    return true;
}

static void take_borrows(struct lender *l, struct span from, const struct frame *f, uint64_t now_ms)
{
    struct loan loans[FRAME_ENTRIES];
    struct frame answer = {.loans = loans};

    for (size_t i = 0; i < f->borrow_count; i++)
        if (lender_hear(l, &f->hello, &f->borrows[i], now_ms, &loans[answer.loan_count]))
            answer.loan_count++;
    if (answer.loan_count)
        l->on_loans(from, &answer);
}

int ring_take_frame(struct schedule *s, struct lender *lender, struct span from, uint64_t node,
                    struct span bytes, uint64_t now_ms)
{
    struct frame f;
    int r = wire_get_frame(bytes, &f);

    if (r < 0)
        return r;
    if (!is_sound(&f))
        r = -EBADMSG;
    else if (f.has_hello && f.hello.incarnation != node)
        r = -EPERM;
    else if (f.has_hello && !is_of_its_role(s->couriers, node, &f))
        r = -EPERM;
    if (r < 0) {
        frame_done(&f);
        return r;
    }
    if (f.ring_count) {
        FAULT_POINT(ring_received);
        metric_add(METRIC_RINGS_TOTAL, (int64_t) f.ring_count);
    }
    for (size_t i = 0; i < f.ring_count; i++)
        schedule_ring(s, f.rings[i].partition, f.rings[i].queue, now_ms);
    if (f.borrow_count && lender)
        take_borrows(lender, from, &f, now_ms);
    struct courier *courier = f.has_hello && !f.borrow_count
                                  ? couriers_hello(s->couriers, from, &f.hello, now_ms)
                                  : NULL;
    for (size_t i = 0; courier && i < f.report_count; i++)
        schedule_report(s, courier, &f.reports[i], now_ms);
    frame_done(&f);
    return 0;
}
