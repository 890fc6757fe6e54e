/*
 * Does: one event loop per thread: descriptors, timers, signals, wake-ups from other threads, work at the end of each round, work on other threads.
 * Does not: share anything between loops, except loop_wake().
 * Owns: its watches; timers and tails are embedded in their owners, who stop them before they are freed.
 * Fails: opening a watch gives -errno; the rest never.
 * Calls: libuv, named in loop.c only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct loop;
struct loop *loop_new(void);
void loop_run(struct loop *l);              /* until loop_stop() */
void loop_stop(struct loop *l);             /* from its own thread */
struct loop *loop_free(struct loop *l);     /* always NULL; closes what is left */
uint64_t loop_now_ms(const struct loop *l); /* clock_ms() as of this round: cheap */
/* One buffer for all streams of the loop to read into; its content lives until the callback that is given it returns. */
enum { LOOP_SCRATCH_BYTES = 262144 };
char *loop_scratch(struct loop *l);

/* A descriptor. on_ready gets what is ready; errors and hang-ups show as readable. */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct watch;
typedef void watch_on_ready(void *context, int events);
int watch_open(struct loop *l, int fd, watch_on_ready *on_ready, void *context, struct watch **ret_watch);
void watch_set(struct watch *w, int events); /* 0: none */
/* Stops at once and forgets fd, which the caller closes now; frees itself later. Always NULL. */
struct watch *watch_close(struct watch *w);

/* One-shot timers, in a heap; starting a running one moves it. Zeroed is valid and stopped. */
struct timer {
    uint64_t due_ms;
    size_t place; /* in the heap, from 1; 0: stopped */
    struct loop *loop;
    void (*on_timer)(struct timer *t); /* CONTAINER_OF finds the owner */
};
void timer_start(struct loop *l, struct timer *t, uint64_t delay_ms, void (*on_timer)(struct timer *t));
void timer_stop(struct timer *t);

/*
 * Work to be done once at the end of this round, before the loop sleeps: how writes are gathered. Zeroed is valid and idle.
 * What a tail adds runs in the same round, up to a bound; the rest after the next look at the descriptors, without a sleep.
 */
struct tail {
    struct list link;
    void (*on_tail)(struct tail *t);
};
void tail_add(struct loop *l, struct tail *t,
              void (*on_tail)(struct tail *t)); /* once, however often it is called */
void tail_remove(struct tail *t);

/* Runs on_wake in the loop's thread soon after loop_wake() from any thread; calls may merge. One per loop. */
void loop_on_wake(struct loop *l, void (*on_wake)(void *context), void *context);
void loop_wake(struct loop *l);
/*
 * What takes long and needs no loop: work runs on a thread of a pool that all loops share, in the order asked; then done runs in this loop's
 * thread. It cannot be taken back; loop_free() waits for it and calls done.
 */
void loop_work(struct loop *l, void (*work)(void *context), void (*done)(void *context), void *context);
/* on_signal runs in the loop's thread; one loop of the process only. */
int loop_on_signal(struct loop *l, int signal, void (*on_signal)(void *context, int signal), void *context);
