/* Records and frames: what is written is read back, and nothing else is. */
#include "cluster/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "io/bus.h"
#include "io/hash.h"

/* ---- protobuf by hand: what a hostile writer would write ---- */

static void put_varint(struct buf *b, uint64_t n)
{
    for (; n > 127; n >>= 7)
        buf_add_char(b, (char) (uint8_t) (n | 128));
    buf_add_char(b, (char) (uint8_t) n);
}

static void put_number(struct buf *b, unsigned field, uint64_t n)
{
    put_varint(b, field << 3);
    put_varint(b, n);
}

static void put_bytes(struct buf *b, unsigned field, const void *p, size_t len)
{
    put_varint(b, field << 3 | 2);
    put_varint(b, len);
    buf_add(b, p, len);
}

static void put_text(struct buf *b, unsigned field, const char *text)
{
    put_bytes(b, field, text, strlen(text));
}

static void put_message(struct buf *b, unsigned field, struct buf *inner)
{
    put_bytes(b, field, inner->data, inner->len);
    buf_done(inner);
}

/* A record around a body, with the right checksum. */
static void seal(struct buf *out, const struct buf *body, uint8_t version)
{
    uint32_t sum = hash32(buf_span(body));
    buf_add_char(out, (char) version);
    for (unsigned i = 0; i < 4; i++)
        buf_add_char(out, (char) (uint8_t) (sum >> 8 * i));
    buf_add(out, body->data, body->len);
}

/* Decodes from memory of exactly that size, so that a sanitizer sees a byte too many being read. */
static int get_envelope_exactly(struct span in, struct envelope *ret_envelope)
{
    char *copy = malloc(in.len ? in.len : 1);
    if (in.len)
        memcpy(copy, in.at, in.len);
    int r = wire_get_envelope((struct span){.at = copy, .len = in.len}, ret_envelope);
    free(copy);
    return r;
}

/* ---- values ---- */

static struct envelope make_envelope(size_t recipients, size_t queues)
{
    struct envelope e = {
        .id = id_new(1700000000000, 200),
        .sender = mem_string("s\xc3\xa4nder@example.com"),
        .recipients = mem_array(recipients, sizeof *e.recipients),
        .recipient_count = recipients,
        .queues = mem_array(queues, sizeof *e.queues),
        .queue_count = queues,
        .arrival_ms = 1700000000123,
        .size_bytes = 300000,
        .chunk_count = 2,
        .content_partition = 255,
        .is_8bit = true,
        .coding = CODING_ZSTD,
        .coded_bytes = 777,
        .is_parent = true,
        .keeps_content = true,
        .client = mem_string("client.example [192.0.2.1]"),
    };
    char job[JOB_TEXT_MAX + 1];
    job_format(&e.id, 0, job);
    e.content_job = mem_string(job);
    for (size_t i = 0; i < recipients; i++)
        e.recipients[i] = (struct recipient){.addr = mem_format("r%zu@d%zu", i, i % queues),
                                             .queue = (uint32_t) (i % queues)};
    for (size_t i = 0; i < queues; i++)
        e.queues[i] = mem_format("d%zu", i);
    return e;
}

static void assert_envelopes_equal(const struct envelope *a, const struct envelope *b)
{
    assert_true(id_equal(&a->id, &b->id));
    assert_string_equal(a->sender, b->sender);
    assert_int_equal(a->recipient_count, b->recipient_count);
    for (size_t i = 0; i < a->recipient_count; i++) {
        assert_string_equal(a->recipients[i].addr, b->recipients[i].addr);
        assert_int_equal(a->recipients[i].queue, b->recipients[i].queue);
    }
    assert_int_equal(a->queue_count, b->queue_count);
    for (size_t i = 0; i < a->queue_count; i++)
        assert_string_equal(a->queues[i], b->queues[i]);
    assert_int_equal(a->arrival_ms, b->arrival_ms);
    assert_int_equal(a->size_bytes, b->size_bytes);
    assert_int_equal(a->chunk_count, b->chunk_count);
    assert_int_equal(a->content_partition, b->content_partition);
    assert_string_equal(a->content_job, b->content_job);
    assert_int_equal(a->coding, b->coding);
    assert_int_equal(a->coded_bytes, b->coded_bytes);
    assert_int_equal(a->is_8bit, b->is_8bit);
    assert_int_equal(a->is_dsn, b->is_dsn);
    assert_int_equal(a->is_parent, b->is_parent);
    assert_int_equal(a->keeps_content, b->keeps_content);
    assert_string_equal(a->client, b->client);
}

static void round_trip_envelope(struct envelope *e)
{
    AUTO_BUF struct buf record = {0};
    struct envelope back;
    wire_put_envelope(e, &record);
    assert_int_equal(get_envelope_exactly(buf_span(&record), &back), 0);
    assert_envelopes_equal(e, &back);
    envelope_done(&back);
    envelope_done(e);
}

static struct job_state make_state(const struct envelope *e)
{
    struct job_state s;
    job_state_init(&s, e);
    s.attempts = 3;
    s.last_attempt_ms = 1700000001234;
    s.cursor = 2;
    s.is_waiting = true;
    s.rounds = 7;
    s.reached = e->queue_count > 3 ? 4 : (uint32_t) e->queue_count;
    s.unknown = mem_array(1, sizeof *s.unknown);
    s.unknown[0] = 3;
    s.unknown_count = e->queue_count > 2;
    s.left = mem_array(1, sizeof *s.left);
    s.left[0] = 4;
    s.left_count = e->queue_count > 3;
    s.recipients[0].is_done = true;
    verdict_set(&s.recipients[0].last, STATUS_NO_SUCH_DOMAIN, "d0");
    s.recipients[2].last = (struct verdict){
        .class = VERDICT_DEFERRED,
        .code = 451,
        .status = "4.7.112",
        .text = mem_string("try later\nplease"),
        .remote = mem_string("mx.d2 [192.0.2.9]:25"),
        .bounce = BOUNCE_GREYLIST,
        .from_remote = true,
        .in_doubt = true,
    };
    return s;
}

static struct frame make_frame(void)
{
    static struct ring rings[] = {{.partition = 255, .queue = {"example.com", 11}, .count = 7},
                                  {.partition = 0, .queue = {"#fanout", 7}, .count = 0}};
    static struct grant grants[] = {{.partition = 3,
                                     .queue = {"a/bulk", 6},
                                     .token = (UINT64_C(1) << 53) - 1,
                                     .connections = 20,
                                     .rate_micro = 16666,
                                     .answers_ms = 987654321,
                                     .serial = 8,
                                     .site = {"mx.a", 4}}};
    static struct report reports[] = {{.partition = 9,
                                       .queue = {"b", 1},
                                       .token = 5,
                                       .connections = 1,
                                       .claimed = 2,
                                       .is_empty = true,
                                       .wait_ms = 60000,
                                       .is_returned = true,
                                       .finished = 44,
                                       .serial = UINT32_MAX,
                                       .granted = 21,
                                       .succeeded = 40,
                                       .throttled = 3,
                                       .trouble = {"no route", 8},
                                       .was_paused = true,
                                       .site = {"mx.b", 4}}};
    static struct borrow borrows[] = {
        {.site = {"mx.c", 4}, .token = 6, .connections = 11, .wanted = 12, .finished = 13, .serial = 14}};
    static struct loan loans[] = {{.site = {"mx.d", 4},
                                   .token = 7,
                                   .connections = 15,
                                   .rate_micro = 16,
                                   .answers_ms = 17,
                                   .serial = 18}};
    return (struct frame){
        .hello = {.incarnation = 1700000000000000,
                  .clock_ms = 12345,
                  .free_jobs = 2000,
                  .free_connections = 400,
                  .is_draining = true},
        .has_hello = true,
        .rings = rings,
        .ring_count = 2,
        .grants = grants,
        .grant_count = 1,
        .reports = reports,
        .report_count = 1,
        .borrows = borrows,
        .borrow_count = 1,
        .loans = loans,
        .loan_count = 1,
    };
}

/* ---- records ---- */

static void reads_back_an_envelope(void **state)
{
    (void) state;
    struct envelope e = make_envelope(1, 1);
    round_trip_envelope(&e);
    e = make_envelope(1000, 30);
    round_trip_envelope(&e);
}

static void reads_back_a_null_sender_and_no_content(void **state)
{
    (void) state;
    struct envelope e = make_envelope(1, 1);
    e.sender[0] = e.client[0] = e.content_job[0] = '\0';
    e.chunk_count = 0;
    e.is_8bit = e.is_parent = e.keeps_content = false;
    e.is_dsn = true;
    round_trip_envelope(&e);
}

static void reads_back_the_content_job_of_another_message(void **state)
{
    (void) state;
    struct envelope e = make_envelope(2, 1);
    struct id other = id_new(1700000000001, 3);
    mem_free(e.content_job);
    e.content_job = mem_alloc(JOB_TEXT_MAX + 1);
    job_format(&other, 17, e.content_job);
    round_trip_envelope(&e);
}

static void a_small_envelope_is_small(void **state)
{
    (void) state;
    AUTO_BUF struct buf record = {0};
    struct envelope e = make_envelope(1, 1);
    wire_put_envelope(&e, &record);
    assert_true(record.len < 130);
    envelope_done(&e);
}

static void reads_back_a_state(void **state)
{
    (void) state;
    AUTO_BUF struct buf record = {0};
    struct envelope e = make_envelope(4, 4);
    struct job_state s = make_state(&e), back;
    wire_put_state(&s, &record);
    assert_int_equal(wire_get_state(buf_span(&record), &e, &back), 0);
    assert_int_equal(back.attempts, 3);
    assert_int_equal(back.last_attempt_ms, s.last_attempt_ms);
    assert_int_equal(back.recipient_count, 4);
    assert_true(back.recipients[0].is_done);
    assert_int_equal(back.recipients[1].last.class, VERDICT_NONE);
    for (size_t i = 0; i < 3; i += 2) {
        const struct verdict *a = &s.recipients[i].last, *b = &back.recipients[i].last;
        assert_int_equal(a->class, b->class);
        assert_int_equal(a->code, b->code);
        assert_string_equal(a->status, b->status);
        assert_string_equal(a->text, b->text);
        assert_string_equal(a->remote, b->remote);
        assert_int_equal(a->bounce, b->bounce);
        assert_int_equal(a->from_remote, b->from_remote);
        assert_int_equal(a->in_doubt, b->in_doubt);
    }
    assert_int_equal(back.cursor, 2);
    assert_true(back.is_waiting);
    assert_int_equal(back.rounds, 7);
    assert_int_equal(back.reached, 4);
    assert_int_equal(back.unknown_count, 1);
    assert_int_equal(back.unknown[0], 3);
    assert_int_equal(back.left_count, 1);
    assert_int_equal(back.left[0], 4);
    job_state_done(&back);
    job_state_done(&s);
    envelope_done(&e);
}

/* What it goes on from is cursor, and what it made since is not to be made again: a list says nothing of children up to there. */
static void reads_what_an_older_version_did_with_children(void **state)
{
    (void) state;
    AUTO_BUF struct buf body = {0}, record = {0};
    struct envelope e = make_envelope(4, 4);
    struct job_state back;
    put_number(&body, 3, 4);
    put_number(&body, 5, 2);
    put_number(&body, 8, 2); /* it copies this list */
    put_number(&body, 8, 4);
    seal(&record, &body, 1);
    assert_int_equal(wire_get_state(buf_span(&record), &e, &back), 0);
    assert_int_equal(back.cursor, 2);
    assert_int_equal(back.reached, 2);
    assert_int_equal(back.unknown_count, 0);
    job_state_done(&back);
    envelope_done(&e);
}

static void refuses_the_state_of_another_envelope(void **state)
{
    (void) state;
    AUTO_BUF struct buf record = {0};
    struct envelope four = make_envelope(4, 4), five = make_envelope(5, 4), one = make_envelope(1, 1);
    struct job_state s = make_state(&four), back;
    wire_put_state(&s, &record);
    assert_int_equal(wire_get_state(buf_span(&record), &five, &back), -EBADMSG);
    assert_int_equal(wire_get_state(buf_span(&record), &one, &back), -EBADMSG);
    job_state_done(&s);
    envelope_done(&four);
    envelope_done(&five);
    envelope_done(&one);
}

static void reads_back_stats(void **state)
{
    (void) state;
    AUTO_BUF struct buf record = {0};
    struct node_stats s = {
        .role = ROLE_COURIER,
        .name = mem_string("c1.example"),
        .version = mem_string("1.0"),
        .http = mem_string("127.0.0.1:9125"),
        .bus = mem_string(""),
        .started_ms = 1700000000000,
        .beat_ms = 1700000000777,
        .store_audit_ok = true,
        .sessions = 1,
        .accepted = 2,
        .delivered = 3,
        .deferred = 4,
        .failed = 5,
        .in_doubt = 6,
        .claimed = 7,
        .capacity = 2000,
        .partitions = 256,
        .queues_active = 10,
        .settings = mem_string("bus=1f2e3d4c"),
        .busy = mem_array(1, sizeof(struct node_busy)),
        .busy_count = 1,
    };
    s.busy[0] = (struct node_busy){.queue = mem_string("a.test"),
                                   .site = mem_string("mx.a.test"),
                                   .connections = 2,
                                   .granted = 3,
                                   .rate = 60,
                                   .jobs = 9};
    s.deferred_as[BOUNCE_OTHER] = 4;
    s.failed_as[BOUNCE_COUNT - 1] = 5;
    struct node_stats back;
    wire_put_stats(&s, &record);
    assert_int_equal(wire_get_stats(buf_span(&record), &back), 0);
    assert_int_equal(back.role, ROLE_COURIER);
    assert_string_equal(back.name, "c1.example");
    assert_string_equal(back.version, "1.0");
    assert_string_equal(back.http, "127.0.0.1:9125");
    assert_string_equal(back.bus, "");
    assert_true(back.store_audit_ok);
    assert_false(back.is_draining);
    assert_int_equal(back.started_ms, 1700000000000);
    assert_int_equal(back.beat_ms, 1700000000777);
    assert_int_equal(back.in_doubt, 6);
    assert_int_equal(back.capacity, 2000);
    assert_int_equal(back.partitions, 256);
    assert_string_equal(back.settings, "bus=1f2e3d4c");
    assert_memory_equal(back.deferred_as, s.deferred_as, sizeof(s.deferred_as));
    assert_memory_equal(back.failed_as, s.failed_as, sizeof(s.failed_as));
    assert_int_equal(back.busy_count, 1);
    assert_string_equal(back.busy[0].queue, "a.test");
    assert_string_equal(back.busy[0].site, "mx.a.test");
    assert_int_equal(back.busy[0].granted, 3);
    assert_int_equal(back.busy[0].jobs, 9);
    node_stats_done(&back);
    node_stats_done(&s);
}

static void refuses_a_record_cut_at_any_byte(void **state)
{
    (void) state;
    AUTO_BUF struct buf record = {0};
    struct envelope e = make_envelope(3, 2), back;
    wire_put_envelope(&e, &record);
    for (size_t len = 0; len < record.len; len++)
        assert_int_equal(get_envelope_exactly((struct span){record.data, len}, &back), -EBADMSG);
    envelope_done(&e);
}

static void refuses_a_record_with_any_bit_turned(void **state)
{
    (void) state;
    AUTO_BUF struct buf record = {0};
    struct envelope e = make_envelope(2, 2), back;
    wire_put_envelope(&e, &record);
    for (size_t bit = 8; bit < record.len * 8; bit++) { /* the first byte is the version's */
        record.data[bit / 8] = (char) (record.data[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(wire_get_envelope(buf_span(&record), &back), -EBADMSG);
        record.data[bit / 8] = (char) (record.data[bit / 8] ^ (1 << bit % 8));
    }
    envelope_done(&e);
}

static void knows_a_newer_version(void **state)
{
    (void) state;
    AUTO_BUF struct buf body = {0}, newer = {0}, zero = {0};
    struct envelope back;
    put_text(&body, 1, "0123456789abcdef");
    seal(&newer, &body, 3);
    seal(&zero, &body, 0);
    assert_int_equal(wire_get_envelope(buf_span(&newer), &back), -EPROTONOSUPPORT);
    assert_int_equal(wire_get_envelope(buf_span(&zero), &back), -EBADMSG);
}

/* An envelope by hand, with one number replaced; a field of 0 leaves all as it should be. */
struct hostile {
    const char *queue, *addr, *content_job;
    unsigned field;
    uint64_t value;
    uint64_t queue_index;
    size_t id_len;
};

static int get_hostile(const struct hostile *h)
{
    AUTO_BUF struct buf body = {0}, record = {0};
    struct buf recipient = {0};
    struct envelope back;
    put_bytes(&body, 1, "0123456789abcdef0123456789", h->id_len ? h->id_len : 16);
    put_text(&recipient, 1, h->addr ? h->addr : "r@x");
    put_number(&recipient, 2, h->queue_index);
    put_message(&body, 3, &recipient);
    put_text(&body, 4, h->queue ? h->queue : "x");
    if (h->content_job)
        put_text(&body, 9, h->content_job);
    put_number(&body, 7, 1);
    if (h->field)
        put_number(&body, h->field, h->value);
    seal(&record, &body, 1);
    int r = get_envelope_exactly(buf_span(&record), &back);
    if (!r)
        envelope_done(&back);
    return r;
}

/* proves: M06 */
static void refuses_hostile_numbers_of_an_envelope(void **state)
{
    (void) state;
    char long_name[QUEUE_TEXT_MAX + 2], long_addr[2000];
    memset(long_name, 'q', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    memset(long_addr, 'a', sizeof(long_addr) - 1);
    long_addr[sizeof(long_addr) - 1] = '\0';
    const struct hostile hostiles[] = {
        {.field = 8, .value = 256},
        {.field = 8, .value = UINT32_MAX},
        {.queue_index = 1},
        {.queue_index = UINT32_MAX},
        {.field = 5, .value = UINT64_MAX},
        {.field = 6, .value = UINT64_MAX},
        {.field = 7, .value = UINT32_MAX},
        {.field = 16, .value = UINT64_MAX},
        {.id_len = 15},
        {.id_len = 17},
        {.queue = ""},
        {.queue = "a b"},
        {.queue = "a\nb"},
        {.queue = long_name},
        {.addr = ""},
        {.addr = long_addr},
        {.addr = "a@b>\r\nRCPT TO:<c@d"},
        {.content_job = "no job"},
        {.content_job = ""},
        {.content_job = "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
    };
    assert_int_equal(get_hostile(&(struct hostile){0}), 0);
    assert_int_equal(get_hostile(&(struct hostile){.field = 8, .value = 255}), 0);
    assert_int_equal(get_hostile(&(struct hostile){.queue = long_name + 1}), 0);
    assert_int_equal(get_hostile(&(struct hostile){.field = 15, .value = 2}), -EPROTONOSUPPORT);
    for (size_t i = 0; i < ARRAY_LEN(hostiles); i++)
        if (get_hostile(&hostiles[i]) != -EBADMSG)
            fail_msg("hostile envelope %zu was taken", i);
}

static void refuses_an_envelope_without_recipients_or_queues(void **state)
{
    (void) state;
    AUTO_BUF struct buf body = {0}, record = {0}, empty = {0}, nothing = {0};
    struct envelope back;
    put_text(&body, 1, "0123456789abcdef");
    seal(&record, &body, 1);
    assert_int_equal(wire_get_envelope(buf_span(&record), &back), -EBADMSG);
    seal(&empty, &nothing, 1);
    assert_int_equal(get_envelope_exactly(buf_span(&empty), &back), -EBADMSG);
}

static void takes_fields_it_does_not_know(void **state)
{
    (void) state;
    AUTO_BUF struct buf body = {0}, record = {0};
    struct buf recipient = {0};
    struct envelope back;
    put_text(&body, 1, "0123456789abcdef");
    put_text(&recipient, 1, "r@x");
    put_text(&recipient, 99, "from version 2");
    put_message(&body, 3, &recipient);
    put_text(&body, 4, "x");
    put_number(&body, 1000, 7);
    seal(&record, &body, 1);
    assert_int_equal(get_envelope_exactly(buf_span(&record), &back), 0);
    assert_string_equal(back.recipients[0].addr, "r@x");
    envelope_done(&back);
}

/* proves: M06 */
static void many_empty_entries_cost_bounded_memory(void **state)
{
    (void) state;
    AUTO_BUF struct buf body = {0}, record = {0};
    struct envelope back;
    put_text(&body, 1, "0123456789abcdef");
    for (unsigned i = 0; i < 200000; i++)
        put_text(&body, 3, "");
    seal(&record, &body, 1);
    assert_int_equal(wire_get_envelope(buf_span(&record), &back), -EBADMSG);
}

static int get_hostile_state(const struct envelope *e, unsigned field, uint64_t value, unsigned inner_field,
                             uint64_t inner_value, const char *status)
{
    AUTO_BUF struct buf body = {0}, record = {0};
    struct buf recipient = {0};
    struct job_state back;
    put_number(&body, 3, 2);
    put_number(&recipient, 1, 1);
    put_number(&recipient, 3, VERDICT_DEFERRED);
    if (status)
        put_text(&recipient, 5, status);
    if (inner_field)
        put_number(&recipient, inner_field, inner_value);
    put_message(&body, 4, &recipient);
    if (field)
        put_number(&body, field, value);
    seal(&record, &body, 1);
    int r = wire_get_state(buf_span(&record), e, &back);
    if (!r)
        job_state_done(&back);
    return r;
}

/* proves: M06 */
static void refuses_hostile_numbers_of_a_state(void **state)
{
    (void) state;
    struct envelope e = make_envelope(2, 2);
    assert_int_equal(get_hostile_state(&e, 0, 0, 0, 0, "4.123.456"), 0);
    assert_int_equal(get_hostile_state(&e, 5, 2, 0, 0, NULL), 0);
    assert_int_equal(get_hostile_state(&e, 5, 3, 0, 0, NULL), -EBADMSG); /* cursor */
    assert_int_equal(get_hostile_state(&e, 3, 1, 0, 0, NULL), -EBADMSG); /* recipients */
    assert_int_equal(get_hostile_state(&e, 3, UINT32_MAX, 0, 0, NULL), -EBADMSG);
    assert_int_equal(get_hostile_state(&e, 8, 2, 0, 0, NULL), 0); /* child not known, not packed */
    assert_int_equal(get_hostile_state(&e, 8, 3, 0, 0, NULL), -EBADMSG);
    assert_int_equal(get_hostile_state(&e, 8, 0, 0, 0, NULL), -EBADMSG);
    assert_int_equal(get_hostile_state(&e, 11, 2, 0, 0, NULL), 0); /* reached */
    assert_int_equal(get_hostile_state(&e, 11, 3, 0, 0, NULL), -EBADMSG);
    assert_int_equal(get_hostile_state(&e, 12, 2, 0, 0, NULL), 0); /* child left */
    assert_int_equal(get_hostile_state(&e, 12, 3, 0, 0, NULL), -EBADMSG);
    assert_int_equal(get_hostile_state(&e, 0, 0, 1, 2, NULL), -EBADMSG); /* index */
    assert_int_equal(get_hostile_state(&e, 0, 0, 1, UINT32_MAX, NULL), -EBADMSG);
    assert_int_equal(get_hostile_state(&e, 0, 0, 3, 0, NULL), -EBADMSG); /* class */
    assert_int_equal(get_hostile_state(&e, 0, 0, 3, 4, NULL), -EBADMSG);
    assert_int_equal(get_hostile_state(&e, 0, 0, 4, 1000, NULL), -EBADMSG); /* code */
    assert_int_equal(get_hostile_state(&e, 0, 0, 0, 0, "4.123.45678"), 0);
    assert_int_equal(get_hostile_state(&e, 0, 0, 0, 0, "4.123.456789"), -EBADMSG);
    envelope_done(&e);
}

/* proves: M06 */
static void refuses_hostile_numbers_of_stats(void **state)
{
    (void) state;
    const uint64_t hostile[][2] = {{1, ROLE_COUNT},  {1, UINT32_MAX}, {17, 257},
                                   {16, UINT64_MAX}, {6, UINT64_MAX}, {19, UINT64_MAX}};
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        AUTO_BUF struct buf body = {0}, record = {0};
        struct node_stats back;
        put_number(&body, (unsigned) hostile[i][0], hostile[i][1]);
        seal(&record, &body, 1);
        assert_int_equal(wire_get_stats(buf_span(&record), &back), -EBADMSG);
    }
}

/* ---- frames ---- */

static void reads_back_a_frame(void **state)
{
    (void) state;
    AUTO_BUF struct buf bytes = {0};
    struct frame f = make_frame(), back;
    wire_put_frame(&f, &bytes);
    assert_int_equal(wire_get_frame(buf_span(&bytes), &back), 0);
    memset(bytes.data, 'x', bytes.len); /* names do not point into what was read */
    assert_true(back.has_hello);
    assert_int_equal(back.hello.incarnation, f.hello.incarnation);
    assert_int_equal(back.hello.clock_ms, f.hello.clock_ms);
    assert_int_equal(back.hello.free_jobs, f.hello.free_jobs);
    assert_int_equal(back.hello.free_connections, f.hello.free_connections);
    assert_int_equal(back.hello.is_draining, f.hello.is_draining);
    assert_int_equal(back.ring_count, 2);
    assert_int_equal(back.rings[0].partition, 255);
    assert_true(span_equal(back.rings[0].queue, SPAN("example.com")));
    assert_int_equal(back.rings[0].count, 7);
    assert_true(span_equal(back.rings[1].queue, SPAN(QUEUE_FANOUT)));
    assert_int_equal(back.grant_count, 1);
    assert_true(span_equal(back.grants[0].queue, SPAN("a/bulk")));
    assert_int_equal(back.grants[0].token, f.grants[0].token);
    assert_int_equal(back.grants[0].connections, 20);
    assert_int_equal(back.grants[0].rate_micro, 16666);
    assert_int_equal(back.grants[0].answers_ms, 987654321);
    assert_int_equal(back.grants[0].serial, 8);
    assert_true(span_equal(back.grants[0].site, SPAN("mx.a")));
    assert_int_equal(back.report_count, 1);
    assert_true(span_equal(back.reports[0].queue, SPAN("b")));
    assert_int_equal(back.reports[0].token, 5);
    assert_int_equal(back.reports[0].claimed, 2);
    assert_true(back.reports[0].is_empty);
    assert_int_equal(back.reports[0].wait_ms, 60000);
    assert_true(back.reports[0].is_returned);
    assert_int_equal(back.reports[0].finished, 44);
    assert_int_equal(back.reports[0].serial, UINT32_MAX);
    assert_int_equal(back.reports[0].granted, 21);
    assert_int_equal(back.reports[0].succeeded, 40);
    assert_int_equal(back.reports[0].throttled, 3);
    assert_true(span_equal(back.reports[0].trouble, SPAN("no route")));
    assert_true(back.reports[0].was_paused);
    assert_true(span_equal(back.reports[0].site, SPAN("mx.b")));
    frame_done(&back);
}

static void reads_back_borrows_and_loans(void **state)
{
    (void) state;
    AUTO_BUF struct buf bytes = {0};
    struct frame f = make_frame(), back;
    wire_put_frame(&f, &bytes);
    assert_int_equal(wire_get_frame(buf_span(&bytes), &back), 0);
    assert_int_equal(back.borrow_count, 1);
    assert_true(span_equal(back.borrows[0].site, SPAN("mx.c")));
    assert_int_equal(back.borrows[0].token, 6);
    assert_int_equal(back.borrows[0].connections, 11);
    assert_int_equal(back.borrows[0].wanted, 12);
    assert_int_equal(back.borrows[0].finished, 13);
    assert_int_equal(back.borrows[0].serial, 14);
    assert_int_equal(back.loan_count, 1);
    assert_true(span_equal(back.loans[0].site, SPAN("mx.d")));
    assert_int_equal(back.loans[0].token, 7);
    assert_int_equal(back.loans[0].connections, 15);
    assert_int_equal(back.loans[0].rate_micro, 16);
    assert_int_equal(back.loans[0].answers_ms, 17);
    assert_int_equal(back.loans[0].serial, 18);
    frame_done(&back);
}

/* What an older node sends: no new field is taken for more than nothing. */
static void fields_left_out_are_nothing(void **state)
{
    (void) state;
    AUTO_BUF struct buf bytes = {0};
    struct buf entry = {0};
    struct frame back;
    put_text(&entry, 2, "q");
    put_message(&bytes, 4, &entry);
    assert_int_equal(wire_get_frame(buf_span(&bytes), &back), 0);
    assert_int_equal(back.reports[0].serial + back.reports[0].granted + back.reports[0].throttled, 0);
    assert_int_equal(back.reports[0].trouble.len + back.reports[0].site.len, 0);
    assert_false(back.reports[0].was_paused);
    frame_done(&back);
}

static void a_cut_frame_is_refused_or_shorter(void **state)
{
    (void) state;
    AUTO_BUF struct buf bytes = {0};
    struct frame f = make_frame(), back;
    wire_put_frame(&f, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        char *copy = malloc(len ? len : 1);
        memcpy(copy, bytes.data, len);
        int r = wire_get_frame((struct span){copy, len}, &back);
        free(copy);
        if (r) {
            assert_int_equal(r, -EBADMSG);
            continue;
        }
        assert_true(
            back.ring_count + back.grant_count + back.report_count + back.borrow_count + back.loan_count < 6);
        frame_done(&back);
    }
}

static void a_full_frame_of_the_longest_names_fits(void **state)
{
    (void) state;
    AUTO_BUF struct buf bytes = {0};
    char name[QUEUE_TEXT_MAX];
    struct report reports[FRAME_ENTRIES];
    struct frame f = {.has_hello = true,
                      .hello = {.incarnation = (UINT64_C(1) << 53) - 1,
                                .clock_ms = (UINT64_C(1) << 48) - 1,
                                .free_jobs = 999999999,
                                .free_connections = 999999999,
                                .is_draining = true},
                      .reports = reports,
                      .report_count = FRAME_ENTRIES},
                 back;
    memset(name, 'n', sizeof(name));
    for (unsigned i = 0; i < FRAME_ENTRIES; i++)
        reports[i] = (struct report){
            .partition = i,
            .queue = {name, sizeof(name)},
            .token = (UINT64_C(1) << 53) - 1,
            .connections = 999999999,
            .claimed = 999999999,
            .wait_ms = (UINT64_C(1) << 48) - 1,
            .is_empty = true,
            .is_returned = true,
            .finished = 999999999,
            .serial = UINT32_MAX,
            .granted = 999999999,
            .succeeded = 999999999,
            .throttled = 999999999,
            .trouble = {name, TROUBLE_MAX},
            .was_paused = true,
            .site = {name, DOMAIN_MAX},
        };
    wire_put_frame(&f, &bytes);
    assert_true(bytes.len <= BUS_FRAME_MAX);
    assert_int_equal(wire_get_frame(buf_span(&bytes), &back), 0);
    assert_int_equal(back.report_count, FRAME_ENTRIES);
    frame_done(&back);
}

static void refuses_too_many_entries(void **state)
{
    (void) state;
    for (unsigned field = 2; field <= 6; field++) {
        AUTO_BUF struct buf bytes = {0};
        struct frame back;
        for (unsigned i = 0; i < FRAME_ENTRIES + 1; i++) {
            struct buf entry = {0};
            put_text(&entry, field > 4 ? 1 : 2, "q"); /* the queue's name, or the site's */
            put_message(&bytes, field, &entry);
        }
        assert_int_equal(wire_get_frame(buf_span(&bytes), &back), -EBADMSG);
    }
}

static int get_hostile_entry(unsigned kind, const char *queue, unsigned field, uint64_t value)
{
    AUTO_BUF struct buf bytes = {0};
    struct buf entry = {0};
    struct frame back;
    if (kind > 1)
        put_text(&entry, 2, queue);
    else
        put_number(&entry, 1, 5);
    if (field)
        put_number(&entry, field, value);
    put_message(&bytes, kind, &entry);
    int r = wire_get_frame(buf_span(&bytes), &back);
    if (!r)
        frame_done(&back);
    return r;
}

/* proves: M06 */
static void refuses_hostile_numbers_of_a_frame(void **state)
{
    (void) state;
    char long_name[QUEUE_TEXT_MAX + 2];
    memset(long_name, 'q', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    for (unsigned kind = 2; kind <= 4; kind++) {
        assert_int_equal(get_hostile_entry(kind, "q", 1, 255), 0);
        assert_int_equal(get_hostile_entry(kind, "q", 1, 256), -EBADMSG);
        assert_int_equal(get_hostile_entry(kind, "q", 1, UINT32_MAX), -EBADMSG);
        assert_int_equal(get_hostile_entry(kind, "q", 3, UINT64_MAX / 2), -EBADMSG);
        assert_int_equal(get_hostile_entry(kind, "", 0, 0), -EBADMSG);
        assert_int_equal(get_hostile_entry(kind, long_name, 0, 0), -EBADMSG);
        assert_int_equal(get_hostile_entry(kind, "a\tb", 0, 0), -EBADMSG);
    }
    assert_int_equal(get_hostile_entry(1, NULL, 0, 0), 0);
    assert_int_equal(get_hostile_entry(1, NULL, 1, 0), -EBADMSG);
    assert_int_equal(get_hostile_entry(1, NULL, 1, UINT64_C(1) << 53), -EBADMSG);
    assert_int_equal(get_hostile_entry(1, NULL, 2, UINT64_MAX), -EBADMSG);
    assert_int_equal(get_hostile_entry(1, NULL, 3, UINT32_MAX), -EBADMSG);
    assert_int_equal(get_hostile_entry(3, "q", 4, UINT32_MAX), -EBADMSG);
    assert_int_equal(get_hostile_entry(3, "q", 5, UINT64_MAX), -EBADMSG);
    assert_int_equal(get_hostile_entry(3, "q", 6, UINT64_MAX), -EBADMSG);
    assert_int_equal(get_hostile_entry(4, "q", 7, UINT64_MAX), -EBADMSG);
    assert_int_equal(get_hostile_entry(4, "q", 9, UINT32_MAX), -EBADMSG);
    assert_int_equal(get_hostile_entry(1, NULL, 5, UINT32_MAX), -EBADMSG);
    assert_int_equal(get_hostile_entry(4, "q", 10, UINT32_MAX), 0); /* a serial may be any number */
    for (unsigned field = 11; field <= 13; field++)
        assert_int_equal(get_hostile_entry(4, "q", field, UINT32_MAX), -EBADMSG);
}

/* An entry of kind whose first name is sound, or is this site; then a text, or a number with text NULL. */
static int get_hostile_text(unsigned kind, const char *site, unsigned field, const char *text, uint64_t value)
{
    AUTO_BUF struct buf bytes = {0};
    struct buf entry = {0};
    struct frame back;
    put_text(&entry, site ? 1 : 2, site ? site : "q");
    if (text)
        put_text(&entry, field, text);
    else if (field)
        put_number(&entry, field, value);
    put_message(&bytes, kind, &entry);
    int r = wire_get_frame(buf_span(&bytes), &back);
    if (!r)
        frame_done(&back);
    return r;
}

/* proves: M06 */
static void refuses_hostile_sites_and_troubles(void **state)
{
    (void) state;
    char long_site[DOMAIN_MAX + 2], long_trouble[TROUBLE_MAX + 2];
    memset(long_site, 's', sizeof(long_site) - 1);
    long_site[sizeof(long_site) - 1] = '\0';
    memset(long_trouble, 't', sizeof(long_trouble) - 1);
    long_trouble[sizeof(long_trouble) - 1] = '\0';
    static const unsigned site_field[] = {[3] = 8, [4] = 16};
    for (unsigned kind = 3; kind <= 4; kind++) {
        assert_int_equal(get_hostile_text(kind, NULL, site_field[kind], "", 0), 0);
        assert_int_equal(get_hostile_text(kind, NULL, site_field[kind], long_site + 1, 0), 0);
        assert_int_equal(get_hostile_text(kind, NULL, site_field[kind], long_site, 0), -EBADMSG);
        assert_int_equal(get_hostile_text(kind, NULL, site_field[kind], "a b", 0), -EBADMSG);
    }
    assert_int_equal(get_hostile_text(4, NULL, 14, long_trouble + 1, 0), 0);
    assert_int_equal(get_hostile_text(4, NULL, 14, long_trouble, 0), -EBADMSG);
    for (unsigned kind = 5; kind <= 6; kind++) {
        assert_int_equal(get_hostile_text(kind, "mx", 0, NULL, 0), 0);
        assert_int_equal(get_hostile_text(kind, "", 0, NULL, 0), -EBADMSG);
        assert_int_equal(get_hostile_text(kind, "m\nx", 0, NULL, 0), -EBADMSG);
        assert_int_equal(get_hostile_text(kind, long_site, 0, NULL, 0), -EBADMSG);
        assert_int_equal(get_hostile_text(kind, "mx", 2, NULL, UINT64_MAX / 2), -EBADMSG);
        assert_int_equal(get_hostile_text(kind, "mx", 3, NULL, UINT32_MAX), -EBADMSG);
    }
    assert_int_equal(get_hostile_text(5, "mx", 4, NULL, UINT32_MAX), -EBADMSG);
    assert_int_equal(get_hostile_text(5, "mx", 5, NULL, UINT32_MAX), -EBADMSG);
    assert_int_equal(get_hostile_text(6, "mx", 4, NULL, UINT64_MAX), -EBADMSG);
    assert_int_equal(get_hostile_text(6, "mx", 5, NULL, UINT64_MAX), -EBADMSG);
}

static void an_empty_frame_says_nothing(void **state)
{
    (void) state;
    struct frame back;
    assert_int_equal(wire_get_frame((struct span){0}, &back), 0);
    assert_false(back.has_hello);
    assert_int_equal(back.ring_count + back.grant_count + back.report_count, 0);
    frame_done(&back);
}

/* A full courier is not one that tells nothing. */
static void no_free_connection_is_told_and_none_told_is_known(void **state)
{
    static const uint32_t told[] = {0, 1, UINT32_MAX};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        AUTO_BUF struct buf bytes = {0};
        const struct frame f = {.has_hello = true, .hello = {.incarnation = 1, .free_connections = told[i]}};
        struct frame back;
        wire_put_frame(&f, &bytes);
        assert_int_equal(wire_get_frame(buf_span(&bytes), &back), 0);
        assert_int_equal(back.hello.free_connections, told[i]);
        frame_done(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_free_connection_is_told_and_none_told_is_known),
        cmocka_unit_test(reads_back_an_envelope),
        cmocka_unit_test(reads_back_a_null_sender_and_no_content),
        cmocka_unit_test(reads_back_the_content_job_of_another_message),
        cmocka_unit_test(a_small_envelope_is_small),
        cmocka_unit_test(reads_back_a_state),
        cmocka_unit_test(reads_what_an_older_version_did_with_children),
        cmocka_unit_test(refuses_the_state_of_another_envelope),
        cmocka_unit_test(reads_back_stats),
        cmocka_unit_test(refuses_a_record_cut_at_any_byte),
        cmocka_unit_test(refuses_a_record_with_any_bit_turned),
        cmocka_unit_test(knows_a_newer_version),
        cmocka_unit_test(refuses_hostile_numbers_of_an_envelope),
        cmocka_unit_test(refuses_an_envelope_without_recipients_or_queues),
        cmocka_unit_test(takes_fields_it_does_not_know),
        cmocka_unit_test(many_empty_entries_cost_bounded_memory),
        cmocka_unit_test(refuses_hostile_numbers_of_a_state),
        cmocka_unit_test(refuses_hostile_numbers_of_stats),
        cmocka_unit_test(reads_back_a_frame),
        cmocka_unit_test(reads_back_borrows_and_loans),
        cmocka_unit_test(fields_left_out_are_nothing),
        cmocka_unit_test(a_cut_frame_is_refused_or_shorter),
        cmocka_unit_test(a_full_frame_of_the_longest_names_fits),
        cmocka_unit_test(refuses_too_many_entries),
        cmocka_unit_test(refuses_hostile_numbers_of_a_frame),
        cmocka_unit_test(refuses_hostile_sites_and_troubles),
        cmocka_unit_test(an_empty_frame_says_nothing),
    };
    return cmocka_run_group_tests_name("cluster/wire", tests, NULL, NULL);
}
