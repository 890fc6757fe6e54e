/* A small SMTP client for test messages. Each connection takes the next message when it is through with one. */
#include "ctl/sender.h"

#include <unistd.h>

#include "base/id.h"
#include "base/mem.h"
#include "io/stream.h"
#include "mail/reply.h"

#define EHLO "EHLO baridctl.localhost\r\n"

enum step {
    STEP_GREETING,
    STEP_EHLO,
    STEP_STARTTLS,
    STEP_LOGIN,
    STEP_MAIL,
    STEP_RCPT,
    STEP_DATA,
    STEP_DOT,
    STEP_RSET,
    STEP_QUIT
};

struct work { /* of all connections */
    const struct sender *sender;
    struct loop *loop;
    uint64_t next, accepted;
    unsigned open;
};

struct connection {
    struct work *work;
    struct stream *stream;
    struct reply reply;
    enum step step;
    bool has_message;
    uint64_t number;
    size_t rcpt;
    bool is_ready;      /* it has come so far that messages can be sent */
    bool has_logged_in; /* or tries to */
    bool is_over;       /* QUIT was said */
    char *trouble;      /* why it is not ready; NULL: the connection will tell */
};

/* ---- content */

void sender_add_stuffed(struct buf *out, struct span content)
{
    while (content.len > 0) {
        size_t len = 0;
        while (len < content.len && content.at[len] != '\n' && content.at[len] != '\r')
            len++;
        if (content.at[0] == '.')
            buf_add_char(out, '.');
        buf_add(out, content.at, len);
        buf_add_text(out, "\r\n");
        if (len + 1 < content.len && content.at[len] == '\r' && content.at[len + 1] == '\n')
            len++;
        len += len < content.len;
        content = (struct span){.at = content.at + len, .len = content.len - len};
    }
    buf_add_text(out, ".\r\n");
}

void sender_find_id(struct span reply, char *ret_id)
{
    static const char words[] = "queued as ";
    const char *at = reply.len ? memmem(reply.at, reply.len, words, sizeof(words) - 1) : NULL;
    struct id id;

    *ret_id = '\0';
    if (!at)
        return;
    at += sizeof(words) - 1;
    struct span text = {.at = at, .len = ID_TEXT_LEN};
    if ((size_t) (reply.at + reply.len - at) < ID_TEXT_LEN || id_parse(text, &id) < 0)
        return;
    id_format(&id, ret_id);
}

/* ---- one connection */

static void say(struct connection *c, enum step step, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(struct connection *c, enum step step, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buf_vprintf(stream_output(c->stream), format, args);
    va_end(args);
    stream_written(c->stream);
    stream_deadline(c->stream, c->work->sender->timeout_ms);
    c->step = step;
}

static void message_over(struct connection *c, bool accepted, struct span reply)
{
    const struct sender *s = c->work->sender;
    char id[ID_TEXT_LEN + 1];

    sender_find_id(reply, id);
    c->has_message = false;
    c->work->accepted += accepted;
    s->on_outcome(s->owner, c->number, accepted, reply, id);
}

static void next_message(struct connection *c)
{
    struct work *w = c->work;

    c->is_ready = true;
    if (w->next == w->sender->count) {
        c->is_over = true;
        say(c, STEP_QUIT, "QUIT\r\n");
        return;
    }
    c->number = w->next++;
    c->has_message = true;
    c->rcpt = 0;
    say(c, STEP_MAIL, "MAIL FROM:<%s>\r\n", w->sender->from);
}

static void send_content(struct connection *c)
{
    const struct sender *s = c->work->sender;
    AUTO_BUF struct buf content = {.data = NULL};
    struct buf stuffed = {.data = NULL};

    s->content(s->owner, c->number, &content);
    sender_add_stuffed(&stuffed, buf_span(&content));
    stream_write_buf(c->stream, &stuffed);
    stream_deadline(c->stream, s->timeout_ms);
    c->step = STEP_DOT;
}

/* Behind EHLO: what is missing before a message. */
static void prepare(struct connection *c)
{
    const struct sender *s = c->work->sender;

    if (s->tls && !stream_tls(c->stream)) {
        say(c, STEP_STARTTLS, "STARTTLS\r\n");
    } else if (s->login && !c->has_logged_in) {
        c->has_logged_in = true;
        say(c, STEP_LOGIN, "AUTH PLAIN %s\r\n", s->login);
    } else {
        next_message(c);
    }
}

/* The code that lets the step pass: its first digit. */
static bool is_good(enum step step, unsigned code)
{
    return code / 100 == (step == STEP_DATA ? 3 : 2);
}

static void on_reply(struct connection *c)
{
    const struct sender *s = c->work->sender;
    struct span text = buf_span(&c->reply.text);
    AUTO_BUF struct buf line = {.data = NULL};

    if (!is_good(c->step, c->reply.code) && c->step != STEP_QUIT) {
        buf_printf(&line, "%u %.*s", c->reply.code, SPAN_ARG(text));
        if (c->has_message)
            message_over(c, false, buf_span(&line));
        if (!c->is_ready)
            c->trouble = buf_steal_text(&line);
        if (!c->is_ready || c->step == STEP_RSET || c->reply.code == 421)
            stream_finish(c->stream);
        else
            say(c, STEP_RSET, "RSET\r\n");
        return;
    }
    switch (c->step) {
    case STEP_GREETING: say(c, STEP_EHLO, EHLO); break;
    case STEP_DOT:
        message_over(c, true, text);
        next_message(c);
        break;
    case STEP_EHLO: prepare(c); break;
    case STEP_STARTTLS: stream_start_tls_client(c->stream, s->tls, &(struct tls_demand){0}); break;
    case STEP_LOGIN:
    case STEP_RSET: next_message(c); break;
    case STEP_MAIL:
    case STEP_RCPT:
        if (c->rcpt < s->to_count)
            say(c, STEP_RCPT, "RCPT TO:<%s>\r\n", s->to[c->rcpt++]);
        else
            say(c, STEP_DATA, "DATA\r\n");
        break;
    case STEP_DATA: send_content(c); break;
    case STEP_QUIT: stream_finish(c->stream); break;
    }
}

static size_t on_data(void *owner, struct span in)
{
    struct connection *c = owner;
    size_t used = 0;

    while (used < in.len) {
        int n = reply_feed(&c->reply, (struct span){.at = in.at + used, .len = in.len - used});
        if (n < 0) {
            if (c->has_message)
                message_over(c, false, SPAN("the server's reply was not understood"));
            stream_abort(c->stream);
            return in.len;
        }
        used += (size_t) n;
        if (!c->reply.is_complete)
            break;
        on_reply(c);
        reply_clear(&c->reply);
    }
    return used;
}

static struct connection *connection_open(struct work *w);

static void on_closed(void *owner, int reason)
{
    struct connection *c = owner;
    struct work *w = c->work;
    const struct sender *s = w->sender;
    bool was_ready = c->is_ready, must_go_on = !c->is_over && w->next < s->count;
    const char *tls_error = stream_tls_error(c->stream);
    AUTO_FREE char *text = c->trouble   ? STEAL(c->trouble)
                           : *tls_error ? mem_format("connection lost: TLS: %s", tls_error)
                                        : mem_format("connection lost: %s",
                                                     reason < 0 ? strerror(-reason) : "closed by the server");

    if (c->has_message)
        message_over(c, false, span_of(text));
    reply_done(&c->reply);
    mem_free(c);
    w->open--;
    if (must_go_on && was_ready) {
        (void) connection_open(w);           /* counts itself */
    } else if (must_go_on && w->open == 0) { /* nobody can be reached: all that is left has this outcome */
        while (w->next < s->count)
            s->on_outcome(s->owner, w->next++, false, span_of(text), "");
    }
    if (w->open == 0)
        loop_stop(w->loop);
}

/* Behind STARTTLS all begins anew; where TLS is first, the greeting follows. */
static void on_secured(void *owner)
{
    struct connection *c = owner;

    if (c->step == STEP_STARTTLS)
        say(c, STEP_EHLO, EHLO);
}

static const struct stream_events events = {
    .on_data = on_data, .on_secured = on_secured, .on_closed = on_closed};

static struct connection *connection_open(struct work *w)
{
    struct connection *c = NEW(struct connection);

    *c = (struct connection){.work = w, .step = STEP_GREETING};
    c->stream = stream_connect(w->loop, &w->sender->ip, w->sender->port, NULL, &events, c);
    stream_deadline(c->stream, w->sender->timeout_ms);
    if (w->sender->tls && w->sender->is_tls_first)
        stream_start_tls_client(c->stream, w->sender->tls, &(struct tls_demand){0});
    w->open++;
    return c;
}

uint64_t sender_run(const struct sender *s)
{
    struct work w = {.sender = s, .loop = loop_new()};

    for (unsigned i = 0; i < s->sessions && i < s->count; i++)
        (void) connection_open(&w); /* counts itself */
    if (w.open > 0)
        loop_run(w.loop);
    w.loop = loop_free(w.loop);
    return w.accepted;
}
