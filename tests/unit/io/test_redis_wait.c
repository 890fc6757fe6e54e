/* Held requests: one WAIT per batch tells how many replicas have them. A real primary with a real replica. */
#include "redis_test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

enum { WAIT_MS = 300, LONG_MS = 2000 }; /* for replicas that are away; that are there */

static struct redis_server primary, replica;
static char primary_port[16];
static struct redis *redis;
static struct told told;
static bool replica_is_stopped;

static void open_with(unsigned replicas, uint64_t wait_ms)
{
    struct redis_settings settings = told_settings(&told, primary.address);
    settings.replicas = replicas;
    settings.wait_ms = wait_ms;
    settings.window = 1000;
    assert_int_equal(redis_open(loop, &settings, &redis), 0);
}

static void await_replica(void)
{
    open_with(0, 0);
    while (strcmp(redis_said(redis, "WAIT 1 100"), "1") != 0)
        (void) redis_said(redis, "INCR warm");
    redis = redis_close(redis);
    told = (struct told){0};
}

static int group_setup(void **state)
{
    (void) state;
    primary = (struct redis_server){.options = {"--repl-diskless-sync-delay", "0", "--user", "mute", "on",
                                                ">secret", "~*", "&*", "+@all", "-wait"}};
    redis_server_start(&primary);
    (void) snprintf(primary_port, sizeof(primary_port), "%u", primary.port);
    replica = (struct redis_server){.options = {"--replicaof", "127.0.0.1", primary_port}};
    redis_server_start(&replica);
    return 0;
}

static int group_teardown(void **state)
{
    (void) state;
    redis_server_end(&replica);
    redis_server_end(&primary);
    return 0;
}

static int setup(void **state)
{
    told = (struct told){0};
    int r = loop_setup(state);
    await_replica();
    return r;
}

static void stop_replica(void)
{
    redis_server_kill(&replica, SIGSTOP);
    replica_is_stopped = true;
}

static int teardown(void **state)
{
    if (replica_is_stopped)
        redis_server_kill(&replica, SIGCONT);
    replica_is_stopped = false;
    redis = redis_close(redis);
    return loop_teardown(state);
}

/* Asks and waits for the answer. */
static void ask_held(struct question *q, const char *command)
{
    q->request.is_held = true;
    q->stops = true;
    question_submit(redis, q, command);
    loop_go();
    assert_int_equal(q->done, 1);
}

static int waits_seen(void)
{
    int calls = 0;
    const char *at = strstr(redis_said(redis, "INFO commandstats"), "cmdstat_wait:calls=");
    if (at)
        (void) sscanf(at, "cmdstat_wait:calls=%d", &calls);
    return calls;
}

static void forget_waits(void)
{
    assert_string_equal(redis_said(redis, "CONFIG RESETSTAT"), "OK");
}

/* proves: A02 */
static void a_held_request_tells_who_has_it(void **state)
{
    (void) state;
    struct question q = {0};
    open_with(1, LONG_MS);
    ask_held(&q, "SET k v");
    assert_int_equal(q.result, REDIS_OK);
    assert_true(buf_is(&q.text, "OK"));
    assert_int_equal(q.request.replicas, 1);
    question_done(&q);
}

/* proves: A03 */
static void a_wait_that_falls_short_is_told(void **state)
{
    (void) state;
    struct question q = {0};
    open_with(1, WAIT_MS);
    (void) redis_said(redis, "PING");
    stop_replica();
    uint64_t before_ms = clock_ms();
    ask_held(&q, "SET k v");
    assert_int_equal(q.result, REDIS_OK);
    assert_int_equal(q.request.replicas, 0);
    assert_true(clock_ms() - before_ms >= WAIT_MS);
    question_done(&q);
}

static void fewer_than_asked_for_is_the_number(void **state)
{
    (void) state;
    struct question q = {0};
    open_with(2, LONG_MS);
    ask_held(&q, "SET k v");
    assert_int_equal(q.request.replicas, 1);
    question_done(&q);
}

static void what_is_not_held_does_not_wait(void **state)
{
    (void) state;
    struct question held = {.stops = true}, read = {.stops = true};
    open_with(1, WAIT_MS);
    (void) redis_said(redis, "PING");
    stop_replica();
    held.request.is_held = true;
    question_submit(redis, &held, "SET k held");
    question_submit(redis, &read, "GET k");
    loop_go();
    assert_int_equal(read.done, 1);
    assert_true(buf_is(&read.text, "held"));
    assert_int_equal(held.done, 0);
    loop_go();
    assert_int_equal(held.done, 1);
    assert_int_equal(held.request.replicas, 0);
    question_done(&held);
    question_done(&read);
}

static void a_batch_has_one_wait(void **state)
{
    (void) state;
    static struct question asks[200];
    char command[64], want[16];
    open_with(1, 2000);
    forget_waits();
    memset(asks, 0, sizeof(asks));
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        asks[i].request.is_held = i % 3 != 0;
        (void) snprintf(command, sizeof(command), "SET many:%zu %zu", i, i);
        question_add(&asks[i], command);
        (void) snprintf(command, sizeof(command), "GET many:%zu", i);
        question_submit(redis, &asks[i], command);
    }
    for (size_t i = 0; i < ARRAY_LEN(asks); i++)
        while (!asks[i].done)
            (void) redis_said(redis, "PING");
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        (void) snprintf(want, sizeof(want), "%zu", i);
        assert_int_equal(asks[i].done, 1);
        assert_int_equal(asks[i].result, REDIS_OK);
        assert_true(buf_is(&asks[i].text, want));
        assert_int_equal(asks[i].request.replicas, asks[i].request.is_held ? 1 : 0);
        question_done(&asks[i]);
    }
    int waits = waits_seen();
    assert_in_range(waits, 1, 2); /* 16 KiB are one batch; PING, which is not held, has none */
}

static void nothing_held_is_no_wait(void **state)
{
    (void) state;
    open_with(1, WAIT_MS);
    forget_waits();
    for (int i = 0; i < 10; i++)
        (void) redis_said(redis, "INCR free");
    assert_int_equal(waits_seen(), 0);
}

static void without_replicas_wanted_nothing_is_sent(void **state)
{
    (void) state;
    struct question q = {0};
    open_with(0, 0);
    forget_waits();
    stop_replica();
    ask_held(&q, "SET k v");
    assert_int_equal(q.result, REDIS_OK);
    assert_int_equal(waits_seen(), 0);
    question_done(&q);
}

static void on_cut(struct timer *t)
{
    (void) t;
    redis_server_kill(&primary, SIGKILL);
    redis_server_start(&primary);
}

/* The value was there, and nobody can say who else has it. */
static void a_connection_lost_before_the_count_makes_it_unknown(void **state)
{
    (void) state;
    struct question held = {.stops = true}, read = {0};
    struct timer cut = {0};
    open_with(1, 4000);
    (void) redis_said(redis, "PING");
    stop_replica();
    held.request.is_held = true;
    question_submit(redis, &held, "SET k lost");
    question_submit(redis, &read, "GET k");
    timer_start(loop, &cut, 100, on_cut);
    loop_go();
    assert_int_equal(read.result, REDIS_OK);
    assert_true(buf_is(&read.text, "lost"));
    assert_int_equal(held.done, 1);
    assert_int_equal(held.result, REDIS_UNKNOWN);
    question_done(&held);
    question_done(&read);
}

static void its_own_time_ends_what_is_held(void **state)
{
    (void) state;
    struct question held = {0}, other = {.stops = true};
    open_with(1, 1000);
    (void) redis_said(redis, "PING");
    stop_replica();
    uint64_t before_ms = clock_ms();
    other.request.is_held = true;
    question_submit(redis, &other, "SET other v");
    held.request.give_up_ms = before_ms + 100;
    ask_held(&held, "SET k v");
    assert_int_equal(held.result, REDIS_UNKNOWN);
    assert_true(clock_ms() - before_ms < 900);
    loop_go();
    assert_int_equal(other.result, REDIS_OK);
    assert_int_equal(other.request.replicas, 0);
    assert_int_equal(held.done, 1);
    assert_string_equal(redis_said(redis, "ECHO mine"), "mine");
    assert_int_equal(told.downs, 0);
    question_done(&held);
    question_done(&other);
}

/* Requests of several batches: each has a WAIT of its own, and together they take longer than a reply may be owed. */
static void what_is_behind_a_wait_is_not_owed_yet(void **state)
{
    (void) state;
    enum { LARGE_BYTES = 20000 };
    struct question held[4] = {{.done = 0}};
    AUTO_BUF struct buf large = {0};
    struct redis_settings settings = told_settings(&told, primary.address);
    settings.replicas = 1;
    settings.wait_ms = 400;
    settings.timeout_ms = 900;
    assert_int_equal(redis_open(loop, &settings, &redis), 0);
    (void) redis_said(redis, "PING");
    stop_replica();
    buf_add_text(&large, "SET behind ");
    for (size_t i = 0; i < LARGE_BYTES; i++)
        buf_add_char(&large, 'x');
    buf_add_char(&large, '\0');
    for (size_t i = 0; i < ARRAY_LEN(held); i++) {
        held[i].request.is_held = true;
        held[i].stops = i == ARRAY_LEN(held) - 1;
        question_submit(redis, &held[i], large.data);
    }
    uint64_t before_ms = clock_ms();
    loop_go();
    assert_true(clock_ms() - before_ms > settings.timeout_ms);
    for (size_t i = 0; i < ARRAY_LEN(held); i++) {
        assert_int_equal(held[i].result, REDIS_OK);
        question_done(&held[i]);
    }
    assert_int_equal(told.downs, 0);
}

static void who_may_not_wait_has_no_replicas(void **state)
{
    (void) state;
    struct question q = {0};
    struct redis_settings settings = told_settings(&told, primary.address);
    settings.replicas = 1;
    settings.wait_ms = WAIT_MS;
    settings.user = "mute";
    settings.password = "secret";
    assert_int_equal(redis_open(loop, &settings, &redis), 0);
    ask_held(&q, "SET k v");
    assert_int_equal(q.result, REDIS_OK);
    assert_int_equal(q.request.replicas, 0);
    question_done(&q);
}

static void closing_ends_what_is_held(void **state)
{
    (void) state;
    struct question held = {0}, read = {.stops = true};
    open_with(1, 4000);
    (void) redis_said(redis, "PING");
    stop_replica();
    held.request.is_held = true;
    question_submit(redis, &held, "SET k v");
    question_submit(redis, &read, "GET k");
    loop_go(); /* held has its value by now */
    redis = redis_close(redis);
    assert_int_equal(held.done, 1);
    assert_int_equal(held.result, REDIS_UNKNOWN);
    question_done(&held);
    question_done(&read);
}

static void on_done_close(struct redis_request *r, enum redis_result result, const struct redis_value *values)
{
    (void) r;
    (void) values;
    assert_int_equal(result, REDIS_OK);
    redis = redis_close(redis);
    loop_stop(loop);
}

static void may_be_closed_when_the_count_comes(void **state)
{
    (void) state;
    struct question closing = {0}, other = {0};
    open_with(1, LONG_MS);
    (void) redis_said(redis, "PING");
    question_add(&closing, "SET k closing");
    closing.request.on_done = on_done_close;
    closing.request.is_held = other.request.is_held = true;
    redis_submit(redis, &closing.request);
    question_submit(redis, &other, "SET k other");
    loop_go();
    assert_int_equal(other.done, 1); /* one way or the other */
    question_done(&closing);
    question_done(&other);
}

static int fences_refused;
static const char *fence_command;

static void fence(void *owner, struct buf *command)
{
    struct question q = {0};
    (void) owner;
    question_add(&q, fence_command);
    buf_add_span(command, buf_span(&q.request.bytes));
    question_done(&q);
}

static void on_fence_refused(void *owner, struct span error)
{
    (void) owner;
    (void) error;
    fences_refused++;
}

static void open_fenced(const char *command)
{
    struct redis_settings settings = told_settings(&told, primary.address);
    fences_refused = 0;
    fence_command = command;
    settings.replicas = 1;
    settings.wait_ms = WAIT_MS;
    settings.fence = command ? fence : NULL;
    settings.on_fence_refused = on_fence_refused;
    assert_int_equal(redis_open(loop, &settings, &redis), 0);
    (void) redis_said(redis, "PING");
}

/* Whether the replica has acknowledged all that there is. */
static bool is_up_to_date(void)
{
    const char *info = redis_said(redis, "INFO replication"), *has = strstr(info, "state=online,offset=");
    const char *all = strstr(info, "master_repl_offset:");
    assert_non_null(all);
    return has && atoll(has + strlen("state=online,offset=")) == atoll(all + strlen("master_repl_offset:"));
}

/* A primary that is cut off has no replica to show for a read; without a fence it would. */
/* proves: A18 */
static void a_fence_tells_who_is_cut_off(void **state)
{
    (void) state;
    for (int is_fenced = 0; is_fenced < 2; is_fenced++) {
        struct question q = {0};
        open_fenced(is_fenced ? "SET fence x" : NULL);
        while (!is_up_to_date())
            ;
        stop_replica();
        ask_held(&q, "GET k");
        assert_int_equal(q.result, REDIS_OK);
        assert_int_equal(q.request.replicas, is_fenced ? 0 : 1);
        redis_server_kill(&replica, SIGCONT);
        replica_is_stopped = false;
        redis = redis_close(redis);
        question_done(&q);
        await_replica();
    }
    assert_int_equal(fences_refused, 0);
}

static void a_refused_fence_is_no_replica(void **state)
{
    (void) state;
    struct question q = {0};
    open_fenced("SET fence");
    ask_held(&q, "SET k v");
    assert_int_equal(q.result, REDIS_OK);
    assert_int_equal(q.request.replicas, 0);
    assert_int_equal(fences_refused, 1);
    question_done(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_held_request_tells_who_has_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wait_that_falls_short_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(fewer_than_asked_for_is_the_number, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_held_does_not_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_has_one_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_held_is_no_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(without_replicas_wanted_nothing_is_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connection_lost_before_the_count_makes_it_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(its_own_time_ends_what_is_held, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_behind_a_wait_is_not_owed_yet, setup, teardown),
        cmocka_unit_test_setup_teardown(who_may_not_wait_has_no_replicas, setup, teardown),
        cmocka_unit_test_setup_teardown(may_be_closed_when_the_count_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fence_tells_who_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_fence_is_no_replica, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_ends_what_is_held, setup, teardown),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
