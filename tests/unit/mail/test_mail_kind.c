/* What kind of mail it is, by its header. */
#include "mail/mail_kind.h"

#include "mail_test.h"

static struct mail_kind kind(const char *content)
{
    struct span s = exact_copy(span_of(content));
    struct mail_kind k = mail_kind_of(s);

    exact_free(s);
    return k;
}

/* proves: J07 */
static void programs_and_lists_say_so(void **state)
{
    (void) state;
    static const char *const automatic[] = {
        "Auto-Submitted: auto-generated\r\n\r\n",
        "A: b\r\nauto-submitted:auto-replied (vacation)\r\n\r\n",
        "Auto-Submitted:\r\n auto-notified; owner=x\r\n\r\n",
        "Precedence: bulk\r\n\r\n",
        "Precedence: LIST\r\n\r\n",
        "Precedence : junk\r\n\r\n",
        "List-Id: <a.b.test>\r\n\r\n",
        "List-ID:\r\n A list\r\n <a.b.test>",
    };
    for (size_t i = 0; i < ARRAY_LEN(automatic); i++)
        assert_true(kind(automatic[i]).is_automatic);
}

/* proves: J07 */
static void people_do_not(void **state)
{
    (void) state;
    static const char *const ordinary[] = {
        "",
        "Subject: hello\r\n\r\nPrecedence: bulk\r\n",
        "Auto-Submitted: no\r\n\r\n",
        "Auto-Submitted: NO (written by hand)\r\n\r\n",
        "Auto-Submitted:\r\n\r\n",
        "Precedence: first-class\r\n\r\n",
        "Precedence: bulky\r\n\r\n",
        "X-Precedence: bulk\r\n\r\n",
        "Subject: x\r\n Precedence: bulk\r\n\r\n",
        "List-Idle: x\r\n\r\n",
        "List-Id:\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(ordinary); i++)
        assert_false(kind(ordinary[i]).is_automatic);
}

/* proves: K23 */
static void notifications_are_known_whoever_sends_them(void **state)
{
    (void) state;
    assert_true(kind("Auto-Submitted: auto-replied\r\nContent-Type: multipart/report;\r\n"
                     " report-type=Delivery-Status; boundary=x\r\n\r\n")
                    .is_report);
    assert_true(kind("Message-ID: <dsn.01KDSNDSNDSNDSNDSNDSNDSNDS@relay.example>\r\n\r\n").is_report);
    assert_true(kind("Message-ID:\r\n <double-bounce.01KDSNDSNDSNDSNDSNDSNDSNDS@relay.example>\r\n\r\n")
                    .is_double_bounce);
    assert_false(kind("Message-ID: <dsn.01KDSNDSNDSNDSNDSNDSNDSNDS@relay.example>\r\n\r\n").is_double_bounce);
}

/* proves: K23 */
static void others_are_not_taken_for_one(void **state)
{
    (void) state;
    static const char *const others[] = {
        "Content-Type: multipart/report; report-type=delivery-status\r\n\r\n", /* forwarded by somebody */
        "Auto-Submitted: no\r\nContent-Type: multipart/report; report-type=delivery-status\r\n\r\n",
        "Auto-Submitted: auto-generated\r\nContent-Type: multipart/report; report-type=tlsrpt\r\n\r\n",
        "Auto-Submitted: auto-generated\r\nContent-Type: text/plain; name=delivery-status\r\n\r\n",
        "Message-ID: <01KDSNDSNDSNDSNDSNDSNDSNDS@relay.example>\r\n\r\n",
        "Message-ID: <dsn.01KDSNDSNDSNDSNDSNDSNDSND@relay.example>\r\n\r\n",
        "Message-ID: <dsn.01KDSNDSNDSNDSNDSNDSNDSNDSX@relay.example>\r\n\r\n",
        "Message-ID: <dsn.01KDSNDSNDSNDSNDSNDSNDSNDS",
        "In-Reply-To: <dsn.01KDSNDSNDSNDSNDSNDSNDSNDS@relay.example>\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(kind(others[i]).is_report);
}

static void a_field_of_any_length_is_read_in_bounds(void **state)
{
    (void) state;
    AUTO_BUF struct buf text = {0};
    buf_add_text(&text, "Content-Type: multipart/report;");
    for (int i = 0; i < 5000; i++)
        buf_add_text(&text, "\r\n x=yyyyyyyy;");
    buf_add_text(&text,
                 "\r\n report-type=delivery-status\r\nPrecedence: bulk\r\nAuto-Submitted: auto-replied\r\n");
    struct mail_kind k = mail_kind_of(buf_span(&text));
    assert_true(k.is_automatic);
    assert_false(k.is_report); /* so far nobody looks */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_and_lists_say_so),
        cmocka_unit_test(people_do_not),
        cmocka_unit_test(notifications_are_known_whoever_sends_them),
        cmocka_unit_test(others_are_not_taken_for_one),
        cmocka_unit_test(a_field_of_any_length_is_read_in_bounds),
    };
    return cmocka_run_group_tests_name("mail/mail_kind", tests, NULL, NULL);
}
