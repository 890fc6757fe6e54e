/* The store: a set of shards, and what all of them together are. */
#include "cluster/store.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "cluster/store_private.h"
#include "io/zstd.h"

enum { WAIT_SHARE = 2 /* of the time that a reply may take, replicas have one in so many */ };

struct store_shard *store_shard_at(const struct store *s, unsigned slot)
{
    const struct shard *shard = shards_find(s->shards, slot);

    return shard ? shard->data : NULL;
}

static const struct store_shard *common_shard(const struct store *s)
{
    return store_shard_at(s, s->common);
}

static const struct store_shard *partition_shard(const struct store *s, unsigned partition)
{
    must(partition < PARTITION_COUNT);
    return store_shard_at(s, s->partitions[partition]);
}

/* ---- what is known */

/* What waits for one shard may belong to another now. */
static void on_moved(void *owner, unsigned moved)
{
    struct store *s = owner;
    const struct list *shards = shards_list(s->shards);
    const struct shard *primary = shards_kind(s->shards) == STORE_SENTINEL ? shards_find(s->shards, 0) : NULL;

    report_moved(primary ? primary->address : NULL, moved);
    store_resume(s, &s->homeless);
    for (struct list *it = shards->next; it != shards; it = it->next) {
        struct store_shard *ss = LIST_ENTRY(it, struct shard, link)->data;
        store_resume(s, &ss->parked);
    }
    if (store_has_ready(s) && s->events.on_ready) /* who has them now may have been ready before */
        s->events.on_ready(s->events.owner);
}

static void on_renewed(void *owner UNUSED, const char *error)
{
    report_renewed(error);
}

bool store_is_ready(const struct store *s)
{
    const struct store_shard *ss = common_shard(s);

    return ss && ss->is_ready;
}

bool store_partition_is_ready(const struct store *s, unsigned partition)
{
    const struct store_shard *ss = partition_shard(s, partition);

    return ss && ss->is_ready;
}

bool store_partition_is_full(const struct store *s, unsigned partition)
{
    const struct store_shard *ss = partition_shard(s, partition);

    return ss && ss->is_full;
}

bool store_partitions_share(const struct store *s, unsigned a, unsigned b)
{
    return partition_shard(s, a) == partition_shard(s, b);
}

unsigned store_partition_healthy(const struct store *s, unsigned first)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        const struct store_shard *ss = partition_shard(s, (first + i) % PARTITION_COUNT);
        if (ss && ss->is_ready && !ss->is_full)
            return (first + i) % PARTITION_COUNT;
    }
    return PARTITION_COUNT;
}

bool store_has_ready(const struct store *s)
{
    const struct list *shards = shards_list(s->shards);

    for (struct list *it = shards->next; it != shards; it = it->next) {
        const struct shard *shard = LIST_ENTRY(it, struct shard, link);
        const struct store_shard *ss = shard->data;
        if (shard->slot_count && ss->is_ready)
            return true;
    }
    return false;
}

bool store_is_full(const struct store *s)
{
    const struct list *shards = shards_list(s->shards);
    bool has_any = false;

    for (struct list *it = shards->next; it != shards; it = it->next) {
        const struct shard *shard = LIST_ENTRY(it, struct shard, link);
        const struct store_shard *ss = shard->data;
        if (shard->slot_count && !ss->is_full)
            return false;
        has_any |= shard->slot_count > 0;
    }
    return has_any;
}

unsigned store_memory_percent(const struct store *s)
{
    const struct list *shards = shards_list(s->shards);
    unsigned most = 0;

    for (struct list *it = shards->next; it != shards; it = it->next) {
        const struct store_shard *ss = LIST_ENTRY(it, struct shard, link)->data;
        if (ss->memory_percent > most)
            most = ss->memory_percent;
    }
    return most;
}

bool store_has_slots(const struct store *s)
{
    return s->has_slots;
}

bool store_has_replicas(const struct store *s)
{
    return s->replicas > 0;
}

/* Of the shard that has the common keys; else of one that may get them; else why there is none. */
const char *store_trouble(const struct store *s)
{
    const struct list *shards = shards_list(s->shards);
    const struct store_shard *ss = common_shard(s);

    if (ss)
        return ss->trouble;
    for (struct list *it = shards->next; it != shards; it = it->next) {
        ss = LIST_ENTRY(it, struct shard, link)->data;
        if (*ss->trouble)
            return ss->trouble;
    }
    return shards_trouble(s->shards);
}

static uint64_t ms_of(const struct store *s, const struct store_shard *ss)
{
    return clock_ms() + (uint64_t) (ss ? ss->clock_offset_ms : s->clock_offset_ms);
}

uint64_t store_redis_ms(const struct store *s)
{
    return ms_of(s, common_shard(s));
}

uint64_t store_partition_ms(const struct store *s, unsigned partition)
{
    return ms_of(s, partition_shard(s, partition));
}

int64_t store_clock_offset_ms(const struct store *s)
{
    return (int64_t) (store_redis_ms(s) - clock_wall_ms());
}

struct loop *store_loop(const struct store *s)
{
    return s->loop;
}

struct zstd *store_zstd(struct store *s)
{
    if (!s->zstd)
        s->zstd = zstd_new();
    return s->zstd;
}

/* ---- its life */

int store_open(struct loop *l, const struct store_events *events, struct store **ret_store, char **ret_error)
{
    struct store *s = NEW(struct store);
    const struct conf *conf = conf_get();
    const struct shards_settings settings = {
        .redis =
            {
                .connections = (unsigned) conf->store.connections,
                .window = (unsigned) conf->store.window,
                .timeout_ms = conf->store.timeout_ms,
                .replicas = (unsigned) conf->store.replicas,
                .wait_ms = conf->store.timeout_ms / WAIT_SHARE,
            },
        .greet = store_shard_greet,
        .on_greeted = store_shard_greeted,
        .on_up = store_shard_up,
        .on_down = store_shard_down,
        .on_refused = store_shard_refused,
        .fence = store_shard_fence,
        .on_fence_refused = store_shard_fence_refused,
        .on_open = store_shard_open,
        .on_close = store_shard_close,
        .on_closed = store_shard_closed,
        .on_moved = on_moved,
        .on_renewed = on_renewed,
        .owner = s,
    };

    s->loop = l;
    s->events = *events;
    s->replicas = settings.redis.replicas;
    s->fails_over = (enum store_kind) conf->store.kind != STORE_STANDALONE;
    s->has_slots = (enum store_kind) conf->store.kind == STORE_CLUSTER;
    s->must_be_durable = conf->store.durability == 0;              /* the first of "fsync none" */
    s->clock_offset_ms = (int64_t) (clock_wall_ms() - clock_ms()); /* where no Redis has told its own */
    s->jitter = clock_us() | 1;
    s->common = (uint16_t) common_slot();
    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++)
        s->partitions[partition] = (uint16_t) partition_slot(partition);
    list_init(&s->homeless);
    list_init(&s->paused);
    int r = shards_open(l, &settings, &s->shards, ret_error);
    if (r < 0) {
        mem_free(s);
        return r;
    }
    *ret_store = s;
    return 0;
}

void store_ask_followers_only(struct store *s)
{
    s->asks_followers_only = true;
}

struct store *store_close(struct store *s)
{
    if (!s)
        return NULL;
    s->is_closing = true;
    s->shards = shards_close(s->shards); /* calls under way end as unknown */
    store_end_calls(s);
    zstd_free(s->zstd);
    return mem_free(s);
}
