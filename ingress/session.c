/*
 * One client. While the engine waits for an answer that takes time (a commit, room for content) nothing is read from the client; all that
 * a round brings is answered in one write. An idle session holds no buffers: what is left is this struct, the stream and the EHLO name.
 */
#include "ingress/session.h"

#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "ingress/client.h"
#include "ingress/submit.h"

enum { SESSION_MAGIC = 0x5e5510, SESSION_ID_MAX = 36, IP_TEXT_MAX = 64 };

struct session {
    unsigned magic;
    bool is_trusted;
    bool is_serving; /* inside serve(): answers come back to it */
    bool is_finished;
    bool has_separator;
    struct reactor *reactor;
    struct list link;
    struct stream *stream;
    struct submission *submission;
    struct smtp_server engine;
    struct ip client;
    uint64_t errors_told;
    uint64_t deadline_ms; /* as told to the stream */
    char id[SESSION_ID_MAX];
    char client_text[IP_TEXT_MAX];
};

/* ---- the log */

/* Unique in the life of this process; the line names the node. */
static void set_id(struct session *s)
{
    (void) snprintf(s->id, sizeof s->id, "%llx-%x-%llx", (unsigned long long) clock_wall_ms(),
                    s->reactor->index, (unsigned long long) ++s->reactor->session_number); /* it fits */
}

static void set_client_text(struct session *s)
{
    AUTO_BUF struct buf text = {0};
    ip_format(&s->client, &text);
    must(text.len < sizeof s->client_text);
    memcpy(s->client_text, text.data, text.len);
}

/* Commands whose arguments are addresses are told whole, of others the verb only: it could be a password typed at the wrong prompt. */
static struct span tellable(struct span command)
{
    struct span line = span_cut(&command, '\r');
    if (span_starts_nocase(line, SPAN("MAIL ")) || span_starts_nocase(line, SPAN("RCPT ")))
        return line;
    return span_cut(&line, ' ');
}

/* One line for each command refused: what was said to it, and the command unless it was content. */
static void tell_refusal(struct session *s, struct span command, struct span reply)
{
    metric_add(METRIC_COMMANDS_REFUSED_TOTAL, (int64_t) (s->engine.errors - s->errors_told));
    s->errors_told = s->engine.errors;
    if (!log_is_on(LOG_REFUSED))
        return;
    struct span said = tellable(command);
    log_event(LOG_REFUSED, F("session", s->id), F("client", s->client_text), F("helo", s->engine.helo),
              FS("command", said), FS("reply", span_cut(&reply, '\r')));
}

/* ---- answering the engine */

static void now_and_out(struct session *s, uint64_t *ret_now_ms, struct buf **ret_out)
{
    *ret_now_ms = loop_now_ms(s->reactor->loop);
    *ret_out = stream_output(s->stream);
}

static void engine_answer(struct session *s, const struct smtp_answer *a)
{
    uint64_t now_ms;
    struct buf *out;
    now_and_out(s, &now_ms, &out);
    smtp_server_answer(&s->engine, a, now_ms, out);
}

static void engine_go_on(struct session *s)
{
    uint64_t now_ms;
    struct buf *out;
    now_and_out(s, &now_ms, &out);
    smtp_server_go_on(&s->engine, now_ms, out);
}

static void serve_sender(struct session *s)
{
    struct smtp_answer a;
    reactor_refresh(s->reactor);
    s->is_trusted = policy_is_trusted(s->reactor->policy, &s->client);
    if (!store_is_ready(s->reactor->store))
        a = (struct smtp_answer){451, "4.3.0", "The queue is away; try again later", NULL};
    else if (store_is_full(s->reactor->store))
        a = (struct smtp_answer){452, "4.3.1", "The queue is full; try again later", NULL};
    else
        policy_sender(s->reactor->policy, &s->engine.address, &a);
    engine_answer(s, &a);
}

static void serve_recipient(struct session *s)
{
    struct smtp_answer a;
    policy_recipient(s->reactor->policy, s->is_trusted, &s->engine.address, &a);
    engine_answer(s, &a);
}

static bool session_advance(struct session *s);
static void session_settle(struct session *s);

static void on_room(void *owner)
{
    struct session *s = owner;
    must(s->magic == SESSION_MAGIC);
    if (s->engine.ask != SMTP_ASK_CONTENT)
        return; /* the session has ended meanwhile */
    engine_go_on(s);
    if (session_advance(s))
        stream_resume(s->stream);
    session_settle(s);
}

static void on_answer(void *owner, const struct smtp_answer *answer)
{
    struct session *s = owner;
    must(s->magic == SESSION_MAGIC && s->engine.ask == SMTP_ASK_COMMIT);
    s->submission = NULL; /* it frees itself */
    engine_answer(s, answer);
    if (s->is_serving)
        return;
    if (session_advance(s))
        stream_resume(s->stream);
    session_settle(s);
}

static void serve_body(struct session *s)
{
    static const struct submission_events events = {.on_room = on_room, .on_answer = on_answer};
    static const struct smtp_answer go = {354, "", "", NULL};
    const struct submission_client client = {.ip = s->client,
                                             .ip_text = s->client_text,
                                             .helo = s->engine.helo,
                                             .is_esmtp = s->engine.is_esmtp,
                                             .session = s->id};
    must(!s->submission);
    s->submission = submission_new(s->reactor, s->engine.transaction, &client, &events, s);
    s->has_separator = false;
    engine_answer(s, &go);
    FAULT_SENT(data_begun);
}

/* True: more may come. */
static bool serve_content(struct session *s)
{
    if (s->engine.transaction->content->header.starts_with_body && !s->has_separator) {
        s->has_separator = true;
        submission_starts_with_body(s->submission);
    }
    submission_add(s->submission, s->engine.content);
    if (!submission_has_room(s->submission))
        return false;
    engine_go_on(s);
    return true;
}

/* A last line without its end is judged at the dot only. */
static void serve_commit(struct session *s)
{
    if (s->engine.transaction->content->header.starts_with_body && !s->has_separator)
        submission_starts_with_body(s->submission);
    submission_commit(s->submission);
}

/* Answers what can be answered at once. True: the engine takes input again. */
static bool session_advance(struct session *s)
{
    bool is_open = true;
    s->is_serving = true;
    while (is_open && s->engine.ask != SMTP_ASK_NONE) {
        switch ((enum smtp_ask) s->engine.ask) {
        case SMTP_ASK_SENDER: serve_sender(s); break;
        case SMTP_ASK_RECIPIENT: serve_recipient(s); break;
        case SMTP_ASK_BODY: serve_body(s); break;
        case SMTP_ASK_CONTENT: is_open = serve_content(s); break;
        case SMTP_ASK_DROP:
            metric_add(METRIC_REFUSED_CONTENT_TOTAL, 1);
            s->submission = submission_leave(s->submission);
            engine_go_on(s);
            break;
        case SMTP_ASK_COMMIT:
            serve_commit(s);
            is_open = s->engine.ask != SMTP_ASK_COMMIT;
            break;
        case SMTP_ASK_CLOSE:
        case SMTP_ASK_NONE: is_open = false; break;
        }
    }
    s->is_serving = false;
    return s->engine.ask == SMTP_ASK_NONE;
}

/* After whatever happened: send, close, wait. */
static void session_settle(struct session *s)
{
    if (s->is_finished)
        return;
    if (s->engine.ask == SMTP_ASK_CLOSE) {
        s->is_finished = true;
        s->submission = submission_leave(s->submission);
        stream_written(s->stream);
        stream_finish(s->stream);
        return;
    }
    stream_written(s->stream);
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
    struct buf *out;
    now_and_out(s, &now_ms, &out);
    size_t before = out->len;
    bool is_content = s->engine.phase == SMTP_CONTENT;
    size_t used = smtp_server_feed(&s->engine, in, now_ms, out);
    *ret_goes_on = session_advance(s) && used > 0;
    if (s->engine.errors > s->errors_told) {
        struct span command = {.at = is_content ? NULL : in.at, .len = is_content ? 0 : used};
        struct span said = buf_span(stream_output(s->stream));
        struct span reply = {.at = said.at + before, .len = said.len > before ? said.len - before : 0};
        tell_refusal(s, command, reply);
    }
    s->errors_told = s->engine.errors; /* it falls with each message accepted */
    return used;
}

static size_t on_data(void *owner, struct span in)
{
    struct session *s = owner;
    size_t used = 0;
    bool goes_on = s->engine.ask == SMTP_ASK_NONE;
    must(s->magic == SESSION_MAGIC);
    while (goes_on && used < in.len && !stream_is_full(s->stream)) {
        struct span rest = {.at = in.at + used, .len = in.len - used};
        used += session_step(s, rest, &goes_on);
    }
    if ((s->engine.ask != SMTP_ASK_NONE && s->engine.ask != SMTP_ASK_CLOSE) || stream_is_full(s->stream))
        stream_pause(s->stream);
    session_settle(s);
    return used;
}

/* A client that did not read our replies has read them. */
static void on_drained(void *owner)
{
    struct session *s = owner;
    if (s->engine.ask == SMTP_ASK_NONE)
        stream_resume(s->stream);
}

static bool on_timeout(void *owner)
{
    struct session *s = owner;
    uint64_t now_ms;
    struct buf *out;
    must(s->magic == SESSION_MAGIC);
    now_and_out(s, &now_ms, &out);
    s->deadline_ms = 0;
    smtp_server_tick(&s->engine, now_ms, out);
    session_settle(s);
    return true;
}

static const char *end_word(const struct session *s, int reason)
{
    if (s->is_finished)
        return s->engine.last_code == 221 ? "quit" : "closed by us";
    return reason == 0 ? "closed by client" : log_errno_text(-reason);
}

static void on_closed(void *owner, int reason)
{
    struct session *s = owner;
    struct reactor *r = s->reactor;
    must(s->magic == SESSION_MAGIC);
    s->submission = submission_leave(s->submission);
    if (log_is_on(LOG_DISCONNECTED))
        log_event(LOG_DISCONNECTED, F("session", s->id), F("how", end_word(s, reason)),
                  F("helo", s->engine.helo), FN("accepted", s->engine.accepted),
                  FN("errors", s->engine.errors));
    client_leave(&s->client);
    metric_add(METRIC_SESSIONS, -1);
    list_remove(&s->link);
    r->session_count--;
    smtp_server_done(&s->engine);
    s->magic = 0;
    mem_free(s);
    reactor_check_drained(r);
}

/* ---- its begin and its end */

/* Bytes that are here before our greeting (BEHAVIOURS B15). */
static bool has_spoken(int fd)
{
    char first;
    return recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void session_greet(struct session *s, bool is_within_limits, bool has_spoken_early)
{
    static const struct smtp_answer welcome = {220, "", "", NULL};
    static const struct smtp_answer too_many = {421, "4.7.0", "Too many sessions; try again later", NULL};
    uint64_t now_ms;
    struct buf *out;
    now_and_out(s, &now_ms, &out);
    if (is_within_limits && has_spoken_early)
        (void) smtp_server_feed(&s->engine, SPAN("?"), now_ms, out); /* what it is does not matter */
    else
        smtp_server_greet(&s->engine, is_within_limits ? &welcome : &too_many, now_ms, out);
    session_settle(s);
}

static void tell_connected(const struct session *s, bool is_within_limits)
{
    enum log_event event = is_within_limits ? LOG_CONNECTED : LOG_SESSION_LIMIT;
    if (!log_is_on(event) ||
        (!is_within_limits && !client_may_tell(s->reactor ? loop_now_ms(s->reactor->loop) : 0)))
        return;
    log_event(event, F("session", s->id), F("client", s->client_text),
              FN("sessions", metric_get(METRIC_SESSIONS)));
}

void session_open(struct reactor *r, int fd)
{
    static const struct stream_events events = {
        .on_data = on_data, .on_drained = on_drained, .on_closed = on_closed};
    struct session *s = NEW(struct session);
    uint16_t port;
    bool has_spoken_early = has_spoken(fd);
    s->magic = SESSION_MAGIC;
    s->reactor = r;
    set_id(s);
    s->stream = stream_adopt(r->loop, fd, &events, s);
    if (stream_peer(s->stream, &s->client, &port) < 0)
        s->client = (struct ip){.is_v4 = false}; /* it has gone already; :: is trusted by nobody */
    set_client_text(s);
    reactor_refresh(r);
    bool is_within_limits = client_enter(&s->client, r->max_sessions, r->max_sessions_per_client);
    metric_add(METRIC_SESSIONS, 1);
    metric_add(METRIC_SESSIONS_TOTAL, 1);
    list_append(&r->sessions, &s->link);
    r->session_count++;
    smtp_server_init(&s->engine, reactor_shared.name, &r->limits);
    stream_on_timeout(s->stream, on_timeout);
    tell_connected(s, is_within_limits);
    session_greet(s, is_within_limits, has_spoken_early);
}

void sessions_stop(struct reactor *r, bool at_once)
{
    LIST_EACH(&r->sessions, it, save) {
        struct session *s = LIST_ENTRY(it, struct session, link);
        uint64_t now_ms;
        struct buf *out;
        if (at_once && s->is_finished)
            stream_abort(s->stream); /* it has had its time to read our last words */
        now_and_out(s, &now_ms, &out);
        smtp_server_stop(&s->engine, at_once, now_ms, out);
        session_settle(s);
    }
}
