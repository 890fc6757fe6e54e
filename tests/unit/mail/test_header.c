/* The scan of a header section, in one piece and in pieces of every size. */
#include "mail/header.h"
#include "mail_test.h"

static const struct header_limits roomy = {.size_bytes = 1 << 20, .fields = 2000, .hops = 50};

static void scan_in_pieces(struct header_scan *h, struct header_limits limits, struct span content,
                           size_t piece)
{
    header_scan_init(h, limits);
    for (size_t at = 0; at < content.len; at += piece) {
        size_t len = content.len - at < piece ? content.len - at : piece;
        struct span copy = exact_copy((struct span){.at = content.at + at, .len = len});
        header_scan_feed(h, copy);
        exact_free(copy);
    }
    header_scan_end(h);
}

static void assert_same(const struct header_scan *a, const struct header_scan *b)
{
    assert_int_equal(a->fault, b->fault);
    assert_int_equal(a->is_over, b->is_over);
    assert_int_equal(a->starts_with_body, b->starts_with_body);
    if (a->fault == HEADER_OK)
        assert_int_equal(a->size_bytes, b->size_bytes);
    assert_int_equal(a->fields, b->fields);
    assert_int_equal(a->hops, b->hops);
    assert_string_equal(a->message_id, b->message_id);
    assert_int_equal(a->is_auto_submitted, b->is_auto_submitted);
    assert_int_equal(a->is_tls_optional, b->is_tls_optional);
}

/* In one piece; then every other size of piece must find the same. */
static struct header_scan scan_limited(const char *text, struct header_limits limits)
{
    struct span content = span_of(text);
    struct header_scan whole, parts;
    scan_in_pieces(&whole, limits, content, content.len + 1);
    for (size_t piece = 1; piece <= content.len; piece++) {
        scan_in_pieces(&parts, limits, content, piece);
        assert_same(&whole, &parts);
    }
    return whole;
}

static struct header_scan scan(const char *text)
{
    return scan_limited(text, roomy);
}

/* proves: B37 G03 */
static void counts_fields_and_hops_up_to_the_empty_line(void **state)
{
    (void) state;
    const char *text =
        "Received: a\r\n\tb\r\nreceived : c\r\nSubject: x\r\n y\r\nReceived-SPF: pass\r\n\r\nReceived: body\r\n";
    struct header_scan h = scan(text);
    assert_true(h.is_over);
    assert_false(h.starts_with_body);
    assert_int_equal(h.fields, 4);
    assert_int_equal(h.hops, 2);
    assert_int_equal(h.size_bytes, strlen(text) - strlen("Received: body\r\n"));
    assert_int_equal(h.fault, HEADER_OK);
    h = scan("A: b\n\nC: d\n");
    assert_int_equal(h.fields, 1);
    assert_int_equal(h.size_bytes, 6);
}

/* proves: G07 B33 */
static void takes_odd_headers_as_they_are(void **state)
{
    (void) state;
    struct header_scan h = scan(
        "__proto__: x\r\nconstructor:\r\n:\r\n: y\r\nno colon here\r\nSub ject: z\r\nA : b\r\n\xff\xfe: c\r\n\r\n");
    assert_int_equal(h.fields, 8);
    assert_int_equal(h.fault, HEADER_OK);
    assert_false(h.starts_with_body);
    h = scan("A: only header, no empty line");
    assert_true(h.is_over);
    assert_int_equal(h.fields, 1);
    h = scan("");
    assert_true(h.is_over);
    assert_false(h.starts_with_body);
    assert_int_equal(h.size_bytes, 0);
    h = scan("\r\nbody: is not a field\r\n");
    assert_true(h.is_over);
    assert_false(h.starts_with_body);
    assert_int_equal(h.fields, 0);
    assert_int_equal(h.size_bytes, 2);
}

/* proves: B33 G07 */
static void tells_content_that_starts_with_its_body(void **state)
{
    (void) state;
    static const char *const bodies[] = {" a: b\r\n",
                                         "\tx\r\n",
                                         "From a@b Mon Sep  1 10:00:00 2026\r\nA: b\r\n",
                                         "Hello there\r\n",
                                         ":\r\n",
                                         "x",
                                         ".\r\n",
                                         "\x80: x\r\n",
                                         " ",
                                         "hello"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct header_scan h = scan(bodies[i]);
        assert_true(h.starts_with_body);
        assert_true(h.is_over);
        assert_int_equal(h.size_bytes, 0);
        assert_int_equal(h.fields, 0);
    }
    static const char *const headers[] = {"a:\r\n", "A : b\r\n", "X-Y:", "\r\n", "\n"};
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        assert_false(scan(headers[i]).starts_with_body);
}

/* proves: G07 */
static void judges_a_first_line_without_end_by_its_first_bytes(void **state)
{
    (void) state;
    AUTO_BUF struct buf text = {0};
    for (int i = 0; i < 10000; i++)
        buf_add_char(&text, 'n');
    buf_add_text(&text, ": value\r\n");
    struct header_scan h;
    for (size_t piece = 1; piece < 12000; piece = piece * 3 + 1) {
        scan_in_pieces(&h, roomy, buf_span(&text), piece);
        assert_true(h.starts_with_body);
    }
    header_scan_init(&h, roomy);
    header_scan_feed(&h, (struct span){.at = text.data, .len = 2000});
    assert_true(h.starts_with_body); /* known before the line ends */
}

/* proves: M01 B37 */
static void faults_above_each_limit_and_not_at_it(void **state)
{
    (void) state;
    const char *text = "Received: a\r\nReceived: b\r\nSubject: c\r\n\r\n";
    struct header_limits limits = {.size_bytes = strlen(text), .fields = 3, .hops = 2};
    assert_int_equal(scan_limited(text, limits).fault, HEADER_OK);
    limits.size_bytes--;
    assert_int_equal(scan_limited(text, limits).fault, HEADER_TOO_BIG);
    limits.size_bytes++;
    limits.fields = 2;
    assert_int_equal(scan_limited(text, limits).fault, HEADER_TOO_MANY);
    limits.fields = 3;
    limits.hops = 1;
    assert_int_equal(scan_limited(text, limits).fault, HEADER_TOO_MANY_HOPS);
}

/* proves: G07 */
static void bounds_a_hundred_thousand_lines(void **state)
{
    (void) state;
    AUTO_BUF struct buf text = {0};
    for (int i = 0; i < 100000; i++)
        buf_add_text(&text, "X: y\r\n");
    struct header_scan h;
    scan_in_pieces(&h, roomy, buf_span(&text), 4096);
    assert_int_equal(h.fault, HEADER_TOO_MANY);
    struct header_limits all = {.size_bytes = UINT64_MAX, .fields = UINT64_MAX, .hops = UINT64_MAX};
    scan_in_pieces(&h, all, buf_span(&text), 4096);
    assert_int_equal(h.fault, HEADER_OK);
    assert_int_equal(h.fields, 100000);
}

/* proves: G07 */
static void bounds_a_field_of_a_megabyte(void **state)
{
    (void) state;
    AUTO_BUF struct buf text = {0};
    buf_add_text(&text, "X: ");
    for (int i = 0; i < 1 << 20; i++)
        buf_add_char(&text, 'y');
    buf_add_text(&text, "\r\n\r\n");
    static const size_t pieces[] = {1000, 4096, 3 << 20};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct header_scan h;
        scan_in_pieces(&h, roomy, buf_span(&text), pieces[i]);
        assert_int_equal(h.fault, HEADER_TOO_BIG);
        scan_in_pieces(&h, (struct header_limits){.size_bytes = 2 << 20, .fields = 1, .hops = 1},
                       buf_span(&text), pieces[i]);
        assert_int_equal(h.fault, HEADER_OK);
        assert_int_equal(h.fields, 1);
        assert_int_equal(h.size_bytes, text.len);
    }
}

/* proves: K10 */
static void keeps_the_message_id(void **state)
{
    (void) state;
    assert_string_equal(scan("A: b\r\nMessage-ID: <x@y>\r\n\r\n").message_id, "<x@y>");
    assert_string_equal(scan("message-id:<x@y>").message_id, "<x@y>");
    assert_string_equal(scan("Message-Id :\r\n <x@y>\t\r\n\r\n").message_id, "<x@y>");
    assert_string_equal(scan("Message-ID: <x@y>\r\nMessage-ID: <z>\r\n\r\n").message_id, "<x@y>");
    assert_string_equal(scan("Message-ID: <x\r\n y>\r\nA: b\r\n c\r\n").message_id, "<x y>");
    assert_string_equal(scan("Message-ID: <x\x01y>\r\n").message_id, "");
    assert_string_equal(scan("Message-ID: <x\xc3\xa4y>\r\n").message_id, "");
    assert_string_equal(scan("X-Message-ID: <x@y>\r\n").message_id, "");
    assert_string_equal(scan("A: b\r\n\r\nMessage-ID: <x@y>\r\n").message_id, "");
    AUTO_BUF struct buf text = {0};
    buf_add_text(&text, "Message-ID: ");
    for (int i = 0; i < 255; i++)
        buf_add_char(&text, 'm');
    struct header_scan h;
    scan_in_pieces(&h, roomy, buf_span(&text), 10);
    assert_int_equal(strlen(h.message_id), 255);
    buf_add_text(&text, "m\r\n");
    scan_in_pieces(&h, roomy, buf_span(&text), 10);
    assert_string_equal(h.message_id, "");
}

/* proves: K23 */
static void sees_mail_made_by_machines(void **state)
{
    (void) state;
    assert_true(scan("Auto-Submitted: auto-replied\r\n").is_auto_submitted);
    assert_true(scan("auto-submitted:\r\n auto-generated; x=y\r\n").is_auto_submitted);
    assert_false(scan("Auto-Submitted: no\r\n").is_auto_submitted);
    assert_false(scan("Auto-Submitted: NO (really)\r\n").is_auto_submitted);
    assert_false(scan("Auto-Submitted: no;x=y\r\n auto-replied\r\n").is_auto_submitted);
    assert_false(scan("Auto-Submitted:\r\nX: auto-replied\r\n").is_auto_submitted);
    assert_true(scan("Auto-Submitted: not\r\n").is_auto_submitted);
}

/* proves: L16 */
static void tls_is_optional_by_exactly_one_word(void **state)
{
    (void) state;
    assert_true(scan("TLS-Required: No\r\n").is_tls_optional);
    assert_true(scan("tls-required :\tNO \r\n").is_tls_optional);
    assert_true(scan("TLS-Required:\r\n no\r\n\r\n").is_tls_optional);
    assert_false(scan("TLS-Required: Yes\r\n").is_tls_optional);
    assert_false(scan("TLS-Required: No (really)\r\n").is_tls_optional);
    assert_false(scan("TLS-Required: No; x=y\r\n").is_tls_optional);
    assert_false(scan("TLS-Required: No\r\n way\r\n").is_tls_optional);
    assert_false(scan("TLS-Required: No\r\nTLS-Required: No\r\n").is_tls_optional);
    assert_false(scan("TLS-Required: Yes\r\nTLS-Required: No\r\n").is_tls_optional);
    assert_false(scan("TLS-Required:\r\n").is_tls_optional);
    assert_false(scan("X-TLS-Required: No\r\n").is_tls_optional);
    assert_false(scan("Subject: x\r\n\r\nTLS-Required: No\r\n").is_tls_optional);
}

/* proves: N03 N04 */
static void bytes_above_ascii_are_seen_in_the_header_only(void **state)
{
    static const struct {
        const char *content;
        bool has;
    } rows[] = {{"Subject: a\r\n\r\n\xc3\xa4\r\n", false},
                {"Subject: \xc3\xa4\r\n\r\nx\r\n", true},
                {"A: b\r\n \xf0\x9f", true},
                {"\xc3\xa4 no field\r\n", false},
                {"A: 345678901234567890\x80", true},
                {"A: 345678901234567890\r\n\r\n\x80", false}};
    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t cut = 0; cut <= strlen(rows[i].content); cut++) {
            struct header_scan h;
            header_scan_init(&h, (struct header_limits){.size_bytes = 1000, .fields = 10, .hops = 10});
            header_scan_feed(&h, (struct span){.at = rows[i].content, .len = cut});
            header_scan_feed(&h, span_of(rows[i].content + cut));
            header_scan_end(&h);
            assert_int_equal(h.has_8bit, rows[i].has);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_above_ascii_are_seen_in_the_header_only),
        TEST(counts_fields_and_hops_up_to_the_empty_line),
        TEST(takes_odd_headers_as_they_are),
        TEST(tells_content_that_starts_with_its_body),
        TEST(judges_a_first_line_without_end_by_its_first_bytes),
        TEST(faults_above_each_limit_and_not_at_it),
        TEST(bounds_a_hundred_thousand_lines),
        TEST(bounds_a_field_of_a_megabyte),
        TEST(keeps_the_message_id),
        TEST(sees_mail_made_by_machines),
        TEST(tls_is_optional_by_exactly_one_word),
    };
    return cmocka_run_group_tests_name("mail/header", tests, NULL, NULL);
}
