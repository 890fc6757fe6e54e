/* Frames that a test build loses or sends late. */
#include "io/bus_late.h"

#include "base/fault.h"
#include "base/mem.h"

struct late_frame {
    struct list entry;
    struct timer timer;
    struct buf to, frame;
    late_send *send;
    void *owner;
};

static void frame_free(struct late_frame *f)
{
    timer_stop(&f->timer);
    list_remove(&f->entry);
    buf_done(&f->to);
    buf_done(&f->frame);
    mem_free(f);
}

static void on_due(struct timer *t)
{
    struct late_frame *f = CONTAINER_OF(t, struct late_frame, timer);
    f->send(f->owner, buf_span(&f->to), buf_span(&f->frame));
    frame_free(f);
}

bool late_take(struct list *late, struct loop *l, struct span to, struct span frame, late_send *send,
               void *owner)
{
    int fate = fault_frame();
    if (fate > 0) {
        struct late_frame *f = NEW(struct late_frame);
        f->send = send;
        f->owner = owner;
        buf_add_span(&f->to, to);
        buf_add_span(&f->frame, frame);
        list_append(late, &f->entry);
        timer_start(l, &f->timer, (uint64_t) fate, on_due);
    }
    return fate != 0;
}

void late_drop(struct list *late)
{
    while (!list_is_empty(late))
        frame_free(LIST_FIRST(late, struct late_frame, entry));
}
