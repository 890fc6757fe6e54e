/* A notification about one failed recipient, which the tests of mail/dsn change and write. */
#include "dsn_sample.h"

const char plain_original[] =
    "Received: from a (b [192.0.2.1])\r\n\tby c; today\r\n"
    "From: sender@example.org\r\nMessage-ID:\r\n <orig.1@example.org>\r\nSubject: hello\r\n\r\n"
    "Body with one line\r\n.dot\r\nno final line end";
struct verdict verdicts[4];
static struct recipient recipients[1];
struct envelope envelope;
struct dsn_recipient failed[MOST];
struct dsn dsn;
struct buf out;

void set_remote(struct verdict *v, unsigned code, const char *status, const char *text)
{
    verdict_done(v);
    *v = (struct verdict){
        .class = code < 500 ? VERDICT_DEFERRED : VERDICT_FAILED, .code = code, .from_remote = true};
    snprintf(v->status, sizeof v->status, "%s", status);
    v->text = mem_string(text);
    v->remote = mem_string("mx.example.com [192.0.2.7]:25");
}

int sample_setup(void **state)
{
    (void) state;
    recipients[0] = (struct recipient){.addr = (char *) (uintptr_t) "bob@example.com"};
    envelope = (struct envelope){
        .sender = (char *) (uintptr_t) "sender@example.org",
        .recipients = recipients,
        .recipient_count = 1,
        .arrival_ms = 1795331745000,
        .size_bytes = strlen(plain_original),
    };
    assert_int_equal(id_parse(SPAN("01KTESTTESTTESTTESTTESTTE0"), &envelope.id), 0);
    set_remote(&verdicts[0], 550, "5.1.1", "5.1.1 <bob@example.com>: no such user");
    failed[0] = (struct dsn_recipient){.addr = "bob@example.com", .verdict = &verdicts[0]};
    dsn = (struct dsn){
        .reporting_name = "relay.example",
        .from_name = "Mail Delivery System",
        .envelope = &envelope,
        .recipients = failed,
        .recipient_count = 1,
        .wall_ms = 1795331745000 + 60000,
        .last_attempt_ms = 1795331745000 + 59000,
        .attempts = 1,
        .original = span_of(plain_original),
        .original_is_whole = true,
        .max_original_bytes = 51200,
    };
    assert_int_equal(id_parse(SPAN("01KDSNDSNDSNDSNDSNDSNDSNDS"), &dsn.id), 0);
    return 0;
}

int sample_teardown(void **state)
{
    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++)
        verdict_done(&verdicts[i]);
    buf_done(&out);
    return 0;
}

struct dsn_written write_checked(void)
{
    struct span original = exact_copy(dsn.original);
    struct span kept = dsn.original;
    dsn.original = original;
    buf_clear(&out);
    struct dsn_written written = dsn_write(&dsn, &out);
    dsn.original = kept;
    exact_free(original);
    assert_true(out.len <= DSN_MAX);
    bool has_8bit = false;
    for (size_t i = 0; i < out.len; i++)
        has_8bit = has_8bit || (unsigned char) out.data[i] > 0x7f;
    assert_int_equal(written.is_8bit, has_8bit);
    struct span rest = buf_span(&out);
    while (rest.len > 0) {
        struct span line = span_cut(&rest, '\n');
        assert_true(line.len > 0 && line.at[line.len - 1] == '\r');
        assert_true(line.len - 1 <= 998);
        assert_null(memchr(line.at, '\0', line.len));
        assert_null(memchr(line.at, '\r', line.len - 1));
    }
    assert_true(written.recipient_count > 0);
    return written;
}

void expect(const char *text)
{
    if (!has_text(&out, text)) {
        print_error("missing: %s\n%.*s\n", text, SPAN_ARG(buf_span(&out)));
        fail();
    }
}

void expect_not(const char *text)
{
    if (has_text(&out, text)) {
        print_error("unwanted: %s\n%.*s\n", text, SPAN_ARG(buf_span(&out)));
        fail();
    }
}

size_t count_of(const char *text)
{
    size_t count = 0, len = strlen(text);
    for (const char *at = out.data; (at = memmem(at, out.len - (size_t) (at - out.data), text, len));
         at += len)
        count++;
    return count;
}

void fill_recipients(size_t count, const char *addr)
{
    for (size_t i = 0; i < count; i++)
        failed[i] = (struct dsn_recipient){.addr = addr, .verdict = &verdicts[i % 2]};
    dsn.recipient_count = count;
}

void make_mixed(void)
{
    set_remote(&verdicts[1], 451, "4.7.1", "4.7.1 greylisted");
    set_remote(&verdicts[2], 250, "2.0.0", "2.0.0 taken");
    failed[0].orcpt = "rfc822;Bob+2Bx@example.com";
    failed[1] = (struct dsn_recipient){
        .addr = "carol@example.com", .action = DSN_DELAYED, .verdict = &verdicts[1]};
    failed[2] = (struct dsn_recipient){
        .addr = "dan@example.com", .action = DSN_RELAYED, .orcpt = "x400;a+3Db", .verdict = &verdicts[2]};
    dsn.recipient_count = 3;
    dsn.retry_until_ms = envelope.arrival_ms + 5 * 86400000ULL;
    envelope.envid = (char *) (uintptr_t) "QQ+2B7+3D";
}

void make_internationalized(bool is_sender_too)
{
    static const char original[] = "From: s@example.org\r\nSubject: \xc3\xa4\r\n\r\nbody\r\n";
    failed[0].addr = "b\xc3\xb6"
                     "b@example.com";
    failed[0].orcpt = "utf-8;B\xc3\xb6"
                      "b@example.com";
    envelope.is_utf8 = envelope.has_utf8_header = true;
    if (is_sender_too)
        envelope.sender = (char *) (uintptr_t) "s\xc3\xa4nder@example.org";
    dsn.original = span_of(original);
}
