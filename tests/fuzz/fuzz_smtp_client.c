/*
 * The client engine against any remote: the input is what the remote says; the driver does its part. Checked: every message given comes back
 * exactly once; nothing that the host does not offer is used; no dot without an accepted recipient; a verdict of delivered only behind a dot, and no doubt without one; what is said is
 * whole lines, but for the octets a BDAT announces; and pieces make no difference: lines heard at once and byte by byte come to the same.
 */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "courier/smtp_client.h"

enum { MESSAGES = 3, RECIPIENTS = 2 };

#define TEXT(literal) ((char *) (uintptr_t) (literal))
static const uint32_t indexes[RECIPIENTS] = {0, 1};
static struct recipient recipients[RECIPIENTS] = {{.addr = TEXT("a@one.test")}, {.addr = TEXT("b@one.test")}};
/* Each asks for everything; the second recipient can be reached with SMTPUTF8 only. */
static struct recipient wishes[RECIPIENTS] = {
    {.addr = TEXT("a@one.test"), .notify = NOTIFY_SUCCESS, .orcpt = TEXT("utf-8;\xc3\xa4@one.test")},
    {.addr = TEXT("\xc3\xa4@one.test"), .notify = NOTIFY_NEVER}};
/* A plain message, one that asks for much, a binary one: which they are, the input's first byte says. */
enum { KINDS = 3 };
static const struct envelope envelopes[KINDS] = {
    {.sender = TEXT("s@us.test"), .recipients = recipients, .recipient_count = RECIPIENTS, .size_bytes = 6},
    {.sender = TEXT("s@us.test"),
     .recipients = wishes,
     .recipient_count = RECIPIENTS,
     .size_bytes = 6,
     .is_8bit = true,
     .is_utf8 = true,
     .envid = TEXT("e+2B"),
     .ret = RET_HDRS,
     .by_mode = BY_NOTIFY},
    {.sender = TEXT("s@us.test"),
     .recipients = recipients,
     .recipient_count = RECIPIENTS,
     .size_bytes = 6,
     .is_binary = true,
     .by_mode = BY_RETURN}};
static const char *const own_names[] = {"us.test"};
static const struct client_settings settings = {
    .helo_name = "us.test", .own_names = own_names, .own_name_count = 1};

static const struct client_terms terms = {.tls = CLIENT_TLS_NEVER};

struct driver {
    struct smtp_client *client;
    struct client_message messages[MESSAGES];
    struct verdict verdicts[MESSAGES][RECIPIENTS];
    bool waits[MESSAGES][RECIPIENTS]; /* for the reply to a dot */
    unsigned kinds;                   /* of the messages, two bits each */
    size_t given, returned;
    size_t content_given; /* number of the last message whose content was given */
    char heard;           /* first byte of the line just heard; 0: pieces are no lines */
    bool has_octets;      /* of a BDAT, since the last call */
    struct buf out;       /* since the last call */
    struct buf said;      /* all of it */
    struct buf result;    /* what became of the messages, as text */
};

static void give(struct driver *d)
{
    struct client_message *m = &d->messages[d->given];

    *m = (struct client_message){.envelope = &envelopes[(d->kinds >> 2 * d->given) % KINDS],
                                 .recipients = indexes,
                                 .verdicts = d->verdicts[d->given],
                                 .count = RECIPIENTS,
                                 .by_left_s = 60};
    d->given++;
    smtp_client_send(d->client, m, &d->out);
}

static void check_verdict(const struct verdict *v)
{
    must(v->text && v->remote &&
         v->status[0] == (char) ('0' + (v->class == VERDICT_DELIVERED  ? 2
                                        : v->class == VERDICT_DEFERRED ? 4
                                                                       : 5)));
    must(!v->from_remote || (v->code >= 200 && v->code < 600));
    must(!v->from_remote || v->class != VERDICT_DELIVERED || v->code / 100 == 2);
    must(v->class != VERDICT_FAILED || !v->from_remote || v->code / 100 == 5);
}

static void check_result(struct driver *d, const struct client_message *m)
{
    buf_printf(&d->result, "%d %d %d;", m->fault, m->dot_sent, m->was_answered);
    for (size_t i = 0; i < m->count; i++) {
        const struct verdict *v = &m->verdicts[i];

        must(v->class != VERDICT_DELIVERED || m->dot_sent);
        /* Its connection was lost behind the dot: nobody can say. */
        must(!d->waits[m - d->messages][i] || m->fault != FAULT_LOST || v->class == VERDICT_NONE ||
             v->in_doubt);
        must(!v->in_doubt || (m->dot_sent && v->class == VERDICT_DEFERRED));
        must(v->class != VERDICT_NONE || m->fault != FAULT_NONE ||
             i > 0); /* "again" only behind an accepted one, or one that can be reached */
        if (v->class != VERDICT_NONE)
            check_verdict(v);
        buf_printf(&d->result, "%d %u %s %s;", v->class, v->code, v->status, v->text ? v->text : "");
    }
}

/* Takes what was said: whole lines, and no dot that was not asked for. */
static void hear(struct driver *d)
{
    must(d->out.len == 0 || d->has_octets ||
         (d->out.len >= 2 && memcmp(d->out.data + d->out.len - 2, "\r\n", 2) == 0));
    d->has_octets = false;
    buf_add_span(&d->said, buf_span(&d->out));
    buf_clear(&d->out);
}

/* Notes who was accepted and waits for the reply to the dot: there must be one. */
static void note_waiting(struct driver *d, const struct client_message *m)
{
    size_t count = 0;

    for (size_t i = 0; i < m->count; i++)
        count += d->waits[m - d->messages][i] = m->verdicts[i].class == VERDICT_NONE;
    must(count > 0);
}

/* All of it, or one piece that is answered before the end. */
static void give_content(struct driver *d)
{
    const struct envelope *e = smtp_client_current(d->client)->envelope;
    size_t place = (size_t) (smtp_client_current(d->client) - d->messages);

    if (d->content_given != place + 1) {
        smtp_client_content(d->client, SPAN(".x\r\ny"), &d->out);
        d->content_given = place + 1;
        d->has_octets = e->is_binary;
    }
    if (smtp_client_ask(d->client) == ASK_CONTENT)
        smtp_client_content_end(d->client, &d->out);
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
            check_result(d, m);
            break;
        case ASK_MESSAGE:
            if (d->given == MESSAGES) {
                smtp_client_quit(d->client, &d->out);
                return true;
            }
            give(d);
            break;
        case ASK_CONTENT: give_content(d); break;
        case ASK_DOT:
            /* No end of binary content before its last piece was taken. */
            must(!d->heard || !smtp_client_current(d->client)->envelope->is_binary || d->heard == '2');
            note_waiting(d, smtp_client_current(d->client));
            smtp_client_dot(d->client, &d->out);
            if (smtp_client_has_room(d->client) && d->given < MESSAGES)
                give(d);
            break;
        case ASK_TLS:
        case ASK_KEY: must(!"asked for in plain");
        case ASK_REPLY: return true;
        case ASK_CLOSE: return false;
        }
    }
}

/* Says one piece; false when the connection is over. */
static bool feed(struct driver *d, struct span piece)
{
    while (piece.len > 0) {
        char *exact = mem_copy(piece.at,
                               piece.len); /* ends where the piece ends, so that reading on is seen */
        size_t used = smtp_client_feed(d->client, (struct span){.at = exact, .len = piece.len}, &d->out);

        mem_free(exact);
        must(used <= piece.len);
        bool has_asked = smtp_client_ask(d->client) != ASK_REPLY, goes_on = drive(d);
        hear(d);
        if (!goes_on)
            return false;
        must(used > 0 || has_asked);
        piece = (struct span){.at = piece.at + used, .len = piece.len - used};
    }
    return true;
}

static bool has(struct span text, const char *word)
{
    struct span w = span_of(word);

    for (size_t i = 0; i + w.len <= text.len; i++) {
        if (span_equal_nocase((struct span){.at = text.at + i, .len = w.len}, w))
            return true;
    }
    return false;
}

/* BEHAVIOURS H04 */
static void check_offered(const struct driver *d, struct span heard)
{
    static const struct {
        const char *said, *offer;
    } pairs[] = {{"BDAT ", "CHUNKING"},     {"BODY=BINARYMIME", "BINARYMIME"},
                 {"BODY=8", "8BITMIME"},    {" SIZE=", "SIZE"},
                 {" SMTPUTF8", "SMTPUTF8"}, {" ENVID=", "DSN"},
                 {" RET=", "DSN"},          {" NOTIFY=", "DSN"},
                 {" ORCPT=", "DSN"},        {" BY=", "DELIVERBY"},
                 {"\xc3\xa4", "SMTPUTF8"}};

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        must(!has(buf_span(&d->said), pairs[i].said) || has(heard, pairs[i].offer));
}

/* The remote says `in` in pieces of at most so many bytes, which end with their lines if asked for. */
static void run(struct driver *d, struct span in, size_t piece, bool by_line)
{
    bool goes_on = true, has_lines = by_line && piece == in.len;
    struct span heard = in;

    d->client = smtp_client_new(&settings, &terms, "mx [192.0.2.1]:25");
    while (in.len > 0 && goes_on) {
        size_t n = in.len < piece ? in.len : piece;
        const char *end = by_line ? memchr(in.at, '\n', n) : NULL;

        n = end ? (size_t) (end - in.at) + 1 : n;
        d->heard = has_lines ? *in.at : '\0';
        goes_on = feed(d, (struct span){.at = in.at, .len = n});
        in = (struct span){.at = in.at + n, .len = in.len - n};
    }
    if (smtp_client_ask(d->client) != ASK_CLOSE)
        smtp_client_end(d->client, FAULT_LOST, "closed by the host");
    drive(d);
    must(d->returned == d->given);
    check_offered(d, heard);
    buf_printf(&d->result, "%d", smtp_client_fault(d->client));
    smtp_client_free(d->client);
}

static void driver_done(struct driver *d)
{
    buf_done(&d->out);
    buf_done(&d->said);
    buf_done(&d->result);
    for (size_t i = 0; i < MESSAGES; i++) {
        for (size_t k = 0; k < RECIPIENTS; k++)
            verdict_done(&d->verdicts[i][k]);
        verdict_done(&d->messages[i].fault_verdict);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* First byte: pieces of which size, and which kinds of messages. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct span in = {.at = (const char *) data + 1, .len = size - 1};
    struct driver lines = {.given = 0}, parts = {.given = 0}, any = {.given = 0};

    lines.kinds = parts.kinds = any.kinds = data[0] >> 2;
    run(&lines, in, in.len, true);
    run(&parts, in, data[0] % 8u + 1, true);
    must(span_equal(buf_span(&lines.said), buf_span(&parts.said)));
    must(span_equal(buf_span(&lines.result), buf_span(&parts.result)));
    run(&any, in, data[0] + 1u, false); /* also many replies at once: said before we asked */
    driver_done(&lines);
    driver_done(&parts);
    driver_done(&any);
    return 0;
}
