/*
 * The 250 point. One of the few files that decide a message's fate: it exists from here on, or the client is told 4xx.
 *
 * Normal path: COLLECTING -> FINISHING -> COMMITTING -> ANSWERED. A commit of unknown outcome is taken back (REVOKING) before the client is
 * told 451, so that its next try is the only copy; where that cannot be confirmed either, the message is in doubt at the door (PROTOCOL.md).
 */
#include "ingress/submit.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/wire.h"
#include "ingress/submit_private.h"

enum {
    MARK_MS = 60000, /* repeats end after store.commit_time, at most 30 s */
    REVOKE_MS = 5000,
    CLOCK_CHECK_MS = 1000,
    CLOCK_JUMP_MS = 5000,
    CLASHES_MAX = 3,
    COPY_BYTES = 262144, /* children x size above this: they read the parent's content */
    DETAIL_BYTES = 512,
    DETAIL_WORD_BYTES = 100,
};

/* ---- its life */

struct submission *submission_new(struct reactor *r, const struct smtp_transaction *t,
                                  const struct submission_client *client,
                                  const struct submission_events *events, void *owner)
{
    struct submission *s = NEW(struct submission);
    s->reactor = r;
    s->events = *events;
    s->owner = owner;
    s->ip = client->ip;
    s->ip_text = mem_string(client->ip_text);
    s->client_name = client->client_name ? mem_string(client->client_name) : NULL;
    s->helo = mem_string(client->helo);
    s->session = mem_string(client->session);
    s->tls = client->tls ? mem_string(client->tls) : NULL;
    s->mechanism = client->mechanism ? mem_string(client->mechanism) : NULL;
    s->listener = client->listener;
    s->is_esmtp = client->is_esmtp;
    list_append(&r->submissions, &s->link);
    r->submission_count++;
    submission_address(s, t, client);
    submission_add_received(s);
    return s;
}

static void submission_free_if_over(struct submission *s)
{
    struct reactor *r = s->reactor;
    if (s->pending > 0 || (s->state != SUBMISSION_ANSWERED && s->state != SUBMISSION_DROPPED))
        return;
    timer_stop(&s->timer);
    submission_release(s);
    if (s->state == SUBMISSION_DROPPED)
        submission_discard(s); /* now, when no write is on its way that would come after it */
    list_remove(&s->link);
    r->submission_count--;
    envelope_done(&s->envelope);
    mem_free(s->ip_text);
    mem_free(s->client_name);
    mem_free(s->helo);
    mem_free(s->session);
    mem_free(s->tls);
    mem_free(s->mechanism);
    mem_free(s);
    reactor_check_drained(r);
}

void submission_unref(struct submission *s)
{
    must(s->pending > 0);
    s->pending--;
    submission_free_if_over(s);
}

struct submission *submission_leave(struct submission *s)
{
    if (!s)
        return NULL;
    s->owner = NULL;
    s->wants_room = false;
    if (s->state != SUBMISSION_COLLECTING)
        return NULL;
    s->state = SUBMISSION_DROPPED;
    timer_stop(&s->timer);
    submission_release(s);
    submission_free_if_over(s);
    return NULL;
}

/* ---- the answer */

static void answer(struct submission *s, unsigned code, const char *status, const char *text)
{
    const struct smtp_answer a = {.code = code, .status = status, .text = text};
    void *owner = STEAL(s->owner);
    s->state = SUBMISSION_ANSWERED;
    timer_stop(&s->timer);
    submission_release(s);
    metric_observe_us(METRIC_ACCEPT_SECONDS, clock_us() - s->dot_us);
    if (owner)
        s->events.on_answer(owner, &a);
}

static void log_outcome(const struct submission *s, enum log_event event, const char *why)
{
    const struct envelope *e = &s->envelope;
    char id[ID_TEXT_LEN + 1];
    if (!log_is_on(event))
        return;
    id_format(&e->id, id);
    log_event(event, F("msg", id), F("job", s->job), F("session", s->session), F("listener", s->listener),
              F("client", s->ip_text), F("helo", s->helo), F("tls", s->tls), F("user", e->user),
              F("auth", s->mechanism), F("from", e->sender),
              F("to", e->recipient_count == 1 ? e->recipients[0].addr : NULL),
              FN("recipients", e->recipient_count), F("queue", submission_queue(s)),
              FN("size", s->size_bytes), FN("us", clock_us() - s->dot_us), F("why", why));
}

static void answer_accepted(struct submission *s)
{
    char text[sizeof "Ok: queued as " + ID_TEXT_LEN] = "Ok: queued as ";
    id_format(&s->envelope.id, text + strlen(text));
    FAULT_SENT(accepted_sent);
    metric_add(METRIC_ACCEPTED_TOTAL, 1);
    metric_add(METRIC_ACCEPTED_BYTES_TOTAL, (int64_t) s->size_bytes);
    metric_add(METRIC_STORED_BYTES_TOTAL, (int64_t) s->stored_bytes);
    if (submission_delay_ms(s) == 0)
        ringer_ring(s->reactor->ringer, s->partition, submission_queue(s));
    log_outcome(s, LOG_ACCEPTED, NULL);
    answer(s, 250, "2.0.0", text);
}

static void answer_not_accepted(struct submission *s, unsigned code, const char *status, const char *text,
                                const char *why)
{
    metric_add(METRIC_NOT_ACCEPTED_TOTAL, 1);
    log_outcome(s, LOG_NOT_ACCEPTED, why);
    answer(s, code, status, text);
}

static void answer_away(struct submission *s, const char *why)
{
    answer_not_accepted(s, 451, "4.3.0", "The queue cannot take the message now; try again", why);
}

static void answer_full(struct submission *s, const char *why)
{
    answer_not_accepted(s, 452, "4.3.1", "The queue is full; try again later", why);
}

static void answer_trouble(struct submission *s)
{
    submission_discard(s);
    if (s->trouble == SPOOL_FULL)
        answer_full(s, "there is no memory for its content");
    else
        answer_away(s, s->trouble == SPOOL_MISSING ? "a chunk is missing" : "a chunk was not confirmed");
}

/* ---- taking a commit back */

static void on_revoked(void *context, enum delete_answer deleted)
{
    struct submission *s = context;
    FAULT_POINT(revoke_confirmed);
    if (deleted == DELETE_DELETED || deleted == DELETE_GONE) {
        answer_away(s, "the commit was not confirmed and was taken back");
    } else {
        metric_add(METRIC_DOOR_IN_DOUBT_TOTAL, 1);
        log_outcome(s, LOG_DOOR_IN_DOUBT,
                    deleted == DELETE_UNKNOWN ? "neither commit nor revoke was confirmed"
                                              : "a courier has it already");
        answer_away(s, "in doubt");
    }
    submission_unref(s);
}

static void revoke(struct submission *s)
{
    s->state = SUBMISSION_REVOKING;
    timer_stop(&s->timer);
    s->pending++;
    queue_delete(s->reactor->store, s->partition, s->job, submission_queue(s), true, REVOKE_MS, on_revoked,
                 s);
    FAULT_SENT(revoke_sent);
}

/* The clock of the Redis that has the partition, less our own. */
static int64_t clock_offset_ms(const struct submission *s)
{
    return (int64_t) (store_partition_ms(s->reactor->store, s->partition) - clock_wall_ms());
}

/*
 * A mark of the commit lasts by the clock of Redis: once that clock has moved against ours, a repeat could make an ended job anew. The revoke
 * overtakes what is still repeated: it leaves a mark that any later commit of this job meets.
 */
static void on_clock_check(struct timer *t)
{
    struct submission *s = CONTAINER_OF(t, struct submission, timer);
    int64_t moved_ms = clock_offset_ms(s) - s->clock_offset_ms;
    if (llabs(moved_ms) > CLOCK_JUMP_MS)
        revoke(s);
    else
        timer_start(s->reactor->loop, &s->timer, CLOCK_CHECK_MS, on_clock_check);
}

/* ---- the commit */

/* Another message has our id: take a new one. Chunks already written bear the old name and stay: they may be the other's. */
static void recommit(struct submission *s)
{
    if (s->chunk_count > 0 || ++s->clashes > CLASHES_MAX) {
        answer_away(s, "the id is taken");
        return;
    }
    struct buf old = s->part;
    size_t start = s->received_bytes;
    s->part = (struct buf){.data = NULL};
    submission_release(s);
    submission_new_id(s);
    submission_add_received(s);
    s->content_bytes = 0;
    s->state = SUBMISSION_COLLECTING;
    submission_add(s, (struct span){.at = old.data + start, .len = old.len - start});
    buf_done(&old);
    if (s->is_all_body)
        submission_starts_with_body(s);
    submission_commit(s);
}

static void on_committed(void *context, enum commit_answer committed)
{
    struct submission *s = context;
    if (s->state == SUBMISSION_COMMITTING) { /* else the revoke decides */
        timer_stop(&s->timer);
        FAULT_POINT(commit_confirmed);
        switch (committed) {
        case COMMIT_NEW:
        case COMMIT_AGAIN: answer_accepted(s); break;
        case COMMIT_CLASH: recommit(s); break;
        case COMMIT_REVOKED: answer_away(s, "the commit was revoked"); break;
        case COMMIT_INCOMPLETE:
            submission_discard(s);
            answer_away(s, "content is incomplete in the store");
            break;
        case COMMIT_FULL:
            submission_discard(s);
            answer_full(s, "the commit was refused for memory");
            break;
        case COMMIT_UNDONE:
        case COMMIT_UNKNOWN: revoke(s); break;
        }
    }
    submission_unref(s);
}

static void add_cut(struct buf *out, const char *key, const char *text)
{
    buf_add_text(out, key);
    buf_add(out, text, strnlen(text, DETAIL_WORD_BYTES));
}

/* What the accepted event tells; NUL-terminated. */
static void add_detail(const struct submission *s, struct buf *out)
{
    const struct envelope *e = &s->envelope;
    (void) buf_reserve(out, DETAIL_BYTES); /* one allocation for what follows */
    add_cut(out, "from=<", e->sender);
    add_cut(out, "> to=<", e->recipients[0].addr);
    if (e->recipient_count > 1) {
        buf_add_text(out, "> and ");
        buf_add_number(out, e->recipient_count - 1);
        buf_add_text(out, " more size=");
    } else {
        buf_add_text(out, "> size=");
    }
    buf_add_number(out, e->size_bytes);
    add_cut(out, " client=", e->client);
    if (e->user)
        add_cut(out, " user=", e->user);
    add_cut(out, " by=", reactor_shared.name);
    buf_add_char(out, '\0');
}

static void start_commit(struct submission *s)
{
    struct envelope *e = &s->envelope;
    AUTO_BUF struct buf envelope = {0};
    AUTO_BUF struct buf state = {0};
    AUTO_BUF struct buf detail = {0};
    struct job_state fresh;
    AUTO_BUF struct buf packed = {0};
    struct span whole = {.at = NULL};
    bool is_small = s->chunk_count == 0;

    s->state = SUBMISSION_COMMITTING;
    e->size_bytes = s->size_bytes;
    e->chunk_count = is_small ? 1 : s->chunk_count;
    if (is_small) {
        whole = submission_pack(s, buf_span(&s->part), &packed);
        s->stored_bytes = whole.len;
    }
    e->coded_bytes = s->stored_bytes;
    e->keeps_content = e->is_parent && (!is_small || e->queue_count * s->stored_bytes > COPY_BYTES);
    wire_put_envelope(e, &envelope);
    job_state_init(&fresh, e);
    wire_put_state(&fresh, &state);
    job_state_done(&fresh);
    add_detail(s, &detail);
    const struct queue_job job = {
        .partition = s->partition,
        .job = s->job,
        .queue = submission_queue(s),
        .envelope = buf_span(&envelope),
        .state = buf_span(&state),
        .mark_ms = MARK_MS,
        .keeps_content = e->keeps_content,
        .chunk_count = e->chunk_count,
        .size_bytes = s->stored_bytes,
        .chunks = is_small ? &whole : NULL,
        .detail = detail.data,
        .tenant = e->tenant,
        .delay_ms = submission_delay_ms(s),
    };
    s->pending++;
    s->clock_offset_ms = clock_offset_ms(s);
    timer_start(s->reactor->loop, &s->timer, CLOCK_CHECK_MS, on_clock_check);
    queue_commit(s->reactor->store, &job, false, conf_get()->store.commit_time_ms, on_committed, s);
    FAULT_SENT(commit_sent);
#ifdef PLANT_EARLY_250 /* a planted bug, for the test that must find its loss: 250 before the commit is confirmed */
    answer_accepted(s);
#endif
}

void submission_tls_is_optional(struct submission *s)
{
    s->envelope.tls_optional = !s->envelope.requires_tls;
}

void submission_has_8bit_header(struct submission *s)
{
    s->envelope.has_utf8_header = s->envelope.is_utf8;
}

void submission_spooled(struct submission *s)
{
    if (s->state == SUBMISSION_COLLECTING && s->wants_room && s->owner && submission_has_room(s))
        s->events.on_room(s->owner);
    if (s->state != SUBMISSION_FINISHING || s->writing > 0)
        return;
    if (s->trouble == SPOOL_OK)
        start_commit(s);
    else
        answer_trouble(s);
}

void submission_commit(struct submission *s)
{
    must(s->state == SUBMISSION_COLLECTING);
    s->state = SUBMISSION_FINISHING;
    s->wants_room = false;
    if (s->clashes == 0)
        s->dot_us = clock_us();
    s->pending++;          /* it stays until this call is over */
    timer_stop(&s->timer); /* no refresh any more: the chunks are younger than their TTL by far */
    submission_spool_rest(s);
    submission_spooled(s);
    submission_unref(s);
}
