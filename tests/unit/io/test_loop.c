/* The event loop: timers, tails, descriptors, wake-ups, signals. */
#include <cmocka.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/loop.h"

struct ticker {
    struct loop *loop;
    struct timer timer;
    struct tail tail;
    struct watch *watch;
    int fd;
    int runs, limit;
    char mark;
};

static struct loop *loop;
static char order[64];
static size_t order_len;

static int setup(void **state)
{
    (void) state;
    loop = loop_new();
    memset(order, 0, sizeof(order));
    order_len = 0;
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    loop = loop_free(loop);
    return 0;
}

static void mark(char c)
{
    must(order_len < sizeof(order) - 1);
    order[order_len++] = c;
}

static void on_mark(struct timer *t)
{
    struct ticker *k = CONTAINER_OF(t, struct ticker, timer);
    mark(k->mark);
}

static void on_stop(struct timer *t)
{
    struct ticker *k = CONTAINER_OF(t, struct ticker, timer);
    loop_stop(k->loop);
}

static void runs_timers_in_order_of_time(void **state)
{
    (void) state;
    static const uint64_t delays[] = {30, 5, 20, 10, 0, 25, 15};
    struct ticker k[ARRAY_LEN(delays)] = {0}, end = {.loop = loop};
    for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
        k[i].mark = (char) ('a' + delays[i] / 5);
        timer_start(loop, &k[i].timer, delays[i], on_mark);
    }
    timer_start(loop, &end.timer, 31, on_stop);
    loop_run(loop);
    assert_string_equal(order, "abcdefg");
}

static void a_stopped_or_moved_timer_keeps_the_heap(void **state)
{
    (void) state;
    struct ticker k[200] = {0}, end = {.loop = loop};
    for (unsigned i = 0; i < 200; i++) {
        k[i].mark = 'x';
        timer_start(loop, &k[i].timer, (i * 7919) % 50, on_mark);
    }
    for (unsigned i = 0; i < 200; i++) {
        if (i % 10 == 3)
            timer_start(loop, &k[i].timer, i % 7, on_mark);
        else
            timer_stop(&k[i].timer);
        timer_stop(&end.timer); /* harmless when stopped */
    }
    timer_start(loop, &end.timer, 60, on_stop);
    loop_run(loop);
    assert_int_equal(order_len, 20);
}

static void on_again(struct timer *t)
{
    struct ticker *k = CONTAINER_OF(t, struct ticker, timer);
    if (++k->runs == k->limit)
        loop_stop(loop);
    else
        timer_start(loop, t, 0, on_again);
}

static void a_timer_without_delay_may_start_itself(void **state)
{
    (void) state;
    struct ticker k = {.limit = 100};
    timer_start(loop, &k.timer, 0, on_again);
    loop_run(loop);
    assert_int_equal(k.runs, 100);
}

static void on_tail_mark(struct tail *t)
{
    struct ticker *k = CONTAINER_OF(t, struct ticker, tail);
    mark(k->mark);
    if (++k->runs < k->limit)
        tail_add(loop, t, on_tail_mark);
}

static void on_add_tails(struct timer *t)
{
    struct ticker *k = CONTAINER_OF(t, struct ticker, timer);
    tail_add(loop, &k->tail, on_tail_mark);
    tail_add(loop, &k->tail, on_tail_mark); /* once all the same */
    mark('t');
}

static void a_tail_runs_once_at_the_end_of_the_round(void **state)
{
    (void) state;
    struct ticker a = {.mark = 'a', .limit = 1}, b = {.mark = 'b', .limit = 1},
                  gone = {.mark = 'g', .limit = 1};
    struct ticker end = {.loop = loop};
    timer_start(loop, &a.timer, 1, on_add_tails);
    timer_start(loop, &b.timer, 1, on_add_tails);
    tail_add(loop, &gone.tail, on_tail_mark);
    tail_remove(&gone.tail);
    tail_remove(&gone.tail);
    timer_start(loop, &end.timer, 3, on_stop);
    loop_run(loop);
    assert_string_equal(order, "ttab");
}

static void on_readable_once(void *context, int events)
{
    struct ticker *k = context;
    char c;
    assert_int_equal(events & LOOP_READ, LOOP_READ);
    assert_int_equal(read(k->fd, &c, 1), 1);
    mark('r');
    loop_stop(loop);
}

static void a_tail_that_adds_itself_starves_nobody(void **state)
{
    (void) state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct ticker k = {.mark = '.', .limit = 50, .fd = fds[0]};
    assert_int_equal(watch_open(loop, fds[0], on_readable_once, &k, &k.watch), 0);
    watch_set(k.watch, LOOP_READ);
    assert_int_equal(write(fds[1], "x", 1), 1);
    tail_add(loop, &k.tail, on_tail_mark);
    loop_run(loop);
    assert_non_null(strchr(order, 'r'));
    assert_true(strchr(order, 'r') - order < 40);
    tail_remove(&k.tail);
    k.watch = watch_close(k.watch);
    close(fds[0]);
    close(fds[1]);
}

static void on_ready_close_both(void *context, int events)
{
    struct ticker *k = context;
    (void) events;
    k[0].watch = watch_close(k[0].watch);
    k[1].watch = watch_close(k[1].watch);
    close(k[0].fd);
    close(k[1].fd);
    k[0].runs++;
    loop_stop(loop);
}

static void a_watch_may_be_closed_by_another_in_the_same_round(void **state)
{
    (void) state;
    int fds[2];
    struct ticker k[2] = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (int i = 0; i < 2; i++) {
        k[i].fd = fds[i];
        assert_int_equal(watch_open(loop, fds[i], on_ready_close_both, k, &k[i].watch), 0);
        watch_set(k[i].watch, LOOP_READ | LOOP_WRITE);
    }
    loop_run(loop);
    assert_int_equal(k[0].runs, 1);
}

static void on_hang_up(void *context, int events)
{
    struct ticker *k = context;
    assert_true(events & LOOP_READ);
    if (++k->runs == 3)
        loop_stop(loop);
}

static void a_reset_shows_as_readable_again_and_again(void **state)
{
    (void) state;
    int fds[2];
    struct ticker k = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(write(fds[0], "x", 1), 1); /* unread at the other end: its close is a reset */
    close(fds[1]);
    assert_int_equal(watch_open(loop, fds[0], on_hang_up, &k, &k.watch), 0);
    watch_set(k.watch, LOOP_READ);
    loop_run(loop);
    assert_int_equal(k.runs, 3);
    k.watch = watch_close(k.watch);
    close(fds[0]);
}

static void on_wake(void *context)
{
    struct ticker *k = context;
    if (++k->runs)
        loop_stop(loop);
}

static void *wake_from_elsewhere(void *context)
{
    loop_wake(context);
    return NULL;
}

static void another_thread_wakes_the_loop(void **state)
{
    (void) state;
    struct ticker k = {0};
    pthread_t thread;
    loop_on_wake(loop, on_wake, &k);
    assert_int_equal(pthread_create(&thread, NULL, wake_from_elsewhere, loop), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    assert_int_equal(k.runs, 1);
}

static void on_signal(void *context, int signal)
{
    struct ticker *k = context;
    k->runs = signal;
    loop_stop(loop);
}

static void a_signal_comes_in_the_loop(void **state)
{
    (void) state;
    struct ticker k = {0};
    assert_int_equal(loop_on_signal(loop, SIGUSR1, on_signal, &k), 0);
    assert_true(loop_on_signal(loop, SIGKILL, on_signal, &k) < 0);
    raise(SIGUSR1);
    loop_run(loop);
    assert_int_equal(k.runs, SIGUSR1);
}

static void freeing_a_loop_stops_what_is_left(void **state)
{
    (void) state;
    struct loop *other = loop_new();
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct ticker k = {0};
    timer_start(other, &k.timer, 1000, on_mark);
    assert_int_equal(watch_open(other, fds[0], on_hang_up, &k, &k.watch), 0);
    watch_set(k.watch, LOOP_READ);
    other = loop_free(other);
    assert_int_equal(k.timer.place, 0);
    timer_stop(&k.timer);
    close(fds[0]);
    close(fds[1]);
}

struct job {
    struct loop *loop;
    pthread_t worked, told;
    unsigned *left;
};

static void work_job(void *context)
{
    struct job *j = context;
    j->worked = pthread_self();
}

static void tell_job(void *context)
{
    struct job *j = context;
    j->told = pthread_self();
    if (--*j->left == 0)
        loop_stop(j->loop);
}

static void work_is_done_elsewhere_and_told_here(void **s UNUSED)
{
    struct loop *other = loop_new();
    unsigned left = 20;
    struct job jobs[20];
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i] = (struct job){.loop = other, .left = &left};
        loop_work(other, work_job, tell_job, &jobs[i]);
    }
    loop_run(other);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        assert_false(pthread_equal(jobs[i].worked, pthread_self()));
        assert_true(pthread_equal(jobs[i].told, pthread_self()));
    }
    left = 1;
    loop_work(other, work_job, tell_job, &jobs[0]);
    other = loop_free(other); /* waits for it */
    assert_int_equal(left, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_timers_in_order_of_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stopped_or_moved_timer_keeps_the_heap, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_without_delay_may_start_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tail_runs_once_at_the_end_of_the_round, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tail_that_adds_itself_starves_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(a_watch_may_be_closed_by_another_in_the_same_round, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_shows_as_readable_again_and_again, setup, teardown),
        cmocka_unit_test_setup_teardown(another_thread_wakes_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(a_signal_comes_in_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(freeing_a_loop_stops_what_is_left, setup, teardown),
        cmocka_unit_test(work_is_done_elsewhere_and_told_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
