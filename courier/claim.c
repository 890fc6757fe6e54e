/* Claims of one queue, one at a time; each job's first chunk is fetched at once, so that a connection never waits for it. */
#include "courier/claim.h"

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/metric.h"
#include "cluster/spool.h"
#include "courier/attempt.h"
#include "courier/fanout.h"
#include "courier/grant.h"
#include "courier/settle.h"

enum {
    CLAIM_MAX = 64,
    AHEAD =
        6, /* jobs at hand for each connection: what it sends while a claim and its content are on their way */
    CLAIM_RECORD_BYTES = 4 << 20,
    FANOUT_AT_ONCE = 16,
    MILLION = 1000000,
};

static size_t claim_size(const struct work *w)
{
    const struct courier *c = w->courier;
    const struct conf *conf = conf_get();
    size_t most = w->is_fanout ? FANOUT_AT_ONCE : AHEAD * (size_t) w->connections_max, room,
           at_hand = w->ready_count + w->loading_count;

    if (w->rate_micro && most > 1 + (size_t) (w->rate_micro / MILLION))
        most = 1 + (size_t) (w->rate_micro / MILLION);
    if (w->is_fanout &&
        store_is_full(c->store)) /* the reserve above the watermark holds one expansion at a time */
        most = c->expanding == 0 && w->job_count == 0;
    if (!work_has_job_room(c))
        return 0;
    room = conf->courier.max_claimed - c->job_count;
    if (w->is_fanout)
        return w->job_count < most ? most - w->job_count : 0;
    if (at_hand > most - most / 4)
        return 0;
    most = most - at_hand < CLAIM_MAX ? most - at_hand : CLAIM_MAX;
    return most < room ? most : room;
}

struct content_load {
    struct work *work;
    struct job *job;
};

static void on_content(void *context, enum spool_result result, struct span bytes)
{
    struct content_load *load = context;
    struct job *j = load->job;
    struct work *w = load->work;

    mem_free(load);
    w->loading_count--;
    if (result == SPOOL_UNKNOWN || j->is_dropped) {
        work_job_over(w, j);
        return;
    }
    if (!job_chunk_fits(j, 0, 0, bytes.len) && j->fate != FATE_BOUNCE && j->fate != FATE_DELETE) {
        settle_hold(j, "content is missing");
        return;
    }
    buf_add_span(&j->chunk, bytes);
    w->courier->content_bytes += bytes.len;
    attempt_begin(j);
    work_wake(w);
}

static void take_job(struct work *w, const struct queue_claimed *claimed, const char *token)
{
    struct courier *c = w->courier;
    struct job *j = NULL;
    struct content_load *load;

    if (job_new(w, claimed, token, &j) < 0) {
        AUTO_FREE char *name = mem_text(claimed->job.at, claimed->job.len);

        log_event(LOG_RECORD_REFUSED, F("job", name), F("queue", w->queue));
        settle_stray(c,
                     &(struct stray){
                         .partition = w->partition,
                         .job = claimed->job,
                         .queue = span_of(w->queue),
                         .token = span_of(token),
                         .chunk_count = claimed->chunk_count,
                     },
                     OUTCOME_HOLD, "the record cannot be read");
        return;
    }
    w->job_count++;
    c->job_count++;
    j->is_suspect = j->crashes >= 2;
    c->suspects += j->is_suspect;
    map_set(&c->jobs, span_of(j->name), j);
    metric_add(METRIC_CLAIMED_TOTAL, 1);
    if (w->is_fanout) {
        fanout_begin(j);
        return;
    }
    w->loading_count++;
    load = NEW(struct content_load);
    *load = (struct content_load){w, j};
    spool_read(c->store, j->envelope.content_partition, j->envelope.content_job, 0, on_content, load);
}

struct claim_context {
    struct list link; /* in courier.open_claims */
    uint64_t seq;
    struct work *work;
    uint64_t incarnation;
    bool took_suspect_slot;
};

bool claim_is_open(const struct courier *c, uint64_t seq)
{
    for (const struct list *it = c->open_claims.next; it != &c->open_claims; it = it->next) {
        if (LIST_ENTRY((struct list *) (uintptr_t) it, struct claim_context, link)->seq == seq)
            return true;
    }
    return false;
}

static void on_claim(void *context, enum claim_answer answer, const char *token,
                     const struct queue_claimed *jobs, size_t count, uint64_t wait_ms)
{
    struct claim_context *cc = context;
    struct work *w = cc->work;
    struct courier *c = w->courier;
    bool is_stale = cc->incarnation != c->incarnation; /* buried meanwhile: the jobs will be reaped */

    c->suspects -= cc->took_suspect_slot;
    list_remove(&cc->link);
    mem_free(cc);
    w->is_claiming = false;
    w->wait_until_ms = answer == CLAIM_WAIT ? clock_ms() + wait_ms : 0;
    if (answer == CLAIM_JOBS && !is_stale) {
        for (size_t i = 0; i < count; i++)
            take_job(w, &jobs[i], token);
    }
    w->is_empty = answer == CLAIM_WAIT ||
                  count == 0; /* fewer than asked is not empty: more may have come meanwhile */
    if (w->is_empty && !w->is_rung)
        grant_report(w);
    work_wake(w);
    courier_check_drained(c);
}

void claim_more(struct work *w)
{
    struct courier *c = w->courier;
    struct claim_context *cc;
    size_t count = claim_size(w);

    if (!work_has_job_room(c) && (w->is_rung || !w->is_empty))
        work_wait_for_room(w);
    if (w->is_claiming || count == 0 || !c->incarnation || c->is_draining || !store_is_ready(c->store))
        return;
    if (w->is_rung) {
        w->is_empty = false;
        w->wait_until_ms = 0;
    }
    if (w->is_empty || !node_may_send_dot(c->node, c->incarnation))
        return;
    w->is_rung = false;
    w->is_claiming = true;
    cc = NEW(struct claim_context);
    *cc = (struct claim_context){
        .work = w, .incarnation = c->incarnation, .took_suspect_slot = c->suspects == 0};
    c->suspects += cc->took_suspect_slot;
    cc->seq = ++c->claim_seq;
    list_append(&c->open_claims, &cc->link);
    queue_claim(c->store,
                &(struct queue_claim){
                    .partition = w->partition,
                    .queue = w->queue,
                    .count = (uint32_t) count,
                    .record_bytes = CLAIM_RECORD_BYTES,
                    .incarnation = c->incarnation,
                    .seq = cc->seq,
                    .suspects = cc->took_suspect_slot,
                },
                on_claim, cc);
}
