/*
 * One client. While the engine waits for an answer that takes time (a commit, room for content, DNS) nothing is read from the client; all that a
 * round brings is answered in one write. An idle session holds no buffers: what is left is its struct, the stream and the EHLO name.
 */
#include "ingress/session.h"

#include <string.h>

#include "base/conf.h"
#include "base/metric.h"
#include "ingress/client.h"
#include "ingress/session_private.h"

struct session *session_check(void *owner)
{
    struct session *s = owner;
    must(s->magic == SESSION_MAGIC);
    return s;
}

/* ---- answering the engine */

struct buf *session_output(struct session *s, uint64_t *ret_now_ms)
{
    *ret_now_ms = loop_now_ms(s->reactor->loop);
    return stream_output(s->stream);
}

/* What a late answer is to: the bytes of the command are gone. */
static void add_command(const struct session *s, struct buf *out)
{
    if (s->engine.ask != SMTP_ASK_SENDER && s->engine.ask != SMTP_ASK_RECIPIENT)
        return;
    buf_add_text(out, s->engine.ask == SMTP_ASK_SENDER ? "MAIL FROM:<" : "RCPT TO:<");
    buf_add_span(out, s->engine.address.whole);
    buf_add_char(out, '>');
}

/* The part of what is to be sent that came behind `before`. */
static struct span said_behind(struct session *s, size_t before)
{
    struct span said = buf_span(stream_output(s->stream));
    return (struct span){.at = said.at + before, .len = said.len > before ? said.len - before : 0};
}

void session_answer(struct session *s, const struct smtp_answer *a)
{
    uint64_t now_ms;
    struct buf *out = session_output(s, &now_ms);
    AUTO_BUF struct buf command = {.data = NULL};
    size_t before = out->len;
    bool is_told = !s->is_serving && a->code >= 500; /* else session_step() does */
    if (is_told)
        add_command(s, &command);
    smtp_server_answer(&s->engine, a, now_ms, out);
    if (is_told && s->engine.errors > s->errors_told)
        session_tell_refusal(s, buf_span(&command), said_behind(s, before));
}

void session_go_on(struct session *s)
{
    uint64_t now_ms;
    struct buf *out = session_output(s, &now_ms);
    smtp_server_go_on(&s->engine, now_ms, out);
}

bool session_advance(struct session *s)
{
    bool is_open = true;
    s->is_serving = true;
    while (is_open && s->engine.ask != SMTP_ASK_NONE) {
        enum smtp_ask ask = (enum smtp_ask) s->engine.ask;
        switch (ask) {
        case SMTP_ASK_SENDER: session_serve_sender(s); break;
        case SMTP_ASK_RECIPIENT: session_serve_recipient(s); break;
        case SMTP_ASK_TLS: session_serve_tls(s); break;
        case SMTP_ASK_HANDSHAKE: session_serve_handshake(s); break;
        case SMTP_ASK_AUTH: session_serve_auth(s); break;
        case SMTP_ASK_XCLIENT: session_serve_xclient(s); break;
        case SMTP_ASK_BODY: session_serve_body(s); break;
        case SMTP_ASK_CONTENT: session_serve_content(s); break;
        case SMTP_ASK_DROP: session_serve_drop(s); break;
        case SMTP_ASK_COMMIT: session_serve_commit(s); break;
        case SMTP_ASK_CLOSE:
        case SMTP_ASK_NONE: break;
        }
        is_open = !s->is_waiting && s->engine.ask != SMTP_ASK_CLOSE;
    }
    s->is_serving = false;
    return s->engine.ask == SMTP_ASK_NONE && !s->is_waiting;
}

void session_resume(struct session *s)
{
    s->is_waiting = false;
    if (s->is_serving)
        return; /* it is told at once */
    if (session_advance(s))
        stream_resume(s->stream);
    session_settle(s);
}

/* ---- after whatever happened */

static void session_finish(struct session *s)
{
    s->is_finished = true;
    s->admission = admission_cancel(s->admission);
    session_stop_auth(s);
    session_drop_content(s);
    stream_written(s->stream);
    stream_finish(s->stream);
}

void session_settle(struct session *s)
{
    if (s->is_finished)
        return;
    if (s->engine.ask == SMTP_ASK_CLOSE) {
        session_finish(s);
        return;
    }
    stream_written(s->stream);
    if (s->is_shaking)
        return; /* it has a time of its own */
    uint64_t deadline_ms = smtp_server_deadline(&s->engine), now_ms = loop_now_ms(s->reactor->loop);
    if (deadline_ms == s->deadline_ms)
        return;
    s->deadline_ms = deadline_ms;
    stream_deadline(s->stream, deadline_ms == 0 ? 0 : deadline_ms > now_ms ? deadline_ms - now_ms : 1);
}

/* ---- what the stream brings */

/* One step of the engine and all that it asks. Returns the bytes taken; *ret_goes_on: the engine takes more. */
static size_t session_step(struct session *s, struct span in, bool *ret_goes_on)
{
    uint64_t now_ms;
    struct buf *out = session_output(s, &now_ms);
    size_t before = out->len;
    bool is_told = s->engine.phase != SMTP_CONTENT && s->engine.phase != SMTP_SASL;
    if (s->reactor->is_traced)
        session_trace(s);
    size_t used = smtp_server_feed(&s->engine, in, now_ms, out);
    *ret_goes_on = session_advance(s) && used > 0;
    if (s->engine.errors > s->errors_told) {
        struct span command = {.at = is_told ? in.at : NULL, .len = is_told ? used : 0};
        session_tell_refusal(s, command, said_behind(s, before));
    }
    s->errors_told = s->engine.errors; /* it falls with each message accepted */
    return used;
}

size_t session_on_data(void *owner, struct span in)
{
    struct session *s = session_check(owner);
    size_t used = 0;
    if (s->engine.phase == SMTP_NEW)
        return session_on_early_data(s);
    bool goes_on = s->engine.ask == SMTP_ASK_NONE && !s->is_waiting;
    while (goes_on && used < in.len && !stream_is_full(s->stream) && !session_looks_up_user(s)) {
        struct span rest = {.at = in.at + used, .len = in.len - used};
        used += session_step(s, rest, &goes_on);
    }
    if (s->is_waiting || stream_is_full(s->stream))
        stream_pause(s->stream);
    session_settle(s);
    return used;
}

/* A client that did not read our replies has read them. */
void session_on_drained(void *owner)
{
    struct session *s = session_check(owner);
    if (s->engine.ask == SMTP_ASK_NONE && !s->is_waiting)
        stream_resume(s->stream);
}

bool session_on_timeout(void *owner)
{
    struct session *s = session_check(owner);
    uint64_t now_ms;
    struct buf *out = session_output(s, &now_ms);
    if (s->is_shaking)
        return false;
    s->deadline_ms = 0;
    smtp_server_tick(&s->engine, now_ms, out);
    session_settle(s);
    return true;
}

void session_on_closed(void *owner, int reason)
{
    struct session *s = session_check(owner);
    struct reactor *r = s->reactor;
    session_tell_closed(s, reason);
    if (s->is_shaking) {
        metric_add(METRIC_HANDSHAKES, -1);
        client_end_handshake(&s->who.ip);
    }
    if (s->is_shaking && reason != 0)
        metric_add(METRIC_HANDSHAKES_FAILED_TOTAL, 1);
    if (s->engine.is_secured)
        metric_add(METRIC_SESSIONS_SECURED, -1);
    s->admission = admission_cancel(s->admission);
    session_drop_content(s);
    session_leave(s);
    session_logout(s);
    metric_add(METRIC_SESSIONS, -1);
    list_remove(&s->link);
    r->session_count--;
    smtp_server_done(&s->engine);
    s->magic = 0;
    mem_free(s->client_name);
    mem_free(s);
    reactor_check_drained(r);
}

/* ---- all of them */

void sessions_stop(struct reactor *r, bool at_once)
{
    LIST_EACH(&r->sessions, it, save) {
        struct session *s = LIST_ENTRY(it, struct session, link);
        uint64_t now_ms;
        struct buf *out = session_output(s, &now_ms);
        if ((at_once && s->is_finished) || s->engine.phase == SMTP_NEW)
            stream_abort(
                s->stream); /* it has had its time to read our last words, or we have said none yet */
        smtp_server_stop(&s->engine, at_once, now_ms, out);
        session_settle(s);
    }
}

void sessions_hurry(struct reactor *r)
{
    LIST_EACH(&r->sessions, it, save) {
        struct session *s = LIST_ENTRY(it, struct session, link);
        smtp_server_hurry(&s->engine, loop_now_ms(r->loop) + conf_get()->ingress.stress_timeout_ms);
        session_settle(s);
    }
}
