/* Our Received field. */
#include "mail/header.h"
#include "mail_test.h"

static struct ip client;
static struct received plain(void)
{
    assert_int_equal(ip_parse(SPAN("192.0.2.1"), &client), 0);
    struct received r = {
        .helo = SPAN("mail.client.example"),
        .client_name = "rdns.client.example",
        .client_ip = &client,
        .by = "relay.example",
        .is_esmtp = true,
        .only_recipient = "bob@example.org",
        .wall_ms = 1795331745000,
    };
    assert_int_equal(id_parse(SPAN("01KTESTTESTTESTTESTTESTTES"), &r.id), 0);
    return r;
}

static void check(const struct received *r, const char *want)
{
    AUTO_BUF struct buf out = {0};
    received_add(r, &out);
    assert_span(buf_span(&out), want);
}

/* proves: G01 G09 */
static void names_client_server_id_recipient_and_date(void **state)
{
    (void) state;
    struct received r = plain();
    check(&r, "Received: from mail.client.example (rdns.client.example [192.0.2.1])\r\n"
              "        by relay.example with ESMTP id 01KTESTTESTTESTTESTTESTTES\r\n"
              "        for <bob@example.org>; Sun, 22 Nov 2026 07:15:45 +0000\r\n");
    r.only_recipient = NULL;
    r.client_name = NULL;
    r.is_esmtp = false;
    r.helo = SPAN("[192.0.2.1]");
    check(&r, "Received: from [192.0.2.1] (unknown [192.0.2.1])\r\n"
              "        by relay.example with SMTP id 01KTESTTESTTESTTESTTESTTES;\r\n"
              "        Sun, 22 Nov 2026 07:15:45 +0000\r\n");
    r.helo = SPAN("[IPv6:2001:db8::1]");
    assert_int_equal(ip_parse(SPAN("2001:db8::1"), &client), 0);
    check(&r, "Received: from [IPv6:2001:db8::1] (unknown [IPv6:2001:db8::1])\r\n"
              "        by relay.example with SMTP id 01KTESTTESTTESTTESTTESTTES;\r\n"
              "        Sun, 22 Nov 2026 07:15:45 +0000\r\n");
}

/* proves: G01 N09 */
static void tells_tls_auth_and_utf8_by_the_registered_keywords(void **state)
{
    static const struct {
        bool is_esmtp, is_utf8, is_secured, is_authenticated;
        const char *with;
    } rows[] = {
        {false, false, false, false, "with SMTP id"},   {false, true, true, true, "with SMTP id"},
        {true, false, false, false, "with ESMTP id"},   {true, false, true, false, "with ESMTPS id"},
        {true, false, false, true, "with ESMTPA id"},   {true, false, true, true, "with ESMTPSA id"},
        {true, true, false, false, "with UTF8SMTP id"}, {true, true, true, false, "with UTF8SMTPS id"},
        {true, true, false, true, "with UTF8SMTPA id"}, {true, true, true, true, "with UTF8SMTPSA id"},
    };
    (void) state;
    struct received r = plain();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_BUF struct buf out = {0};
        r.is_esmtp = rows[i].is_esmtp;
        r.is_utf8 = rows[i].is_utf8;
        r.is_secured = rows[i].is_secured;
        r.is_authenticated = rows[i].is_authenticated;
        received_add(&r, &out);
        assert_true(has_text(&out, rows[i].with));
    }
}

/* proves: G01 G08 G09 */
static void names_version_and_cipher_in_a_comment(void **state)
{
    (void) state;
    struct received r = plain();
    r.is_secured = true;
    r.tls = "TLSv1.3 TLS_AES_256_GCM_SHA384";
    check(&r, "Received: from mail.client.example (rdns.client.example [192.0.2.1])\r\n"
              "        by relay.example with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
              "        id 01KTESTTESTTESTTESTTESTTES\r\n"
              "        for <bob@example.org>; Sun, 22 Nov 2026 07:15:45 +0000\r\n");
    AUTO_BUF struct buf out = {0};
    r.tls = "a)\r\nX: (\\";
    received_add(&r, &out);
    assert_true(has_text(&out, "(a???X? ?"
                               "?)"));
}

/* proves: G08 M09 */
static void lets_no_client_write_into_the_header(void **state)
{
    (void) state;
    struct received r = plain();
    r.helo = SPAN("a\r\nX: y) (\\\"\0\xc3;");
    r.client_name = "evil)\r\nX";
    r.only_recipient = NULL;
    check(&r, "Received: from a??X??y???????? (evil???X [192.0.2.1])\r\n"
              "        by relay.example with ESMTP id 01KTESTTESTTESTTESTTESTTES;\r\n"
              "        Sun, 22 Nov 2026 07:15:45 +0000\r\n");
    static const char *const literals[] = {"[1.2]3]", "[]", "[", "[a b]", "[a\\]"};
    for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
        AUTO_BUF struct buf out = {0};
        r.helo = span_of(literals[i]);
        received_add(&r, &out);
        assert_memory_equal(out.data, "Received: from ?", 16);
    }
    AUTO_BUF struct buf out = {0};
    r.only_recipient = "a@b\r\nX: y";
    received_add(&r, &out);
    assert_false(has_text(&out, "for "));
}

/* proves: G09 */
static void folds_long_names_and_cuts_endless_ones(void **state)
{
    (void) state;
    enum { FOLDED_MAX = 8 + 255 + 2 };
    struct received r = plain();
    char helo[5000];
    memset(helo, 'h', sizeof helo);
    r.helo = (struct span){.at = helo, .len = sizeof helo};
    r.only_recipient =
        "\"a b\"@a.domain.that.is.rather.long.and.makes.the.line.too.long.for.the.date.example";
    AUTO_BUF struct buf out = {0};
    received_add(&r, &out);
    assert_true(has_text(&out, "for <\"a b\"@a.domain"));
    struct span rest = buf_span(&out);
    size_t lines = 0;
    while (rest.len > 0) {
        struct span line = span_cut(&rest, '\n');
        assert_true(line.len <= FOLDED_MAX);
        assert_true(lines == 0 || line.at[0] == ' ');
        assert_true(line.at[line.len - 1] == '\r');
        lines++;
    }
    assert_int_equal(lines, 6);
    r.helo = (struct span){.at = NULL};
    buf_clear(&out);
    received_add(&r, &out);
    assert_memory_equal(out.data, "Received: from unknown (", 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_client_server_id_recipient_and_date),
        TEST(tells_tls_auth_and_utf8_by_the_registered_keywords),
        TEST(names_version_and_cipher_in_a_comment),
        TEST(lets_no_client_write_into_the_header),
        TEST(folds_long_names_and_cuts_endless_ones),
    };
    return cmocka_run_group_tests_name("mail/received", tests, NULL, NULL);
}
