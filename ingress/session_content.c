/*
 * Content on its way from the engine to the submission: through the fix-ups of a submission service where it has any, and past the last
 * questions at its end.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/metric.h"
#include "ingress/fixup.h"
#include "ingress/session_private.h"

/* A piece is taken. */
static void content_go_on(struct session *s)
{
    session_go_on(s);
    if (s->engine.phase == SMTP_BETWEEN)
        FAULT_SENT(chunk_answered);
}

/* ---- what the submission tells */

static void on_room(void *owner)
{
    struct session *s = session_check(owner);
    if (s->engine.ask != SMTP_ASK_CONTENT)
        return; /* the session has ended meanwhile */
    content_go_on(s);
    session_resume(s);
}

static void on_answer(void *owner, const struct smtp_answer *answer)
{
    struct session *s = session_check(owner);
    must(s->engine.ask == SMTP_ASK_COMMIT);
    s->submission = NULL; /* it frees itself */
    session_answer(s, answer);
    session_resume(s);
}

/* ---- its begin */

/* As it was said, or as the tables have it. */
static const char *sender_of(struct session *s)
{
    const char *said = smtp_sender(s->engine.transaction);
    const char *other = NULL;
    struct addr addr;
    if (said[0] != '\0' && addr_parse_utf8(span_of(said), &addr) == 0)
        other = tables_sender(s->reactor->tables, &addr);
    return other ? other : said;
}

void session_serve_body(struct session *s)
{
    static const struct submission_events events = {.on_room = on_room, .on_answer = on_answer};
    static const struct smtp_answer go = {.code = 354, .status = "", .text = ""};
    const struct service *service = s->who.service;
    char room[TLS_TEXT_MAX];
    const struct submission_client client = {.sender = sender_of(s),
                                             .ip = s->who.ip,
                                             .ip_text = s->client_text,
                                             .client_name = s->client_name,
                                             .helo = s->engine.helo,
                                             .is_esmtp = s->engine.is_esmtp,
                                             .tls = session_tls_text(s, room),
                                             .user = s->who.user ? s->who.user->name : NULL,
                                             .tenant = s->who.user ? s->who.user->tenant : NULL,
                                             .mechanism = session_mechanism(s),
                                             .listener = service->name,
                                             .session = s->id};
    must(!s->submission && !s->fixup);
    s->submission = submission_new(s->reactor, s->engine.transaction, &client, &events, s);
    s->has_separator = s->has_bad_from = false;
    if (fixup_is_wanted(&service->fixup)) {
        s->fixup = NEW(struct fixup);
        s->fixup->rules = service->fixup;
    }
    session_answer(s, &go);
    FAULT_SENT(data_begun);
}

static void drop_fixup(struct session *s)
{
    if (s->fixup)
        fixup_done(s->fixup);
    s->fixup = mem_free(s->fixup);
}

void session_drop_content(struct session *s)
{
    s->submission = submission_leave(s->submission);
    drop_fixup(s);
}

void session_serve_drop(struct session *s)
{
    metric_add(METRIC_REFUSED_CONTENT_TOTAL, 1);
    session_drop_content(s);
    session_go_on(s);
}

/* ---- its pieces */

static void add(struct session *s, struct span content)
{
    if (content.len > 0)
        submission_add(s->submission, content);
}

static struct fixup_facts facts_of(struct session *s, char message_id[static MESSAGE_ID_MAX])
{
    submission_message_id(s->submission, message_id);
    return (struct fixup_facts){.wall_ms = store_redis_ms(s->reactor->store), .message_id = message_id};
}

static void mend(struct session *s, struct span content)
{
    char message_id[MESSAGE_ID_MAX];
    const struct fixup_facts facts = facts_of(s, message_id);
    struct span out;
    while (content.len > 0) {
        bool was_past = s->fixup->is_past;
        size_t used = fixup_feed(s->fixup, content, &facts, &out);
        add(s, out);
        if (s->fixup->is_past && !was_past)
            FAULT_POINT(header_mended);
        if (!was_past && !submission_set_aside(s->submission, s->fixup->is_past ? 0 : s->fixup->held.len)) {
            drop_fixup(s);
            return; /* the rest is read, but not kept */
        }
        content = (struct span){.at = content.at + used, .len = content.len - used};
    }
}

static void mend_end(struct session *s)
{
    char message_id[MESSAGE_ID_MAX];
    const struct fixup_facts facts = facts_of(s, message_id);
    struct span out;
    fixup_end(s->fixup, &facts, &out);
    add(s, out);
}

/* A last line without its end is judged at the dot only. */
static void separate(struct session *s)
{
    if (!s->engine.transaction->content->header.starts_with_body || s->has_separator || s->fixup)
        return; /* a fixup sees to it itself */
    s->has_separator = true;
    submission_starts_with_body(s->submission);
}

void session_serve_content(struct session *s)
{
    separate(s);
    if (s->fixup)
        mend(s, s->engine.content);
    else
        add(s, s->engine.content);
    s->is_waiting = !submission_has_room(s->submission);
    if (!s->is_waiting)
        content_go_on(s);
}

/* ---- its end */

/* Only what the user may send as may stand in From (BEHAVIOURS D09). */
static bool is_from_allowed(const struct session *s)
{
    struct addr from;
    if (!s->fixup || !s->fixup->rules.checks_from || !s->who.user)
        return true;
    return fixup_from(s->fixup, &from) && user_may_send(s->who.user, &from);
}

static void refuse(struct session *s, const struct smtp_answer *answer)
{
    metric_add(answer->code >= 500 ? METRIC_REFUSED_CONTENT_TOTAL : METRIC_NOT_ACCEPTED_TOTAL, 1);
    session_drop_content(s);
    session_answer(s, answer);
}

static void commit(struct session *s)
{
    FAULT_POINT(content_judged);
    drop_fixup(s);
    s->is_waiting = true;
    submission_commit(s->submission);
}

static void on_judged(void *owner, const struct smtp_answer *answer)
{
    struct session *s = session_check(owner);
    s->admission = NULL;
    if (answer->code == 250) {
        commit(s);
        return;
    }
    refuse(s, answer);
    session_resume(s);
}

void session_serve_commit(struct session *s)
{
    static const struct smtp_answer not_yours = {
        .code = 550, .status = "5.7.1", .text = "The From field must be an address that you may send as"};
    const struct smtp_content *content = s->engine.transaction->content;
    struct smtp_answer answer;
    separate(s);
    if (s->fixup)
        mend_end(s);
    if (!is_from_allowed(s)) {
        refuse(s, &not_yours);
        return;
    }
    if (content->header.has_8bit)
        submission_has_8bit_header(s->submission);
    if (content->header.is_tls_optional)
        submission_tls_is_optional(s->submission);
    s->admission = admission_content(&s->who, content->size_bytes, on_judged, s, &answer);
    s->is_waiting = s->admission != NULL;
    if (s->is_waiting)
        return;
    if (answer.code == 250)
        commit(s);
    else
        refuse(s, &answer);
}
