/* What `send` puts on the wire, and what it reads from a reply. */
#include "base/id.h"
#include "ctl/sender.h"
#include "ctl_test.h"

static void assert_stuffed(const char *content, const char *wire)
{
    AUTO_BUF struct buf out = {.data = NULL};

    sender_add_stuffed(&out, span_of(content));
    assert_text(&out, wire);
}

static void lines_end_with_crlf_whatever_they_ended_with(void **state)
{
    (void) state;
    assert_stuffed("a\nb\r\nc\rd", "a\r\nb\r\nc\r\nd\r\n.\r\n");
    assert_stuffed("a\r\n", "a\r\n.\r\n");
    assert_stuffed("a\r", "a\r\n.\r\n");
    assert_stuffed("\n\n", "\r\n\r\n.\r\n");
    assert_stuffed("", ".\r\n");
}

static void leading_dots_are_doubled(void **state)
{
    (void) state;
    assert_stuffed(".\n..\na.b\n", "..\r\n...\r\na.b\r\n.\r\n");
    assert_stuffed(".", "..\r\n.\r\n");
}

static void finds_the_id_in_a_reply(void **state)
{
    char id[ID_TEXT_LEN + 1];

    (void) state;
    sender_find_id(SPAN("2.0.0 queued as 01M815GMDDJX7KHWN93NPT5EAQ"), id);
    assert_string_equal(id, "01M815GMDDJX7KHWN93NPT5EAQ");
    sender_find_id(SPAN("queued as 01m815gmddjx7khwn93npt5eaq (done)"), id);
    assert_string_equal(id, "01M815GMDDJX7KHWN93NPT5EAQ");
    sender_find_id(SPAN("2.0.0 Ok: queued as 4B7F3"), id);
    assert_string_equal(id, "");
    sender_find_id(SPAN("2.0.0 queued as "), id);
    assert_string_equal(id, "");
    sender_find_id(SPAN(""), id);
    assert_string_equal(id, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_with_crlf_whatever_they_ended_with),
        cmocka_unit_test(leading_dots_are_doubled),
        cmocka_unit_test(finds_the_id_in_a_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
