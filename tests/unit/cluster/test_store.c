/* The store against a real Redis: audit, meta, repeats, time limits. */
#include "cluster_test.h"

#include "base/metric.h"

static struct test_call {
    struct store_call call;
    enum store_result result;
    struct buf text; /* of the last value */
    unsigned done, repeats;
} one;

static void on_done(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct test_call *call = CONTAINER_OF(c, struct test_call, call);

    call->result = result;
    call->done++;
    buf_clear(&call->text);
    if (result == STORE_OK)
        buf_add_span(&call->text, values[c->request.reply_count - 1].text);
    else if (result == STORE_REFUSED)
        buf_add_span(&call->text, values[0].text);
    loop_stop(loop);
}

static void on_repeat(struct store_call *c)
{
    CONTAINER_OF(c, struct test_call, call)->repeats++;
}

/* Zeroes the call and sets its end. */
static void call_init(struct test_call *call, uint64_t time_ms)
{
    store_call_done(&call->call);
    buf_done(&call->text);
    *call = (struct test_call){.result = STORE_OK};
    call->call.give_up_ms = time_ms == UINT64_MAX ? UINT64_MAX : clock_ms() + time_ms;
    call->call.on_done = on_done;
    call->call.on_repeat = on_repeat;
}

static void put(struct test_call *call, size_t count, const char *const *args)
{
    call_begin(&call->call, count);
    for (size_t i = 0; i < count; i++)
        resp_arg_text(&call->call.request.bytes, args[i]);
}
#define PUT(call, ...) \
    put((call), ARRAY_LEN(((const char *const[]){__VA_ARGS__})), (const char *const[]){__VA_ARGS__})

static bool text_is(const struct test_call *call, const char *text)
{
    return span_equal(buf_span(&call->text), span_of(text));
}

static bool trouble_has(const char *words)
{
    bool has = strstr(store_trouble(store), words) != NULL;

    if (!has)
        (void) fprintf(stderr, "trouble: \"%s\", without \"%s\"\n", store_trouble(store), words);
    return has;
}

/* ---- audit ---- */

static void a_durable_redis_makes_it_ready(void **state)
{
    (void) state;
    assert_int_equal(ready_count, 1);
    assert_int_equal(lost_count, 0);
    assert_string_equal(store_trouble(store), "");
    assert_int_equal(metric_get(METRIC_STORE_READY), 1);
    assert_in_range(store_clock_offset_ms(store) + 1000, 0, 2000);
    assert_int_equal(count_of(&server, "HLEN barid:{c}:meta"), 3);
    assert_true(answers(&server, "1", "HGET barid:{c}:meta schema"));
    assert_true(answers(&server, "256", "HGET barid:{c}:meta partitions"));
    assert_true(answers(&server, "xxh3-64", "HGET barid:{c}:meta hash"));
}

/* Opened while set so, it is refused with that sentence; mended, it gets ready by itself. */
static void check_refusal(const char *breaking, const char *mending, const char *words)
{
    tell(&server, breaking);
    open_store();
    WAIT_FOR(!strstr(store_trouble(store), "not connected yet"));
    assert_true(trouble_has(words));
    assert_false(store_is_ready(store));
    assert_int_equal(ready_count, 0);
    assert_int_equal(lost_count, 0);
    tell(&server, mending);
    WAIT_FOR(store_is_ready(store));
    store = store_close(store);
}

/* proves: A04 */
static void each_setting_that_loses_mail_is_refused(void **state)
{
    (void) state;
    check_refusal("CONFIG SET appendfsync everysec", "CONFIG SET appendfsync always",
                  "has appendfsync everysec: set appendfsync always");
    check_refusal("CONFIG SET appendonly no", "CONFIG SET appendonly yes",
                  "has appendonly no: set appendonly yes");
    check_refusal(
        "CONFIG SET no-appendfsync-on-rewrite yes appendfsync no",
        "CONFIG SET no-appendfsync-on-rewrite no appendfsync always",
        "has appendfsync no: set appendfsync always; no-appendfsync-on-rewrite yes: set no-appendfsync-on-rewrite no");
    check_refusal("CONFIG SET maxmemory 100mb maxmemory-policy allkeys-lru",
                  "CONFIG SET maxmemory-policy noeviction",
                  "has maxmemory-policy allkeys-lru: set maxmemory-policy noeviction");
    check_refusal("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE",
                  "is a replica: set store.address to its master");
}

static void eviction_without_a_limit_is_no_danger(void **state)
{
    (void) state;
    tell(&server, "CONFIG SET maxmemory 0 maxmemory-policy allkeys-lru");
    open_store();
    WAIT_FOR(store_is_ready(store));
}

static void no_promise_takes_any_redis_but_a_replica(void **state)
{
    (void) state;
    set("BARID_STORE_DURABILITY", "none");
    tell(&server, "CONFIG SET appendonly no appendfsync no");
    open_store();
    WAIT_FOR(store_is_ready(store));
    store = store_close(store);
    check_refusal("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "is a replica");
    set("BARID_STORE_DURABILITY", NULL);
}

static void a_setting_changed_at_run_time_is_noticed(void **state)
{
    (void) state;
    tell(&server, "CONFIG SET appendfsync everysec");
    WAIT_FOR(!store_is_ready(store));
    assert_int_equal(lost_count, 1);
    assert_true(trouble_has("set appendfsync always"));
    assert_int_equal(metric_get(METRIC_STORE_READY), 0);
    /* What is asked meanwhile is not confirmed. */
    call_init(&one, 100);
    PUT(&one, "PING");
    store_send(store, &one.call);
    loop_go();
    assert_int_equal(one.result, STORE_UNKNOWN);
    assert_int_equal(one.call.sends, 0);
    call_init(&one, UINT64_MAX);
    PUT(&one, "PING");
    store_send(store, &one.call);
    tell(&server, "CONFIG SET appendfsync always");
    loop_go();
    assert_int_equal(one.result, STORE_OK);
    assert_true(store_is_ready(store));
    assert_int_equal(ready_count, 2);
}

static void another_clusters_redis_is_refused(void **state)
{
    (void) state;
    check_refusal("HSET barid:{c}:meta schema 1 partitions 512 hash xxh3-64", "DEL barid:{c}:meta",
                  "holds a queue of schema 1, 512 partitions");
    check_refusal("HSET barid:{c}:meta schema 2 partitions 256 hash xxh3-64", "DEL barid:{c}:meta",
                  "holds a queue of schema 2");
    check_refusal("HSET barid:{c}:meta schema 1 partitions 256 hash fnv", "DEL barid:{c}:meta", "hash fnv");
    tell(&server, "DEL barid:{c}:meta");
    check_refusal("HSET barid:{c}:meta colour blue", "DEL barid:{c}:meta", "give barid a Redis of its own");
    tell(&server, "DEL barid:{c}:meta");
    check_refusal("SET barid:{c}:meta text", "DEL barid:{c}:meta", "cannot be used");
}

static void an_address_without_a_numeric_host_is_an_error(void **state)
{
    static const struct store_events events = {.on_ready = NULL};
    struct conf *conf;
    char *error = NULL;
    struct store *s = NULL;

    (void) state;
    set("BARID_STORE_ADDRESS", "no host here");
    assert_int_equal(conf_load(NULL, NULL, &conf, &error), 0);
    conf_set(conf);
    assert_true(store_open(loop, &events, &s, &error) < 0);
    assert_non_null(strstr(error, "store.address"));
    assert_null(s);
    mem_free(error);
}

static void a_process_is_ready_when_all_its_stores_are(void **state)
{
    struct store *first = store;

    (void) state;
    assert_int_equal(metric_get(METRIC_STORE_READY), 1);
    open_store();
    assert_int_equal(metric_get(METRIC_STORE_READY), 0);
    WAIT_FOR(store_is_ready(store));
    assert_int_equal(metric_get(METRIC_STORE_READY), 1);
    first = store_close(first);
    assert_int_equal(metric_get(METRIC_STORE_READY), 1);
}

/* A server that is busy says so instead of its settings: that is no reason to call it unsafe. */
static void a_busy_redis_is_waited_for(void **state)
{
    redisContext *c = redisConnectUnix(server.socket);

    (void) state;
    tell(&server, "CONFIG SET busy-reply-threshold 1");
    assert_int_equal(redisAppendCommand(c, "EVAL %s 0", "while true do end"), 0);
    for (int done = 0; !done;)
        assert_int_equal(redisBufferWrite(c, &done), 0);
    call_init(&one, UINT64_MAX);
    PUT(&one, "GET", "key");
    store_send(store, &one.call);
    WAIT_FOR(one.repeats >= 12); /* longer than the time between two looks */
    assert_true(store_is_ready(store));
    assert_int_equal(one.done, 0);
    tell(&server, "SCRIPT KILL");
    loop_go();
    assert_int_equal(one.result, STORE_OK);
    tell(&server, "CONFIG SET busy-reply-threshold 5000");
    redisFree(c);
}

/* ---- calls ---- */

static void a_call_of_several_commands_gives_all_replies(void **state)
{
    (void) state;
    call_init(&one, 5000);
    PUT(&one, "SET", "key", "value");
    PUT(&one, "GET", "key");
    store_send(store, &one.call);
    assert_int_equal(one.done, 0);
    loop_go();
    assert_int_equal(one.result, STORE_OK);
    assert_true(text_is(&one, "value"));
    assert_int_equal(one.call.sends, 1);
    assert_int_equal(one.repeats, 0);
}

static void forgotten_scripts_are_loaded_again(void **state)
{
    (void) state;
    tell(&server, "SCRIPT FLUSH");
    call_init(&one, 5000);
    script_begin(&one.call, SCRIPT_join, 1, 0);
    resp_arg_text(&one.call.request.bytes, "barid:{c}:nodes");
    store_send(store, &one.call);
    loop_go();
    assert_int_equal(one.result, STORE_OK);
    assert_int_equal(one.text.len, 16);
    assert_true(one.call.sends > 1);
    assert_false(one.call.is_unsure); /* nothing of it was executed before */
}

static void a_temporary_error_is_repeated_until_it_is_gone(void **state)
{
    (void) state;
    tell(&server, "CONFIG SET maxmemory 1");
    call_init(&one, UINT64_MAX);
    PUT(&one, "GET", "key");
    PUT(&one, "SET", "key", "value");
    store_send(store, &one.call);
    WAIT_FOR(one.repeats >= 3);
    assert_int_equal(one.done, 0);
    assert_true(one.call.is_unsure); /* GET was executed */
    assert_true(one.call.was_full);
    tell(&server, "CONFIG SET maxmemory 0");
    loop_go();
    assert_int_equal(one.result, STORE_OK);
    assert_true(text_is(&one, "OK"));
}

static void a_call_ends_unknown_when_its_time_is_over(void **state)
{
    (void) state;
    tell(&server, "CONFIG SET maxmemory 1");
    call_init(&one, 300);
    PUT(&one, "SET", "key", "value");
    store_send(store, &one.call);
    loop_go();
    assert_int_equal(one.result, STORE_UNKNOWN);
    assert_true(clock_ms() >= one.call.give_up_ms);
    assert_true(one.call.sends > 1);
}

static void full_memory_ends_a_first_send_that_asks_for_it(void **state)
{
    (void) state;
    tell(&server, "CONFIG SET maxmemory 1");
    call_init(&one, 5000);
    one.call.is_repeat_harmful_oom = true;
    PUT(&one, "SET", "key", "value");
    store_send(store, &one.call);
    loop_go();
    assert_int_equal(one.result, STORE_REFUSED);
    assert_memory_equal(one.text.data, "OOM ", 4);
    assert_int_equal(one.call.sends, 1);
}

/* After a lost reply, OOM does not prove that the first send did not happen. */
static void full_memory_ends_no_repeat_after_a_lost_reply(void **state)
{
    (void) state;
    call_init(&one, 500);
    one.call.is_repeat_harmful_oom = true;
    PUT(&one, "SET", "key", "value");
    PUT(&one, "ECHO", "to-be-lost");
    proxy_lose(proxy, "to-be-lost");
    store_send(store, &one.call);
    WAIT_FOR(proxy_has_lost(proxy));
    assert_int_equal(count_of(&server, "EXISTS key"), 1);
    tell(&server, "CONFIG SET maxmemory 1");
    loop_go();
    assert_int_equal(one.result, STORE_UNKNOWN);
    assert_true(one.call.is_unsure);
}

static void a_lasting_error_is_refused_at_once(void **state)
{
    (void) state;
    tell(&server, "SET key text");
    call_init(&one, 5000);
    PUT(&one, "HGET", "key", "field");
    store_send(store, &one.call);
    loop_go();
    assert_int_equal(one.result, STORE_REFUSED);
    assert_memory_equal(one.text.data, "WRONGTYPE", 9);
    /* unless such errors are welcome */
    call_init(&one, 5000);
    one.call.accepts_errors = true;
    PUT(&one, "HGET", "key", "field");
    store_send(store, &one.call);
    loop_go();
    assert_int_equal(one.result, STORE_OK);
    /* or the call waits until somebody mends it */
    call_init(&one, 5000);
    one.call.is_never_refused = true;
    PUT(&one, "HGET", "key", "field");
    store_send(store, &one.call);
    WAIT_FOR(one.repeats >= 2);
    tell(&server, "DEL key");
    loop_go();
    assert_int_equal(one.result, STORE_OK);
}

static void a_lost_reply_is_asked_for_again(void **state)
{
    (void) state;
    call_init(&one, UINT64_MAX);
    PUT(&one, "INCR", "counter");
    PUT(&one, "ECHO", "to-be-lost");
    proxy_lose(proxy, "to-be-lost");
    store_send(store, &one.call);
    loop_go();
    assert_int_equal(one.result, STORE_OK);
    assert_int_equal(one.call.sends, 2);
    assert_int_equal(one.repeats, 1);
    assert_true(one.call.is_unsure);
    assert_true(
        answers(&server, "2", "GET counter")); /* both were executed: that is what scripts are made for */
}

static void what_is_sent_once_is_not_repeated(void **state)
{
    (void) state;
    call_init(&one, 5000);
    one.call.is_once = true;
    PUT(&one, "INCR", "counter");
    PUT(&one, "ECHO", "to-be-lost");
    proxy_lose(proxy, "to-be-lost");
    store_send(store, &one.call);
    loop_go();
    assert_int_equal(one.result, STORE_UNKNOWN);
    assert_true(answers(&server, "1", "GET counter"));
    tell(&server, "CONFIG SET maxmemory 1");
    call_init(&one, 5000);
    one.call.is_once = true;
    PUT(&one, "SET", "key", "value");
    store_send(store, &one.call);
    loop_go();
    assert_int_equal(one.result, STORE_UNKNOWN);
    assert_int_equal(one.call.sends, 1);
}

/* ---- outages ---- */

static void calls_outlive_a_killed_redis(void **state)
{
    (void) state;
    redis_server_kill(&server);
    WAIT_FOR(!store_is_ready(store));
    assert_int_equal(lost_count, 1);
    call_init(&one, UINT64_MAX);
    script_begin(&one.call, SCRIPT_join, 1, 0);
    resp_arg_text(&one.call.request.bytes, "barid:{c}:nodes");
    store_send(store, &one.call);
    redis_server_start(&server);
    loop_go();
    assert_int_equal(one.result, STORE_OK);
    assert_int_equal(ready_count, 2);
    assert_int_equal(one.call.sends, 1); /* the scripts were there before the call */
}

static void a_call_in_an_outage_ends_in_its_time(void **state)
{
    (void) state;
    redis_server_kill(&server);
    WAIT_FOR(!store_is_ready(store));
    call_init(&one, 50);
    PUT(&one, "PING");
    store_send(store, &one.call);
    assert_int_equal(one.done, 0);
    loop_go();
    assert_int_equal(one.result, STORE_UNKNOWN);
    redis_server_start(&server);
}

static void closing_ends_every_call_once(void **state)
{
    static struct test_call paused, parked, under_way;

    (void) state;
    tell(&server, "CONFIG SET maxmemory 1");
    call_init(&paused, UINT64_MAX);
    PUT(&paused, "SET", "key", "value");
    store_send(store, &paused.call);
    WAIT_FOR(paused.repeats >= 2);
    call_init(&under_way, UINT64_MAX);
    PUT(&under_way, "PING");
    store_send(store, &under_way.call);
    store = store_close(store);
    assert_int_equal(paused.done + under_way.done, 2);
    assert_int_equal(paused.result, STORE_UNKNOWN);
    assert_int_equal(under_way.result, STORE_UNKNOWN);
    open_store();
    call_init(&parked, UINT64_MAX);
    PUT(&parked, "PING");
    store_send(store, &parked.call);
    store = store_close(store);
    assert_int_equal(parked.done, 1);
    assert_int_equal(parked.result, STORE_UNKNOWN);
    call_init(&paused, 0);
    call_init(&parked, 0);
    call_init(&under_way, 0);
}

/* ---- memory ---- */

/* maxmemory such that what is used now is about that percent of it */
static void fill_to(unsigned percent)
{
    redisReply *reply = ask(&server, "INFO memory");
    const char *used = strstr(reply->str, "used_memory:"),
               *aside = strstr(reply->str, "mem_not_counted_for_evict:");

    assert_non_null(used);
    assert_non_null(aside);
    unsigned long long bytes = strtoull(used + 12, NULL, 10) - strtoull(aside + 26, NULL, 10);
    freeReplyObject(reply);
    tell(&server, "CONFIG SET maxmemory %llu", bytes * 100 / percent);
}

static void the_watermark_has_two_sides(void **state)
{
    (void) state;
    assert_false(store_is_full(store));
    assert_int_equal(store_memory_percent(store), 0);
    WAIT_FOR((fill_to(92), store_is_full(store))); /* what is used falls for a while after the start */
    assert_true(store_is_ready(store));            /* full is not broken */
    WAIT_FOR((fill_to(70), !store_is_full(store)));
    assert_in_range(store_memory_percent(store), 60, 80);
}

static int call_teardown(void **state)
{
    store_teardown(state);
    call_init(&one, 0);
    return 0;
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, store_setup, call_teardown)
#define WITHOUT_STORE(test) cmocka_unit_test_setup_teardown(test, loop_setup, call_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_durable_redis_makes_it_ready),
        WITHOUT_STORE(each_setting_that_loses_mail_is_refused),
        WITHOUT_STORE(eviction_without_a_limit_is_no_danger),
        WITHOUT_STORE(no_promise_takes_any_redis_but_a_replica),
        WITH_STORE(a_setting_changed_at_run_time_is_noticed),
        WITHOUT_STORE(another_clusters_redis_is_refused),
        WITHOUT_STORE(an_address_without_a_numeric_host_is_an_error),
        WITH_STORE(a_process_is_ready_when_all_its_stores_are),
        WITH_STORE(a_busy_redis_is_waited_for),
        WITH_STORE(a_call_of_several_commands_gives_all_replies),
        WITH_STORE(forgotten_scripts_are_loaded_again),
        WITH_STORE(a_temporary_error_is_repeated_until_it_is_gone),
        WITH_STORE(a_call_ends_unknown_when_its_time_is_over),
        WITH_STORE(full_memory_ends_a_first_send_that_asks_for_it),
        WITH_STORE(full_memory_ends_no_repeat_after_a_lost_reply),
        WITH_STORE(a_lasting_error_is_refused_at_once),
        WITH_STORE(a_lost_reply_is_asked_for_again),
        WITH_STORE(what_is_sent_once_is_not_repeated),
        WITH_STORE(calls_outlive_a_killed_redis),
        WITH_STORE(a_call_in_an_outage_ends_in_its_time),
        WITH_STORE(closing_ends_every_call_once),
        WITH_STORE(the_watermark_has_two_sides),
    };

    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
