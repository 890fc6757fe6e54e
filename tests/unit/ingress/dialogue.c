/* Dialogues with the SMTP server engine. The pump below is what a driver does, with every answer given by rule. */
#include "tests/unit/ingress/dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

enum { WHOLE = -1, EACH_BYTE = -2, NOWHERE = -3, START_MS = 1000000 };

struct smtp_profile test_profile;
struct smtp_answer test_commit, test_body, test_greeting, test_sender, test_tls;
struct smtp_server test_owner;
bool test_separates;

struct play {
    struct smtp_server engine;
    struct buf out, in, content, message, recipients, told;
    char user[32]; /* of LOGIN, under way */
    size_t heard;  /* of out */
    size_t stored;
    uint64_t now_ms;
    bool answers_late;
    bool is_closed;
    long cut;  /* position among all client bytes */
    long said; /* client bytes so far */
    const char *how;
};

void test_limits_reset(void)
{
    test_profile = (struct smtp_profile){.mechanisms = NULL};
    test_owner = (struct smtp_server){.wall_offset_ms = 0};
    test_separates = false;
    test_tls = (struct smtp_answer){220, "2.0.0", "Go ahead", NULL, 0};
    test_limits = (struct smtp_limits){
        .message_bytes = 100000,
        .line_bytes = 2000,
        .header = {.size_bytes = 20000, .fields = 100, .hops = 10},
        .recipients = 100,
        .transactions = 50,
        .errors = 20,
        .junk = 100,
        .command_ms = 300000,
        .data_ms = 300000,
        .data_total_ms = 3600000,
    };
    test_commit = (struct smtp_answer){250, "2.0.0", "Ok: queued as 01ARZ3NDEKTSV4RRFFQ69G5FAV", NULL, 0};
    test_body = (struct smtp_answer){354, "", "", NULL, 0};
    test_greeting = (struct smtp_answer){220, "", "", NULL, 0};
    test_sender = (struct smtp_answer){250, "2.1.0", "Ok", NULL, 0};
}

static void fail_at(const struct play *p, size_t step, const char *what, struct span wanted)
{
    struct span rest = {.at = p->out.data + p->heard, .len = p->out.len - p->heard};
    fail_msg("step %zu, %s at %ld: %s \"%.*s\"; there is \"%.*s\"", step, p->how, p->cut, what,
             SPAN_ARG(wanted), SPAN_ARG(rest));
}

/* ---- the driver */

static struct smtp_answer answer_recipient(const struct addr *addr)
{
    static const char *const postmaster[] = {"postmaster@relay.example"};
    static const char *const list[] = {"one@list.example", "two@list.example", "one@LIST.example",
                                       "three@list.example"};
    if (addr->domain.len == 0)
        return (struct smtp_answer){250, "2.1.5", "Ok", postmaster, 1};
    if (span_equal_nocase(addr->whole, SPAN("many@list.example")))
        return (struct smtp_answer){250, "2.1.5", "Ok", list, ARRAY_LEN(list)};
    if (span_equal_nocase(addr->domain, SPAN("refused.example")))
        return (struct smtp_answer){550, "5.7.1", "Relaying is not allowed for you", NULL, 0};
    if (span_equal_nocase(addr->domain, SPAN("later.example")))
        return (struct smtp_answer){451, "4.3.0", "Later", NULL, 0};
    return (struct smtp_answer){250, "2.1.5", "Ok", NULL, 0};
}

/* "from=.. envid=.. ret=.. auth=.. 8bit binary utf8 tls in=ms at=ms by=s;mode;trace to=.. notify=bits orcpt=.. to=.." */
static void tell(struct play *p)
{
    const struct smtp_transaction *t = p->engine.transaction;
    static const char *const rets[] = {"", " ret=FULL", " ret=HDRS"};
    buf_clear(&p->told);
    buf_printf(&p->told, "from=%s", smtp_sender(t));
    if (smtp_envid(t))
        buf_printf(&p->told, " envid=%s", smtp_envid(t));
    if (smtp_mail_auth(t))
        buf_printf(&p->told, " auth=<%s>", smtp_mail_auth(t));
    buf_printf(&p->told, "%s%s%s%s%s", rets[t->ret], t->is_8bit ? " 8bit" : "", t->is_binary ? " binary" : "",
               t->is_utf8 ? " utf8" : "", t->requires_tls ? " tls" : "");
    if (t->release_in_ms > 0)
        buf_printf(&p->told, " in=%llu", (unsigned long long) t->release_in_ms);
    if (t->release_at_ms > 0)
        buf_printf(&p->told, " at=%llu", (unsigned long long) t->release_at_ms);
    if (t->by_mode != BY_NONE)
        buf_printf(&p->told, " by=%lld;%c%s", (long long) t->by_s, t->by_mode == BY_RETURN ? 'R' : 'N',
                   t->by_trace ? "T" : "");
    for (size_t i = 0; i < t->recipient_count; i++) {
        struct smtp_dsn dsn = smtp_recipient_dsn(t, i);
        buf_printf(&p->told, " to=%s", smtp_recipient(t, i));
        if (dsn.notify != 0)
            buf_printf(&p->told, " notify=%u", dsn.notify);
        if (dsn.orcpt)
            buf_printf(&p->told, " orcpt=%s", dsn.orcpt);
    }
}

static void commit(struct play *p)
{
    const struct smtp_transaction *t = p->engine.transaction;
    assert_true(t->recipient_count > 0 && t->content->is_ended);
    assert_int_equal(t->content->size_bytes, p->content.len);
    if (test_commit.code == 250) {
        p->stored++;
        tell(p);
        buf_clear(&p->message);
        if (test_separates && t->content->header.starts_with_body)
            buf_add_text(&p->message, "\r\n");
        buf_add_span(&p->message, buf_span(&p->content));
        buf_clear(&p->recipients);
        for (size_t i = 0; i < t->recipient_count; i++) {
            buf_add_text(&p->recipients, smtp_recipient(t, i));
            buf_add_char(&p->recipients, ',');
        }
    }
    smtp_server_answer(&p->engine, &test_commit, p->now_ms, &p->out);
}

/* ---- AUTH, TLS, XCLIENT */

static const struct smtp_answer *judge(struct span user, struct span password)
{
    static const struct smtp_answer good = {235, "2.7.0", "Welcome", NULL, 0},
                                    away = {454, "4.7.0", "Try again later", NULL, 0},
                                    bad = {535, "5.7.8", "No", NULL, 0};
    if (span_equal(user, SPAN("away")))
        return &away;
    return span_equal(user, SPAN("user")) && span_equal(password, SPAN("pass")) ? &good : &bad;
}

static void answer_plain(struct play *p)
{
    struct span rest = p->engine.sasl->response;
    (void) span_cut(&rest, '\0'); /* for whom: nobody asks here */
    struct span user = span_cut(&rest, '\0');
    smtp_server_answer(&p->engine, judge(user, rest), p->now_ms, &p->out);
}

static void answer_login(struct play *p)
{
    struct smtp_sasl *sasl = p->engine.sasl;
    if (!sasl->has_response) {
        p->user[0] = '\0';
        smtp_server_challenge(&p->engine, SPAN("Username:"), p->now_ms, &p->out);
    } else if (p->user[0] == '\0') {
        (void) snprintf(p->user, sizeof p->user, "%.*s", SPAN_ARG(sasl->response));
        smtp_server_challenge(&p->engine, SPAN("Password:"), p->now_ms, &p->out);
    } else {
        smtp_server_answer(&p->engine, judge(span_of(p->user), sasl->response), p->now_ms, &p->out);
    }
}

static void answer_auth(struct play *p)
{
    struct smtp_sasl *sasl = p->engine.sasl;
    assert_true(sasl->step == SMTP_SASL_START || sasl->has_response || sasl->step == SMTP_SASL_CANCEL);
    if (sasl->step == SMTP_SASL_CANCEL)
        smtp_server_go_on(&p->engine, p->now_ms, &p->out);
    else if (strcmp(sasl->mechanism, "LOGIN") == 0)
        answer_login(p);
    else if (!sasl->has_response)
        smtp_server_challenge(&p->engine, SPAN(""), p->now_ms, &p->out);
    else
        answer_plain(p);
}

static void answer_xclient(struct play *p)
{
    static const struct smtp_answer yes = {220, "", "", NULL, 0}, no = {550, "5.7.0", "Not for him", NULL, 0};
    const struct smtp_xclient *x = p->engine.xclient;
    struct ip ip = {.is_v4 = false};
    assert_int_equal(ip_parse(SPAN("192.0.2.99"), &ip), 0);
    buf_clear(&p->told);
    buf_printf(&p->told, "name=%s helo=%s login=%s proto=%s port=%u", x->name ? x->name : "-",
               x->helo ? x->helo : "-", x->login ? x->login : "-", x->proto ? x->proto : "-", x->port);
    bool is_refused = x->has_ip && ip_equal(&x->ip, &ip);
    bool has_login = x->login && x->login[0] != '\0';
    smtp_server_answer(&p->engine, is_refused ? &no : &yes, p->now_ms, &p->out);
    p->engine.is_authenticated = has_login && !is_refused;
}

static void answer(struct play *p)
{
    struct smtp_server *e = &p->engine;
    struct smtp_answer a;
    switch ((enum smtp_ask) e->ask) {
    case SMTP_ASK_SENDER: smtp_server_answer(e, &test_sender, p->now_ms, &p->out); break;
    case SMTP_ASK_RECIPIENT:
        a = answer_recipient(&e->address);
        smtp_server_answer(e, &a, p->now_ms, &p->out);
        break;
    case SMTP_ASK_BODY:
        buf_clear(&p->content);
        smtp_server_answer(e, &test_body, p->now_ms, &p->out);
        break;
    case SMTP_ASK_CONTENT:
        buf_add_span(&p->content, e->content);
        smtp_server_go_on(e, p->now_ms, &p->out);
        break;
    case SMTP_ASK_DROP:
        buf_clear(&p->content);
        smtp_server_go_on(e, p->now_ms, &p->out);
        break;
    case SMTP_ASK_TLS: smtp_server_answer(e, &test_tls, p->now_ms, &p->out); break;
    case SMTP_ASK_HANDSHAKE: smtp_server_secured(e, p->now_ms, &p->out); break;
    case SMTP_ASK_AUTH: answer_auth(p); break;
    case SMTP_ASK_XCLIENT: answer_xclient(p); break;
    case SMTP_ASK_COMMIT: commit(p); break;
    case SMTP_ASK_CLOSE: p->is_closed = true; break;
    case SMTP_ASK_NONE: break;
    }
}

/* With late answers the engine is offered more input while it asks, and must leave it. */
static void answer_all(struct play *p, struct span rest)
{
    while (p->engine.ask != SMTP_ASK_NONE && !p->is_closed) {
        if (p->answers_late && p->engine.ask != SMTP_ASK_CONTENT) {
            size_t before = p->out.len;
            assert_int_equal(smtp_server_feed(&p->engine, rest, p->now_ms, &p->out), 0);
            assert_int_equal(p->out.len, before);
            assert_int_equal(smtp_server_deadline(&p->engine), 0);
        }
        answer(p);
    }
}

/* Each piece is offered in memory of its own size, so that reading past it is seen. */
static void say(struct play *p, struct span piece)
{
    buf_add_span(&p->in, piece);
    while (p->in.len > 0 && !p->is_closed) {
        AUTO_FREE char *exact = mem_copy(p->in.data, p->in.len);
        struct span in = {.at = exact, .len = p->in.len};
        size_t used = smtp_server_feed(&p->engine, in, p->now_ms, &p->out);
        assert_true(used <= in.len);
        bool has_asked = p->engine.ask != SMTP_ASK_NONE;
        answer_all(p, (struct span){.at = in.at + used, .len = in.len - used});
        buf_consume(&p->in, used);
        if (used == 0 && !has_asked)
            break;
    }
    assert_true(p->is_closed || p->in.len < SMTP_AUTH_LINE_MAX);
}

static void say_cut(struct play *p, struct span bytes)
{
    long start = p->said;
    p->said += (long) bytes.len;
    if (p->cut == EACH_BYTE) {
        for (size_t i = 0; i < bytes.len && !p->is_closed; i++)
            say(p, (struct span){.at = bytes.at + i, .len = 1});
    } else if (p->cut > start && p->cut < p->said) {
        size_t first = (size_t) (p->cut - start);
        say(p, (struct span){.at = bytes.at, .len = first});
        say(p, (struct span){.at = bytes.at + first, .len = bytes.len - first});
    } else {
        say(p, bytes);
    }
}

/* ---- what was heard */

/* BEHAVIOURS B11, B12: lines of printable ASCII up to 512 bytes with CR LF, one code, an enhanced code of its class where one is due. */
static struct span next_reply(struct play *p, size_t step)
{
    struct span rest = {.at = p->out.data + p->heard, .len = p->out.len - p->heard};
    struct span first = {.at = NULL};
    for (bool is_last = false; !is_last;) {
        const char *end = rest.len ? memchr(rest.at, '\n', rest.len) : NULL;
        if (!end)
            fail_at(p, step, "no whole reply", SPAN(""));
        struct span line = {.at = rest.at, .len = (size_t) (end - rest.at) + 1};
        assert_true(line.len >= 6 && line.len <= 512 && line.at[line.len - 2] == '\r');
        for (size_t i = 0; i + 2 < line.len; i++)
            assert_true(line.at[i] >= ' ' && line.at[i] <= '~');
        if (!first.at)
            first = line;
        assert_memory_equal(line.at, first.at, 3);
        assert_true(line.at[3] == ' ' || line.at[3] == '-');
        is_last = line.at[3] == ' ';
        rest = (struct span){.at = rest.at + line.len, .len = rest.len - line.len};
    }
    p->heard = p->out.len - rest.len;
    return first;
}

static void hear(struct play *p, size_t step, struct span wanted)
{
    struct span reply = next_reply(p, step);
    if (!span_starts_nocase(reply, wanted))
        fail_msg("step %zu, %s at %ld: wanted \"%.*s\", heard \"%.*s\"", step, p->how, p->cut,
                 SPAN_ARG(wanted), (int) reply.len - 2, reply.at);
}

static void change_limit(struct span name)
{
    struct span value = name, word = span_cut(&value, '=');
    uint64_t number = 0;
    assert_int_equal(span_number(value, UINT64_MAX, &number), 0);
    if (span_equal(word, SPAN("recipients")))
        test_limits.recipients = number;
    else if (span_equal(word, SPAN("errors")))
        test_limits.errors = number;
    else if (span_equal(word, SPAN("message_bytes")))
        test_limits.message_bytes = number;
    else if (span_equal(word, SPAN("command_ms")))
        test_limits.command_ms = number;
    else
        fail();
}

static void take_step(struct play *p, size_t i, const struct step *step)
{
    static const struct smtp_answer end = {421, "4.7.0", "Enough", NULL, 0};
    struct span bytes = {.at = step->bytes, .len = step->len};
    switch (step->kind) {
    case 'S': hear(p, i, bytes); break;
    case 'M':
        if (!span_equal(buf_span(&p->message), bytes))
            fail_msg("step %zu, %s at %ld: stored \"%.*s\"", i, p->how, p->cut, (int) p->message.len,
                     p->message.data);
        break;
    case 'R':
        if (!span_equal(buf_span(&p->recipients), bytes))
            fail_msg("step %zu: recipients \"%.*s\"", i, (int) p->recipients.len, p->recipients.data);
        break;
    case 'D':
        if (!span_equal(buf_span(&p->told), bytes))
            fail_msg("step %zu, %s at %ld: told \"%.*s\"", i, p->how, p->cut, (int) p->told.len,
                     p->told.data);
        break;
    case 'W': change_limit(bytes); break;
    case 'E':
        smtp_server_end(&p->engine, &end, p->now_ms, &p->out);
        answer_all(p, SPAN(""));
        break;
    case 'N': assert_int_equal(p->stored, step->len); break;
    case 'X':
    case 'O':
        if (p->heard != p->out.len)
            fail_at(p, i, "more was said than expected", SPAN(""));
        assert_int_equal(p->is_closed, step->kind == 'X');
        break;
    case 'T':
        p->now_ms += step->len;
        smtp_server_tick(&p->engine, p->now_ms, &p->out);
        answer_all(p, SPAN(""));
        break;
    case 'P':
        smtp_server_stop(&p->engine, false, p->now_ms, &p->out);
        answer_all(p, SPAN(""));
        break;
    default: fail();
    }
}

static long play_cut(const struct step *steps, size_t count, long cut, bool answers_late, const char *how)
{
    struct play p = {.now_ms = START_MS, .cut = cut, .answers_late = answers_late, .how = how};
    struct smtp_profile before = test_profile;
    AUTO_BUF struct buf group = {0};
    smtp_server_init(&p.engine, "mx.relay.example", &test_profile);
    p.engine.is_secured = test_owner.is_secured;
    p.engine.is_xclient_allowed = test_owner.is_xclient_allowed;
    p.engine.is_auth_believed = test_owner.is_auth_believed;
    p.engine.wall_offset_ms = test_owner.wall_offset_ms;
    if (count > 0 && steps[0].kind != 'C')
        smtp_server_greet(&p.engine, &test_greeting, p.now_ms, &p.out);
    answer_all(&p, SPAN(""));
    for (size_t i = 0; i < count; i++) {
        if (steps[i].kind != 'C') {
            take_step(&p, i, &steps[i]);
            continue;
        }
        buf_add(&group, steps[i].bytes, steps[i].len);
        if (i + 1 < count && steps[i + 1].kind == 'C')
            continue;
        say_cut(&p, buf_span(&group));
        buf_clear(&group);
    }
    if (p.heard != p.out.len)
        fail_at(&p, count, "more was said than expected", SPAN(""));
    smtp_server_done(&p.engine);
    buf_done(&p.out);
    buf_done(&p.in);
    buf_done(&p.content);
    buf_done(&p.message);
    buf_done(&p.recipients);
    buf_done(&p.told);
    test_profile = before;
    return p.said;
}

void play_once(const struct step *steps, size_t count)
{
    (void) play_cut(steps, count, WHOLE, false, "whole");
}

void play(const struct step *steps, size_t count)
{
    long said = play_cut(steps, count, WHOLE, false, "whole");
    (void) play_cut(steps, count, WHOLE, true, "whole, late answers");
    (void) play_cut(steps, count, EACH_BYTE, false, "byte by byte");
    (void) play_cut(steps, count, EACH_BYTE, true, "byte by byte, late answers");
    for (long at = 1; at < said; at++)
        (void) play_cut(steps, count, at, false, "cut");
}
