/* Claims that came late. One partition at a time, so that the comparison costs nothing that anybody notices. */
#include "courier/stray.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/queue.h"
#include "courier/claim.h"
#include "courier/settle.h"

enum { ROUND_MS = 30000, STEP_MS = ROUND_MS / PARTITION_COUNT };

static struct {
    unsigned partition;
    uint64_t incarnation; /* that the question under way is about */
    struct map seen;      /* job -> token of a claim that was unknown a round ago */
} strays;

/* The number in "<incarnation>.<seq>...", 0 when this life did not ask for it. */
static uint64_t claim_of(const struct courier *c, struct span token)
{
    struct span rest = token, incarnation = span_cut(&rest, '.'), seq = span_cut(&rest, '.');
    uint64_t i, n;

    if (span_number(incarnation, UINT64_MAX, &i) < 0 || span_number(seq, UINT64_MAX, &n) < 0 ||
        i != c->incarnation || n > c->claim_seq)
        return 0;
    return n;
}

static void look_at(struct courier *c, unsigned partition, const struct queue_held_claim *claim)
{
    char *before;
    uint64_t seq = claim_of(c, claim->token);

    if (map_get(&c->jobs, claim->job) || claim->token.len == 0 || claim_is_open(c, seq))
        return;
    before = map_remove(&strays.seen, claim->job);
    if (before && span_equal(span_of(before), claim->token)) {
        AUTO_FREE char *job = mem_text(claim->job.at, claim->job.len);

        must(seq > 0);
        log_event(LOG_CLAIM_UNKNOWN, F("job", job), FS("token", claim->token));
        settle_stray(
            c, &(struct stray){partition, claim->job, claim->queue, claim->token, claim->chunk_count, 0},
            OUTCOME_BACK, "the claim came late");
    } else {
        map_set(&strays.seen, claim->job, mem_text(claim->token.at, claim->token.len));
    }
    mem_free(before);
}

static void on_compare(void *context, unsigned partition, bool ok, const struct queue_held_claim *claims,
                       size_t count)
{
    struct courier *c = context;

    for (size_t i = 0; ok && i < count && c->incarnation == strays.incarnation && !c->is_ending; i++)
        look_at(c, partition, &claims[i]);
}

static void forget(void)
{
    size_t cursor = 0;
    struct span key;
    void *value;

    while (map_next(&strays.seen, &cursor, &key, &value)) {
        mem_free(value);
        map_remove(&strays.seen, key);
    }
}

static void on_timer(struct timer *t)
{
    struct courier *c = CONTAINER_OF(t, struct courier, compare_timer);

    if (c->is_ending)
        return;
    timer_start(c->loop, t, STEP_MS, on_timer);
    if (!c->incarnation)
        return;
    if (strays.incarnation != c->incarnation || (strays.partition == 0 && strays.seen.count > 10000))
        forget();
    strays.incarnation = c->incarnation;
    if (store_partition_is_ready(c->store, strays.partition))
        queue_compare(c->store, strays.partition, c->incarnation, on_compare, c);
    strays.partition = (strays.partition + 1) % PARTITION_COUNT;
}

void stray_start(struct courier *c)
{
    timer_start(c->loop, &c->compare_timer, STEP_MS, on_timer);
}
