/*
 * One job on its way in. A job that is to be held or returned, or whose content others read, is first made due in years, so that nobody works it,
 * and then given its place: whoever dies in between leaves it parked, and a repeat goes on from there.
 */
#include "base/clock.h"
#include "ctl/intake_private.h"

enum { CHUNKS_AT_MOST = PARCEL_CHUNKS_MAX };
#define DAY_MS (24ull * 3600 * 1000)
#define PARKED_MS (3650 * DAY_MS)
#define PARKED_LEAST_MS (1825 * DAY_MS)

void arrival_done(struct arrival *a, enum arrival_answer answer)
{
    struct intake *in = a->intake;
    size_t bytes = a->chunk.len;

    in->answers.data[a->number] = arrival_letter(answer);
    in->counts.jobs[answer]++;
    mem_free(a->job);
    mem_free(a->queue);
    mem_free(a->tenant);
    mem_free(a->reason);
    buf_done(&a->envelope);
    buf_done(&a->state);
    buf_done(&a->chunk);
    mem_free(a);
    intake_over(in, bytes);
}

static void no_answer(struct arrival *a)
{
    intake_fail(a->intake, mem_string("the store does not answer"));
    arrival_done(a, ARRIVED_FAILED);
}

/* ---- what is there of it ---- */

struct found {
    bool is_parked;
    bool lives, has_ended;
    bool is_ending; /* what is left of it here ends by itself: it was moved away */
    bool was_moved; /* it has ended so */
};

struct peek {
    struct store_call call;
    struct arrival *arrival;
    void (*on_peek)(struct arrival *a, const struct found *f);
};

static bool says_moved(const struct redis_value *v)
{
    return span_starts_nocase(redis_text(v), SPAN(QUEUE_MOVED));
}

enum { PEEK_DUE, PEEK_DIGEST, PEEK_MARK };

static void on_peeked(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct peek *p = CONTAINER_OF(c, struct peek, call);
    struct arrival *a = p->arrival;
    void (*on_peek)(struct arrival *, const struct found *) = p->on_peek;
    struct found f = {.is_parked = false};

    if (result == STORE_OK) {
        f.is_parked = answer_score(&values[PEEK_DUE]) > store_redis_ms(a->intake->store) + PARKED_LEAST_MS;
        f.lives = values[PEEK_DIGEST].type != REDIS_NIL;
        f.is_ending = says_moved(&values[PEEK_DIGEST]);
        f.has_ended = !f.lives && values[PEEK_MARK].type != REDIS_NIL;
        f.was_moved = f.has_ended && says_moved(&values[PEEK_MARK]);
    }
    store_call_done(c);
    mem_free(p);
    if (result == STORE_OK)
        on_peek(a, &f);
    else
        no_answer(a);
}

static void peek(struct arrival *a, void (*on_peek)(struct arrival *a, const struct found *f))
{
    struct peek *p = NEW(struct peek);
    struct buf *b = &p->call.request.bytes;
    struct span job = span_of(a->job);

    p->arrival = a;
    p->on_peek = on_peek;
    p->call.give_up_ms = clock_ms() + INTAKE_TIME_MS;
    p->call.on_done = on_peeked;
    p->call.accepts_errors = true;
    call_begin(&p->call, 3);
    resp_arg_text(b, "ZSCORE");
    key_arg(b, KEY_OF_QUEUE, a->partition, span_of(a->queue), 0);
    resp_arg(b, job);
    call_begin(&p->call, 3);
    resp_arg_text(b, "HGET");
    key_arg(b, KEY_OF_JOB, a->partition, job, 0);
    resp_arg_text(b, "u");
    call_begin(&p->call, 2);
    resp_arg_text(b, "GET");
    key_arg(b, KEY_OF_SEEN, a->partition, job, 0);
    store_send(a->intake->store, &p->call);
}

/* ---- its place ---- */

void place_give(struct intake *in, unsigned partition, const char *job, const char *queue,
                const struct parcel_place *place, queue_on_act *on_done, void *context)
{
    AUTO_FREE char *reason = mem_text(place->reason.at ? place->reason.at : "", place->reason.len);
    struct queue_act act = {.act = place->is_held      ? ACT_HOLD
                                   : place->is_bounced ? ACT_BOUNCE
                                                       : ACT_RETRY,
                            .partition = partition,
                            .job = job,
                            .queue = queue,
                            .why = *reason ? reason : "held where it came from"};

    queue_act(in->store, &act, INTAKE_TIME_MS, on_done, context);
}

static void on_placed(void *context, enum act_answer answer)
{
    struct arrival *a = context;

    if (answer == ACT_UNKNOWN)
        no_answer(a);
    else
        arrival_done(a, a->is_again ? ARRIVED_AGAIN : ARRIVED_NEW);
}

static void family_is_known(struct arrival *a, bool is_parked)
{
    struct family *f = &a->intake->family;

    f->is_known = true;
    f->is_parked = is_parked;
}

static void after_commit(struct arrival *a, bool is_parked)
{
    const struct parcel_place place = {
        .is_held = a->is_held, .is_bounced = a->is_bounced, .reason = span_of(a->reason)};

    if (a->keeps_content)
        family_is_known(a, is_parked);
    if (is_parked && !a->keeps_content)
        place_give(a->intake, a->partition, a->job, a->queue, &place, on_placed, a);
    else
        arrival_done(a, a->is_again ? ARRIVED_AGAIN : ARRIVED_NEW);
}

static void on_found_again(struct arrival *a, const struct found *f)
{
    if (f->is_ending && a->keeps_content)
        family_is_known(a, false);
    if (f->is_ending)
        arrival_done(a, ARRIVED_ENDING);
    else
        after_commit(a, f->is_parked);
}

/* ---- made ---- */

static bool is_parked_first(const struct arrival *a)
{
    return a->is_held || a->is_bounced || a->keeps_content;
}

static void on_committed(void *context, enum commit_answer answer)
{
    static const enum arrival_answer answers[] = {[COMMIT_CLASH] = ARRIVED_CLASH,
                                                  [COMMIT_REVOKED] = ARRIVED_REVOKED,
                                                  [COMMIT_INCOMPLETE] = ARRIVED_INCOMPLETE};
    struct arrival *a = context;

    switch (answer) {
    case COMMIT_NEW:
        a->is_again = false;
        after_commit(a, is_parked_first(a));
        return;
    case COMMIT_AGAIN:
        a->is_again = true;
        if (is_parked_first(a) || a->intake->is_move)
            peek(a, on_found_again);
        else
            after_commit(a, false);
        return;
    case COMMIT_FULL:
        intake_fail(a->intake, mem_string("the store is full"));
        arrival_done(a, ARRIVED_FAILED);
        return;
    case COMMIT_UNDONE:
    case COMMIT_UNKNOWN: no_answer(a); return;
    case COMMIT_CLASH:
    case COMMIT_REVOKED:
    case COMMIT_INCOMPLETE: break;
    }
    if (a->keeps_content)
        family_is_known(a, false);
    arrival_done(a, answers[answer]);
}

static void commit(struct arrival *a)
{
    uint64_t now_ms = store_redis_ms(a->intake->store);
    uint64_t mark_ms = a->mark_ms > now_ms + DAY_MS ? a->mark_ms - now_ms : DAY_MS;
    struct span chunk = buf_span(&a->chunk);
    struct queue_job job = {
        .partition = a->partition,
        .job = a->job,
        .queue = a->queue,
        .envelope = buf_span(&a->envelope),
        .state = buf_span(&a->state),
        .mark_ms = mark_ms,
        .keeps_content = a->keeps_content,
        .chunk_count = a->chunk_count,
        .size_bytes = a->size,
        .chunks = chunk.len > 0 ? &chunk : NULL,
        .detail = "imported",
        .comes_back = a->intake->is_move,
        .tenant = *a->tenant ? a->tenant : NULL,
        .delay_ms = is_parked_first(a)   ? PARKED_MS
                    : a->due_ms > now_ms ? a->due_ms - now_ms
                                         : 0,
    };
    queue_commit(a->intake->store, &job, false, INTAKE_TIME_MS, on_committed, a);
}

void arrival_go(struct arrival *a)
{
    if (!a->is_given || a->writing > 0)
        return;
    if (a->intake->error)
        arrival_done(a, ARRIVED_FAILED);
    else if (a->is_cut)
        arrival_done(a, ARRIVED_INCOMPLETE);
    else if (a->has_ended)
        arrival_done(a, ARRIVED_ENDED);
    else
        commit(a);
}

/* ---- with a copy of another one's content ---- */

static void copy_next(struct arrival *a);

/* It came with the message, and its jobs there have ended meanwhile. Else it is missing here as it was missing there. */
static bool is_lost_here(const struct family *f)
{
    return f->chunks_come == f->chunk_count;
}

static void on_copied(void *context, enum spool_result result)
{
    struct arrival *a = context;

    if (result == SPOOL_FULL)
        intake_fail(a->intake, mem_string("the store is full"));
    else if (result != SPOOL_OK)
        intake_fail(a->intake, mem_string("the store does not answer"));
    if (a->intake->error)
        arrival_done(a, ARRIVED_FAILED);
    else
        copy_next(a);
}

static void on_read(void *context, enum spool_result result, struct span bytes)
{
    struct arrival *a = context;

    if (result == SPOOL_UNKNOWN) {
        no_answer(a);
    } else if (result != SPOOL_OK && is_lost_here(&a->intake->family)) {
        arrival_done(a, ARRIVED_INCOMPLETE);
    } else if (result != SPOOL_OK || bytes.len > SPOOL_STORED_MAX) {
        copy_next(a);
    } else {
        a->size += bytes.len;
        spool_write(a->intake->store, a->partition, a->job, a->copied - 1, bytes, false, INTAKE_TIME_MS,
                    on_copied, a);
    }
}

static void copy_next(struct arrival *a)
{
    const struct family *f = &a->intake->family;
    const struct envelope from = {.content_partition = f->partition,
                                  .content_job = f->job,
                                  .coding = CODING_PLAIN,
                                  .size_bytes = SPOOL_CHUNK};

    if (a->copied == f->chunk_count) {
        a->chunk_count = f->chunk_count;
        commit(a);
        return;
    }
    spool_read(a->intake->store, &from, a->copied++, INTAKE_TIME_MS, on_read, a); /* as it is stored */
}

static void on_looked(struct arrival *a, const struct found *f)
{
    if (f->is_ending)
        arrival_done(a, ARRIVED_ENDING);
    else if (f->lives || (f->has_ended && !(f->was_moved && a->intake->is_move)))
        arrival_done(a, ARRIVED_AGAIN);
    else
        copy_next(a);
}

void arrival_go_with_copy(struct arrival *a)
{
    a->is_given = true;
    peek(a, on_looked);
}
