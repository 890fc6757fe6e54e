/*
 * The client engine against any remote, in SMTP and LMTP, in plain and behind STARTTLS, with and without a login: the input is what the remote says;
 * the driver does its part. Checked: every message given comes back exactly once; nothing that the host does not offer (since TLS is on) is used; no
 * dot without an accepted recipient; a verdict of delivered only behind a dot, and no doubt without one, in LMTP one reply each; nothing is read
 * behind the 220 to STARTTLS; no login in plain, and none with a host that does not know the password; mail that must stay protected does; what is
 * said is whole lines, but for the octets a BDAT announces; and pieces make no difference: lines heard at once and byte by byte come to the same.
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
/* A plain message, one that asks for much, a binary one, one that must stay protected: which they are, the input's first byte says. */
enum { KINDS = 4 };
static const struct envelope envelopes[KINDS] = {
    {.sender = TEXT("s@us.test"), .recipients = recipients, .recipient_count = RECIPIENTS, .size_bytes = 6},
    {.sender = TEXT("s@us.test"),
     .recipients = wishes,
     .recipient_count = RECIPIENTS,
     .size_bytes = 6,
     .is_8bit = true,
     .is_utf8 = true,
     .envid = TEXT("e+2B"),
     .auth = TEXT("a=1@us.test"),
     .ret = RET_HDRS,
     .by_mode = BY_NOTIFY},
    {.sender = TEXT("s@us.test"),
     .recipients = recipients,
     .recipient_count = RECIPIENTS,
     .size_bytes = 6,
     .is_binary = true,
     .by_mode = BY_RETURN},
    {.sender = TEXT("s@us.test"),
     .recipients = recipients,
     .recipient_count = RECIPIENTS,
     .size_bytes = 6,
     .requires_tls = true}};
static const char *const own_names[] = {"us.test"};
static const struct client_settings settings = {
    .helo_name = "us.test", .own_names = own_names, .own_name_count = 1};

#define PASSWORD "pen=c1l"
static char *scram_only[] = {TEXT("SCRAM-SHA-256")}, *weak_only[] = {TEXT("LOGIN"), TEXT("PLAIN")};
static const struct conf_list mechanisms[] = {{.count = 0},
                                              {.items = scram_only, .count = 1},
                                              {.items = weak_only, .count = 2},
                                              {.items = weak_only, .count = 1}};

struct driver {
    struct smtp_client *client;
    struct client_terms terms;
    bool is_proven; /* once TLS is on */
    uint8_t key;    /* every byte of it */
    bool has_logged_in;
    struct client_message messages[MESSAGES];
    struct verdict verdicts[MESSAGES][RECIPIENTS];
    bool waits[MESSAGES][RECIPIENTS];  /* for the reply to a dot */
    unsigned replies_before[MESSAGES]; /* the dot */
    unsigned kinds;                    /* of the messages, two bits each */
    size_t given, returned;
    size_t content_given;           /* number of the last message whose content was given */
    char heard;                     /* first byte of the line just heard; 0: pieces are no lines */
    bool has_octets;                /* of a BDAT, since the last call */
    struct buf out;                 /* since the last call */
    struct buf said;                /* all of it */
    struct buf said_now, heard_now; /* in plain, or since TLS is on */
    struct buf result;              /* what became of the messages, as text */
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

/* In LMTP each reply is one recipient's, in their order. */
static void check_replies(const struct driver *d, const struct client_message *m)
{
    size_t place = (size_t) (m - d->messages), answered = 0;
    bool is_lost = false;

    for (size_t i = 0; i < m->count; i++) {
        if (!d->waits[place][i] || m->verdicts[i].class == VERDICT_NONE) /* for another transaction */
            continue;
        must(!is_lost || m->verdicts[i].in_doubt);
        is_lost = m->verdicts[i].in_doubt;
        answered += !is_lost;
    }
    must(answered <= smtp_client_reply_count(d->client) - d->replies_before[place]);
}

static void check_result(struct driver *d, const struct client_message *m)
{
    buf_printf(&d->result, "%d %d %d;", m->fault, m->dot_sent, m->was_answered);
    for (size_t i = 0; i < m->count; i++) {
        const struct verdict *v = &m->verdicts[i];

        must(v->class != VERDICT_DELIVERED || m->dot_sent);
        /* Its connection was lost behind the dot: nobody can say. */
        must(!d->waits[m - d->messages][i] || m->fault != FAULT_LOST || d->terms.is_lmtp ||
             v->class == VERDICT_NONE || v->in_doubt);
        must(!v->in_doubt || (m->dot_sent && v->class == VERDICT_DEFERRED));
        must(v->class != VERDICT_NONE || m->fault != FAULT_NONE ||
             i > 0); /* "again" only behind an accepted one, or one that can be reached */
        if (v->class != VERDICT_NONE)
            check_verdict(v);
        buf_printf(&d->result, "%d %u %s %s;", v->class, v->code, v->status, v->text ? v->text : "");
    }
    if (d->terms.is_lmtp && m->dot_sent)
        check_replies(d, m);
    must(!m->dot_sent || !m->envelope->requires_tls || (smtp_client_is_secured(d->client) && d->is_proven) ||
         (d->terms.is_lmtp && d->terms.is_private));
}

/* Takes what was said: whole lines, and no dot that was not asked for. */
static void hear(struct driver *d)
{
    must(d->out.len == 0 || d->has_octets ||
         (d->out.len >= 2 && memcmp(d->out.data + d->out.len - 2, "\r\n", 2) == 0));
    d->has_octets = false;
    buf_add_span(&d->said, buf_span(&d->out));
    buf_add_span(&d->said_now, buf_span(&d->out));
    buf_clear(&d->out);
}

/* Notes who was accepted and waits for the reply to the dot: there must be one. */
static void note_waiting(struct driver *d, const struct client_message *m)
{
    size_t count = 0;

    for (size_t i = 0; i < m->count; i++)
        count += d->waits[m - d->messages][i] = m->verdicts[i].class == VERDICT_NONE;
    must(count > 0);
    d->replies_before[m - d->messages] = smtp_client_reply_count(d->client);
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

static bool has(struct span text, const char *word)
{
    struct span w = span_of(word);

    for (size_t i = 0; i + w.len <= text.len; i++) {
        if (span_equal_nocase((struct span){.at = text.at + i, .len = w.len}, w))
            return true;
    }
    return false;
}

/* BEHAVIOURS H04: what was said is what the host offered since TLS is on, or before. */
static void check_offered(const struct driver *d)
{
    static const struct {
        const char *said, *offer;
    } pairs[] = {{"BDAT ", "CHUNKING"},
                 {"BODY=BINARYMIME", "BINARYMIME"},
                 {"BODY=8", "8BITMIME"},
                 {" SIZE=", "SIZE"},
                 {" SMTPUTF8", "SMTPUTF8"},
                 {" ENVID=", "DSN"},
                 {" RET=", "DSN"},
                 {" NOTIFY=", "DSN"},
                 {" ORCPT=", "DSN"},
                 {" BY=", "DELIVERBY"},
                 {"\xc3\xa4", "SMTPUTF8"},
                 {"STARTTLS", "STARTTLS"},
                 {" REQUIRETLS", "REQUIRETLS"},
                 {"AUTH ", "AUTH"},
                 {"AUTH SCRAM-", "SCRAM-SHA-256"},
                 {"AUTH PLAIN", "PLAIN"},
                 {"AUTH LOGIN", "LOGIN"},
                 {" AUTH=", "AUTH"}};

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        must(!has(buf_span(&d->said_now), pairs[i].said) || has(buf_span(&d->heard_now), pairs[i].offer));
    must(smtp_client_is_secured(d->client) || d->terms.is_private || !has(buf_span(&d->said_now), "AUTH "));
    must(!smtp_client_is_secured(d->client) || !has(buf_span(&d->said_now), "STARTTLS"));
}

static void go_secure(struct driver *d)
{
    must(d->terms.tls != CLIENT_TLS_NEVER);
    hear(d);
    check_offered(d);
    buf_clear(&d->said_now);
    buf_clear(&d->heard_now);
    smtp_client_secured(d->client, d->is_proven, &d->out);
}

static void give_key(struct driver *d)
{
    struct span password, salt;
    uint32_t iterations;
    uint8_t key[CLIENT_KEY_BYTES];

    smtp_client_key_request(d->client, &password, &salt, &iterations);
    must(span_equal(password, SPAN(PASSWORD)) && salt.len > 0 && iterations >= CLIENT_ITERATIONS_LEAST &&
         iterations <= CLIENT_ITERATIONS_MOST);
    memset(key, d->key, sizeof(key)); /* not the key, which takes its time: as good as any here */
    smtp_client_key(d->client, key, &d->out);
}

/* Gives the next message; false: there is none. */
static bool give_next(struct driver *d)
{
    hear(d);
    d->has_logged_in = has(buf_span(&d->said_now), "AUTH SCRAM");
    must(d->terms.tls != CLIENT_TLS_MUST || smtp_client_is_secured(d->client));
    must(!d->terms.user || has(buf_span(&d->said_now), "AUTH "));
    if (d->given < MESSAGES) {
        give(d);
        return true;
    }
    smtp_client_quit(d->client, &d->out);
    return false;
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
            if (!give_next(d))
                return true;
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
        case ASK_TLS: go_secure(d); break;
        case ASK_KEY: give_key(d); break;
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
        buf_add(&d->heard_now, piece.at, used);
        must(smtp_client_ask(d->client) != ASK_TLS || used == piece.len); /* BEHAVIOURS L02 */
        bool has_asked = smtp_client_ask(d->client) != ASK_REPLY, goes_on = drive(d);
        hear(d);
        if (!goes_on)
            return false;
        must(used > 0 || has_asked);
        piece = (struct span){.at = piece.at + used, .len = piece.len - used};
    }
    return true;
}

/* The remote says `in` in pieces of at most so many bytes, which end with their lines if asked for. */
static void run(struct driver *d, struct span in, size_t piece, bool by_line)
{
    bool goes_on = true, has_lines = by_line && piece == in.len;

    d->client = smtp_client_new(&settings, &d->terms, "mx [192.0.2.1]:25");
    if (d->terms.is_wrapped)
        goes_on = drive(d);
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
    check_offered(d);
    must(smtp_client_fault(d->client) != FAULT_AUTH ||
         !has(span_of(smtp_client_fault_verdict(d->client)->text), PASSWORD));
    buf_printf(&d->result, "%d", smtp_client_fault(d->client));
    smtp_client_free(d->client);
}

/* Three bytes: which kinds of messages; what holds for the connection; pieces of which size. */
static struct driver driver(const uint8_t *data)
{
    bool has_login = data[1] & 16;

    return (struct driver){
        .kinds = data[0],
        .is_proven = data[1] & 32,
        .key = 'k',
        .terms = {.tls = data[1] % 4u == 3 ? CLIENT_TLS_MUST : (enum client_tls)(data[1] % 4u),
                  .is_wrapped = data[1] % 4u == 3,
                  .is_lmtp = data[1] & 4,
                  .is_private = data[1] & 8,
                  .user = has_login ? "u,ser" : NULL,
                  .password = has_login ? PASSWORD : NULL,
                  .mechanisms = &mechanisms[data[1] >> 6],
                  .nonce = "N0nce"},
    };
}

static void driver_done(struct driver *d)
{
    buf_done(&d->out);
    buf_done(&d->said);
    buf_done(&d->said_now);
    buf_done(&d->heard_now);
    buf_done(&d->result);
    for (size_t i = 0; i < MESSAGES; i++) {
        for (size_t k = 0; k < RECIPIENTS; k++)
            verdict_done(&d->verdicts[i][k]);
        verdict_done(&d->messages[i].fault_verdict);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    struct span in = {.at = (const char *) data + 3, .len = size - 3};
    struct driver lines = driver(data), parts = driver(data), any = driver(data), other = driver(data);

    run(&lines, in, in.len, true);
    run(&parts, in, data[2] % 8u + 1, true);
    must(span_equal(buf_span(&lines.said), buf_span(&parts.said)));
    must(span_equal(buf_span(&lines.result), buf_span(&parts.result)));
    run(&any, in, data[2] + 1u, false); /* also many replies at once: said before we asked */
    if (lines.has_logged_in) {          /* who knows one password does not know another */
        other.key++;
        run(&other, in, in.len, true);
        must(!other.has_logged_in);
    }
    driver_done(&lines);
    driver_done(&parts);
    driver_done(&any);
    driver_done(&other);
    return 0;
}
