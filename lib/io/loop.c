/* The event loop: libuv for descriptors, signals and sleep; timers and end-of-round work are our own. */
#include "io/loop.h"

#include <errno.h>
#include <uv.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"

/* Tails that keep adding tails get this many passes before descriptors are looked at again. */
enum { TAIL_PASSES = 16 };

struct watch {
    uv_poll_t poll; /* first: libuv's handle is the watch */
    struct list link;
    struct loop *loop;
    watch_on_ready *on_ready;
    void *context;
    int events; /* what the owner wants */
    int armed;  /* what libuv was told */
    bool is_closed;
};

struct signal_watch {
    uv_signal_t handle; /* first */
    struct list link;
    void (*on_signal)(void *context, int signal);
    void *context;
};

struct work {
    uv_work_t request; /* first */
    struct loop *loop;
    void (*work)(void *context);
    void (*done)(void *context);
    void *context;
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_timer_t alarm; /* wakes the loop when the first timer is due */
    uv_idle_t idle;   /* active: do not sleep, tails are left */
    uv_async_t async;
    struct list watches;
    struct list signals;
    struct list tails;
    struct timer **heap; /* from 1; the earliest first */
    size_t timer_count, timer_cap;
    uint64_t alarm_ms; /* what the alarm is set to; 0: not set */
    uint64_t now_ms;
    bool is_now_old; /* the loop has slept since now_ms was taken */
    bool is_running;
    void (*on_wake)(void *context);
    void *wake_context;
    char *scratch;
};

static void loop_look_at_clock(struct loop *l)
{
    l->now_ms = clock_ms();
    l->is_now_old = false;
}

static void loop_wake_up(struct loop *l)
{
    if (l->is_now_old)
        loop_look_at_clock(l);
}

/* ---- timers: a binary heap */

static void heap_put(struct loop *l, size_t place, struct timer *t)
{
    l->heap[place] = t;
    t->place = place;
}

static void heap_up(struct loop *l, size_t place, struct timer *t)
{
    while (place > 1 && l->heap[place / 2]->due_ms > t->due_ms) {
        heap_put(l, place, l->heap[place / 2]);
        place /= 2;
    }
    heap_put(l, place, t);
}

static void heap_down(struct loop *l, size_t place, struct timer *t)
{
    for (;;) {
        size_t child = place * 2;
        if (child > l->timer_count)
            break;
        if (child < l->timer_count && l->heap[child + 1]->due_ms < l->heap[child]->due_ms)
            child++;
        if (l->heap[child]->due_ms >= t->due_ms)
            break;
        heap_put(l, place, l->heap[child]);
        place = child;
    }
    heap_put(l, place, t);
}

static void heap_settle(struct loop *l, size_t place, struct timer *t)
{
    if (place > 1 && l->heap[place / 2]->due_ms > t->due_ms)
        heap_up(l, place, t);
    else
        heap_down(l, place, t);
}

void timer_start(struct loop *l, struct timer *t, uint64_t delay_ms, void (*on_timer)(struct timer *t))
{
    uint64_t now = l->is_running ? l->now_ms : clock_ms();
    must(!t->place || t->loop == l);
    t->due_ms = delay_ms < UINT64_MAX - now ? now + delay_ms : UINT64_MAX;
    t->on_timer = on_timer;
    t->loop = l;
    if (t->place) {
        heap_settle(l, t->place, t);
        return;
    }
    if (l->timer_count + 2 > l->timer_cap) {
        l->timer_cap = l->timer_cap ? l->timer_cap * 2 : 64;
        l->heap = mem_resize(l->heap, l->timer_cap * sizeof(*l->heap));
    }
    heap_up(l, ++l->timer_count, t);
}

void timer_stop(struct timer *t)
{
    if (!t->place)
        return;
    struct loop *l = t->loop;
    size_t place = t->place;
    must(place <= l->timer_count && l->heap[place] == t);
    struct timer *last = l->heap[l->timer_count--];
    t->place = 0;
    if (last != t)
        heap_settle(l, place, last);
}

static void loop_run_timers(struct loop *l)
{
    /* At most as many as there are now: a timer that starts itself with no delay waits for the next round. */
    for (size_t left = l->timer_count; left > 0 && l->timer_count > 0; left--) {
        struct timer *t = l->heap[1];
        if (t->due_ms > l->now_ms)
            break;
        timer_stop(t);
        t->on_timer(t);
    }
}

static void on_alarm(uv_timer_t *alarm)
{
    struct loop *l = alarm->data;
    l->alarm_ms = 0;
}

static void loop_set_alarm(struct loop *l)
{
    uint64_t due = l->timer_count ? l->heap[1]->due_ms : 0;
    if (due == l->alarm_ms)
        return;
    l->alarm_ms = due;
    if (due == 0) {
        (void) uv_timer_stop(&l->alarm); /* cannot fail */
        return;
    }
    uint64_t now = clock_ms();
    uv_update_time(&l->uv);
    must(uv_timer_start(&l->alarm, on_alarm, due > now ? due - now : 0, 0) == 0);
}

/* ---- tails */

void tail_add(struct loop *l, struct tail *t, void (*on_tail)(struct tail *t))
{
    t->on_tail = on_tail;
    if (!list_is_linked(&t->link))
        list_append(&l->tails, &t->link);
}

void tail_remove(struct tail *t)
{
    list_remove(&t->link);
}

static void loop_run_tails(struct loop *l)
{
    for (int pass = 0; pass < TAIL_PASSES && !list_is_empty(&l->tails); pass++) {
        struct list now; /* this pass; what is added meanwhile waits for the next */
        now = l->tails;
        now.next->prev = now.prev->next = &now;
        list_init(&l->tails);
        while (!list_is_empty(&now)) {
            struct tail *t = LIST_FIRST(&now, struct tail, link);
            list_remove(&t->link);
            t->on_tail(t);
        }
    }
}

static void on_idle(uv_idle_t *idle UNUSED)
{
}

static void loop_end_round(struct loop *l)
{
    loop_look_at_clock(l);
    loop_run_timers(l);
    loop_run_tails(l);
    log_flush();
    FAULT_ROUND_OVER();
    loop_set_alarm(l);
    bool is_busy = !list_is_empty(&l->tails);
    if (is_busy != (uv_is_active((uv_handle_t *) &l->idle) != 0))
        must((is_busy ? uv_idle_start(&l->idle, on_idle) : uv_idle_stop(&l->idle)) == 0);
    l->is_now_old = true;
}

static void on_prepare(uv_prepare_t *prepare)
{
    loop_end_round(prepare->data);
}

/* ---- descriptors */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *w = (struct watch *) poll;
    if (w->is_closed)
        return;
    loop_wake_up(w->loop);
    int ready = (events & UV_READABLE ? LOOP_READ : 0) | (events & UV_WRITABLE ? LOOP_WRITE : 0);
    if (status < 0) { /* libuv has stopped the handle */
        w->armed = 0;
        ready = LOOP_READ | w->events;
    }
    w->on_ready(w->context, ready);
    if (!w->is_closed)
        watch_set(w, w->events);
}

int watch_open(struct loop *l, int fd, watch_on_ready *on_ready, void *context, struct watch **ret_watch)
{
    struct watch *w = NEW(struct watch);
    int r = uv_poll_init(&l->uv, &w->poll, fd);
    if (r < 0) {
        mem_free(w);
        return r;
    }
    w->loop = l;
    w->on_ready = on_ready;
    w->context = context;
    list_append(&l->watches, &w->link);
    *ret_watch = w;
    return 0;
}

void watch_set(struct watch *w, int events)
{
    must(!w->is_closed);
    w->events = events;
    if (w->armed == events)
        return;
    int wanted = (events & LOOP_READ ? UV_READABLE : 0) | (events & LOOP_WRITE ? UV_WRITABLE : 0);
    must((wanted ? uv_poll_start(&w->poll, wanted, on_poll) : uv_poll_stop(&w->poll)) == 0);
    w->armed = events;
}

static void on_handle_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

struct watch *watch_close(struct watch *w)
{
    if (!w)
        return NULL;
    must(!w->is_closed);
    w->is_closed = true;
    list_remove(&w->link);
    uv_close((uv_handle_t *) &w->poll, on_handle_closed);
    return NULL;
}

/* ---- wake-ups and signals */

static void on_async(uv_async_t *async)
{
    struct loop *l = async->data;
    loop_wake_up(l);
    if (l->on_wake)
        l->on_wake(l->wake_context);
}

void loop_on_wake(struct loop *l, void (*on_wake)(void *context), void *context)
{
    l->on_wake = on_wake;
    l->wake_context = context;
}

void loop_wake(struct loop *l)
{
    (void) uv_async_send(&l->async); /* fails for a closed handle only */
}

static void on_uv_signal(uv_signal_t *handle, int signal)
{
    struct signal_watch *w = (struct signal_watch *) handle;
    struct loop *l = handle->loop->data;
    loop_wake_up(l);
    w->on_signal(w->context, signal);
}

int loop_on_signal(struct loop *l, int signal, void (*on_signal)(void *context, int signal), void *context)
{
    struct signal_watch *w = NEW(struct signal_watch);
    must(uv_signal_init(&l->uv, &w->handle) == 0);
    w->on_signal = on_signal;
    w->context = context;
    int r = uv_signal_start(&w->handle, on_uv_signal, signal);
    if (r < 0) {
        uv_close((uv_handle_t *) &w->handle, on_handle_closed);
        return r;
    }
    list_append(&l->signals, &w->link);
    return 0;
}

/* ---- work on other threads */

static void on_work(uv_work_t *request)
{
    struct work *w = (struct work *) request;
    w->work(w->context);
}

static void on_work_done(uv_work_t *request, int status UNUSED)
{
    struct work *w = (struct work *) request;
    loop_wake_up(w->loop);
    w->done(w->context);
    mem_free(w);
}

void loop_work(struct loop *l, void (*work)(void *context), void (*done)(void *context), void *context)
{
    struct work *w = NEW(struct work);
    w->loop = l;
    w->work = work;
    w->done = done;
    w->context = context;
    must(uv_queue_work(&l->uv, &w->request, on_work, on_work_done) == 0);
}

/* ---- the loop itself */

struct loop *loop_new(void)
{
    struct loop *l = NEW(struct loop);
    list_init(&l->watches);
    list_init(&l->signals);
    list_init(&l->tails);
    must(uv_loop_init(&l->uv) == 0);
    l->uv.data = l;
    must(uv_prepare_init(&l->uv, &l->prepare) == 0);
    must(uv_timer_init(&l->uv, &l->alarm) == 0);
    must(uv_idle_init(&l->uv, &l->idle) == 0);
    must(uv_async_init(&l->uv, &l->async, on_async) ==
         0); /* also keeps the loop alive without anything to do */
    l->prepare.data = l->alarm.data = l->async.data = l;
    must(uv_prepare_start(&l->prepare, on_prepare) == 0);
    loop_look_at_clock(l);
    return l;
}

void loop_run(struct loop *l)
{
    loop_look_at_clock(l);
    l->is_running = true;
    (void) uv_run(&l->uv, UV_RUN_DEFAULT); /* says only whether handles are left; there always are */
    loop_run_tails(l);
    log_flush();
    l->is_running = false;
}

void loop_stop(struct loop *l)
{
    uv_stop(&l->uv);
}

uint64_t loop_now_ms(const struct loop *l)
{
    return l->is_running ? l->now_ms : clock_ms();
}

char *loop_scratch(struct loop *l)
{
    if (!l->scratch)
        l->scratch = mem_alloc(LOOP_SCRATCH_BYTES);
    return l->scratch;
}

struct loop *loop_free(struct loop *l)
{
    if (!l)
        return NULL;
    loop_run_tails(l); /* what was closed is freed by its tail */
    while (!list_is_empty(&l->tails))
        list_remove(l->tails.next);
    while (l->timer_count)
        timer_stop(l->heap[l->timer_count]);
    while (!list_is_empty(&l->watches))
        (void) watch_close(LIST_FIRST(&l->watches, struct watch, link)); /* always NULL */
    while (!list_is_empty(&l->signals)) {
        struct signal_watch *w = LIST_FIRST(&l->signals, struct signal_watch, link);
        list_remove(&w->link);
        uv_close((uv_handle_t *) &w->handle, on_handle_closed);
    }
    uv_close((uv_handle_t *) &l->prepare, NULL);
    uv_close((uv_handle_t *) &l->alarm, NULL);
    uv_close((uv_handle_t *) &l->idle, NULL);
    uv_close((uv_handle_t *) &l->async, NULL);
    while (uv_run(&l->uv, UV_RUN_DEFAULT) != 0) /* runs the close callbacks */
        continue;
    must(uv_loop_close(&l->uv) == 0);
    mem_free(l->heap);
    mem_free(l->scratch);
    return mem_free(l);
}
