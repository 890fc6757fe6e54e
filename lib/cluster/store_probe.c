/*
 * What shows that a shard is still what it was: fences, and a look each second. With replicas the looks are held: a primary that is cut off goes
 * on answering, and only a write that replicas hold tells it from a good one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/audit.h"
#include "cluster/script.h"
#include "cluster/store_private.h"

enum { PROBE_EVERY_MS = 1000, PROBE_AGAIN_MS = 200, PROBE_TIME_MS = 3000, PROBES_UNANSWERED = 2 };

/* Replies of a probe. */
enum probe { PROBE_TIME, PROBE_CONFIG, PROBE_INFO, PROBE_REPLAY, PROBE_SERVICE, PROBE_COUNT };

/* ---- fences: a WAIT tells nothing unless there is a write of now before it, because a primary that is cut off remembers what replicas had */

static bool has_fence(const struct store_shard *ss, unsigned fence)
{
    const struct store *s = ss->store;
    unsigned slot = fence < PARTITION_COUNT ? s->partitions[fence] : s->common;

    return shards_find(s->shards, slot) == ss->shard;
}

/* Where this shard can be written to, from `first` on; one too many: nowhere, it keeps nothing of ours. */
static unsigned fence_find(const struct store_shard *ss, unsigned first)
{
    for (unsigned i = 0; i <= PARTITION_COUNT; i++) {
        unsigned fence = (first + i) % (PARTITION_COUNT + 1);
        if (has_fence(ss, fence))
            return fence;
    }
    return PARTITION_COUNT + 1;
}

/* False: nothing of ours is kept there. */
static bool fence_check(struct store_shard *ss)
{
    if (has_fence(ss, ss->fence))
        return true;
    unsigned fence = fence_find(ss, ss->fence);
    if (fence > PARTITION_COUNT)
        return false;
    ss->fence = fence;
    return true;
}

void store_shard_fence(void *owner UNUSED, struct shard *shard, struct buf *command)
{
    struct store_shard *ss = shard->data;

    (void) fence_check(ss); /* else it is refused, and confirms nothing */
    resp_command(command, 5);
    resp_arg(command, SPAN("EVALSHA"));
    resp_arg(command, script_hash(SCRIPT_probe));
    resp_arg_number(command, 2);
    if (ss->fence < PARTITION_COUNT) {
        key_arg(command, KEY_OF_PROBE, ss->fence, SPAN("store"), 0);
        key_arg(command, KEY_OF_NEVER, ss->fence, (struct span){.at = NULL}, 0);
    } else {
        resp_arg(command, SPAN(KEY_PROBE));
        resp_arg(command, SPAN(KEY_NEVER));
    }
}

/* A slot that moves, or scripts that were forgotten, is no fault of the shard's; else it takes no writes, which is as good as no replicas. */
void store_shard_fence_refused(void *owner UNUSED, struct shard *shard, struct span error)
{
    struct store_shard *ss = shard->data;
    const struct redis_value value = {.type = REDIS_ERROR_REPLY, .text = error};
    unsigned next = fence_find(ss, ss->fence + 1);
    bool is_forgotten = store_is_code(&value, "NOSCRIPT");

    if (is_forgotten || store_is_code(&value, "MOVED") || store_is_code(&value, "ASK") ||
        store_is_code(&value, "TRYAGAIN"))
        ss->fence_ms = clock_ms();
    else
        report_failed(error);
    if (is_forgotten)
        store_shard_load(ss);
    else if (next <= PARTITION_COUNT) /* another partition's turn */
        ss->fence = next;
}

/* ---- service: who keeps no replicas has no fences, and goes on answering what names no key while its cluster is down ---- */

void store_shard_ask_service(struct store_shard *ss, struct buf *command)
{
    if (!fence_check(ss)) {
        resp_command(command, 1);
        resp_arg(command, SPAN("PING"));
        return;
    }
    resp_command(command, 2);
    resp_arg(command, SPAN("UNLINK"));
    if (ss->fence < PARTITION_COUNT)
        key_arg(command, KEY_OF_PROBE, ss->fence, SPAN("store"), 0);
    else
        resp_arg(command, SPAN(KEY_PROBE));
}

/* A slot that nobody has is no fault of the shard's others: the map will tell. */
bool store_shard_serves_others(struct store_shard *ss, const struct redis_value *answer)
{
    static const char one_slot[] = "slot not served";

    if (!store_is_code(answer, "CLUSTERDOWN"))
        return false;
    ss->shard->is_amiss = true;
    shards_look(ss->store->shards);
    if (!memmem(answer->text.at, answer->text.len, one_slot, sizeof one_slot - 1))
        return false;
    unsigned next = fence_find(ss, ss->fence + 1);
    if (next <= PARTITION_COUNT)
        ss->fence = next;
    return true;
}

bool store_shard_serves(struct store_shard *ss, const struct redis_value *answer)
{
    if (store_shard_serves_others(ss, answer) || !store_is_code(answer, "CLUSTERDOWN"))
        return true;
    AUTO_FREE char *text = mem_format("Redis at %s takes nothing (%.*s): see CLUSTER INFO and NODES there",
                                      ss->shard->address, SPAN_ARG(answer->text));
    store_shard_lost(ss, text, false);
    return false;
}

/* ---- followers: who promotes a replica by itself chooses by figures that are seconds old, so it may take any that follows, not the one that has
 * most: all that follow must hold what is confirmed. One that was lost or is behind is waited for until its being so is old news too; for a primary
 * that was away that time begins anew, because those who promote may not have seen it come back. A primary that starts anew counts its stream from
 * nought, and a replica that has not copied it yet has the higher figure: until all that may be promoted have followed, all of them must. ---- */

/* A Sentinel looks at each replica every ten seconds, and in time again when it promotes one, if that one answers quickly. */
enum {
    FOLLOWER_LAG_S = 1,
    FOLLOWER_KEPT_MS = 3000,
    SUCCESSOR_KEPT_MS = 12000, /* it was lost, and might be promoted all the same: others reach it */
    GATHER_LEAST_MS = 5000
};

static unsigned follower_count(const struct redis_value *info)
{
    struct audit_replica replicas[AUDIT_REPLICAS_MAX];
    size_t count = audit_replicas(info, replicas);
    unsigned followers = 0;

    for (size_t i = 0; i < count; i++)
        followers += replicas[i].is_online && replicas[i].lag_s <= FOLLOWER_LAG_S;
    return followers;
}

static unsigned larger(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static void set_held_by(struct store_shard *ss)
{
    unsigned followers = ss->followers, successors = ss->gathers_ms ? ss->shard->successors : 0;

#ifdef PLANT_ANY_REPLICA /* a planted bug, for the test that must find it: one replica is as good as another */
    followers = successors = 0;
#endif
#ifdef PLANT_NO_GATHERING /* another: who has not followed yet is not waited for */
    successors = 0;
#endif
    ss->held_by = larger(ss->store->replicas, larger(followers, successors));
    if (ss->held_by)
        redis_use_replicas(ss->shard->redis, ss->held_by);
}

static bool counts_followers(const struct store *s)
{
    return s->fails_over && s->replicas;
}

/* One connection may have lived through its being another's replica, or found it started anew before the others were lost. */
static void see_history(struct store_shard *ss, const struct redis_value *info)
{
    struct span id = audit_field(info, "master_replid");

    if (!id.len || id.len >= sizeof ss->history || span_equal(id, span_of(ss->history)))
        return;
    memcpy(ss->history, id.at, id.len);
    ss->history[id.len] = '\0';
    store_shard_await_followers(ss);
}

static void see_followers(struct store_shard *ss, const struct redis_value *info)
{
    unsigned followers = counts_followers(ss->store) ? follower_count(info) : 0;
    bool misses_one = followers < ss->shard->successors;

    if (followers >= ss->followers ||
        ss->probe_sent_ms >= ss->followers_ms + (misses_one ? SUCCESSOR_KEPT_MS : FOLLOWER_KEPT_MS)) {
        ss->followers = followers;
        ss->followers_ms = ss->probe_sent_ms;
    }
    if (ss->probe_sent_ms >= ss->gathers_ms + (misses_one ? SUCCESSOR_AWAITED_MS : GATHER_LEAST_MS))
        ss->gathers_ms = 0;
    set_held_by(ss);
}

/* Of the smaller number: who came since it was sent is not asked for, nor who is left behind by now. */
bool store_shard_is_held(const struct store_shard *ss, const struct redis_request *request)
{
    unsigned wanted = request->replicas_asked < ss->held_by ? request->replicas_asked : ss->held_by;

    return request->replicas >= wanted;
}

void store_shard_await_followers(struct store_shard *ss)
{
    ss->followers_ms = clock_ms();
    ss->gathers_ms = counts_followers(ss->store) && !ss->store->asks_followers_only ? ss->followers_ms : 0;
    set_held_by(ss);
}

/* ---- each second ---- */

/* The probe was confirmed, or need not be. */
static bool is_confirmed(struct store_shard *ss)
{
    if (!ss->probe.is_held)
        return true;
    if (!store_shard_is_held(ss, &ss->probe)) {
        (void) store_shard_short(ss, &ss->probe); /* the next one comes soon in any case */
        return false;
    }
    return ss->probe_sent_ms >= ss->short_ms;
}

static void on_probe_time(struct timer *t)
{
    store_shard_probe(CONTAINER_OF(t, struct store_shard, probe_timer));
}

void store_shard_probe_later(struct store_shard *ss)
{
    bool is_hurried = ss->store->replicas && !ss->is_ready;

    if (!ss->store->is_closing)
        timer_start(ss->store->loop, &ss->probe_timer, is_hurried ? PROBE_AGAIN_MS : PROBE_EVERY_MS,
                    on_probe_time);
}

/* A connection's own deadline decides about it; but an idle shard has many, and each would have to be tried before all are given up. */
static void tell_silence(struct store_shard *ss)
{
    if (++ss->unanswered < PROBES_UNANSWERED || !redis_is_up(ss->shard->redis))
        return;
    AUTO_FREE char *text = mem_format("Redis at %s does not answer: is it stopped, or too busy?",
                                      ss->shard->address);
    store_shard_lost(ss, text, false);
}

static void on_probed(struct redis_request *request, enum redis_result result,
                      const struct redis_value *values)
{
    struct store_shard *ss = CONTAINER_OF(request, struct store_shard, probe);

    ss->is_probing = false;
    store_shard_probe_later(ss);
    if (result != REDIS_OK) {
        tell_silence(ss);
        return;
    }
    ss->unanswered = 0;
    store_shard_see_time(ss, &values[PROBE_TIME], ss->probe_sent_ms);
    if (store_shard_judge(ss, &values[PROBE_CONFIG]) < 0) {
        ss->shard->is_amiss = true;
        return;
    }
    store_shard_see_memory(ss, &values[PROBE_INFO]);
    see_history(ss, &values[PROBE_INFO]);
    see_followers(ss, &values[PROBE_INFO]);
    if (!store_shard_serves(ss, &values[PROBE_SERVICE]))
        return;
    if (is_confirmed(ss) && redis_is_up(ss->shard->redis))
        store_shard_ready(ss);
}

/* Settings are audited here too: a CONFIG SET at run time must not go unseen. */
void store_shard_probe(struct store_shard *ss)
{
    struct store *s = ss->store;
    struct buf *b = &ss->probe.bytes;

    if (!ss->is_ready)
        shards_look(s->shards);
    if (ss->is_probing)
        return;
    store_shard_probe_later(ss);
    if (!redis_is_up(ss->shard->redis))
        return;
    buf_clear(b);
    resp_command(b, 1);
    resp_arg(b, SPAN("TIME"));
    audit_ask(b);
    store_shard_ask_service(ss, b);
    ss->probe.reply_count = PROBE_COUNT;
    ss->probe.is_held = s->replicas && fence_check(ss);
    ss->probe_sent_ms = clock_ms();
    ss->probe.give_up_ms = ss->probe_sent_ms + PROBE_TIME_MS;
    ss->probe.on_done = on_probed;
    ss->is_probing = true;
    redis_submit(ss->shard->redis, &ss->probe);
}

void store_shard_suspect(struct store_shard *ss)
{
    shards_look(ss->store->shards);
    if (ss->is_ready)
        store_shard_probe(ss);
}

static char *short_text(const struct store_shard *ss, unsigned replicas)
{
    if (ss->gathers_ms)
        return mem_format(
            "Redis at %s is primary since a moment ago, and %u of the %u replicas that may be promoted have what it writes: "
            "wait, or mend those whose INFO replication says master_link_status:down",
            ss->shard->address, replicas, ss->held_by);
    return mem_format("Redis at %s: %u of %u replicas hold what is written (%s): see INFO replication there",
                      ss->shard->address, replicas, ss->held_by,
                      ss->held_by > ss->store->replicas ? "all that follow, as any may be promoted"
                                                        : "store.replicas");
}

bool store_shard_short(struct store_shard *ss, const struct redis_request *request)
{
    AUTO_FREE char *text = short_text(ss, request->replicas);
    bool was_ready = ss->is_ready;

    if (request->replicas == 0 && request->sent_ms <= ss->fence_ms)
        return false;
    metric_add(METRIC_STORE_SHORT_TOTAL, 1);
    ss->short_ms = clock_ms();
    ss->shard->is_amiss = true; /* perhaps another is primary now */
    store_shard_lost(ss, text, false);
    if (was_ready)
        store_shard_probe(ss);
    else if (ss->gathers_ms &&
             clock_ms() >= ss->gathers_ms + FOLLOWER_KEPT_MS) /* longer than it mostly takes */
        report_refused(ss->shard->address, text);
    return true;
}
