/*
 * The client engine against any remote: the input is what the remote says, cut as its first byte tells; the driver does its part.
 * Checked: every message given comes back exactly once; no dot is asked for without an accepted recipient; a verdict of delivered only behind a dot.
 */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "courier/smtp_client.h"

enum { MESSAGES = 3, RECIPIENTS = 2 };

static const char *const recipients[RECIPIENTS] = {"a@one.test", "b@one.test"};
static const char *const own_names[] = {"us.test"};
static const struct client_settings settings = {
    .helo_name = "us.test", .own_names = own_names, .own_name_count = 1};

struct driver {
    struct smtp_client *client;
    struct client_message messages[MESSAGES];
    struct verdict verdicts[MESSAGES][RECIPIENTS];
    size_t given, returned;
    struct buf out;
};

static void give(struct driver *d)
{
    struct client_message *m = &d->messages[d->given];

    *m = (struct client_message){.sender = "s@us.test",
                                 .recipients = recipients,
                                 .verdicts = d->verdicts[d->given],
                                 .count = RECIPIENTS,
                                 .size_bytes = 6};
    d->given++;
    smtp_client_send(d->client, m, &d->out);
}

static void check_result(const struct client_message *m)
{
    for (size_t i = 0; i < m->count; i++) {
        must(m->verdicts[i].class != VERDICT_DELIVERED || m->dot_sent);
        must(!m->verdicts[i].in_doubt || m->dot_sent);
        must(m->verdicts[i].class == VERDICT_NONE || m->verdicts[i].text);
        must(m->verdicts[i].class != VERDICT_NONE || m->fault != FAULT_NONE ||
             i > 0); /* "again" only behind an accepted one */
    }
}

/* Answers all asks; false when the connection is over. */
static bool drive(struct driver *d)
{
    for (;;) {
        struct client_message *m;

        switch (smtp_client_ask(d->client)) {
        case ASK_RESULT:
            m = smtp_client_result(d->client);
            must(m == &d->messages[d->returned]);
            d->returned++;
            check_result(m);
            break;
        case ASK_MESSAGE:
            if (d->given == MESSAGES) {
                smtp_client_quit(d->client, &d->out);
                return true;
            }
            give(d);
            break;
        case ASK_CONTENT:
            smtp_client_content(d->client, SPAN(".x\r\ny"), &d->out);
            smtp_client_content_end(d->client, &d->out);
            break;
        case ASK_DOT:
            smtp_client_dot(d->client, &d->out);
            if (smtp_client_has_room(d->client) && d->given < MESSAGES)
                give(d);
            break;
        case ASK_REPLY: return true;
        case ASK_CLOSE: return false;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct driver d = {.client = smtp_client_new(&settings, "mx [192.0.2.1]:25")};
    size_t piece = size > 0 ? data[0] % 32 + 1 : 1, at = 1;

    while (at < size) {
        size_t n = size - at < piece ? size - at : piece,
               used = smtp_client_feed(d.client, (struct span){(const char *) data + at, n}, &d.out);

        must(used <= n);
        if (!drive(&d))
            break;
        if (used == 0)
            must(smtp_client_ask(d.client) == ASK_REPLY);
        at += used ? used : n;
        buf_clear(&d.out);
    }
    if (smtp_client_ask(d.client) != ASK_CLOSE)
        smtp_client_end(d.client, FAULT_LOST, "closed by the host");
    drive(&d);
    must(d.returned == d.given);
    smtp_client_free(d.client);
    buf_done(&d.out);
    for (size_t i = 0; i < MESSAGES; i++) {
        for (size_t k = 0; k < RECIPIENTS; k++)
            verdict_done(&d.verdicts[i][k]);
        verdict_done(&d.messages[i].fault_verdict);
    }
    return 0;
}
