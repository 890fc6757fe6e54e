/* What is told of a session: whole lines, and nothing that is secret. */
#include "mail/dialog.h"
#include "mail_test.h"

struct ear {
    struct dialog dialog;
    struct buf told; /* "<side> <text>\n" */
};

static void on_line(struct dialog *d, enum dialog_side side, struct span line)
{
    struct ear *e = CONTAINER_OF(d, struct ear, dialog);

    for (size_t i = 0; i < line.len; i++)
        assert_in_range(line.at[i], 0x20, 0x7e);
    buf_printf(&e->told, "%c %.*s\n", (char) side, SPAN_ARG(line));
}

static void assert_told(struct ear *e, const char *text)
{
    assert_span(buf_span(&e->told), text);
    buf_done(&e->told);
}

static struct ear ear = {.dialog = {.on_line = on_line}};

static void hear(const char *command)
{
    struct span copy = exact_copy(span_of(command));
    dialog_command(&ear.dialog, DIALOG_HEARD, copy, true);
    exact_free(copy);
}

static void tells_commands_as_they_are(void **state)
{
    (void) state;
    hear("EHLO client.test");
    hear("MAIL FROM:<a@b.test> SIZE=5 AUTH=<>");
    hear("");
    assert_told(&ear, "< EHLO client.test\n< MAIL FROM:<a@b.test> SIZE=5 AUTH=<>\n< \n");
    dialog_commands(&ear.dialog, DIALOG_SAID, SPAN("MAIL FROM:<>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"));
    assert_told(&ear, "> MAIL FROM:<>\n> RCPT TO:<c@d.test>\n> DATA\n");
}

/* proves: D12 */
static void masks_what_is_said_to_auth(void **state)
{
    (void) state;
    static const struct {
        const char *command, *told;
    } rows[] = {
        {"AUTH", "< AUTH\n"},
        {"AUTH PLAIN", "< AUTH PLAIN\n"},
        {"AUTH PLAIN c2VjcmV0", "< AUTH PLAIN ***\n"},
        {"auth plain c2VjcmV0", "< auth plain ***\n"},
        {"AUTH PLAIN c2VjcmV0 c2VjcmV0", "< AUTH PLAIN ***\n"},
        {"AUTH  PLAIN c2VjcmV0", "< AUTH *** ***\n"},
        {"AUTH c2VjcmV0", "< AUTH ***\n"},
        {"AUTH SCRAM-SHA-256 biws", "< AUTH SCRAM-SHA-256 ***\n"},
        {"AUTH XOAUTH2 =", "< AUTH XOAUTH2 ***\n"},
        {"XCLIENT ADDR=192.0.2.1 LOGIN=secret NAME=x", "< XCLIENT ADDR=192.0.2.1 LOGIN=*** NAME=x\n"},
        {"xclient login=secret", "< xclient login=***\n"},
        {"XCLIENT secret", "< XCLIENT ***\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        hear(rows[i].command);
        assert_told(&ear, rows[i].told);
    }
    dialog_secret(&ear.dialog, DIALOG_HEARD);
    assert_told(&ear, "< ***\n");
}

/* A password typed at the wrong prompt. */
/* proves: D12 */
static void tells_nothing_of_what_is_no_command(void **state)
{
    (void) state;
    dialog_command(&ear.dialog, DIALOG_HEARD, SPAN("c2VjcmV0"), false);
    assert_told(&ear, "< (no command: not told)\n");
}

/* proves: D12 */
static void masks_challenges(void **state)
{
    (void) state;
    dialog_replies(&ear.dialog, DIALOG_SAID, SPAN("250-mx\r\n250 OK\r\n334 c2VjcmV0\r\n334\r\n235 in\r\n"));
    assert_told(&ear, "> 250-mx\n> 250 OK\n> 334 ***\n> 334 ***\n> 235 in\n");
}

static void counts_content(void **state)
{
    (void) state;
    dialog_content(&ear.dialog, DIALOG_HEARD, 1000);
    dialog_content(&ear.dialog, DIALOG_HEARD, 0);
    dialog_content(&ear.dialog, DIALOG_HEARD, 234);
    assert_told(&ear, "");
    dialog_replies(&ear.dialog, DIALOG_SAID, SPAN("250 taken\r\n"));
    assert_told(&ear, "< (content: 1234 octets)\n> 250 taken\n");
}

/* Nothing that a terminal would obey. */
static void escapes_what_cannot_be_printed(void **state)
{
    (void) state;
    hear("EHLO \x1b]0;x\x07\xc3\xa4\x7f");
    assert_told(&ear, "< EHLO \\x1b]0;x\\x07\\xc3\\xa4\\x7f\n");
    dialog_note(&ear.dialog, "TLS failed: %s",
                "\x9b"
                "2J");
    assert_told(&ear, "* TLS failed: \\x9b2J\n");
}

static void cuts_long_lines(void **state)
{
    (void) state;
    char line[DIALOG_LINE_MAX + 100 + 1], told[DIALOG_LINE_MAX * 4 + 100];

    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    memcpy(line, "EHLO ", 5);
    hear(line);
    (void) snprintf(told, sizeof(told), "< %.*s (and 100 octets more)\n", DIALOG_LINE_MAX, line);
    assert_told(&ear, told);
    line[DIALOG_LINE_MAX] = '\0';
    hear(line);
    (void) snprintf(told, sizeof(told), "< %s\n", line);
    assert_told(&ear, told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tells_commands_as_they_are),
        TEST(masks_what_is_said_to_auth),
        TEST(tells_nothing_of_what_is_no_command),
        TEST(masks_challenges),
        TEST(counts_content),
        TEST(escapes_what_cannot_be_printed),
        TEST(cuts_long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
