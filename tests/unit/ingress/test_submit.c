/* The 250 point, with a store that answers as each test says: what the client is told for every outcome, and what is never told too early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/queue.h"
#include "cluster/spool.h"
#include "cluster/wire.h"
#include "ingress/smtp_private.h"
#include "ingress/submit.h"

enum { CALLS_MAX = 64 };

/* ---- the store: it notes what it is asked, and answers when the test says so */

struct reactor_shared reactor_shared = {.name = "mx.relay.example"};

static struct {
    queue_on_commit *on_commit;
    queue_on_delete *on_delete;
    void *commit_context, *delete_context;
    unsigned commits, deletes, discards, rings;
    char job[JOB_TEXT_MAX + 1], queue[QUEUE_TEXT_MAX + 1];
    unsigned partition;
    uint32_t chunk_count;
    uint64_t size_bytes;
    bool keeps_content;
    struct buf content; /* that came with the commit */
    enum content_coding coding;
    uint64_t plain_bytes, coded_bytes; /* of the envelope */
    size_t packs, packed_bytes;        /* so long is what gets packed; 0: longer than it was */
    spool_on_written *on_written[CALLS_MAX];
    void *write_context[CALLS_MAX];
    size_t write_bytes[CALLS_MAX];
    unsigned writes, confirmed;
    int64_t clock_offset_ms;
} store;

static struct {
    unsigned answers, rooms;
    unsigned code;
    char text[128];
} client;

static struct reactor reactor;

void queue_commit(struct store *s UNUSED, const struct queue_job *job, bool carry, uint64_t time_ms UNUSED,
                  queue_on_commit *on_answer, void *context)
{
    assert_false(carry);
    store.commits++;
    store.on_commit = on_answer;
    store.commit_context = context;
    (void) snprintf(store.job, sizeof store.job, "%s", job->job);
    (void) snprintf(store.queue, sizeof store.queue, "%s", job->queue);
    store.partition = job->partition;
    store.chunk_count = job->chunk_count;
    store.size_bytes = job->size_bytes;
    store.keeps_content = job->keeps_content;
    struct envelope e;
    assert_int_equal(wire_get_envelope(job->envelope, &e), 0);
    store.coding = e.coding;
    store.plain_bytes = e.size_bytes;
    store.coded_bytes = e.coded_bytes;
    envelope_done(&e);
    buf_clear(&store.content);
    if (job->chunks)
        buf_add_span(&store.content, job->chunks[0]);
}

void queue_delete(struct store *s UNUSED, unsigned partition UNUSED, const char *job,
                  const char *queue UNUSED, bool revoke, uint64_t time_ms UNUSED, queue_on_delete *on_answer,
                  void *context)
{
    assert_true(revoke);
    assert_string_equal(job, store.job);
    store.deletes++;
    store.on_delete = on_answer;
    store.delete_context = context;
}

void spool_write(struct store *s UNUSED, unsigned partition UNUSED, const char *job UNUSED, uint32_t index,
                 struct span bytes, bool by_courier, uint64_t time_ms UNUSED, spool_on_written *on_written,
                 void *context)
{
    assert_false(by_courier);
    assert_int_equal(index, store.writes);
    assert_true(store.writes < CALLS_MAX);
    store.on_written[store.writes] = on_written;
    store.write_bytes[store.writes] = bytes.len;
    store.write_context[store.writes++] = context;
}

void spool_pack(struct store *s UNUSED, struct span plain, struct buf *out)
{
    size_t len = store.packed_bytes ? store.packed_bytes : plain.len + 15;
    store.packs++;
    memset(buf_reserve(out, len), 'p', len);
    buf_commit(out, len);
}

void spool_refresh(struct store *s UNUSED, unsigned partition UNUSED, const char *job UNUSED,
                   uint32_t count UNUSED, spool_on_written *on_written UNUSED, void *context UNUSED)
{
    fail(); /* nobody waits a minute here */
}

void spool_discard(struct store *s UNUSED, unsigned partition UNUSED, const char *job UNUSED, uint32_t count)
{
    assert_int_equal(count, store.writes);
    store.discards++;
}

uint64_t store_partition_ms(const struct store *s UNUSED, unsigned partition UNUSED)
{
    return clock_wall_ms() + (uint64_t) store.clock_offset_ms;
}

unsigned store_partition_healthy(const struct store *s UNUSED, unsigned first)
{
    return first;
}

uint64_t store_redis_ms(const struct store *s UNUSED)
{
    return clock_wall_ms() + (uint64_t) store.clock_offset_ms;
}

void reactor_check_drained(struct reactor *r UNUSED)
{
}

void ringer_ring(struct ringer *r UNUSED, unsigned partition, const char *queue)
{
    assert_int_equal(partition, store.partition);
    assert_string_equal(queue, store.queue);
    store.rings++;
}

/* ---- the client */

static void on_room(void *owner)
{
    assert_ptr_equal(owner, &client);
    client.rooms++;
}

static void on_answer(void *owner, const struct smtp_answer *answer)
{
    assert_ptr_equal(owner, &client);
    client.answers++;
    client.code = answer->code;
    (void) snprintf(client.text, sizeof client.text, "%s %s", answer->status, answer->text);
}

static struct submission *submit(const char *first, const char *second)
{
    static const struct submission_events events = {.on_room = on_room, .on_answer = on_answer};
    const char *recipients[] = {first, second};
    struct smtp_transaction *t = smtp_transaction_new(SPAN("a@b.example"));
    struct submission_client from = {.sender = "a@b.example",
                                     .ip_text = "192.0.2.1",
                                     .helo = "client.example",
                                     .is_esmtp = true,
                                     .session = "1"};
    assert_int_equal(ip_parse(SPAN("192.0.2.1"), &from.ip), 0);
    for (size_t i = 0; i < 2 && recipients[i]; i++) {
        struct addr addr;
        assert_int_equal(addr_parse(span_of(recipients[i]), &addr), 0);
        smtp_transaction_add(t, &addr);
    }
    struct submission *s = submission_new(&reactor, t, &from, &events, &client);
    (void) smtp_transaction_free(t);
    return s;
}

static struct submission *submit_small(void)
{
    struct submission *s = submit("c@d.example", NULL);
    submission_add(s, SPAN("Subject: x\r\n\r\n"));
    submission_add(s, SPAN("Hello\r\n"));
    assert_true(submission_has_room(s));
    return s;
}

static void add_bytes(struct submission *s, size_t len)
{
    char piece[1000];
    memset(piece, 'x', sizeof piece);
    for (; len > 0; len -= len < sizeof piece ? len : sizeof piece)
        submission_add(s, (struct span){.at = piece, .len = len < sizeof piece ? len : sizeof piece});
}

static void confirm_write(enum spool_result result)
{
    assert_true(store.confirmed < store.writes);
    unsigned i = store.confirmed++;
    store.on_written[i](store.write_context[i], result);
}

static void set_compression(const char *how)
{
    struct conf *conf;
    AUTO_FREE char *error = NULL;
    assert_int_equal(setenv("BARID_INGRESS_COMPRESSION", how, 1), 0);
    assert_int_equal(conf_load(NULL, NULL, &conf, &error), 0);
    conf_set(conf);
}

static int load_settings(void **state UNUSED)
{
    set_compression("none");
    return 0;
}

static int setup(void **state UNUSED)
{
    buf_done(&store.content);
    memset(&store, 0, sizeof store);
    set_compression("none");
    memset(&client, 0, sizeof client);
    memset(&reactor, 0, sizeof reactor);
    reactor.loop = loop_new();
    list_init(&reactor.submissions);
    return 0;
}

static int teardown(void **state UNUSED)
{
    assert_int_equal(reactor.submission_count, 0);
    assert_int_equal(metric_get(METRIC_UNSTORED_BYTES), 0);
    timer_stop(&reactor.room);
    reactor.loop = loop_free(reactor.loop);
    buf_done(&store.content);
    return 0;
}

/* ---- the tests */

/* proves: A02 */
static void nothing_is_answered_before_the_commit_is_confirmed(void **state UNUSED)
{
    struct submission *s = submit_small();
    submission_commit(s);
    assert_int_equal(store.commits, 1);
    assert_int_equal(client.answers, 0);
    assert_int_equal(store.rings, 0);
    store.on_commit(store.commit_context, COMMIT_NEW);
    assert_int_equal(client.answers, 1);
    assert_int_equal(client.code, 250);
    assert_memory_equal(client.text, "2.0.0 Ok: queued as ", 20);
    assert_memory_equal(client.text + 20, store.job, ID_TEXT_LEN);
    assert_int_equal(store.rings, 1);
    assert_int_equal(store.deletes + store.discards + store.writes, 0);
}

static void commit_of_a_repeat_is_accepted_too(void **state UNUSED)
{
    submission_commit(submit_small());
    store.on_commit(store.commit_context, COMMIT_AGAIN);
    assert_int_equal(client.code, 250);
}

/* proves: A11 */
static void small_content_travels_with_its_commit(void **state UNUSED)
{
    static const char content[] = "Subject: x\r\n\r\nHello\r\n";
    submission_commit(submit_small());
    assert_int_equal(store.chunk_count, 1);
    assert_int_equal(store.size_bytes, store.content.len);
    assert_memory_equal(store.content.data, "Received: from client.example", 29);
    assert_memory_equal(store.content.data + store.content.len - strlen(content), content, strlen(content));
    assert_string_equal(store.queue, "d.example");
    assert_int_equal(store.partition, partition_of(SPAN("d.example")));
    store.on_commit(store.commit_context, COMMIT_NEW);
}

static void clash_takes_a_new_id_and_keeps_the_content(void **state UNUSED)
{
    char first[JOB_TEXT_MAX + 1];
    struct submission *s = submit("c@d.example", NULL);
    submission_starts_with_body(s);
    submission_add(s, SPAN(" no header\r\n"));
    submission_commit(s);
    memcpy(first, store.job, sizeof first);
    store.on_commit(store.commit_context, COMMIT_CLASH);
    assert_int_equal(store.commits, 2);
    assert_int_equal(client.answers, 0);
    assert_string_not_equal(store.job, first);
    buf_add_char(&store.content, '\0');
    assert_null(strstr(store.content.data, "\r\n\r\n no header\r\n\r\n"));
    assert_non_null(strstr(store.content.data, "\r\n\r\n no header\r\n"));
    store.job[ID_TEXT_LEN] = '\0';
    assert_non_null(strstr(store.content.data, store.job));
    assert_int_equal(store.size_bytes, store.content.len - 1);
    store.on_commit(store.commit_context, COMMIT_NEW);
    assert_int_equal(client.code, 250);
    assert_int_equal(store.discards, 0);
}

static void clash_without_end_is_451(void **state UNUSED)
{
    submission_commit(submit_small());
    for (int i = 0; i < 4; i++)
        store.on_commit(store.commit_context, COMMIT_CLASH);
    assert_int_equal(client.code, 451);
    assert_int_equal(store.discards, 0); /* they may be the other's */
}

/* proves: A03 */
static void refused_commits_are_4xx(void **state UNUSED)
{
    static const struct {
        enum commit_answer answer;
        unsigned code;
    } rows[] = {{COMMIT_REVOKED, 451}, {COMMIT_INCOMPLETE, 451}, {COMMIT_FULL, 452}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        submission_commit(submit_small());
        store.on_commit(store.commit_context, rows[i].answer);
        assert_int_equal(client.code, rows[i].code);
        assert_int_equal(store.deletes, 0);
    }
}

/* proves: A03 */
static void unknown_commit_is_taken_back_before_451(void **state UNUSED)
{
    static const struct {
        enum delete_answer answer;
        int in_doubt;
    } rows[] = {
        {DELETE_DELETED, 0}, {DELETE_GONE, 0}, {DELETE_CLAIMED, 1}, {DELETE_LATER, 1}, {DELETE_UNKNOWN, 1}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t before = metric_get(METRIC_DOOR_IN_DOUBT_TOTAL);
        client.answers = 0;
        submission_commit(submit_small());
        store.on_commit(store.commit_context, COMMIT_UNKNOWN);
        assert_int_equal(store.deletes, i + 1);
        assert_int_equal(client.answers, 0);
        store.on_delete(store.delete_context, rows[i].answer);
        assert_int_equal(client.answers, 1);
        assert_int_equal(client.code, 451);
        assert_int_equal(metric_get(METRIC_DOOR_IN_DOUBT_TOTAL) - before, rows[i].in_doubt);
        assert_int_equal(store.rings, 0);
    }
}

static void stop_loop(struct timer *t)
{
    loop_stop(t->loop);
}

/* The clock of Redis moved: the commit is not repeated any longer; what it answers later changes nothing. */
static void moved_clock_takes_the_commit_back(void **state UNUSED)
{
    struct timer end = {0};
    submission_commit(submit_small());
    store.clock_offset_ms = -5001;
    timer_start(reactor.loop, &end, 1100, stop_loop);
    loop_run(reactor.loop);
    assert_int_equal(store.deletes, 1);
    store.on_commit(store.commit_context, COMMIT_NEW);
    assert_int_equal(client.answers, 0);
    store.on_delete(store.delete_context, DELETE_DELETED);
    assert_int_equal(client.code, 451);
    assert_int_equal(store.rings, 0);
}

/* proves: A14 */
static void client_that_goes_after_the_dot_leaves_its_message(void **state UNUSED)
{
    struct submission *s = submit_small();
    submission_commit(s);
    assert_null(submission_leave(s));
    store.on_commit(store.commit_context, COMMIT_NEW);
    assert_int_equal(client.answers, 0);
    assert_int_equal(store.rings, 1);
}

/* proves: A14 */
static void client_that_goes_before_the_dot_leaves_nothing(void **state UNUSED)
{
    (void) submission_leave(submit_small()); /* NULL */
    assert_int_equal(store.commits + store.discards, 0);
    struct submission *s = submit_small();
    add_bytes(s, 300000);
    assert_int_equal(store.writes, 1);
    (void) submission_leave(s);          /* NULL */
    assert_int_equal(store.discards, 0); /* a write on its way would come after it */
    confirm_write(SPOOL_OK);
    assert_int_equal(store.discards, 1);
    assert_int_equal(store.commits, 0);
}

/* proves: A11 M02 */
static void large_content_is_written_while_it_arrives(void **state UNUSED)
{
    struct submission *s = submit_small();
    add_bytes(s, SPOOL_CHUNK);
    assert_int_equal(store.writes, 1);
    assert_true(submission_has_room(s));
    add_bytes(s, SPOOL_CHUNK);
    assert_int_equal(store.writes, 2);
    assert_false(submission_has_room(s));
    confirm_write(SPOOL_OK);
    assert_int_equal(client.rooms, 1);
    assert_true(submission_has_room(s));
    assert_true(metric_get(METRIC_UNSTORED_BYTES) < 2 * SPOOL_CHUNK);
    submission_commit(s);
    assert_int_equal(store.writes, 3);
    assert_int_equal(store.commits, 0);
    confirm_write(SPOOL_OK);
    assert_int_equal(store.commits, 0);
    confirm_write(SPOOL_OK);
    assert_int_equal(store.commits, 1);
    assert_int_equal(store.chunk_count, 3);
    assert_int_equal(store.content.len, 0);
    assert_int_equal(store.size_bytes, store.write_bytes[0] + store.write_bytes[1] + store.write_bytes[2]);
    assert_int_equal(store.write_bytes[0], SPOOL_CHUNK);
    store.on_commit(store.commit_context, COMMIT_NEW);
    assert_int_equal(client.code, 250);
}

/* proves: A03 */
static void chunk_that_was_not_written_is_4xx_at_the_dot(void **state UNUSED)
{
    static const struct {
        enum spool_result result;
        unsigned code;
    } rows[] = {{SPOOL_FULL, 452}, {SPOOL_UNKNOWN, 451}, {SPOOL_MISSING, 451}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        store.writes = store.confirmed = 0;
        struct submission *s = submit_small();
        add_bytes(s, SPOOL_CHUNK);
        confirm_write(rows[i].result);
        add_bytes(s, 3 * SPOOL_CHUNK); /* read, but kept no more */
        assert_int_equal(store.writes, 1);
        assert_int_equal(metric_get(METRIC_UNSTORED_BYTES), 0);
        submission_commit(s);
        assert_int_equal(client.code, rows[i].code);
        assert_int_equal(store.commits, 0);
        assert_int_equal(store.discards, i + 1);
    }
}

static void several_domains_are_one_fan_out(void **state UNUSED)
{
    submission_commit(submit("a@one.example", "b@two.example"));
    assert_string_equal(store.queue, QUEUE_FANOUT);
    assert_false(store.keeps_content);
    store.on_commit(store.commit_context, COMMIT_NEW);
    struct submission *s = submit("a@one.example", "b@two.example");
    add_bytes(s, 140000);
    submission_commit(s);
    assert_true(store.keeps_content);
    store.on_commit(store.commit_context, COMMIT_NEW);
    submission_commit(submit("a@one.example", "b@ONE.example"));
    assert_string_equal(store.queue, "one.example");
    store.on_commit(store.commit_context, COMMIT_NEW);
    assert_int_equal(client.answers, 3);
}

static void what_gets_shorter_is_stored_packed(void **state UNUSED)
{
    set_compression("zstd");
    store.packed_bytes = 20;
    submission_commit(submit_small());
    assert_int_equal(store.packs, 1);
    assert_int_equal(store.coding, CODING_ZSTD);
    assert_int_equal(store.content.len, 20);
    assert_int_equal(store.size_bytes, 20);
    assert_int_equal(store.coded_bytes, 20);
    assert_in_range(store.plain_bytes, 100, 300);
    store.on_commit(store.commit_context, COMMIT_CLASH); /* packed anew, with the new id */
    assert_int_equal(store.packs, 2);
    assert_int_equal(store.size_bytes, 20);
    store.on_commit(store.commit_context, COMMIT_NEW);
    assert_int_equal(client.code, 250);
}

static void what_gets_no_shorter_is_stored_plain(void **state UNUSED)
{
    set_compression("zstd");
    submission_commit(submit_small());
    assert_int_equal(store.packs, 1);
    assert_int_equal(store.coding, CODING_PLAIN);
    assert_int_equal(store.content.data[0], 'R');
    assert_int_equal(store.size_bytes, store.plain_bytes);
    store.on_commit(store.commit_context, COMMIT_NEW);
}

static void the_first_chunk_decides_for_all(void **state UNUSED)
{
    set_compression("zstd");
    for (int is_packed = 0; is_packed < 2; is_packed++) {
        store.writes = store.confirmed = 0;
        store.packs = 0;
        store.packed_bytes = is_packed ? 1000 : 0;
        struct submission *s = submit_small();
        add_bytes(s, 2 * SPOOL_CHUNK);
        store.packed_bytes = 0; /* the others would grow */
        confirm_write(SPOOL_OK);
        confirm_write(SPOOL_OK);
        submission_commit(s);
        assert_int_equal(store.writes, 3);
        confirm_write(SPOOL_OK);
        assert_int_equal(store.packs, is_packed ? 3 : 1);
        assert_int_equal(store.write_bytes[0], is_packed ? 1000 : SPOOL_CHUNK);
        assert_int_equal(store.coding, is_packed ? CODING_ZSTD : CODING_PLAIN);
        size_t written = store.write_bytes[0] + store.write_bytes[1] + store.write_bytes[2];
        assert_int_equal(store.size_bytes, written);
        assert_true(store.plain_bytes > 2 * SPOOL_CHUNK);
        store.on_commit(store.commit_context, COMMIT_NEW);
    }
    assert_int_equal(client.answers, 2);
}

static void what_children_copy_is_counted_as_stored(void **state UNUSED)
{
    set_compression("zstd");
    store.packed_bytes = 30000;
    struct submission *s = submit("a@one.example", "b@two.example");
    add_bytes(s, 140000);
    submission_commit(s);
    assert_false(store.keeps_content);
    store.on_commit(store.commit_context, COMMIT_NEW);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_answered_before_the_commit_is_confirmed),
        TEST(commit_of_a_repeat_is_accepted_too),
        TEST(small_content_travels_with_its_commit),
        TEST(clash_takes_a_new_id_and_keeps_the_content),
        TEST(clash_without_end_is_451),
        TEST(refused_commits_are_4xx),
        TEST(unknown_commit_is_taken_back_before_451),
        TEST(moved_clock_takes_the_commit_back),
        TEST(client_that_goes_after_the_dot_leaves_its_message),
        TEST(client_that_goes_before_the_dot_leaves_nothing),
        TEST(large_content_is_written_while_it_arrives),
        TEST(chunk_that_was_not_written_is_4xx_at_the_dot),
        TEST(several_domains_are_one_fan_out),
        TEST(what_gets_shorter_is_stored_packed),
        TEST(what_gets_no_shorter_is_stored_plain),
        TEST(the_first_chunk_decides_for_all),
        TEST(what_children_copy_is_counted_as_stored),
    };
    return cmocka_run_group_tests(tests, load_settings, NULL);
}
