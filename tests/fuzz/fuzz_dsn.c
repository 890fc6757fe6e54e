/*
 * Notifications about any original, reply and address. First byte: choices; then three lines: address, remote, reply text;
 * the rest is the original.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mail/dsn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SHOWN_MAX = 998, MOST = 300 };

static void check_lines(struct span rest)
{
    while (rest.len > 0) {
        struct span line = span_cut(&rest, '\n');
        must(line.len > 0 && line.at[line.len - 1] == '\r' && line.len - 1 <= SHOWN_MAX);
        must(!memchr(line.at, '\0', line.len) && !memchr(line.at, '\r', line.len - 1));
    }
}

static size_t count_of(struct span s, const char *text)
{
    size_t count = 0;
    const char *end = s.at + s.len;
    for (const char *at = s.at; (at = memmem(at, (size_t) (end - at), text, strlen(text))); at++)
        count++;
    return count;
}

/* The report's part has the fields of the recipients listed, whatever anybody said. */
static void check_report(struct span message, size_t listed, bool is_global)
{
    static const char *const starts[] = {
        "Content-Type: message/delivery-status\r\n\r\n",
        "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"};
    static const char end[] = "\r\n--=_";
    struct span start = span_of(starts[is_global]);
    const char *at = memmem(message.at, message.len, start.at, start.len);
    must(at);
    at += start.len;
    const char *to = memmem(at, message.len - (size_t) (at - message.at), end, sizeof end - 1);
    must(to);
    struct span report = {.at = at, .len = (size_t) (to - at)};
    must(count_of(report, "\r\nFinal-Recipient: ") + count_of(report, "\r\nFinal-Recipient:\r\n") == listed);
    must(count_of(report, "\r\nAction: ") == listed && count_of(report, "\r\nStatus: ") == listed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    static struct dsn_recipient recipients[MOST];
    struct span rest = {.at = (const char *) data + 1, .len = size - 1};
    struct span addr = span_cut(&rest, '\n'), remote = span_cut(&rest, '\n'), text = span_cut(&rest, '\n');
    struct verdict v = {.class = VERDICT_FAILED, .code = 550, .from_remote = (data[0] & 1) != 0};
    struct verdict last = {.class = VERDICT_DEFERRED, .code = 451, .from_remote = true};
    char *to = mem_text(addr.at, addr.len < 254 ? addr.len : 254);
    snprintf(v.status, sizeof v.status, "%.*s", remote.len < 11 ? (int) remote.len : 11,
             remote.len > 0 ? remote.at : "");
    v.remote = mem_text(remote.at, remote.len < 300 ? remote.len : 300);
    v.text = mem_text(text.at, text.len < VERDICT_TEXT_MAX ? text.len : VERDICT_TEXT_MAX);
    last.remote = mem_string(v.remote);
    last.text = mem_string(v.text);
    size_t count = (data[0] & 0xc2) == 0xc2 ? MOST : data[0] & 2 ? 3 : 1; /* many are slow */
    bool is_asked_for = (data[0] & 64) != 0;
    for (size_t i = 0; i < count; i++)
        recipients[i] = (struct dsn_recipient){
            .addr = to,
            .action = is_asked_for ? (enum dsn_action)(i * DSN_ACTION_COUNT / count) : DSN_FAILED,
            .orcpt = is_asked_for ? v.text : NULL,
            .verdict = &v,
            .last = data[0] & 4 ? &last : NULL};
    struct envelope envelope = {.sender = to[0] != '\0' ? to : v.text,
                                .arrival_ms = 1000,
                                .envid = is_asked_for ? v.remote : NULL,
                                .has_utf8_header = is_asked_for};
    struct dsn d = {
        .reporting_name = "relay.example",
        .from_name = v.text,
        .envelope = &envelope,
        .recipients = recipients,
        .recipient_count = count,
        .wall_ms = 5000,
        .last_attempt_ms = data[0] & 8 ? 4000 : 0,
        .retry_until_ms = 9000,
        .attempts = data[0],
        .original = rest,
        .original_is_whole = (data[0] & 16) != 0,
        .max_original_bytes = data[0] & 32 ? 100 : 60000,
    };
    AUTO_BUF struct buf out = {0};
    if (envelope.sender[0] != '\0') {
        struct dsn_written written = dsn_write(&d, &out);
        must(out.len <= DSN_MAX && written.recipient_count > 0 && written.recipient_count <= count);
        check_lines(buf_span(&out));
        check_report(buf_span(&out), written.recipient_count, written.is_utf8);
    }
    verdict_done(&v);
    verdict_done(&last);
    mem_free(to);
    return 0;
}
