/* The stream of a parcel: what is written is read back, at every split; what is damaged, cut or of a newer version is refused, and said where. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/keys.h"
#include "cluster/parcel.h"
#include "cluster/wire.h"

#define JOB "01KATQ5S8Z4G5W0V0E3HJ2M9XK.0"
#define CHILD "01KATQ5S8Z4G5W0V0E3HJ2M9XK.2"

static struct parcel_entry start(void)
{
    struct parcel_entry e = {.kind = PARCEL_START};

    e.start.partitions = 256;
    e.start.now_ms = 1700000000000;
    e.start.version = SPAN("0.1.0");
    e.start.what = SPAN("*");
    e.start.is_move = true;
    e.start.mover = SPAN("barid-move-1");
    return e;
}

static struct parcel_entry job(const char *name, uint32_t chunks)
{
    return (struct parcel_entry){
        .kind = PARCEL_JOB,
        .job = {.job = span_of(name),
                .queue = SPAN("example.com/bulk"),
                .envelope = SPAN("envelope\0with a zero"),
                .state = SPAN("state"),
                .chunk_count = chunks,
                .tenant = SPAN("shop"),
                .mark_ms = 17,
                .place = {.is_held = true, .reason = SPAN("by operator"), .due_ms = 4}}};
}

static struct parcel_entry chunk(uint32_t index, struct span bytes)
{
    struct parcel_entry e = {.kind = PARCEL_CHUNK};

    e.chunk.index = index;
    e.chunk.bytes = bytes;
    return e;
}

static void put(struct parcel_writer *w, struct parcel_entry e, struct buf *out)
{
    parcel_write(w, &e, out);
}

/* A small one: start, a job in two pieces, one that reads its content, its place, a row, a pause, the end. */
static void write_all(struct buf *out)
{
    struct parcel_writer *w = parcel_writer_new();
    struct parcel_entry e = job(CHILD, 0);

    put(w, start(), out);
    put(w, job(JOB, 2), out);
    put(w, chunk(0, SPAN("first\0")), out);
    parcel_flush(w, out); /* two blocks */
    put(w, chunk(1, SPAN("second")), out);
    e.job.content_of = SPAN(JOB);
    put(w, e, out);
    put(w, (struct parcel_entry){.kind = PARCEL_PLACE, .place = {.job = SPAN(JOB), .is_bounced = true}}, out);
    e = (struct parcel_entry){.kind = PARCEL_ROW};
    e.row.table = SPAN("users");
    e.row.field = SPAN("anna");
    e.row.value = SPAN("record");
    put(w, e, out);
    e = (struct parcel_entry){.kind = PARCEL_PAUSE};
    e.pause.queue = SPAN("example.com");
    e.pause.error = SPAN("no route");
    e.pause.until_ms = 99;
    put(w, e, out);
    put(w, (struct parcel_entry){.kind = PARCEL_SYNC, .sync = 7}, out);
    put(w, (struct parcel_entry){.kind = PARCEL_END}, out);
    parcel_flush(w, out);
    parcel_writer_free(w);
}

/* The kinds of what can be read, as letters; then the failure or 0. */
static int read_kinds(struct span in, size_t step, char *ret_kinds, char **ret_trouble)
{
    static const char letters[] = "?SJCPpRsE";
    struct parcel_reader *r = parcel_reader_new();
    struct parcel_entry e;
    size_t count = 0;
    int done = 0;

    while (in.len > 0 && done >= 0) {
        size_t len = in.len < step ? in.len : step;
        parcel_feed(r, (struct span){.at = in.at, .len = len});
        in = (struct span){.at = in.at + len, .len = in.len - len};
        while ((done = parcel_read(r, &e)) > 0) {
            ret_kinds[count++] = letters[e.kind];
            parcel_entry_done(&e);
        }
    }
    if (done == 0)
        done = parcel_reader_end(r);
    ret_kinds[count] = '\0';
    if (ret_trouble)
        *ret_trouble = mem_string(parcel_reader_trouble(r));
    parcel_reader_free(r);
    return done;
}

static void is_read_back_at_every_split(void **state UNUSED)
{
    AUTO_BUF struct buf out = {.data = NULL};
    char kinds[64];

    write_all(&out);
    for (size_t step = 1; step <= out.len; step++) {
        assert_int_equal(read_kinds(buf_span(&out), step, kinds, NULL), 0);
        assert_string_equal(kinds, "SJCCJPRpsE");
    }
}

static void assert_span(struct span a, struct span b)
{
    assert_int_equal(a.len, b.len);
    assert_true(span_equal(a, b));
}

static void a_job_is_read_as_it_was_written(void **state UNUSED)
{
    AUTO_BUF struct buf record = {.data = NULL};
    struct parcel_entry wrote = job(JOB, 3), e;

    wire_put_parcel(&wrote, &record);
    assert_int_equal(wire_get_parcel(buf_span(&record), &e), 0);
    assert_int_equal(e.kind, PARCEL_JOB);
    assert_span(e.job.job, wrote.job.job);
    assert_span(e.job.queue, wrote.job.queue);
    assert_span(e.job.envelope, wrote.job.envelope);
    assert_span(e.job.state, wrote.job.state);
    assert_span(e.job.tenant, wrote.job.tenant);
    assert_int_equal(e.job.chunk_count, 3);
    assert_int_equal(e.job.mark_ms, 17);
    assert_true(e.job.place.is_held && !e.job.place.is_bounced && !e.job.keeps_content);
    assert_span(e.job.place.reason, wrote.job.place.reason);
    assert_int_equal(e.job.place.due_ms, 4);
    parcel_entry_done(&e);
}

/* proves: A10 */
static void every_cut_and_every_changed_byte_is_noticed(void **state UNUSED)
{
    AUTO_BUF struct buf out = {.data = NULL};
    char kinds[64], *trouble;

    write_all(&out);
    for (size_t len = 0; len < out.len; len++) {
        assert_int_equal(read_kinds((struct span){.at = out.data, .len = len}, len + 1, kinds, &trouble),
                         -EBADMSG);
        assert_non_null(strstr(trouble, "ends in the middle"));
        mem_free(trouble);
    }
    for (size_t i = 0; i < out.len; i++) {
        out.data[i] ^= 0x20;
        assert_true(read_kinds(buf_span(&out), out.len, kinds, &trouble) < 0);
        assert_non_null(strstr(trouble, "at byte "));
        mem_free(trouble);
        out.data[i] ^= 0x20;
    }
    buf_add_char(&out, 'x');
    assert_int_equal(read_kinds(buf_span(&out), out.len, kinds, &trouble), -EBADMSG);
    assert_non_null(strstr(trouble, "behind the end"));
    mem_free(trouble);
}

static size_t block_len(const struct buf *out, size_t at)
{
    return 12 + (uint8_t) out->data[at] + ((size_t) (uint8_t) out->data[at + 1] << 8);
}

/* proves: A10 */
static void a_block_that_is_missing_or_elsewhere_is_noticed(void **state UNUSED)
{
    AUTO_BUF struct buf out = {.data = NULL}, changed = {.data = NULL};
    size_t head = strlen("barid parcel 1\n");
    char kinds[64];

    write_all(&out);
    size_t first = block_len(&out, head);
    assert_true(head + first < out.len);
    buf_add(&changed, out.data, head);
    buf_add(&changed, out.data + head + first, out.len - head - first); /* without the first */
    assert_int_equal(read_kinds(buf_span(&changed), changed.len, kinds, NULL), -EBADMSG);
    assert_string_equal(kinds, "");
    buf_clear(&changed);
    buf_add(&changed, out.data, head + first);
    buf_add(&changed, out.data + head, out.len - head); /* the first one twice */
    assert_int_equal(read_kinds(buf_span(&changed), changed.len, kinds, NULL), -EBADMSG);
    assert_string_equal(kinds, "SJC");
}

static int kinds_of(const struct parcel_entry *entries, size_t count, char *ret_kinds)
{
    AUTO_BUF struct buf out = {.data = NULL};
    struct parcel_writer *w = parcel_writer_new();

    for (size_t i = 0; i < count; i++)
        parcel_write(w, &entries[i], &out);
    parcel_flush(w, &out);
    parcel_writer_free(w);
    return read_kinds(buf_span(&out), out.len, ret_kinds, NULL);
}

static void entries_stand_where_they_can(void **state UNUSED)
{
    const struct parcel_entry end = {.kind = PARCEL_END};
    struct parcel_entry bad = job("no job", 1);
    char kinds[64];

#define REFUSED(...)                                                                                       \
    assert_int_equal(                                                                                      \
        kinds_of((const struct parcel_entry[]){__VA_ARGS__},                                               \
                 sizeof((const struct parcel_entry[]){__VA_ARGS__}) / sizeof(struct parcel_entry), kinds), \
        -EBADMSG)
    REFUSED(job(JOB, 0), end);
    REFUSED(start(), start(), end);
    REFUSED(start(), end, job(JOB, 0));
    REFUSED(start(), job(JOB, 1));
    REFUSED(start(), chunk(0, SPAN("x")), end);
    REFUSED(start(), job(JOB, 1), chunk(1, SPAN("x")), end);
    REFUSED(start(), job(JOB, 2), chunk(1, SPAN("x")), chunk(0, SPAN("x")), end);
    REFUSED(start(), job(JOB, 1), chunk(0, SPAN("x")), chunk(0, SPAN("x")), end);
    REFUSED(start(), bad, end);
    bad = job(JOB, 1);
    bad.job.content_of = SPAN(JOB); /* both its own content and another's */
    REFUSED(start(), bad, end);
    bad = job(JOB, PARCEL_CHUNKS_MAX + 1);
    REFUSED(start(), bad, end);
    bad = job(JOB, 0);
    bad.job.queue = SPAN("a queue");
    REFUSED(start(), bad, end);
#undef REFUSED
    const struct parcel_entry holey[] = {start(), job(JOB, 3), chunk(1, SPAN("x")), end};
    assert_int_equal(kinds_of(holey, 4, kinds), 0); /* what was missing there is missing here */
}

/* An entry longer than a block, and many blocks. */
static void large_entries_go_through_many_blocks(void **state UNUSED)
{
    size_t len = 3 * (size_t) PARCEL_BLOCK;
    AUTO_FREE char *bytes = mem_alloc(len);
    struct parcel_entry big = job(JOB, 0);
    uint32_t random = 1;
    char kinds[64];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (char) ((random = random * 1664525 + 1013904223) >> 24);
    big.job.state = (struct span){.at = bytes, .len = len};
    const struct parcel_entry entries[] = {
        start(), big, job(CHILD, 1), chunk(0, (struct span){bytes, PARCEL_CHUNK_MAX}), {.kind = PARCEL_END}};
    assert_int_equal(kinds_of(entries, 5, kinds), 0);
    assert_string_equal(kinds, "SJJCE");
}

/* A kind of entry that only a newer version knows is passed over; a record that only it may read stops all. */
static void what_newer_versions_write_is_known_as_such(void **state UNUSED)
{
    AUTO_BUF struct buf record = {.data = NULL};
    const struct parcel_entry none = {.kind = PARCEL_NONE}, end = {.kind = PARCEL_END};
    const struct parcel_entry with_none[] = {start(), none, end};
    struct parcel_entry e;
    char kinds[64];

    assert_int_equal(kinds_of(with_none, 3, kinds), 0);
    assert_string_equal(kinds, "S?E");
    wire_put_parcel(&end, &record);
    record.data[0]++;
    assert_int_equal(wire_get_parcel(buf_span(&record), &e), -EPROTONOSUPPORT);
}

/* ---- envelopes in another place ---- */

static struct envelope envelope_of(struct recipient *recipients, char **queues)
{
    static char addr[] = "a@example.com", queue[] = "example.com", sender[] = "s@example.org", client[] = "c",
                content[] = JOB;
    struct envelope e = {.sender = sender, .client = client, .recipients = recipients, .recipient_count = 1};

    recipients[0] = (struct recipient){.addr = addr};
    queues[0] = queue;
    e.queues = queues;
    e.queue_count = 1;
    e.content_job = content;
    e.content_partition = 200;
    e.chunk_count = 1;
    must(id_parse(SPAN("01KATQ5S8Z4G5W0V0E3HJ2M9XK"), &e.id) == 0);
    return e;
}

static void an_envelope_names_its_new_place_and_keeps_the_rest(void **state UNUSED)
{
    AUTO_BUF struct buf before = {.data = NULL}, after = {.data = NULL}, back = {.data = NULL},
                        same = {.data = NULL};
    struct recipient recipients[1];
    char *queues[1];
    struct envelope e = envelope_of(recipients, queues), moved;

    wire_put_envelope(&e, &before);
    assert_int_equal(wire_move_envelope(buf_span(&before), 200, JOB, &same), 0);
    assert_span(buf_span(&same), buf_span(&before));
    assert_int_equal(wire_move_envelope(buf_span(&before), 8, CHILD, &after), 0);
    assert_int_equal(wire_get_envelope(buf_span(&after), &moved), 0);
    assert_int_equal(moved.content_partition, 8);
    assert_string_equal(moved.content_job, CHILD);
    assert_string_equal(moved.sender, e.sender);
    assert_string_equal(moved.recipients[0].addr, "a@example.com");
    envelope_done(&moved);
    assert_int_equal(wire_move_envelope(buf_span(&after), 200, JOB, &back), 0);
    assert_span(buf_span(&back), buf_span(&before)); /* so its digest is the same again */
    before.data[0] = 9;
    assert_int_equal(wire_move_envelope(buf_span(&before), 8, JOB, &after), -EPROTONOSUPPORT);
    before.data[before.len - 1] ^= 1;
    assert_int_equal(wire_move_envelope(buf_span(&before), 8, JOB, &after), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_read_back_at_every_split),
        cmocka_unit_test(a_job_is_read_as_it_was_written),
        cmocka_unit_test(every_cut_and_every_changed_byte_is_noticed),
        cmocka_unit_test(a_block_that_is_missing_or_elsewhere_is_noticed),
        cmocka_unit_test(entries_stand_where_they_can),
        cmocka_unit_test(large_entries_go_through_many_blocks),
        cmocka_unit_test(what_newer_versions_write_is_known_as_such),
        cmocka_unit_test(an_envelope_names_its_new_place_and_keeps_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
