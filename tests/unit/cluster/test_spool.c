/* Content in chunks. */
#include "cluster/spool.h"

#include "cluster_test.h"

enum { PARTITION = 3 };
#define T partition_tag(PARTITION)

static int written;
static enum spool_result read_result;
static struct buf content;

static void on_written(void *context, enum spool_result result)
{
    assert_ptr_equal(context, &written);
    written = (int) result;
    loop_stop(loop);
}

static void on_read(void *context, enum spool_result result, struct span bytes)
{
    assert_ptr_equal(context, &content);
    read_result = result;
    buf_clear(&content);
    if (result == SPOOL_OK)
        buf_add_span(&content, bytes);
    else
        assert_null(bytes.at);
    loop_stop(loop);
}

static char content_job[] = "M1.0";
static struct envelope message = {.content_partition = PARTITION, .content_job = content_job};

static int spool_put(uint32_t index, struct span bytes, bool by_courier)
{
    written = -1;
    spool_write(store, PARTITION, "M1.0", index, bytes, by_courier, 5000, on_written, &written);
    assert_int_equal(written, -1);
    loop_go();
    return written;
}

static enum spool_result spool_get(uint32_t index)
{
    spool_read(store, &message, index, UINT64_MAX, on_read, &content);
    loop_go();
    return read_result;
}

static void a_whole_chunk_is_read_back(void **state)
{
    char *bytes = mem_alloc(SPOOL_CHUNK);
    struct span chunk = {.at = bytes, .len = SPOOL_CHUNK};

    (void) state;
    for (size_t i = 0; i < SPOOL_CHUNK; i++)
        bytes[i] = (char) (unsigned char) (i * 7 + i / 251);
    assert_int_equal(spool_put(1, chunk, false), SPOOL_OK);
    assert_in_range(count_of(&server, "TTL b:{%s}:M1.0:1", T), 598, 600);
    assert_int_equal(spool_get(1), SPOOL_OK);
    assert_true(span_equal(buf_span(&content), chunk));
    assert_int_equal(spool_get(0), SPOOL_MISSING);
    mem_free(bytes);
    buf_done(&content);
}

static void what_became_permanent_stays_so(void **state)
{
    (void) state;
    assert_int_equal(spool_put(0, SPAN("first"), false), SPOOL_OK);
    tell(&server, "PERSIST b:{%s}:M1.0:0", T);
    assert_int_equal(spool_put(0, SPAN("later"), false), SPOOL_OK); /* a late repeat */
    assert_int_equal(count_of(&server, "TTL b:{%s}:M1.0:0", T), -1);
    spool_refresh(store, PARTITION, "M1.0", 1, on_written, &written);
    loop_go();
    assert_int_equal(count_of(&server, "TTL b:{%s}:M1.0:0", T), -1);
    assert_int_equal(spool_get(0), SPOOL_OK);
    assert_true(span_equal(buf_span(&content), SPAN("first")));
    buf_done(&content);
}

static void a_refresh_needs_every_chunk(void **state)
{
    (void) state;
    assert_int_equal(spool_put(0, SPAN("a"), false), SPOOL_OK);
    assert_int_equal(spool_put(1, SPAN("b"), false), SPOOL_OK);
    tell(&server, "EXPIRE b:{%s}:M1.0:1 10", T);
    spool_refresh(store, PARTITION, "M1.0", 2, on_written, &written);
    loop_go();
    assert_int_equal(written, SPOOL_OK);
    assert_in_range(count_of(&server, "TTL b:{%s}:M1.0:1", T), 598, 600);
    spool_refresh(store, PARTITION, "M1.0", 3, on_written, &written);
    loop_go();
    assert_int_equal(written, SPOOL_MISSING);
}

static void what_is_discarded_is_gone(void **state)
{
    (void) state;
    assert_int_equal(spool_put(0, SPAN("a"), false), SPOOL_OK);
    assert_int_equal(spool_put(1, SPAN("b"), false), SPOOL_OK);
    spool_discard(store, PARTITION, "M1.0", 0);
    spool_discard(store, PARTITION, "M1.0", 2);
    WAIT_FOR(count_of(&server, "EXISTS b:{%s}:M1.0:0 b:{%s}:M1.0:1", T, T) == 0);
}

static void a_full_redis_takes_chunks_of_couriers_only(void **state)
{
    (void) state;
    tell(&server, "CONFIG SET maxmemory 1");
    assert_int_equal(spool_put(0, SPAN("a"), false), SPOOL_FULL);
    assert_int_equal(count_of(&server, "EXISTS b:{%s}:M1.0:0", T), 0);
    assert_int_equal(spool_put(0, SPAN("of a courier"), true), SPOOL_OK);
    assert_in_range(count_of(&server, "TTL b:{%s}:M1.0:0", T), 598, 600);
    assert_int_equal(spool_get(0), SPOOL_OK);
    assert_true(span_equal(buf_span(&content), SPAN("of a courier")));
    buf_done(&content);
}

static void a_lost_reply_does_no_harm(void **state)
{
    (void) state;
    proxy_lose(proxy, "+OK\r\n");
    assert_int_equal(spool_put(0, SPAN("a"), false), SPOOL_OK);
    assert_true(proxy_has_lost(proxy));
    proxy_lose(proxy, "$1\r\na\r\n");
    assert_int_equal(spool_get(0), SPOOL_OK);
    assert_true(proxy_has_lost(proxy));
    buf_done(&content);
}

static void an_outage_ends_a_write_but_not_a_read(void **state)
{
    (void) state;
    assert_int_equal(spool_put(0, SPAN("a"), false), SPOOL_OK);
    redis_server_kill(&server);
    WAIT_FOR(!store_is_ready(store));
    spool_write(store, PARTITION, "M1.0", 1, SPAN("b"), false, 100, on_written, &written);
    loop_go();
    assert_int_equal(written, SPOOL_UNKNOWN);
    spool_read(store, &message, 0, UINT64_MAX, on_read, &content);
    redis_server_start(&server);
    loop_go();
    assert_int_equal(read_result, SPOOL_OK);
    buf_done(&content);
}

static void closing_leaves_a_read_unknown(void **state)
{
    (void) state;
    spool_read(store, &message, 0, UINT64_MAX, on_read, &content);
    read_result = SPOOL_OK;
    store = store_close(store);
    assert_int_equal(read_result, SPOOL_UNKNOWN);
}

static void a_packed_chunk_is_read_as_it_was(void **state)
{
    AUTO_BUF struct buf plain = {0}, packed = {0};

    (void) state;
    while (plain.len < SPOOL_CHUNK)
        buf_add_text(&plain, "it was a dark and stormy night\r\n");
    plain.len = SPOOL_CHUNK;
    spool_pack(store, buf_span(&plain), &packed);
    assert_true(packed.len < plain.len / 4);
    assert_int_equal(spool_put(0, buf_span(&packed), false), SPOOL_OK);
    message.coding = CODING_ZSTD;
    assert_int_equal(spool_get(0), SPOOL_OK);
    assert_true(span_equal(buf_span(&content), buf_span(&plain)));
    spool_read_stored(store, &message, 0, on_read, &content);
    loop_go();
    assert_int_equal(read_result, SPOOL_OK);
    assert_true(span_equal(buf_span(&content), buf_span(&packed)));
    message.coding = CODING_PLAIN;
    buf_done(&content);
}

static void a_damaged_chunk_is_not_read(void **state)
{
    AUTO_BUF struct buf larger = {0}, packed = {0};
    struct zstd *z = zstd_new();

    (void) state;
    memset(buf_reserve(&larger, SPOOL_CHUNK + 1), 'x', SPOOL_CHUNK + 1);
    buf_commit(&larger, SPOOL_CHUNK + 1);
    zstd_pack(z, buf_span(&larger), &packed);
    zstd_free(z);
    message.coding = CODING_ZSTD;
    assert_int_equal(spool_put(0, SPAN("plain"), false), SPOOL_OK);
    assert_int_equal(spool_get(0), SPOOL_DAMAGED);
    assert_int_equal(content.len, 0);
    assert_int_equal(spool_put(1, buf_span(&packed), false), SPOOL_OK); /* more than a chunk ever holds */
    assert_int_equal(spool_get(1), SPOOL_DAMAGED);
    assert_int_equal(spool_get(2), SPOOL_MISSING);
    message.coding = CODING_PLAIN;
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_whole_chunk_is_read_back),
        TEST(what_became_permanent_stays_so),
        TEST(a_refresh_needs_every_chunk),
        TEST(what_is_discarded_is_gone),
        TEST(a_full_redis_takes_chunks_of_couriers_only),
        TEST(a_lost_reply_does_no_harm),
        TEST(an_outage_ends_a_write_but_not_a_read),
        TEST(a_packed_chunk_is_read_as_it_was),
        TEST(a_damaged_chunk_is_not_read),
        TEST(closing_leaves_a_read_unknown),
    };

    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
