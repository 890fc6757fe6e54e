/*
 * Random walks over the SMTP server engine: any command at any time, any answer of the owner, any way of cutting. A model beside it knows what may
 * be known: everything said in transaction n has n in it, so that whatever is left of an earlier one is seen at the next ask (BEHAVIOURS B07).
 * SMTP_WALK_SEED repeats a run, SMTP_WALKS says how many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ingress/smtp_server.h"

enum { WALKS = 10000, STEPS = 100, TEXT_MAX = 1200, MOST_RECIPIENTS = 6, MOST_TRANSACTIONS = 12 };
enum place { FIRST, IDLE, OPEN, BETWEEN, CLOSED };

/* What may be known of one recipient, as it must come out. */
struct known {
    char addr[64], orcpt[80];
    unsigned notify;
};

struct walk {
    uint64_t random, seed;
    size_t step;
    struct smtp_profile profile;
    struct smtp_server engine;
    struct buf in, out, content; /* content: the owner's, until it is committed or dropped */
    uint64_t now_ms;
    /* the model */
    enum place place;
    bool is_secured, is_authenticated;
    unsigned serial, accepted_mails;
    char sender[64], envid[32];
    bool is_utf8, is_binary, has_hold, has_refused, has_ret;
    struct known recipients[MOST_RECIPIENTS + 4];
    size_t recipient_count;
    struct buf sent; /* content as it must be */
    /* how the owner will answer */
    unsigned answer, list_count;
    bool is_commit_seen;
};

/* How far the walks went: a walk that never commits anything finds nothing. */
static uint64_t commits, chunked, ended, compared;

static uint64_t draw(struct walk *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % below;
}

static bool chance(struct walk *w, unsigned percent)
{
    return draw(w, 100) < percent;
}

static void check(const struct walk *w, bool is_so, const char *what)
{
    if (!is_so)
        fail_msg("SMTP_WALK_SEED=%llu, step %zu, transaction %u: %s", (unsigned long long) w->seed, w->step,
                 w->serial, what);
}
#define CHECK(w, condition) check(w, condition, #condition)

/* ---- the model */

static void forget(struct walk *w)
{
    ended += w->place == OPEN || w->place == BETWEEN;
    w->sender[0] = w->envid[0] = '\0';
    w->is_utf8 = w->is_binary = w->has_hold = w->has_refused = w->has_ret = false;
    w->recipient_count = 0;
    buf_clear(&w->sent);
    if (w->place == OPEN || w->place == BETWEEN)
        w->place = IDLE;
}

static bool tls_is_due(const struct walk *w)
{
    return w->profile.tls == SMTP_TLS_REQUIRED && !w->is_secured;
}

static bool has(const struct walk *w, enum smtp_extension extension)
{
    return (w->profile.extensions & 1u << extension) != 0;
}

static void add_known(struct walk *w, const char *addr, unsigned notify, const char *orcpt)
{
    for (size_t i = 0; i < w->recipient_count; i++)
        if (strcmp(w->recipients[i].addr, addr) == 0)
            return;
    struct known *k = &w->recipients[w->recipient_count++];
    (void) snprintf(k->addr, sizeof k->addr, "%s", addr);
    (void) snprintf(k->orcpt, sizeof k->orcpt, "%s", orcpt);
    k->notify = notify;
}

static bool same(const char *given, const char *wanted)
{
    return given ? strcmp(given, wanted) == 0 && wanted[0] != '\0' : wanted[0] == '\0';
}

/* What the engine tells the owner is this transaction, and nothing else. */
static void compare(struct walk *w)
{
    const struct smtp_transaction *t = w->engine.transaction;
    CHECK(w, t != NULL && w->sender[0] != '\0' && w->recipient_count > 0);
    CHECK(w, strcmp(smtp_sender(t), w->sender) == 0);
    CHECK(w, same(smtp_envid(t), w->envid));
    CHECK(w, t->is_utf8 == w->is_utf8 && t->is_binary == w->is_binary && (t->ret == RET_HDRS) == w->has_ret);
    CHECK(w, (t->release_in_ms > 0) == w->has_hold && t->release_at_ms == 0 && t->by_mode == BY_NONE);
    CHECK(w, !smtp_mail_auth(t));
    CHECK(w, t->recipient_count == w->recipient_count);
    for (size_t i = 0; i < t->recipient_count; i++) {
        struct smtp_dsn dsn = smtp_recipient_dsn(t, i);
        CHECK(w, strcmp(smtp_recipient(t, i), w->recipients[i].addr) == 0);
        CHECK(w, dsn.notify == w->recipients[i].notify && same(dsn.orcpt, w->recipients[i].orcpt));
    }
}

/* Nothing is left where there is no transaction. */
static void check_state(struct walk *w)
{
    const struct smtp_server *e = &w->engine;
    bool is_open = w->place == OPEN || w->place == BETWEEN;
    CHECK(w, (e->transaction != NULL) == is_open);
    CHECK(w, e->address.whole.len == 0 && !e->content.at && !e->sasl && !e->xclient && !e->skip);
    CHECK(w, (e->ask == SMTP_ASK_CLOSE) == (w->place == CLOSED) &&
                 (e->ask == SMTP_ASK_NONE || w->place == CLOSED));
    if (w->place == CLOSED)
        return;
    CHECK(w, e->phase == (w->place == FIRST  ? SMTP_FIRST
                          : w->place == IDLE ? SMTP_IDLE
                          : w->place == OPEN ? SMTP_OPEN
                                             : SMTP_BETWEEN));
    CHECK(w, e->is_secured == w->is_secured && e->is_authenticated == w->is_authenticated);
    CHECK(w, (e->helo != NULL) == (w->place != FIRST));
    CHECK(w, (e->transaction && e->transaction->content) == (w->place == BETWEEN));
}

/* ---- the owner */

static void answer_code(struct walk *w, unsigned code)
{
    char status[8];
    const struct smtp_answer a = {code, status, "So be it", NULL, 0};
    (void) snprintf(status, sizeof status, "%u.7.1", code / 100 % 10);
    smtp_server_answer(&w->engine, &a, w->now_ms, &w->out);
}

static void answer_recipient(struct walk *w)
{
    char texts[4][64];
    const char *list[4];
    CHECK(w, w->place == OPEN && w->engine.transaction);
    CHECK(w, strcmp(smtp_sender(w->engine.transaction), w->sender) == 0);
    for (unsigned i = 0; i < w->list_count; i++) {
        (void) snprintf(texts[i], sizeof texts[i], "l%ux%u@d.example", w->serial, i);
        list[i] = texts[i];
    }
    const struct smtp_answer a = {w->answer,
                                  w->answer == 250  ? "2.1.5"
                                  : w->answer < 500 ? "4.7.1"
                                                    : "5.7.1",
                                  "So be it", list, w->list_count};
    smtp_server_answer(&w->engine, &a, w->now_ms, &w->out);
}

static void answer_auth(struct walk *w)
{
    const struct smtp_sasl *sasl = w->engine.sasl;
    if (sasl->step == SMTP_SASL_CANCEL)
        smtp_server_go_on(&w->engine, w->now_ms, &w->out);
    else if (w->answer == 334)
        smtp_server_challenge(&w->engine, SPAN("more"), w->now_ms, &w->out);
    else
        answer_code(w, w->answer);
}

static void answer_all(struct walk *w)
{
    struct smtp_server *e = &w->engine;
    while (e->ask != SMTP_ASK_NONE && e->ask != SMTP_ASK_CLOSE) {
        switch ((enum smtp_ask) e->ask) {
        case SMTP_ASK_SENDER:
            CHECK(w, span_equal(e->address.whole, span_of(w->sender)));
            CHECK(w, e->transaction->recipient_count == 0 && !e->transaction->content);
            answer_code(w, w->answer);
            break;
        case SMTP_ASK_RECIPIENT: answer_recipient(w); break;
        case SMTP_ASK_BODY:
            compare(w);
            CHECK(w, w->content.len == 0);
            answer_code(w, w->answer);
            break;
        case SMTP_ASK_CONTENT:
            compare(w);
            buf_add_span(&w->content, e->content);
            smtp_server_go_on(e, w->now_ms, &w->out);
            break;
        case SMTP_ASK_DROP:
            buf_clear(&w->content);
            smtp_server_go_on(e, w->now_ms, &w->out);
            break;
        case SMTP_ASK_COMMIT:
            compare(w);
            CHECK(w, span_equal(buf_span(&w->content), buf_span(&w->sent)));
            w->is_commit_seen = true;
            commits++;
            chunked += e->transaction->is_chunked;
            buf_clear(&w->content);
            answer_code(w, chance(w, 80) ? 250 : 451);
            break;
        case SMTP_ASK_HANDSHAKE: smtp_server_secured(e, w->now_ms, &w->out); break;
        case SMTP_ASK_AUTH: answer_auth(w); break;
        default: answer_code(w, w->answer); break; /* TLS, XCLIENT */
        }
    }
}

/* ---- the client */

static void say(struct walk *w, struct span bytes)
{
    bool by_byte = chance(w, 10);
    while (bytes.len > 0 && w->engine.ask != SMTP_ASK_CLOSE) {
        size_t piece = by_byte ? 1 : bytes.len;
        buf_add(&w->in, bytes.at, piece);
        bytes = (struct span){.at = bytes.at + piece, .len = bytes.len - piece};
        for (size_t used = 1; used > 0 && w->in.len > 0 && w->engine.ask != SMTP_ASK_CLOSE;) {
            used = smtp_server_feed(&w->engine, buf_span(&w->in), w->now_ms, &w->out);
            answer_all(w);
            buf_consume(&w->in, used);
        }
    }
}

/* The code of the one reply that came; 0: none. */
static unsigned hear(struct walk *w)
{
    unsigned code = 0, count = 0;
    struct span rest = buf_span(&w->out);
    while (rest.len > 0) {
        struct span line = span_cut(&rest, '\n');
        CHECK(w, line.len >= 4 && line.at[line.len - 1] == '\r');
        code = (unsigned) ((line.at[0] - '0') * 100 + (line.at[1] - '0') * 10 + (line.at[2] - '0'));
        count += line.at[3] == ' ';
    }
    CHECK(w, count <= 1);
    buf_clear(&w->out);
    return code;
}

static void expect(struct walk *w, const char *line, unsigned wanted)
{
    unsigned heard;
    say(w, span_of(line));
    heard = hear(w);
    if (heard != wanted)
        fail_msg("SMTP_WALK_SEED=%llu, step %zu: %.60s wanted %u, heard %u", (unsigned long long) w->seed,
                 w->step, line, wanted, heard);
    if (wanted == 421)
        w->place = CLOSED;
}

/* ---- its commands */

static void say_hello(struct walk *w)
{
    bool is_ehlo = chance(w, 80);
    if (!is_ehlo && tls_is_due(w)) {
        expect(w, "HELO a\r\n", 530);
        return;
    }
    expect(w, is_ehlo ? "EHLO a\r\n" : "HELO a\r\n", 250);
    forget(w);
    w->place = IDLE;
}

static void say_small(struct walk *w)
{
    static const struct {
        const char *line;
        unsigned code;
    } rows[] = {{"NOOP\r\n", 250}, {"VRFY x\r\n", 252}, {"FOO\r\n", 500},
                {"HELP\r\n", 214}, {"EXPN x\r\n", 502}, {"RSET x\r\n", 501}};
    size_t i = draw(w, ARRAY_LEN(rows));
    bool is_plain = i == 0 || i == 2;
    expect(w, rows[i].line, tls_is_due(w) && !is_plain ? 530 : rows[i].code);
}

static void say_reset(struct walk *w)
{
    bool is_served = !tls_is_due(w);
    expect(w, "RSET\r\n", is_served ? 250 : 530);
    if (is_served)
        forget(w);
}

static void say_starttls(struct walk *w)
{
    bool is_offered = w->profile.tls != SMTP_TLS_OFF;
    w->answer = chance(w, 80) ? 220 : 454;
    if (w->place == BETWEEN || (is_offered && w->is_secured)) {
        expect(w, "STARTTLS\r\n", 503);
    } else if (!is_offered) {
        expect(w, "STARTTLS\r\n", w->is_secured ? 503 : 502);
    } else {
        forget(w);
        expect(w, "STARTTLS\r\n", w->answer);
        if (w->answer == 220) {
            w->is_secured = true;
            w->is_authenticated = false;
            w->place = FIRST;
        }
    }
}

static void say_auth(struct walk *w)
{
    static const char *const ends[] = {"AAAA\r\n", "*\r\n", "!\r\n"};
    unsigned wanted = tls_is_due(w)                                    ? 530
                      : w->profile.auth == SMTP_AUTH_OFF               ? 502
                      : w->place != IDLE || w->is_authenticated        ? 503
                      : !w->is_secured && !w->profile.auth_without_tls ? 538
                                                                       : 0;
    if (wanted != 0) {
        expect(w, "AUTH PLAIN AAAA\r\n", wanted);
        return;
    }
    size_t end = draw(w, ARRAY_LEN(ends));
    bool is_long = chance(w, 50);
    if (is_long) {
        w->answer = 334;
        expect(w, "AUTH PLAIN\r\n", 334);
    }
    w->answer = chance(w, 60) ? 235 : chance(w, 50) ? 535 : 454;
    expect(w, is_long ? ends[end] : "AUTH PLAIN AAAA\r\n", is_long && end > 0 ? 501 : w->answer);
    w->is_authenticated = w->answer == 235 && !(is_long && end > 0);
}

static void say_xclient(struct walk *w)
{
    bool is_good = chance(w, 80);
    const char *line = is_good ? "XCLIENT ADDR=192.0.2.1 LOGIN=x\r\n" : "XCLIENT ADDR=x\r\n";
    w->answer = chance(w, 80) ? 220 : 550;
    unsigned wanted = !w->engine.is_xclient_allowed ? 500
                      : tls_is_due(w)               ? 530
                      : w->place > IDLE             ? 503
                      : !is_good                    ? 501
                                                    : w->answer;
    expect(w, line, wanted);
    if (wanted == 220) {
        w->place = FIRST;
        w->is_authenticated = false;
        w->accepted_mails = 0;
    }
}

/* The parameters drawn, into the model and the line. */
static void draw_mail(struct walk *w, char line[static TEXT_MAX])
{
    struct buf text = {0};
    forget(w);
    w->serial++;
    (void) snprintf(w->sender, sizeof w->sender, "s%u@b.example", w->serial);
    buf_printf(&text, "MAIL FROM:<%s>", w->sender);
    if (has(w, SMTP_DSN) && chance(w, 40)) {
        (void) snprintf(w->envid, sizeof w->envid, "e%u", w->serial);
        buf_printf(&text, " ENVID=%s", w->envid);
    }
    if ((w->has_ret = has(w, SMTP_DSN) && chance(w, 40)))
        buf_add_text(&text, " RET=HDRS");
    if ((w->is_utf8 = has(w, SMTP_UTF8) && chance(w, 30)))
        buf_add_text(&text, " SMTPUTF8");
    if ((w->is_binary = has(w, SMTP_BINARYMIME) && has(w, SMTP_CHUNKING) && chance(w, 20)))
        buf_add_text(&text, " BODY=BINARYMIME");
    if ((w->has_hold = has(w, SMTP_FUTURERELEASE) && chance(w, 20)))
        buf_add_text(&text, " HOLDFOR=5");
    (void) snprintf(line, TEXT_MAX, "%.*s", SPAN_ARG(buf_span(&text)));
    buf_done(&text);
}

static void say_mail(struct walk *w)
{
    char line[TEXT_MAX];
    static const char *const bad[] = {"SIZE=999999", "SIZE=x", "FOO=1", "ENVID=a+00", "BODY=9BIT"};
    if (tls_is_due(w) || w->place != IDLE) {
        expect(w, "MAIL FROM:<s0@b.example> SIZE=1\r\n", tls_is_due(w) ? 530 : 503);
        return;
    }
    if (w->profile.auth == SMTP_AUTH_REQUIRED && !w->is_authenticated) {
        expect(w, "MAIL FROM:<s0@b.example>\r\n", 530);
        return;
    }
    if (w->accepted_mails >= w->profile.limits.transactions) {
        expect(w, "MAIL FROM:<s0@b.example>\r\n", 421);
        return;
    }
    draw_mail(w, line);
    size_t i = draw(w, ARRAY_LEN(bad)), len = strlen(line);
    bool is_bad = chance(w, 15);
    static const unsigned codes[] = {552, 501, 555, 0, 501};
    unsigned refusal = i == 3 ? (has(w, SMTP_DSN) ? 501 : 555) : codes[i];
    (void) snprintf(line + len, sizeof line - len, "%s%s\r\n", is_bad ? " " : "", is_bad ? bad[i] : "");
    w->answer = chance(w, 85) ? 250 : chance(w, 50) ? 451 : 550;
    expect(w, line, is_bad ? refusal : w->answer);
    if (is_bad || w->answer != 250) {
        forget(w);
        return;
    }
    w->place = OPEN;
    w->accepted_mails++;
}

/* Who comes out of an accepted RCPT; true: too many. */
static bool take_known(struct walk *w, const char *addr, unsigned notify, const char *orcpt)
{
    size_t count = w->recipient_count;
    char text[64], made[80];
    (void) snprintf(made, sizeof made, "rfc822;%s", addr);
    if (w->list_count == 0)
        add_known(w, addr, notify, orcpt);
    for (unsigned i = 0; i < w->list_count; i++) {
        (void) snprintf(text, sizeof text, "l%ux%u@d.example", w->serial, i);
        add_known(w, text, notify, orcpt[0] == '\0' && has(w, SMTP_DSN) ? made : orcpt);
    }
    if (w->recipient_count <= w->profile.limits.recipients)
        return false;
    w->recipient_count = count;
    return true;
}

static void say_rcpt(struct walk *w)
{
    char line[TEXT_MAX], addr[64], orcpt[64] = "";
    unsigned notify = 0, number = (unsigned) draw(w, 5);
    if (tls_is_due(w) || w->place != OPEN) {
        expect(w, "RCPT TO:<r0@d.example>\r\n", tls_is_due(w) ? 530 : 503);
        return;
    }
    if (chance(w, 10)) {
        expect(w, "RCPT TO:<r0@>\r\n", 501);
        w->has_refused = true;
        return;
    }
    (void) snprintf(addr, sizeof addr, "r%ux%u@d.example", w->serial, number);
    if (has(w, SMTP_DSN) && chance(w, 40))
        (void) snprintf(orcpt, sizeof orcpt, "rfc822;o%ux%u", w->serial, number);
    if (has(w, SMTP_DSN) && chance(w, 40))
        notify = chance(w, 50) ? NOTIFY_NEVER : NOTIFY_DELAY;
    (void) snprintf(line, sizeof line, "RCPT TO:<%s>%s%s%s%s\r\n", addr, orcpt[0] ? " ORCPT=" : "", orcpt,
                    notify ? " NOTIFY=" : "",
                    notify == 0              ? ""
                    : notify == NOTIFY_NEVER ? "NEVER"
                                             : "DELAY");
    for (size_t i = 0; i < w->recipient_count; i++)
        if (strcmp(w->recipients[i].addr, addr) == 0) {
            expect(w, line, 250);
            return;
        }
    w->answer = chance(w, 70) ? 250 : chance(w, 50) ? 450 : 550;
    w->list_count = chance(w, 20) ? 1 + (unsigned) draw(w, 3) : 0;
    unsigned wanted = w->answer;
    if (w->recipient_count >= w->profile.limits.recipients)
        wanted = 452;
    else if (w->answer != 250)
        w->has_refused = true;
    else
        wanted = take_known(w, addr, notify, orcpt) ? 452 : 250;
    expect(w, line, wanted);
}

/* Content that is good, or has a fault: *ret_code is what it will be refused with, 0: good. */
static void draw_content(struct walk *w, struct buf *out, unsigned *ret_code)
{
    unsigned kind = (unsigned) draw(w, 20);
    *ret_code = kind == 0 ? 552 : kind == 1 ? 554 : 0;
    buf_printf(out, "Subject: %u\r\n\r\n", w->serial);
    if (kind == 0)
        for (int i = 0; i < 100; i++)
            buf_add_text(out, "0123456789\r\n");
    if (kind == 1)
        buf_add_text(out, "bare\nline feed\r\n");
    if (kind >= 10)
        buf_add_text(out, "NOOP\r\nMAIL FROM:<s0@b.example>\r\n");
}

static void say_content(struct walk *w)
{
    AUTO_BUF struct buf content = {0};
    unsigned code;
    draw_content(w, &content, &code);
    buf_add_span(&w->sent, buf_span(&content));
    buf_add_text(&content, ".\r\n");
    w->is_commit_seen = false;
    say(w, buf_span(&content));
    unsigned heard = hear(w);
    CHECK(w, w->is_commit_seen ? heard == 250 || heard == 451 : heard == code && code != 0);
    CHECK(w, w->is_commit_seen == (code == 0));
    forget(w);
    if (code == 554)
        w->place = CLOSED;
}

static void say_data(struct walk *w)
{
    w->answer = chance(w, 85) ? 354 : 451;
    unsigned wanted = tls_is_due(w)            ? 530
                      : w->place != OPEN       ? 503
                      : w->is_binary           ? 503
                      : w->recipient_count > 0 ? w->answer
                      : w->has_refused         ? 554
                                               : 503;
    expect(w, "DATA\r\n", wanted);
    if (wanted == 354)
        say_content(w);
    else if (wanted == 451)
        forget(w);
}

/* A chunk for which there is no place is read past, and its transaction ends. */
static unsigned refusal_of_chunk(const struct walk *w)
{
    return tls_is_due(w)            ? 530
           : w->place < OPEN        ? 503
           : w->recipient_count > 0 ? 0
           : w->has_refused         ? 554
                                    : 503;
}

static void say_chunk(struct walk *w)
{
    AUTO_BUF struct buf content = {0}, all = {0};
    unsigned code = 0, refusal = refusal_of_chunk(w);
    bool is_last = chance(w, 50), is_first = w->place == OPEN, is_good = chance(w, 95);
    if (!has(w, SMTP_CHUNKING)) {
        if (chance(w, 95))
            return;
        expect(w, "BDAT 3\r\n", 502);
        w->place = CLOSED;
        return;
    }
    if (chance(w, 85))
        draw_content(w, &content, &code);
    if (code == 554 && w->is_binary)
        code = 0;
    if (w->sent.len + content.len > w->profile.limits.message_bytes)
        code = 552;
    w->answer = chance(w, 85) ? 354 : 452;
    buf_printf(&all, "BDAT %zu%s\r\n", content.len, !is_good ? " FIRST" : is_last ? " LAST" : "");
    buf_add_span(&all, buf_span(&content));
    bool is_refused = !is_good || refusal != 0 || (is_first && code == 552) || (is_first && w->answer == 452);
    unsigned wanted = !is_good                       ? 501
                      : refusal != 0                 ? refusal
                      : is_first && code == 552      ? 552
                      : is_first && w->answer == 452 ? 452
                      : code != 0                    ? code
                                                     : 250;
    if (!is_refused)
        buf_add_span(&w->sent, buf_span(&content));
    w->is_commit_seen = false;
    say(w, buf_span(&all));
    unsigned heard = hear(w);
    bool is_commit = wanted == 250 && is_last;
    CHECK(w, w->is_commit_seen == is_commit);
    CHECK(w, heard == wanted || (is_commit && heard == 451));
    if (wanted == 250 && !is_last) {
        w->place = BETWEEN;
        return;
    }
    forget(w);
    if (code == 554 && !is_refused)
        w->place = CLOSED;
}

static void take_step(struct walk *w)
{
    static void (*const commands[])(struct walk *) = {
        say_hello, say_mail,  say_mail,     say_mail,  say_rcpt,   say_rcpt,  say_rcpt,
        say_rcpt,  say_data,  say_data,     say_chunk, say_chunk,  say_chunk, say_chunk,
        say_small, say_reset, say_starttls, say_auth,  say_xclient};
    size_t i = w->place == FIRST && chance(w, 60) ? 0 : draw(w, ARRAY_LEN(commands));
    if (chance(w, 2))
        w->profile.limits.recipients = 1 + draw(w, MOST_RECIPIENTS); /* stress comes and goes */
    w->list_count = 0;
    commands[i](w);
    CHECK(w, w->in.len == 0 || w->place == CLOSED);
    check_state(w);
}

/* ---- a walk */

static void draw_profile(struct walk *w)
{
    w->profile = (struct smtp_profile){
        .limits = {.message_bytes = 1000,
                   .line_bytes = 998,
                   .header = {.size_bytes = 900, .fields = 100, .hops = 9},
                   .recipients = MOST_RECIPIENTS,
                   .transactions = MOST_TRANSACTIONS,
                   .errors = 100000,
                   .junk = 100000,
                   .command_ms = 300000,
                   .data_ms = 300000,
                   .data_total_ms = 3600000},
        .tls = (enum smtp_tls) draw(w, 3),
        .auth = (enum smtp_auth) draw(w, 3),
        .auth_without_tls = chance(w, 50),
        .mechanisms = "PLAIN LOGIN",
        .tls_mechanisms = "PLAIN",
        .extensions = (unsigned) draw(w, 256) | (chance(w, 80) ? 1u << SMTP_CHUNKING : 0),
        .future_max_ms = 86400000,
    };
}

static void walk(uint64_t seed, void (*at_end)(struct walk *w))
{
    static const struct smtp_answer welcome = {220, "", "", NULL, 0};
    struct walk w = {.random = seed * 2654435761 + 88172645463325252, .seed = seed, .now_ms = 1000000};
    draw_profile(&w);
    smtp_server_init(&w.engine, "mx.relay.example", &w.profile);
    w.engine.is_xclient_allowed = chance(&w, 30);
    w.is_secured = w.engine.is_secured = chance(&w, 20);
    smtp_server_greet(&w.engine, &welcome, w.now_ms, &w.out);
    assert_int_equal(hear(&w), 220);
    for (w.step = 0; w.step < STEPS && w.place != CLOSED; w.step++)
        take_step(&w);
    if (at_end && w.place != CLOSED)
        at_end(&w);
    smtp_server_done(&w.engine);
    buf_done(&w.in);
    buf_done(&w.out);
    buf_done(&w.content);
    buf_done(&w.sent);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* proves: B07 B06 B28 C03 D03 */
static void no_walk_finds_anything_left_of_an_earlier_transaction(void **state UNUSED)
{
    uint64_t first = setting("SMTP_WALK_SEED", (uint64_t) time(NULL)), walks = setting("SMTP_WALKS", WALKS);
    (void) printf("SMTP_WALK_SEED=%llu\n", (unsigned long long) first);
    for (uint64_t i = 0; i < walks; i++)
        walk(first + i, NULL);
    (void) printf("%llu transactions ended, %llu by a commit, %llu of these in chunks\n",
                  (unsigned long long) ended, (unsigned long long) commits, (unsigned long long) chunked);
    assert_true(commits >= walks / 4 && chunked >= walks / 16 && ended > 2 * commits);
}

/* ---- what a session that has been through much answers */

/* One line to a session; what it answered is in w->out. */
static void say_probe(struct walk *w, const char *line, uint64_t random)
{
    buf_clear(&w->out);
    w->random = random;
    w->answer = 250;
    w->list_count = 0;
    say(w, span_of(line));
    if (strncmp(line, "MAIL", 4) == 0 && w->out.len > 3 && memcmp(w->out.data, "250", 3) == 0)
        w->place = OPEN;
}

/* Errors of all kinds, and a transaction: octet for octet as in a session that has just begun, and knows as much of its client. */
static void compare_with_a_new_session(struct walk *w)
{
    static const struct smtp_answer welcome = {220, "", "", NULL, 0};
    static const char *const lines[] = {"RSET\r\n",
                                        "EHLO probe\r\n",
                                        "FOO\r\n",
                                        "RCPT TO:<p@d.example>\r\n",
                                        "DATA\r\n",
                                        "MAIL FROM:<\xff\x1b@b.example>\r\n",
                                        "MAIL FROM:<p@b.example> FOO=BAR\r\n",
                                        "MAIL FROM:<p@b.example> SIZE=99999999\r\n",
                                        "VRFY p\r\n",
                                        "MAIL FROM:<p@b.example>\r\n",
                                        "RCPT TO:<\x1b@d.example>\r\n",
                                        "RCPT TO:<p@d.example>\r\n",
                                        "RCPT TO:p\r\n",
                                        "MAIL FROM:<p@b.example>\r\n",
                                        "NOOP\r\n",
                                        "RSET\r\n",
                                        "HELP\r\n"};
    struct walk fresh = {.seed = w->seed, .step = w->step, .now_ms = w->now_ms};

    w->profile.limits.transactions = UINT32_MAX; /* what it has used up is not forgotten */
    fresh.profile = w->profile;
    smtp_server_init(&fresh.engine, "mx.relay.example", &fresh.profile);
    fresh.engine.is_xclient_allowed = w->engine.is_xclient_allowed;
    fresh.engine.is_secured = w->engine.is_secured;
    smtp_server_greet(&fresh.engine, &welcome, fresh.now_ms, &fresh.out);
    fresh.engine.is_authenticated = w->engine.is_authenticated;
    forget(w);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        (void) snprintf(w->sender, sizeof w->sender, "p@b.example");
        (void) snprintf(fresh.sender, sizeof fresh.sender, "p@b.example");
        say_probe(w, lines[i], w->random | 1);
        say_probe(&fresh, lines[i], w->random | 1);
        if (!span_equal(buf_span(&w->out), buf_span(&fresh.out)) &&
            i > 0) /* without EHLO before, RSET may be answered otherwise */
            fail_msg("SMTP_WALK_SEED=%llu: to %.40s\n%.*sa new session answers\n%.*s",
                     (unsigned long long) w->seed, lines[i], SPAN_ARG(buf_span(&w->out)),
                     SPAN_ARG(buf_span(&fresh.out)));
    }
    smtp_server_done(&fresh.engine);
    buf_done(&fresh.in);
    buf_done(&fresh.out);
    buf_done(&fresh.content);
    buf_done(&fresh.sent);
    compared++;
}

/* proves: B07 */
static void after_any_error_all_is_answered_as_in_a_new_session(void **state UNUSED)
{
    uint64_t first = setting("SMTP_WALK_SEED", (uint64_t) time(NULL)),
             walks = setting("SMTP_WALKS", WALKS) / 5;
    (void) printf("SMTP_WALK_SEED=%llu\n", (unsigned long long) first);
    for (uint64_t i = 0; i < walks; i++)
        walk(first + i, compare_with_a_new_session);
    assert_true(compared >= walks / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_any_error_all_is_answered_as_in_a_new_session),
        cmocka_unit_test(no_walk_finds_anything_left_of_an_earlier_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
