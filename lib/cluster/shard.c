/*
 * The shards. Who takes over from whom:
 *
 * Under Sentinels a new primary is connected to beside the old one, and takes over once it has been greeted as a primary: a Sentinel that errs,
 * or lies, takes nothing away. In a Redis Cluster the map is taken at once, because the old owner of a slot says MOVED anyhow.
 *
 * Whoever has lost its last slot is kept until its heir, who has that slot now, was greeted. Then nothing of what was sent to the old one can be
 * executed and count: either it was executed before the heir took over, and the heir has it, or it is thrown away when the old one comes back
 * as a replica, or is answered MOVED or READONLY. So its requests in limbo end, which no connection could prove while it is dead. One that still
 * answers is given the time that a reply may take.
 */
#include "cluster/shard.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "cluster/access.h"
#include "cluster/finder.h"
#include "cluster/topology.h"

enum {
    SWEEP_EVERY_MS = 1000,
    FILES_EVERY_MS = 1000,
    SUCCESSORS_KEPT_MS = 5000,
    STRANGERS_MAX = 16 /* shards that no map names */
};

struct shards {
    struct loop *loop;
    struct shards_settings settings;
    enum store_kind kind;
    struct access *access;
    struct finder *finder; /* NULL: standalone */
    struct list list;
    size_t count;
    size_t mapped;        /* how many the last map named */
    struct shard *only;   /* standalone, and under Sentinels who is primary */
    struct shard *next;   /* under Sentinels who is about to take over; NULL: nobody */
    struct shard **owner; /* of each slot of a Redis Cluster; NULL: there is none, or nobody is the owner */
    unsigned homeless;    /* slots without an owner */
    bool is_closing;
    struct timer sweep, files;
};

/* ---- one shard */

static void greet(void *owner, struct redis_request *greeting)
{
    struct shard *shard = owner;

    shard->set->settings.greet(shard->set->settings.owner, shard, greeting);
}

static int on_greeted(void *owner, const struct redis_value *values, unsigned count)
{
    struct shard *shard = owner;

    return shard->set->settings.on_greeted(shard->set->settings.owner, shard, values, count);
}

static void take_over(struct shards *s, struct shard *shard);
static void sweep_soon(struct shards *s, uint64_t delay_ms);

static void on_up(void *owner)
{
    struct shard *shard = owner;
    struct shards *s = shard->set;

    if (shard == s->next)
        take_over(s, shard);
    if (s->settings.on_up)
        s->settings.on_up(s->settings.owner, shard);
    sweep_soon(s, 0);
}

static void on_down(void *owner, const char *reason)
{
    struct shard *shard = owner;
    struct shards *s = shard->set;

    if (s->settings.on_down)
        s->settings.on_down(s->settings.owner, shard, reason);
    shards_look(s);
    sweep_soon(s, 0);
}

static void on_refused(void *owner, const char *reason)
{
    struct shard *shard = owner;

    if (shard->set->settings.on_refused)
        shard->set->settings.on_refused(shard->set->settings.owner, shard, reason);
}

static void fence(void *owner, struct buf *command)
{
    struct shard *shard = owner;

    shard->set->settings.fence(shard->set->settings.owner, shard, command);
}

static void on_fence_refused(void *owner, struct span error)
{
    struct shard *shard = owner;

    shard->set->settings.on_fence_refused(shard->set->settings.owner, shard, error);
}

static struct shard *shard_at(const struct shards *s, const char *address)
{
    for (struct list *it = s->list.next; it != &s->list; it = it->next) {
        struct shard *shard = LIST_ENTRY(it, struct shard, link);
        if (strcmp(shard->address, address) == 0)
            return shard;
    }
    return NULL;
}

/* The shard at that address, opened if it is new. */
static int shard_get(struct shards *s, const char *address, struct shard **ret_shard)
{
    struct shard *shard = shard_at(s, address);
    struct redis_settings settings = s->settings.redis;

    if (shard) {
        *ret_shard = shard;
        return 0;
    }
    shard = NEW(struct shard);
    shard->set = s;
    shard->address = mem_string(address);
    shard->used_ms = clock_ms();
    settings.address = shard->address;
    settings.greet = s->settings.greet ? greet : NULL;
    settings.on_greeted = s->settings.on_greeted ? on_greeted : NULL;
    settings.on_up = on_up;
    settings.on_down = on_down;
    settings.on_refused = on_refused;
    settings.fence = s->settings.fence ? fence : NULL;
    settings.on_fence_refused = s->settings.on_fence_refused ? on_fence_refused : NULL;
    settings.owner = shard;
    access_fill(s->access, &settings);
    int r = redis_open(s->loop, &settings, &shard->redis);
    if (r < 0) {
        mem_free(shard->address);
        mem_free(shard);
        return r;
    }
    list_append(&s->list, &shard->link);
    s->count++;
    if (s->settings.on_open)
        s->settings.on_open(s->settings.owner, shard);
    *ret_shard = shard;
    return 0;
}

static void shard_close(struct shard *shard)
{
    struct shards *s = shard->set;

    must(s->is_closing || (!shard->slot_count && shard != s->only && shard != s->next));
    list_remove(&shard->link);
    s->count--;
    for (struct list *it = s->list.next; it != &s->list; it = it->next) {
        struct shard *other = LIST_ENTRY(it, struct shard, link);
        if (other->heir == shard)
            other->heir = shard->heir == other ? NULL : shard->heir;
    }
    if (s->settings.on_close)
        s->settings.on_close(s->settings.owner, shard);
    shard->redis = redis_close(shard->redis); /* what was under way is repeated by its owner, elsewhere */
    if (s->settings.on_closed)
        s->settings.on_closed(s->settings.owner, shard->data);
    mem_free(shard->address);
    mem_free(shard);
}

/* One Sentinel may not reach a replica that others reach, and promote: the largest number counts until all were asked. */
static void see_successors(struct shard *shard, unsigned successors)
{
    uint64_t now = clock_ms();

    if (successors < shard->successors && now < shard->successors_ms + SUCCESSORS_KEPT_MS)
        return;
    shard->successors = successors;
    shard->successors_ms = now;
}

/* ---- who goes */

static bool shard_is_over(const struct shard *shard, uint64_t now)
{
    const struct shards *s = shard->set;
    bool is_done = now >= shard->used_ms + s->settings.redis.timeout_ms + SWEEP_EVERY_MS;

    if (shard->slot_count || shard == s->only || shard == s->next)
        return false;
    if (shard->heir && !redis_is_up(shard->heir->redis))
        return false;
    return is_done || (shard->heir && !redis_is_up(shard->redis));
}

static bool has_guest(const struct shards *s)
{
    for (struct list *it = s->list.next; it != &s->list; it = it->next) {
        const struct shard *shard = LIST_ENTRY(it, struct shard, link);
        if (!shard->slot_count && shard != s->only && shard != s->next)
            return true;
    }
    return false;
}

static void on_sweep(struct timer *t)
{
    struct shards *s = CONTAINER_OF(t, struct shards, sweep);
    uint64_t now = clock_ms();

    for (bool again = true; again;) { /* closing calls back its owner, who may open others */
        again = false;
        for (struct list *it = s->list.next; it != &s->list && !again; it = it->next) {
            struct shard *shard = LIST_ENTRY(it, struct shard, link);
            if (shard_is_over(shard, now)) {
                shard_close(shard);
                again = true;
            }
        }
    }
    if (has_guest(s))
        timer_start(s->loop, &s->sweep, SWEEP_EVERY_MS, on_sweep);
}

/* Never later than it was to be: redirections come as long as slots move. */
static void sweep_soon(struct shards *s, uint64_t delay_ms)
{
    if (has_guest(s) && (!s->sweep.place || s->sweep.due_ms > clock_ms() + delay_ms))
        timer_start(s->loop, &s->sweep, delay_ms, on_sweep);
}

/* ---- under Sentinels */

/* The primary is another one, which has been greeted. */
static void take_over(struct shards *s, struct shard *shard)
{
    struct shard *old = s->only;

    s->next = NULL;
    s->only = shard;
    shard->slot_count = SLOT_COUNT;
    if (old) {
        old->slot_count = 0;
        old->heir = shard;
        old->used_ms = clock_ms();
    }
    if (s->settings.on_moved)
        s->settings.on_moved(s->settings.owner, SLOT_COUNT);
}

static void on_primary(void *owner, const char *address, unsigned successors)
{
    struct shards *s = owner;
    struct shard *shard, *before = s->next;

    if (shard_get(s, address, &shard) < 0)
        return;
    see_successors(shard, successors);
    if (shard == s->next)
        return;
    s->next = NULL;
    if (before)
        before->used_ms = 0; /* over: it was never asked anything */
    if (shard != s->only) {
        s->next = shard;
        shard->heir = NULL;
        if (redis_is_up(shard->redis)) /* it was primary a moment ago, and is again */
            take_over(s, shard);
    }
    sweep_soon(s, 0);
}

/* ---- a Redis Cluster */

static void slot_give(struct shards *s, unsigned slot, struct shard *to)
{
    struct shard *from = s->owner[slot];

    s->homeless += !to;
    s->homeless -= !from;
    s->owner[slot] = to;
    if (to)
        to->slot_count++;
    if (from && --from->slot_count == 0) {
        from->heir = to;
        from->used_ms = clock_ms();
    }
    if (to && to->heir)
        to->heir = NULL;
}

static void on_map(void *owner, const struct slot_map *map)
{
    struct shards *s = owner;
    struct shard **shards = mem_array(map->count + 1, sizeof *shards);
    unsigned moved = 0;

    for (size_t i = 0; i < map->count; i++)
        if (shard_get(s, map->addresses[i], &shards[i]) < 0)
            shards[i] = NULL;
        else
            see_successors(shards[i], map->successors[i]);
    s->mapped = map->count;
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        struct shard *to = map->owner[slot] == SLOT_NOBODY ? NULL : shards[map->owner[slot]];
        if (to == s->owner[slot])
            continue;
        slot_give(s, slot, to);
        moved++;
    }
    mem_free(shards);
    sweep_soon(s, 0);
    if (moved && s->settings.on_moved)
        s->settings.on_moved(s->settings.owner, moved);
}

struct shard *shards_follow(struct shards *s, const struct shard *from, unsigned slot,
                            const struct redis_value *error, bool *ret_is_ask)
{
    struct redirection r;
    struct shard *to;

    if (s->kind != STORE_CLUSTER || error->type != REDIS_ERROR_REPLY ||
        !redirection_read(error->text, from->address, &r) || r.slot != slot)
        return NULL;
    finder_look(s->finder);
    if ((s->count >= s->mapped + STRANGERS_MAX && !shard_at(s, r.address)) ||
        shard_get(s, r.address, &to) < 0)
        return NULL;
    to->used_ms = clock_ms();
    if (!r.is_ask && s->owner[slot] != to) {
        slot_give(s, slot, to);
        if (s->settings.on_moved)
            s->settings.on_moved(s->settings.owner, 1);
    }
    sweep_soon(s, SWEEP_EVERY_MS);
    *ret_is_ask = r.is_ask;
    return to;
}

/* ---- questions */

enum store_kind shards_kind(const struct shards *s)
{
    return s->kind;
}

struct shard *shards_find(const struct shards *s, unsigned slot)
{
    return s->owner ? s->owner[slot] : s->only;
}

const struct list *shards_list(const struct shards *s)
{
    return &s->list;
}

void shards_look(struct shards *s)
{
    if (s->finder && !s->is_closing)
        finder_look(s->finder);
}

const char *shards_trouble(const struct shards *s)
{
    if (s->finder && *finder_trouble(s->finder))
        return finder_trouble(s->finder);
    return s->homeless ? "some slots of the Redis Cluster have no primary: see CLUSTER SLOTS" : "";
}

static bool is_well(void *owner)
{
    struct shards *s = owner;

    if (s->owner ? s->homeless > 0 : !s->only || s->next)
        return false;
    for (struct list *it = s->list.next; it != &s->list; it = it->next) {
        const struct shard *shard = LIST_ENTRY(it, struct shard, link);
        if (shard->slot_count && (shard->is_amiss || !redis_is_up(shard->redis)))
            return false;
    }
    return true;
}

/* ---- life */

/* Certificates live a few weeks, connections as long as they can: who is connected stays so. */
static void on_files(struct timer *t)
{
    struct shards *s = CONTAINER_OF(t, struct shards, files);
    AUTO_FREE char *error = NULL;
    int r = access_look(s->access, &error);

    timer_start(s->loop, t, FILES_EVERY_MS, on_files);
    for (struct list *it = s->list.next; r > 0 && it != &s->list; it = it->next)
        redis_use_tls(LIST_ENTRY(it, struct shard, link)->redis, access_tls(s->access));
    if (r > 0 && s->finder)
        finder_renew(s->finder);
    if (r != 0 && s->settings.on_renewed)
        s->settings.on_renewed(s->settings.owner, error);
}

static int open_finder(struct shards *s, char **ret_error)
{
    const struct finder_settings settings = {
        .kind = s->kind,
        .access = s->access,
        .timeout_ms = s->settings.redis.timeout_ms,
        .on_primary = on_primary,
        .on_map = on_map,
        .is_well = is_well,
        .owner = s,
    };

    return finder_open(s->loop, &settings, &s->finder, ret_error);
}

static int open_standalone(struct shards *s, char **ret_error)
{
    const struct conf *conf = conf_get();
    int r = -EINVAL;

    if (conf->store.address.count != 1)
        *ret_error = mem_format("store.address names %zu servers: with store.kind standalone it is one",
                                conf->store.address.count);
    else if ((r = shard_get(s, conf->store.address.items[0], &s->only)) < 0)
        *ret_error = mem_format(
            "store.address \"%s\" is neither host:port with a numeric host nor unix:/path",
            conf->store.address.items[0]);
    else
        s->only->slot_count = SLOT_COUNT;
    return r;
}

int shards_open(struct loop *l, const struct shards_settings *settings, struct shards **ret_shards,
                char **ret_error)
{
    struct shards *s = NEW(struct shards);

    s->loop = l;
    s->settings = *settings;
    s->kind = (enum store_kind) conf_get()->store.kind;
    list_init(&s->list);
    int r = access_new(&s->access, ret_error);
    if (r == 0 && s->kind == STORE_STANDALONE) {
        r = open_standalone(s, ret_error);
    } else if (r == 0) {
        r = open_finder(s, ret_error);
        if (s->kind == STORE_CLUSTER) {
            s->owner = mem_array(SLOT_COUNT, sizeof(struct shard *));
            s->homeless = SLOT_COUNT;
        }
    }
    if (r < 0) {
        s = shards_close(s);
        return r;
    }
    if (access_tls(s->access))
        timer_start(s->loop, &s->files, FILES_EVERY_MS, on_files);
    *ret_shards = s;
    return 0;
}

struct shards *shards_close(struct shards *s)
{
    if (!s)
        return NULL;
    s->is_closing = true;
    timer_stop(&s->sweep);
    timer_stop(&s->files);
    s->finder = finder_close(s->finder);
    s->only = s->next = NULL; /* nobody is found any more: who is asked for meanwhile may be gone */
    for (unsigned slot = 0; s->owner && slot < SLOT_COUNT; slot++)
        s->owner[slot] = NULL;
    while (!list_is_empty(&s->list))
        shard_close(LIST_FIRST(&s->list, struct shard, link));
    s->access = access_free(s->access);
    mem_free(s->owner);
    return mem_free(s);
}
