/* Redis connections, against a real server; what no real server does comes from a scripted one. */
#include "io_test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "io/redis.h"

static struct redis_server server;
static struct redis *redis;
static struct redis_settings settings;
static int ups, downs, greetings, refusals; /* how many greetings to refuse */
static char down_reason[128];
static bool stops_up, stops_down;

struct ask {
    struct redis_request request;
    int done;
    enum redis_result result;
    struct buf text; /* of the first value */
    int64_t integer;
    enum redis_type type;
    size_t count;
    bool stops, closes, repeats;
};

static void on_up(void *owner)
{
    (void) owner;
    ups++;
    if (stops_up)
        loop_stop(loop);
}

static void on_down(void *owner, const char *reason)
{
    (void) owner;
    downs++;
    (void) snprintf(down_reason, sizeof(down_reason), "%s", reason);
    if (stops_down)
        loop_stop(loop);
}

static void greet(void *owner, struct redis_request *greeting)
{
    (void) owner;
    resp_command(&greeting->bytes, 2);
    resp_arg_text(&greeting->bytes, "ECHO");
    resp_arg_text(&greeting->bytes, "greeting");
    greeting->reply_count = 1;
}

static int on_greeted(void *owner, const struct redis_value *values, unsigned count)
{
    (void) owner;
    greetings++;
    assert_int_equal(count, 1);
    assert_true(redis_is_text(values, "greeting"));
    return refusals-- > 0 ? -EAGAIN : 0;
}

static void on_done(struct redis_request *r, enum redis_result result, const struct redis_value *values)
{
    struct ask *a = CONTAINER_OF(r, struct ask, request);
    a->done++;
    a->result = result;
    if (result == REDIS_OK) {
        buf_clear(&a->text);
        buf_add_span(&a->text, values[0].text);
        a->integer = values[0].integer;
        a->type = values[0].type;
        a->count = values[0].count;
    } else {
        assert_null(values);
    }
    if (a->closes)
        redis = redis_close(redis);
    if (a->repeats && a->done == 1)
        redis_submit(redis, r);
    else if (a->stops)
        loop_stop(loop);
}

/* Words are separated by spaces. */
static void ask_add(struct ask *a, const char *command)
{
    struct span words[16], rest = span_of(command);
    size_t n = 0;
    while (rest.len > 0)
        words[n++] = span_cut(&rest, ' ');
    resp_command(&a->request.bytes, n);
    for (size_t i = 0; i < n; i++)
        resp_arg(&a->request.bytes, words[i]);
    a->request.reply_count++;
    a->request.on_done = on_done;
}

static void ask_submit(struct ask *a, const char *command, bool stops)
{
    ask_add(a, command);
    a->stops = stops;
    redis_submit(redis, &a->request);
}

static void ask_done(struct ask *a)
{
    redis_request_done(&a->request);
    buf_done(&a->text);
}

static int64_t ask_number(const char *command)
{
    struct ask a = {0};
    ask_submit(&a, command, true);
    loop_go();
    assert_int_equal(a.result, REDIS_OK);
    int64_t n = -1;
    struct redis_value v = {.type = a.type, .integer = a.integer, .text = buf_span(&a.text)};
    assert_int_equal(redis_number(&v, &n), 0);
    ask_done(&a);
    return n;
}

static void start(unsigned connections, unsigned window, uint64_t timeout_ms, const char *address)
{
    settings = (struct redis_settings){.address = address,
                                       .connections = connections,
                                       .window = window,
                                       .timeout_ms = timeout_ms,
                                       .greet = greet,
                                       .on_greeted = on_greeted,
                                       .on_up = on_up,
                                       .on_down = on_down};
    assert_int_equal(redis_open(loop, &settings, &redis), 0);
}

static int setup(void **state)
{
    ups = downs = greetings = refusals = 0;
    stops_up = stops_down = false;
    return loop_setup(state);
}

static int teardown(void **state)
{
    redis = redis_close(redis);
    return loop_teardown(state);
}

static int group_setup(void **state)
{
    (void) state;
    redis_server_start(&server);
    return 0;
}

static int group_teardown(void **state)
{
    (void) state;
    redis_server_end(&server);
    return 0;
}

static void gives_every_kind_of_value(void **state)
{
    (void) state;
    static const struct {
        const char *command, *text;
        enum redis_type type;
        int64_t integer;
        size_t count;
    } rows[] = {
        {"PING", "PONG", REDIS_STATUS, 0, 0},
        {"SET k v", "OK", REDIS_STATUS, 0, 0},
        {"GET k", "v", REDIS_STRING, 0, 0},
        {"GET none", "", REDIS_NIL, 0, 0},
        {"STRLEN k", "", REDIS_INTEGER, 1, 0},
        {"EVAL return{1,{2,'x',{false}},'y'} 0", "", REDIS_ARRAY, 0, 3},
        {"EVAL return{} 0", "", REDIS_ARRAY, 0, 0},
        {"NONSENSE", NULL, REDIS_ERROR_REPLY, 0, 0},
        {"EVAL return{{{{{{{1}}}}}}} 0", "", REDIS_ARRAY, 0, 1},
    };
    start(1, 8, 5000, server.address);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ask a = {0};
        ask_submit(&a, rows[i].command, true);
        loop_go();
        assert_int_equal(a.result, REDIS_OK);
        assert_int_equal(a.type, rows[i].type);
        assert_int_equal(a.integer, rows[i].integer);
        assert_int_equal(a.count, rows[i].count);
        if (rows[i].text)
            assert_true(buf_is(&a.text, rows[i].text));
        ask_done(&a);
    }
    assert_int_equal(ups, 1);
    assert_int_equal(greetings, 1);
}

static void on_several(struct redis_request *r, enum redis_result result, const struct redis_value *v)
{
    (void) r;
    int64_t n;
    assert_int_equal(result, REDIS_OK);
    assert_true(redis_is_text(&v[0], "OK"));
    assert_int_equal(redis_number(&v[1], &n), 0);
    assert_int_equal(n, 41);
    assert_int_equal(v[2].type, REDIS_ARRAY);
    assert_int_equal(v[2].count, 2);
    assert_true(redis_is_text(&v[2].items[0], "a"));
    assert_int_equal(v[2].items[1].count, 1);
    assert_true(redis_is_text(&v[2].items[1].items[0], "b"));
    assert_int_equal(redis_number(&v[2], &n), -EINVAL);
    loop_stop(loop);
}

static void a_request_of_several_commands_gets_all_their_values(void **state)
{
    (void) state;
    struct ask a = {0};
    start(2, 8, 5000, server.unix_address);
    ask_add(&a, "SET n 41");
    ask_add(&a, "GET n");
    ask_add(&a, "EVAL return{'a',{'b'}} 0");
    a.request.on_done = on_several;
    redis_submit(redis, &a.request);
    loop_go();
    ask_done(&a);
}

static void carries_large_values(void **state)
{
    (void) state;
    struct ask set = {0}, get = {0};
    struct buf big = {0};
    for (int i = 0; i < 3 << 18; i++)
        buf_add(&big, &i, sizeof(i));
    start(1, 8, 5000, server.address);
    resp_command(&set.request.bytes, 3);
    resp_arg_text(&set.request.bytes, "SET");
    resp_arg_text(&set.request.bytes, "big");
    resp_arg(&set.request.bytes, buf_span(&big));
    set.request.reply_count = 1;
    set.request.on_done = on_done;
    redis_submit(redis, &set.request);
    ask_submit(&get, "GET big", true);
    loop_go();
    assert_true(span_equal(buf_span(&get.text), buf_span(&big)));
    ask_done(&set);
    ask_done(&get);
    buf_done(&big);
}

static void a_small_window_keeps_the_order(void **state)
{
    (void) state;
    static struct ask asks[500];
    memset(asks, 0, sizeof(asks));
    start(1, 2, 5000, server.address);
    for (size_t i = 0; i < ARRAY_LEN(asks); i++)
        ask_submit(&asks[i], i == 0 ? "SET order 0" : "INCR order", i == ARRAY_LEN(asks) - 1);
    assert_int_equal(redis_waiting(redis), ARRAY_LEN(asks));
    loop_go();
    for (size_t i = 1; i < ARRAY_LEN(asks); i++)
        assert_int_equal(asks[i].integer, i);
    for (size_t i = 0; i < ARRAY_LEN(asks); i++)
        ask_done(&asks[i]);
}

/* How many of 4 connections 16 small requests go to that are submitted together. */
static size_t connections_used(size_t reply_bytes, unsigned window)
{
    static struct ask asks[16];
    int64_t ids[4] = {0};
    size_t seen = 0;

    memset(asks, 0, sizeof(asks));
    start(4, window, 5000, server.address);
    while (redis_connections_up(redis) < 4)
        (void) ask_number("INCR spread");
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        asks[i].request.reply_bytes = reply_bytes;
        ask_submit(&asks[i], "CLIENT ID", false);
    }
    for (size_t i = 0; i < ARRAY_LEN(asks); i++)
        while (!asks[i].done)
            (void) ask_number("DECR spread");
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        size_t k = 0;
        assert_int_equal(asks[i].done, 1);
        while (k < seen && ids[k] != asks[i].integer)
            k++;
        if (k == seen)
            ids[seen++] = asks[i].integer;
        ask_done(&asks[i]);
    }
    return seen;
}

static void spreads_over_all_connections(void **state)
{
    (void) state;
    assert_int_equal(connections_used(0, 4), 4);
}

static void small_requests_share_a_write(void **state)
{
    (void) state;
    assert_int_equal(connections_used(0, 64), 1);
}

static void large_replies_are_spread(void **state)
{
    (void) state;
    assert_int_equal(connections_used(16384, 64), 4);
}

static void waits_for_a_server_and_withdraws(void **state)
{
    (void) state;
    struct ask kept = {0}, withdrawn = {0};
    redis_server_kill(&server, SIGKILL);
    start(2, 8, 5000, server.address);
    ask_submit(&withdrawn, "INCR withdrawn", true);
    ask_submit(&kept, "PING", true);
    assert_true(redis_withdraw(redis, &withdrawn.request));
    assert_int_equal(redis_waiting(redis), 1);
    assert_false(redis_is_up(redis));
    redis_server_start(&server);
    loop_go();
    assert_int_equal(kept.result, REDIS_OK);
    assert_int_equal(withdrawn.done, 0);
    assert_true(redis_is_up(redis));
    ask_done(&kept);
    ask_done(&withdrawn);
}

static void a_refused_greeting_is_tried_again(void **state)
{
    (void) state;
    refusals = 2;
    start(1, 8, 5000, server.address);
    assert_int_equal(ask_number("INCR refused"), 1);
    assert_int_equal(greetings, 3);
    assert_int_equal(ups, 1);
    assert_int_equal(downs, 0);
}

/* The reply is owed for too long: what was sent is unknown only when the old connection is dead at the server. */
static void a_given_up_connection_is_killed_before_anything_is_unknown(void **state)
{
    (void) state;
    struct ask blocked = {0}, behind = {0}, again = {0};
    start(1, 8, 1000, server.address);
    (void) ask_number("INCR warm");
    ask_submit(&blocked, "BLPOP nothing 0", false);
    ask_submit(&behind, "INCR behind", true);
    loop_go();
    assert_int_equal(downs, 1);
    assert_string_equal(down_reason, "a reply was owed for too long");
    assert_int_equal(blocked.done, 1);
    assert_int_equal(blocked.result, REDIS_UNKNOWN);
    assert_int_equal(behind.result, REDIS_UNKNOWN);
    ask_submit(&again, "INFO commandstats", true);
    loop_go();
    buf_add_char(&again.text, '\0');
    assert_non_null(strstr(again.text.data, "cmdstat_client|kill:calls="));
    struct ask push = {0};
    ask_submit(&push, "RPUSH nothing x", true);
    loop_go();
    assert_int_equal(ask_number("LLEN nothing"), 1); /* the blocked one is dead: it takes nothing */
    ask_done(&blocked);
    ask_done(&behind);
    ask_done(&again);
    ask_done(&push);
}

static void on_continue(struct timer *t)
{
    (void) t;
    redis_server_kill(&server, SIGCONT);
}

static void a_silent_server_leaves_requests_in_limbo(void **state)
{
    (void) state;
    struct timer later = {0};
    struct ask a = {0};
    start(1, 8, 400, server.address);
    (void) ask_number("INCR limbo");
    stops_down = true;
    redis_server_kill(&server, SIGSTOP);
    ask_submit(&a, "INCR limbo", true);
    while (!downs)
        loop_go();
    timer_start(loop, &later, 300, on_continue);
    assert_int_equal(a.done, 0); /* down, and still not unknown */
    loop_go();
    assert_int_equal(a.done, 1);
    assert_int_equal(a.result, REDIS_UNKNOWN);
    int64_t n = ask_number("GET limbo"); /* executed or not: from now on it never is */
    for (int i = 0; i < 20; i++)
        assert_int_equal(ask_number("GET limbo"), n);
    ask_done(&a);
}

static void on_restart(struct timer *t)
{
    (void) t;
    redis_server_kill(&server, SIGKILL);
    redis_server_start(&server);
}

static void another_server_process_ends_the_limbo(void **state)
{
    (void) state;
    struct timer later = {0};
    struct ask a = {0};
    start(1, 8, 5000, server.address);
    (void) ask_number("INCR other");
    ask_submit(&a, "BLPOP nothing-here 0", true);
    timer_start(loop, &later, 20, on_restart);
    loop_go();
    assert_int_equal(a.done, 1);
    assert_int_equal(a.result, REDIS_UNKNOWN);
    assert_int_equal(downs, 1);
    ask_done(&a);
}

static void its_own_time_makes_a_request_unknown(void **state)
{
    (void) state;
    struct ask sent = {0}, after = {0};
    start(1, 8, 5000, server.address);
    (void) ask_number("INCR own");
    redis_server_kill(&server, SIGSTOP);
    sent.request.give_up_ms = clock_ms() + 50;
    ask_add(&sent, "INCR own");
    ask_submit(&sent, "INCR own", true); /* a request of two */
    loop_go();
    assert_int_equal(sent.result, REDIS_UNKNOWN);
    assert_int_equal(downs, 0);
    redis_server_kill(&server, SIGCONT);
    ask_submit(&after, "ECHO mine", true); /* its reply is not mistaken for the late ones */
    loop_go();
    assert_true(buf_is(&after.text, "mine"));
    ask_done(&sent);
    ask_done(&after);
}

static void its_own_time_ends_a_request_never_sent(void **state)
{
    (void) state;
    struct ask a = {0};
    start(1, 8, 5000, "127.0.0.1:1");
    a.request.give_up_ms = clock_ms() + 30;
    ask_submit(&a, "PING", true);
    loop_go();
    assert_int_equal(a.done, 1);
    assert_int_equal(a.result, REDIS_UNKNOWN);
    assert_int_equal(redis_waiting(redis), 0);
    ask_done(&a);
}

static void closing_ends_all_requests(void **state)
{
    (void) state;
    struct ask under_way = {0}, waiting = {0};
    start(1, 1, 5000, server.address);
    (void) ask_number("INCR close");
    struct ask blocked = {0};
    ask_submit(&blocked, "BLPOP never 0", false);
    ask_submit(&under_way, "PING", false);
    ask_submit(&waiting, "PING", false);
    blocked.repeats = true; /* submitted again while closing: not taken */
    redis = redis_close(redis);
    assert_null(redis);
    assert_int_equal(blocked.result, REDIS_UNKNOWN);
    assert_int_equal(blocked.done, 1);
    assert_int_equal(under_way.done, 1);
    assert_int_equal(waiting.done, 1);
    ask_done(&blocked);
    ask_done(&under_way);
    ask_done(&waiting);
}

static void may_be_closed_and_asked_again_in_a_callback(void **state)
{
    (void) state;
    struct ask first = {.repeats = true}, second = {0}, third = {0};
    start(2, 8, 5000, server.address);
    ask_submit(&first, "INCR twice", true);
    loop_go();
    assert_int_equal(first.done, 2);
    assert_int_equal(first.integer, 2);
    second.closes = true;
    ask_submit(&second, "PING", true);
    ask_submit(&third, "PING", false);
    loop_go();
    assert_int_equal(second.result, REDIS_OK);
    assert_int_equal(third.done, 1);
    ask_done(&first);
    ask_done(&second);
    ask_done(&third);
}

static void refuses_bad_addresses(void **state)
{
    (void) state;
    static const char *const bad[] = {"", "unix:", "127.0.0.1:x", "[::1", "127.0.0.1:99999"};
    struct redis *r = NULL;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        settings = (struct redis_settings){
            .address = bad[i], .connections = 1, .window = 1, .timeout_ms = 100};
        assert_int_equal(redis_open(loop, &settings, &r), -EINVAL);
    }
}

/* ---- a server that says what it likes */

static struct listener *listener;
static struct stream *liar;
static const char *lie;
static size_t lie_len;
static int lies;

static size_t on_liar_data(void *owner, struct span in)
{
    (void) owner;
    if (memmem(in.at, in.len, "CLIENT", 6))
        stream_write(liar, SPAN(":7\r\n$20\r\nx:1\r\nrun_id:abcdef\r\n\r\n"));
    else if (memmem(in.at, in.len, "ECHO", 4) && lies == 0)
        stream_write(liar, SPAN("$8\r\ngreeting\r\n"));
    else
        stream_write(liar, (struct span){.at = lie, .len = lie_len});
    return in.len;
}

static void on_liar_closed(void *owner, int reason)
{
    (void) owner;
    (void) reason;
    liar = NULL;
}

static const struct stream_events liar_events = {.on_data = on_liar_data, .on_closed = on_liar_closed};

static void on_liar_accept(void *owner, int fd)
{
    (void) owner;
    if (liar) {
        close(fd);
        return;
    }
    liar = stream_adopt(loop, fd, &liar_events, NULL);
}

static void a_server_that_lies_is_left(void **state)
{
    (void) state;
    static const char *const rows[] = {
        "garbage\r\n",
        ":1\r\n:2\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        "*99999999999\r\n",
        "*2147483647\r\n",
        "*4294967297\r\n:1\r\n:2\r\n",
        "*-7\r\n",
        "$-7\r\n",
        "$99999999999999999999\r\n",
        ":\r\n",
        ":9999999999999999999999\r\n",
        ",1.5\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "#t\r\n",
        "*2\r\n,1.5\r\n#t\r\n",
    };
    char address[32];
    struct ip ip = loopback();
    assert_int_equal(listener_open(loop, &ip, 0, on_liar_accept, NULL, NULL, &listener), 0);
    (void) snprintf(address, sizeof(address), "127.0.0.1:%u", listener_port(listener));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ask a = {0};
        lie = rows[i];
        lie_len = strlen(lie);
        downs = 0;
        stops_down = true;
        start(1, 8, 400, address);
        ask_submit(&a, "PING", false);
        loop_go();
        assert_int_equal(downs, 1);
        redis = redis_close(redis);
        assert_int_equal(a.done, 1);
        ask_done(&a);
        if (liar)
            stream_abort(liar);
    }
    listener = listener_close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_every_kind_of_value, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_of_several_commands_gets_all_their_values, setup, teardown),
        cmocka_unit_test_setup_teardown(carries_large_values, setup, teardown),
        cmocka_unit_test_setup_teardown(a_small_window_keeps_the_order, setup, teardown),
        cmocka_unit_test_setup_teardown(spreads_over_all_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(small_requests_share_a_write, setup, teardown),
        cmocka_unit_test_setup_teardown(large_replies_are_spread, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_for_a_server_and_withdraws, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_greeting_is_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_given_up_connection_is_killed_before_anything_is_unknown, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_silent_server_leaves_requests_in_limbo, setup, teardown),
        cmocka_unit_test_setup_teardown(another_server_process_ends_the_limbo, setup, teardown),
        cmocka_unit_test_setup_teardown(its_own_time_makes_a_request_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(its_own_time_ends_a_request_never_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_ends_all_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(may_be_closed_and_asked_again_in_a_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_bad_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_lies_is_left, setup, teardown),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
