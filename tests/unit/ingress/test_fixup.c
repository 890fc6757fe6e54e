/* Header sections mended at submission: whole, at every split, byte by byte; what is not meant stays byte for byte. */
#include "ingress/fixup.h"

#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define DATE "Date: Sun, 22 Nov 2026 07:15:45 +0000\r\n"
#define ID "Message-ID: <made@mx.example>\r\n"

static const struct fixup_facts facts = {.wall_ms = UINT64_C(1795331745000),
                                         .message_id = "<made@mx.example>"};
static const struct fixup_rules all = {.adds_fields = true, .removes_bcc = true, .checks_from = true};

static void feed(struct fixup *f, struct span piece, struct buf *out)
{
    while (piece.len > 0) {
        AUTO_FREE char *copy = mem_copy(piece.at, piece.len); /* gone after the call */
        struct span given;
        size_t used = fixup_feed(f, (struct span){.at = copy, .len = piece.len}, &facts, &given);
        assert_true(used > 0 && used <= piece.len);
        buf_add_span(out, given);
        piece = (struct span){.at = piece.at + used, .len = piece.len - used};
    }
}

static void end(struct fixup *f, struct buf *out)
{
    struct span given;
    fixup_end(f, &facts, &given);
    buf_add_span(out, given);
}

static void assert_out(struct buf *out, struct span wanted)
{
    if (!span_equal(buf_span(out), wanted))
        fail_msg("wanted:\n%.*s\ngot:\n%.*s", SPAN_ARG(wanted), SPAN_ARG(buf_span(out)));
    buf_done(out);
}

/* from: the address found, or NULL. */
static void assert_mended_bytes(struct fixup_rules rules, struct span in, struct span wanted,
                                const char *from)
{
    for (size_t split = 0; split <= in.len; split++) {
        struct fixup f = {.rules = rules};
        struct buf out = {.data = NULL};
        struct addr addr;
        feed(&f, (struct span){.at = in.at, .len = split}, &out);
        feed(&f, (struct span){.at = in.at + split, .len = in.len - split}, &out);
        end(&f, &out);
        assert_out(&out, wanted);
        assert_int_equal(fixup_from(&f, &addr), from != NULL);
        if (from)
            assert_true(span_equal(addr.whole, span_of(from)));
        fixup_done(&f);
    }
    struct fixup f = {.rules = rules};
    struct buf out = {.data = NULL};
    for (size_t i = 0; i < in.len; i++)
        feed(&f, (struct span){.at = in.at + i, .len = 1}, &out);
    end(&f, &out);
    assert_out(&out, wanted);
    fixup_done(&f);
}

static void assert_mended(struct fixup_rules rules, const char *in, const char *wanted, const char *from)
{
    assert_mended_bytes(rules, span_of(in), span_of(wanted), from);
}

/* proves: G04 */
static void missing_date_and_message_id_are_put_in_front(void **state UNUSED)
{
    assert_mended(all, "From: a@b.example\r\nSubject: x\r\n\r\nbody\r\n",
                  DATE ID "From: a@b.example\r\nSubject: x\r\n\r\nbody\r\n", "a@b.example");
    assert_mended(all, "DATE : now\r\nFrom: a@b.example\r\n\r\n",
                  ID "DATE : now\r\nFrom: a@b.example\r\n\r\n", "a@b.example");
    assert_mended(all, "message-id:\r\n <x@y>\r\nFrom: a@b.example\r\n\r\n",
                  DATE "message-id:\r\n <x@y>\r\nFrom: a@b.example\r\n\r\n", "a@b.example");
    assert_mended(all, "X-Date: no\r\nDates: no\r\nSubject: x\r\n Date: no\r\n\r\nDate: no\r\n",
                  DATE ID "X-Date: no\r\nDates: no\r\nSubject: x\r\n Date: no\r\n\r\nDate: no\r\n", NULL);
}

/* proves: G03 */
static void everything_else_stays_byte_for_byte(void **state UNUSED)
{
    const struct fixup_rules none = {.checks_from = true};
    static const char odd[] =
        "Date: \r\nMessage-ID:\r\nsubject:x  \r\n\t folded \r\n  \r\nX-8: \xff\xfe\r\nnot a field\r\n:\r\n"
        "Bcc: kept@b.example\r\nX: y\r\n\r\n\r\nbody\r\n.dot\r\n \xe9\r\nBcc: body\r\n";
    assert_mended(none, odd, odd, NULL);
    assert_mended((struct fixup_rules){.adds_fields = true}, odd, odd, NULL);
}

/* proves: G05 */
static void bcc_fields_go_with_all_their_lines(void **state UNUSED)
{
    const struct fixup_rules rules = {.removes_bcc = true};
    assert_mended(
        rules,
        "To: a@b.example\r\nBcc: c@d.example,\r\n e@f.example\r\n\tand more\r\nbCC :\r\nResent-Bcc: g\r\nX-Bcc: stays\r\n"
        "Bcc-X: stays\r\n\r\nBcc: body\r\n",
        "To: a@b.example\r\nX-Bcc: stays\r\nBcc-X: stays\r\n\r\nBcc: body\r\n", NULL);
    assert_mended(rules, "Bcc: only\r\n\r\nbody\r\n", "\r\nbody\r\n", NULL);
    assert_mended(rules, "Bcc: only\r\n folded", "", NULL);
    assert_mended(rules, "X: y\r\nBcc: last\r\n", "X: y\r\n", NULL);
}

static void a_header_without_a_body_is_mended(void **state UNUSED)
{
    assert_mended(all, "From: a@b.example\r\n", DATE ID "From: a@b.example\r\n", "a@b.example");
    assert_mended(all, "From: a@b.example", DATE ID "From: a@b.example", "a@b.example");
    assert_mended(all, "", DATE ID, NULL);
}

static void an_empty_header_is_filled(void **state UNUSED)
{
    assert_mended(all, "\r\nbody\r\n", DATE ID "\r\nbody\r\n", NULL);
    assert_mended((struct fixup_rules){.checks_from = true}, "\r\nFrom: a@b.example\r\n",
                  "\r\nFrom: a@b.example\r\n", NULL);
}

static void content_that_begins_with_no_field_is_all_body(void **state UNUSED)
{
    assert_mended(all, "Hello,\r\nFrom: a@b.example\r\n\r\nBcc: x\r\n",
                  DATE ID "\r\nHello,\r\nFrom: a@b.example\r\n\r\nBcc: x\r\n", NULL);
    assert_mended(all, " From: a@b.example\r\n\r\n", DATE ID "\r\n From: a@b.example\r\n\r\n", NULL);
    assert_mended(all, "no end", DATE ID "\r\nno end", NULL);
    assert_mended((struct fixup_rules){.removes_bcc = true}, "Hello\r\n", "\r\nHello\r\n", NULL);
    char line[3000];
    memset(line, 'x', sizeof line);
    line[2000] = ':';
    AUTO_BUF struct buf wanted = {.data = NULL};
    buf_add_text(&wanted, DATE ID "\r\n");
    buf_add(&wanted, line, sizeof line);
    assert_mended_bytes(all, (struct span){.at = line, .len = sizeof line}, buf_span(&wanted), NULL);
}

static void a_body_is_not_copied(void **state UNUSED)
{
    struct fixup f = {.rules = all};
    struct span out, piece = SPAN("From: a@b.example\r\n\r\nbody");
    size_t used = fixup_feed(&f, piece, &facts, &out);
    assert_int_equal(used, piece.len - 4);
    assert_int_equal(fixup_feed(&f, SPAN("body"), &facts, &out), 4);
    struct span body = SPAN("more of it");
    assert_int_equal(fixup_feed(&f, body, &facts, &out), body.len);
    assert_ptr_equal(out.at, body.at);
    assert_int_equal(out.len, body.len);
    assert_null(f.held.data);
    assert_null(f.mended.data);
    fixup_end(&f, &facts, &out);
    assert_int_equal(out.len, 0);
    fixup_done(&f);
}

/* The address that is found in a From field with this value, "" for none. */
static void assert_from(const char *value, const char *wanted)
{
    struct fixup f = {.rules = {.checks_from = true}};
    AUTO_BUF struct buf out = {.data = NULL};
    AUTO_FREE char *text = mem_format("Subject: x\r\nFrom:%s\r\n\r\n", value);
    struct addr addr = {.whole = {.at = NULL}};
    feed(&f, span_of(text), &out);
    assert_int_equal(fixup_from(&f, &addr), *wanted != '\0');
    if (!span_equal(addr.whole, span_of(wanted)))
        fail_msg("From:%s gave %.*s, not %s", value, SPAN_ARG(addr.whole), wanted);
    fixup_done(&f);
}

/* proves: D09 */
static void one_plain_address_of_from_is_found(void **state UNUSED)
{
    assert_from("a@b.example", "a@b.example");
    assert_from(" a@b.example ", "a@b.example");
    assert_from(" <a@b.example>", "a@b.example");
    assert_from(" Anna Author <a@b.example>", "a@b.example");
    assert_from(" John Q. Public <a@b.example>", "a@b.example");
    assert_from(" \"Anna, \\\"the\\\" <Author> (x)\" <a@b.example>", "a@b.example");
    assert_from(" =?utf-8?q?J=C3=BCrgen?= <a@b.example>", "a@b.example");
    assert_from(" J\xc3\xbcrgen <a@b.example>", "a@b.example");
    assert_from(" Anna\r\n Author\r\n\t<a@b.example>", "a@b.example");
    assert_from("\r\n a@b.example", "a@b.example");
    assert_from(" \"a b\"@b.example", "\"a b\"@b.example");
    assert_from(" J\xc3\xbcrgen@b\xc3\xbc.example", "J\xc3\xbcrgen@b\xc3\xbc.example");
    assert_from(" <a@[192.0.2.1]>", "a@[192.0.2.1]");
    assert_from(" =?utf-8?q?a?=@b.example",
                "=?utf-8?q?a?=@b.example"); /* its own local part: no reader decodes it there */
}

/* proves: D09 */
static void a_from_that_two_readers_read_differently_gives_none(void **state UNUSED)
{
    static const char *const values[] = {
        "",
        " ",
        " <>",
        " a",
        " Anna",
        " a@b.example, c@d.example",
        " Anna <a@b.example>, c@d.example",
        " <a@b.example> <c@d.example>",
        " <a@b.example> c@d.example",
        " c@d.example <a@b.example>",
        " a@b.example <a@b.example>",
        " Group: a@b.example;",
        " Undisclosed:;",
        " a@b.example (Anna)",
        " (c@d.example) a@b.example",
        " Anna (c@d.example) <a@b.example>",
        " <@c.example:a@b.example>",
        " < a@b.example>",
        " <a@b.example",
        " a@b.example>",
        " \"Anna <a@b.example>",
        " \"Anna\\\" <a@b.example>",
        " <<a@b.example>>",
        " a @b.example",
        " a@b.example.",
        " a@b@c.example",
        " Anna [x] <a@b.example>",
        " Anna \\< <a@b.example>",
        " Anna\x01 <a@b.example>",
        " Anna\xc0\xbc <a@b.example>",
        " Anna\xff <a@b.example>",
        " Anna\xe2\x80\xae <a@b.example>",
        " <postmaster>",
    };
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        assert_from(values[i], "");
}

/* proves: D09 */
static void several_from_fields_give_none(void **state UNUSED)
{
    const struct fixup_rules rules = {.checks_from = true};
    static const char *const headers[] = {
        "From: a@b.example\r\nFrom: a@b.example\r\n\r\n",
        "From: a@b.example\r\nX: y\r\nfROM : c@d.example\r\n\r\n",
        "Subject: x\r\n\r\nFrom: a@b.example\r\n",
        "Subject: x\rFrom: c@d.example\r\nFrom: a@b.example\r\n\r\n",
        "Subject: x\nFrom: a@b.example\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        assert_mended(rules, headers[i], headers[i], NULL);
    assert_mended_bytes(rules, SPAN("Subject: \0\r\nFrom: a@b.example\r\n\r\n"),
                        SPAN("Subject: \0\r\nFrom: a@b.example\r\n\r\n"), NULL);
    assert_mended(rules, "Sender: c@d.example\r\nFrom: a@b.example\r\n\r\n",
                  "Sender: c@d.example\r\nFrom: a@b.example\r\n\r\n", "a@b.example");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_date_and_message_id_are_put_in_front),
        cmocka_unit_test(everything_else_stays_byte_for_byte),
        cmocka_unit_test(bcc_fields_go_with_all_their_lines),
        cmocka_unit_test(a_header_without_a_body_is_mended),
        cmocka_unit_test(an_empty_header_is_filled),
        cmocka_unit_test(content_that_begins_with_no_field_is_all_body),
        cmocka_unit_test(a_body_is_not_copied),
        cmocka_unit_test(one_plain_address_of_from_is_found),
        cmocka_unit_test(a_from_that_two_readers_read_differently_gives_none),
        cmocka_unit_test(several_from_fields_give_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
