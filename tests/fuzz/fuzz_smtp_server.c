/*
 * Fuzzer of the SMTP server engine: any bytes, cut anywhere, any answers at any time, ticks and stops between. Input: pairs of a control
 * byte and what it governs (see play()). Invariants are checked after every call, with must(); and pieces make no difference: lines heard at
 * once and byte by byte get the same replies, and leave the same messages.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "ingress/smtp_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 4096, SMALL_RECIPIENTS = 12 };

struct world {
    struct smtp_server engine;
    struct buf in, out;
    uint64_t now_ms;
    uint64_t content_bytes; /* handed out in this transaction and not dropped */
    size_t accepted;        /* recipients answered 250 in this transaction */
    size_t lines_said;      /* replies heard */
    bool was_started;       /* 354 was said in this transaction */
    bool is_closed;
    size_t piece;      /* bytes handed over at once, at most */
    bool by_line;      /* and no piece goes beyond a line's end */
    struct buf said;   /* all replies */
    struct buf stored; /* contents committed, each with what was answered */
    bool has_fault;    /* the content at hand will be refused */
    bool
        was_refused; /* content with several faults: pieces decide which one is found first, and so whether the session goes on */
    struct buf raw;     /* as the client said it */
    struct buf content; /* as we were given it */
};

static struct smtp_profile profile = {
    .limits =
        {
            .message_bytes = 3000,
            .line_bytes = 1000,
            .header = {.size_bytes = 500, .fields = 10, .hops = 3},
            .recipients = SMALL_RECIPIENTS,
            .transactions = 20,
            .errors = 15,
            .junk = 15,
            .command_ms = 300,
            .data_ms = 300,
            .data_total_ms = 3000,
        },
    .mechanisms = "PLAIN LOGIN",
    .tls_mechanisms = "PLAIN SCRAM-SHA-256-PLUS",
    .auth_without_tls = true,
    .future_max_ms = 100000,
    .by_min_s = 10,
};

/* What the listener is like, by a byte of the input. */
static void set_profile(uint8_t choice)
{
    profile.extensions = choice & 1 ? 0xff : 1u << SMTP_CHUNKING;
    profile.normalises_lf = (choice & 2) != 0;
    profile.tls = choice & 4 ? SMTP_TLS_REQUIRED : SMTP_TLS_OFFERED;
    profile.auth = choice & 8 ? SMTP_AUTH_REQUIRED : SMTP_AUTH_OFFERED;
    if (choice & 16)
        profile.extensions = 0;
    if (choice & 32)
        profile.auth = SMTP_AUTH_OFF;
}

/* Replies: whole lines of printable ASCII, three digits first. Returns how many replies there are (last lines), and empties out. */
static size_t hear(struct world *w)
{
    size_t replies = 0;
    struct span rest = buf_span(&w->out);
    must(rest.len < OUT_MAX);
    while (rest.len > 0) {
        const char *end = memchr(rest.at, '\n', rest.len);
        must(end && end > rest.at + 4 && end[-1] == '\r');
        size_t len = (size_t) (end - rest.at) + 1;
        must(len <= 512);
        for (size_t i = 0; i + 2 < len; i++)
            must(rest.at[i] >= ' ' && rest.at[i] <= '~');
        must(rest.at[0] >= '2' && rest.at[0] <= '5' && (rest.at[3] == ' ' || rest.at[3] == '-'));
        replies += rest.at[3] == ' ';
        rest = (struct span){.at = rest.at + len, .len = rest.len - len};
    }
    if (w->has_fault && !w->engine.transaction && replies > 0)
        w->was_refused = true;
    if (!w->was_refused)
        buf_add_span(&w->said, buf_span(&w->out));
    buf_clear(&w->out);
    w->lines_said += replies;
    return replies;
}

static void check(struct world *w)
{
    const struct smtp_server *e = &w->engine;
    const struct smtp_transaction *t = e->transaction;
    bool is_open = e->phase == SMTP_OPEN || e->phase == SMTP_CONTENT || e->phase == SMTP_BETWEEN ||
                   e->ask == SMTP_ASK_SENDER;
    must((t != NULL) == is_open);
    must((e->sasl != NULL) == (e->phase == SMTP_SASL || e->ask == SMTP_ASK_AUTH));
    must((e->xclient != NULL) == (e->ask == SMTP_ASK_XCLIENT));
    must(!e->is_authenticated || profile.auth != SMTP_AUTH_OFF);
    if (!t) {
        must(!e->content.at && e->address.whole.len == 0);
        w->accepted = 0;
        w->content_bytes = 0;
        w->was_started = false;
        buf_clear(&w->raw);
        buf_clear(&w->content);
        return;
    }
    must(!(profile.tls == SMTP_TLS_REQUIRED && !e->is_secured));
    must(!(profile.auth == SMTP_AUTH_REQUIRED && !e->is_authenticated));
    must(t->recipient_count <= w->accepted && t->recipient_count <= SMALL_RECIPIENTS);
    must((t->content != NULL) == (e->phase == SMTP_CONTENT || e->phase == SMTP_BETWEEN));
    w->has_fault = t->content && t->content->fault != SMTP_FAULT_NONE;
    if (t->content) {
        must(w->was_started && t->recipient_count > 0 && e->helo);
        if (t->content->fault == SMTP_FAULT_NONE)
            must(t->content->size_bytes == w->content_bytes + e->content.len &&
                 t->content->size_bytes <= profile.limits.message_bytes);
    }
}

/*
 * What is stored is lines, each ended by CR LF, so that nobody behind us can take a part of it for commands; and it is what was said up to the
 * first CR LF . CR LF, stuffing taken off. Told once more here, in the plainest way.
 */
static void check_lines(struct span raw, struct span content)
{
    AUTO_BUF struct buf wanted = {0};
    struct span rest = raw, line = {0};
    while (rest.len > 0 && !span_equal(line, SPAN(".\r\n"))) {
        const char *end = memmem(rest.at, rest.len, "\r\n", 2);
        must(end);
        line = (struct span){.at = rest.at, .len = (size_t) (end - rest.at) + 2};
        must(!memchr(line.at, '\r', line.len - 2) && !memchr(line.at, '\n', line.len - 2));
        rest = (struct span){.at = rest.at + line.len, .len = rest.len - line.len};
        if (!span_equal(line, SPAN(".\r\n")))
            buf_add(&wanted, line.at + (line.at[0] == '.'), line.len - (line.at[0] == '.'));
    }
    must(rest.len == 0 && span_equal(line, SPAN(".\r\n")));
    must(span_equal(buf_span(&wanted), content));
}

/* Chunks are stored as they came; a bare LF may have become a line end, and then there is no other kind left. */
static void check_content(const struct world *w)
{
    const struct smtp_content *c = w->engine.transaction->content;
    struct span content = buf_span(&w->content);
    if (c->normalises_lf && !c->is_binary) {
        for (size_t i = 0; i < content.len; i++)
            must(content.at[i] != '\n' || (i > 0 && content.at[i - 1] == '\r'));
    } else if (c->is_chunked) {
        must(span_equal(buf_span(&w->raw), content));
    } else {
        check_lines(buf_span(&w->raw), content);
    }
}

static void answer_auth(struct world *w, uint8_t choice)
{
    static const struct smtp_answer good = {235, "2.7.0", "Welcome", NULL, 0},
                                    bad = {535, "5.7.8", "No", NULL, 0};
    struct smtp_server *e = &w->engine;
    must(e->sasl->response.len <= SMTP_AUTH_LINE_MAX);
    if (e->sasl->step == SMTP_SASL_CANCEL)
        smtp_server_go_on(e, w->now_ms, &w->out);
    else if (choice & 1)
        smtp_server_challenge(e, e->sasl->response.len > 100 ? SPAN("x") : SPAN(""), w->now_ms, &w->out);
    else
        smtp_server_answer(e, choice & 2 ? &bad : &good, w->now_ms, &w->out);
}

static void answer_all(struct world *w, uint8_t choice)
{
    static const char *const others[] = {"other@x.example", "\xc3\xa5@x.example"};
    static const struct smtp_answer hello = {220, "2.0.0", "Go ahead", NULL, 0};
    static const struct smtp_answer yes = {250, "2.0.0", "Ok \x01\xff\r\n", NULL, 0},
                                    other = {250, "2.1.5", "Ok", others, 2},
                                    later = {451, "4.3.0", "Later", NULL, 0},
                                    no = {550, "5.7.1", "No", NULL, 0}, go = {354, "", "", NULL, 0};
    static const struct smtp_answer *const answers[] = {&yes, &yes, &yes, &other, &later, &no};
    struct smtp_server *e = &w->engine;
    for (int guard = 0; e->ask != SMTP_ASK_NONE && !w->is_closed; guard++) {
        must(guard < 4);
        const struct smtp_answer *a = answers[choice % ARRAY_LEN(answers)];
        must(smtp_server_feed(e, SPAN("NOOP\r\n"), w->now_ms, &w->out) == 0);
        must(smtp_server_deadline(e) == 0);
        switch ((enum smtp_ask) e->ask) {
        case SMTP_ASK_RECIPIENT:
            must(e->address.whole.len > 0);
            w->accepted += a->code != 250 ? 0 : a->address_count > 0 ? a->address_count : 1;
            smtp_server_answer(e, a, w->now_ms, &w->out);
            break;
        case SMTP_ASK_BODY:
            must(e->transaction->recipient_count > 0);
            w->was_started = a->code == 250;
            smtp_server_answer(e, a->code == 250 ? &go : a, w->now_ms, &w->out);
            break;
        case SMTP_ASK_CONTENT:
            must(e->content.len > 0);
            for (size_t i = 0; i < e->content.len && !e->transaction->is_binary; i++)
                must(e->content.at[i] != '\0');
            w->content_bytes += e->content.len;
            buf_add_span(&w->content, e->content);
            smtp_server_go_on(e, w->now_ms, &w->out);
            break;
        case SMTP_ASK_TLS:
        case SMTP_ASK_XCLIENT: smtp_server_answer(e, a->code == 250 ? &hello : a, w->now_ms, &w->out); break;
        case SMTP_ASK_HANDSHAKE: smtp_server_secured(e, w->now_ms, &w->out); break;
        case SMTP_ASK_AUTH: answer_auth(w, choice); break;
        case SMTP_ASK_DROP: smtp_server_go_on(e, w->now_ms, &w->out); break;
        case SMTP_ASK_COMMIT:
            check_content(w);
            must(e->transaction->content->is_ended &&
                 e->transaction->content->size_bytes == w->content_bytes);
            if (!w->was_refused) {
                buf_add_span(&w->stored, buf_span(&w->content));
                buf_add_number(&w->stored, a->code);
            }
        /* fall through */
        case SMTP_ASK_SENDER: smtp_server_answer(e, a, w->now_ms, &w->out); break;
        case SMTP_ASK_CLOSE: w->is_closed = true; break;
        case SMTP_ASK_NONE: break;
        }
        check(w);
    }
}

static void feed(struct world *w, uint8_t choice)
{
    while (w->in.len > 0 && !w->is_closed) {
        char *exact = mem_copy(w->in.data, w->in.len);
        bool is_content = w->engine.phase == SMTP_CONTENT;
        bool is_command = w->engine.phase != SMTP_CONTENT && w->engine.skipped == 0 && !w->engine.skip;
        size_t used = smtp_server_feed(&w->engine, (struct span){.at = exact, .len = w->in.len}, w->now_ms,
                                       &w->out);
        bool has_asked = w->engine.ask != SMTP_ASK_NONE;
        must(used <= w->in.len);
        if (is_content)
            buf_add(&w->raw, exact, used);
        check(w);
        answer_all(w, choice);
        mem_free(exact);
        buf_consume(&w->in, used);
        size_t replies = hear(w);
        /* One reply per command; the last may be followed by the session's end, which another protocol gets without a reply. */
        bool is_chunk = w->engine.skip || w->engine.phase == SMTP_CONTENT; /* answered behind its bytes */
        if (is_command && used > 0 && w->engine.skipped == 0 && !is_chunk)
            must(replies == 1 || w->is_closed);
        must(replies <= 2);
        if (used == 0 && !has_asked)
            break;
    }
    must(w->is_closed || w->in.len < SMTP_AUTH_LINE_MAX);
}

static void say(struct world *w, struct span text, uint8_t choice)
{
    while (text.len > 0 && !w->is_closed) {
        size_t n = text.len < w->piece ? text.len : w->piece;
        const char *end = w->by_line ? memchr(text.at, '\n', n) : NULL;
        n = end ? (size_t) (end - text.at) + 1 : n;
        buf_add(&w->in, text.at, n);
        text = (struct span){.at = text.at + n, .len = text.len - n};
        feed(w, choice);
    }
}

/* Control byte: low 3 bits answers; then a length of bytes to say, or with the high bits all set time or a stop. */
static void play(struct world *w, const uint8_t *data, size_t size)
{
    size_t i = 0;
    while (i < size && !w->is_closed) {
        uint8_t control = data[i++];
        size_t len = control >> 3;
        if (len == 31) {
            w->now_ms += (uint64_t) 40 * (control & 7);
            smtp_server_tick(&w->engine, w->now_ms, &w->out);
        } else if (len == 30 && (control & 7) == 7) {
            smtp_server_stop(&w->engine, false, w->now_ms, &w->out);
        } else {
            len = len >= 25 ? (len - 24) * 64 : len;
            len = len < size - i ? len : size - i;
            say(w, (struct span){.at = (const char *) data + i, .len = len}, control & 7);
            i += len;
        }
        check(w);
        answer_all(w, control & 7);
        (void) hear(w);
    }
}

static void run(struct world *w, const uint8_t *data, size_t size)
{
    static const struct smtp_answer welcome = {220, "", "", NULL, 0};
    w->now_ms = 1000;
    set_profile(size > 1 ? data[1] : 0);
    smtp_server_init(&w->engine, "mx.relay.example", &profile);
    w->engine.is_secured = size > 0 && (data[0] & 1);
    w->engine.is_xclient_allowed = size > 0 && (data[0] & 2);
    w->engine.is_auth_believed = size > 0 && (data[0] & 4);
    if (size > 0 && (data[0] & 0xc0)) {
        smtp_server_greet(&w->engine, &welcome, w->now_ms, &w->out);
        must(hear(w) == 1);
    }
    if (size > 0 && (data[0] & 0x80)) {
        /* A fast way in: most inputs would not get past EHLO for long. */
        buf_add_text(&w->in, "EHLO a\r\n");
        feed(w, 0);
        if (data[0] & 0x40) {
            buf_add_text(&w->in, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n");
            if (!(data[0] & 0x20))
                buf_add_text(&w->in, "DATA\r\n");
            feed(w, 0);
        }
    }
    check(w);
    if (size > 2)
        play(w, data + 2, size - 2);
    smtp_server_done(&w->engine);
}

static void world_done(struct world *w)
{
    buf_done(&w->in);
    buf_done(&w->out);
    buf_done(&w->said);
    buf_done(&w->stored);
    buf_done(&w->raw);
    buf_done(&w->content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world any = {.piece = SIZE_MAX}, lines = {.piece = SIZE_MAX, .by_line = true},
                 parts = {.piece = 1 + size % 5, .by_line = true};
    run(&any, data, size); /* also what is said before we asked */
    run(&lines, data, size);
    run(&parts, data, size);
    must(span_equal(buf_span(&lines.said), buf_span(&parts.said)));
    must(span_equal(buf_span(&lines.stored), buf_span(&parts.stored)));
    world_done(&any);
    world_done(&lines);
    world_done(&parts);
    return 0;
}
