/* Leases of partitions. */
#include "dispatcher/partition.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

/* Keeps go out in so many groups a second: few fsyncs, and no burst of 256 scripts. */
enum { KEEP_GROUPS = 4 };

/* Tokens are microseconds of Redis' clock or little above; further ahead than ten years of it is nobody's. */
static const uint64_t token_ahead_max = UINT64_C(10) * 365 * 86400 * 1000000;

enum partition_step partition_step(const struct partition *p, uint64_t now_ms)
{
    if (p->caller)
        return STEP_NONE;
    if (!p->is_held)
        return p->is_named ? STEP_ACQUIRE : STEP_NONE;
    /* A token that couriers refuse, after a failover that forgot a lease: only a new lease gives a higher one. */
    if (!p->is_named || p->floor >= p->token)
        return STEP_YIELD;
    return now_ms >= p->keep_ms ? STEP_KEEP : STEP_NONE;
}

bool partition_is_usable(const struct partition *p, uint64_t now_ms)
{
    return p->is_held && p->floor < p->token && now_ms < p->sent_ms + LEASE_USE_MS;
}

/* ---- who is named ---- */

static struct node_view owners_in(const struct partitions *all, const struct nodes *nodes,
                                  const struct node_view *view, uint64_t now_ms, struct node_peer *peers)
{
    struct node_view owners = *view;

    owners.peers = peers;
    owners.count = 0;
    for (size_t i = 0; i < view->count; i++)
        if (nodes_may_own(nodes, &view->peers[i], all->me, now_ms))
            peers[owners.count++] = view->peers[i];
    return owners;
}

static bool is_silent(const struct nodes *nodes, const struct node_peer *peer, uint64_t now_ms)
{
    return nodes_silent_ms(nodes, peer->incarnation, now_ms) >= NODES_SUSPECT_MS;
}

/* No other dispatcher lives that could have yielded a partition. */
static bool is_alone(const struct partitions *all, const struct nodes *nodes, const struct node_view *view,
                     uint64_t now_ms)
{
    for (size_t i = 0; i < view->count; i++)
        if (view->peers[i].stats.role == ROLE_DISPATCHER && view->peers[i].incarnation != all->me &&
            !is_silent(nodes, &view->peers[i], now_ms))
            return false;
    return true;
}

void partitions_name(struct partitions *all, struct nodes *nodes, const struct node_view *view,
                     uint64_t now_ms)
{
    AUTO_FREE struct node_peer *peers = mem_array(view->count + 1, sizeof(*peers));
    AUTO_FREE unsigned *shares = mem_array(view->count + 1, sizeof(*shares));
    struct node_view owners = owners_in(all, nodes, view, now_ms, peers);
    bool alone = is_alone(all, nodes, view, now_ms);

    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        struct partition *p = &all->of[i];
        const struct node_peer *owner = node_for_partition(&owners, i),
                               *natural = node_for_partition(view, i);
        p->is_named = owner && owner->incarnation == all->me && all->me && !all->is_draining;
        p->is_orphan = alone || (natural && is_silent(nodes, natural, now_ms));
        if (owner)
            shares[owner - peers]++;
    }
    for (size_t i = 0; i < owners.count; i++)
        if (peers[i].incarnation != all->me)
            nodes_judge_share(nodes, peers[i].incarnation, shares[i], peers[i].stats.partitions, now_ms);
}

/* ---- answers ---- */

static void hold(struct partitions *all, unsigned i, uint64_t token, uint64_t sent_ms)
{
    struct partition *p = &all->of[i];
    uint64_t now = clock_ms();

    p->is_held = true;
    p->token = token;
    p->sent_ms = sent_ms;
    p->keep_ms = now + LEASE_KEEP_MS / KEEP_GROUPS * (1 + i % KEEP_GROUPS);
    p->acquired_ms = now;
    p->settled_ms = now + (p->is_orphan && p->was_taken ? LEASE_EXPIRED_MS : LEASE_SETTLE_MS);
    p->was_taken = false;
    all->held++;
    metric_set(METRIC_PARTITIONS, all->held);
    log_event(LOG_PARTITION_TAKEN, FN("partition", i), FN("token", token));
    FAULT_POINT(lease_acquired);
    all->on_change(all->owner, i, true);
}

static void let_go(struct partitions *all, unsigned i)
{
    struct partition *p = &all->of[i];

    if (!p->is_held)
        return;
    p->is_held = false;
    all->held--;
    metric_set(METRIC_PARTITIONS, all->held);
    all->on_change(all->owner, i, false);
}

static void on_yielded(void *context, unsigned i, enum lease_answer answer UNUSED, uint64_t token UNUSED,
                       uint64_t sent_ms UNUSED)
{
    struct partitions *all = context;
    all->of[i].caller = 0; /* unanswered: the lease runs out by itself */
}

static void yield(struct partitions *all, unsigned i, uint64_t me, uint64_t token)
{
    let_go(all, i);
    all->of[i].caller = me;
    queue_yield(all->store, i, me, token, on_yielded, all);
}

static void on_acquired(void *context, unsigned i, enum lease_answer answer, uint64_t token, uint64_t sent_ms)
{
    struct partitions *all = context;
    struct partition *p = &all->of[i];
    uint64_t caller = p->caller;

    p->caller = 0;
    if (answer == LEASE_TAKEN)
        p->was_taken = true;
    if (answer != LEASE_OK)
        return;
    if (caller != all->me || !p->is_named)
        yield(all, i, caller, token); /* asked for in an earlier life, or not ours any more */
    else
        hold(all, i, token, sent_ms);
}

static void on_kept(void *context, unsigned i, enum lease_answer answer, uint64_t token UNUSED,
                    uint64_t sent_ms)
{
    struct partitions *all = context;
    struct partition *p = &all->of[i];
    bool is_ours = p->caller == all->me && p->is_held;

    p->caller = 0;
    if (!is_ours)
        return;
    FAULT_POINT(lease_kept);
    if (answer == LEASE_OK && sent_ms > p->sent_ms)
        p->sent_ms = sent_ms;
    if (answer != LEASE_LOST)
        return;
    metric_add(METRIC_PARTITIONS_LOST_TOTAL, 1);
    all->lost++;
    let_go(all, i);
}

/* ---- calls ---- */

static void keep(struct partitions *all, unsigned i, uint64_t now_ms)
{
    struct partition *p = &all->of[i];

    p->caller = all->me;
    p->keep_ms += LEASE_KEEP_MS;
    if (p->keep_ms <= now_ms)
        p->keep_ms = now_ms + LEASE_KEEP_MS;
    queue_keep(all->store, i, all->me, p->token, on_kept, all);
}

void partitions_work(struct partitions *all, uint64_t now_ms)
{
    for (unsigned i = 0; i < PARTITION_COUNT && all->me; i++) {
        struct partition *p = &all->of[i];
        switch (partition_step(p, now_ms)) {
        case STEP_NONE: break;
        case STEP_ACQUIRE:
            p->caller = all->me;
            queue_acquire(all->store, i, all->me, p->floor, on_acquired, all);
            break;
        case STEP_KEEP: keep(all, i, now_ms); break;
        case STEP_YIELD: yield(all, i, all->me, p->token); break;
        }
    }
}

void partitions_see_token(struct partitions *all, unsigned partition, uint64_t token,
                          uint64_t last_incarnation)
{
    struct partition *p = &all->of[partition];
    bool is_own = p->is_held && token == p->token;

    if (!is_own && token > p->floor && token < last_incarnation + token_ahead_max)
        p->floor = token;
}

void partitions_drop(struct partitions *all)
{
    uint64_t me = all->me;

    all->me = 0;
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        struct partition *p = &all->of[i];
        if (p->is_held && !p->caller)
            yield(all, i, me, p->token);
        else
            let_go(all, i);
    }
}

bool partitions_drain(struct partitions *all)
{
    bool is_done = true;

    all->is_draining = true;
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        all->of[i].is_named = false;
        is_done = is_done && !all->of[i].is_held && !all->of[i].caller;
    }
    return is_done;
}
