/* The life of ask: settings, connections, and what the store says of itself. */
#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "ctl/ask_private.h"
#include "ctl/away.h"
#include "ctl/settings.h"

enum { WINDOW = 4096, REPLY_TIME_MS = 8000, AWAY_REPLY_TIME_MS = AWAY_TIME_MS - 500 };

static void on_meta(void *context, const struct redis_value *values)
{
    struct ask *k = context;
    const struct redis_value *meta = &values[0];
    int64_t schema, partitions;

    if (meta->type == REDIS_NIL && away_has_common())
        return; /* it cannot be told: each shard is asked for keys that only we have */
    if (meta->type == REDIS_ARRAY && meta->count == 3 && meta->items[0].type == REDIS_NIL &&
        meta->items[2].type == REDIS_NIL)
        return; /* no node has started yet */
    if (meta->type != REDIS_ARRAY || meta->count != 3 || redis_number(&meta->items[0], &schema) < 0 ||
        redis_number(&meta->items[1], &partitions) < 0)
        ask_fail(k, mem_format("Redis at %s: %s was not written by barid", k->place, KEY_META));
    else if (schema != SCHEMA_VERSION || partitions != PARTITION_COUNT ||
             !redis_is_text(&meta->items[2], HASH_NAME))
        ask_fail(
            k,
            mem_format(
                "Redis at %s holds a queue of another version (schema %lld, %lld partitions): use that version's baridctl",
                k->place, (long long) schema, (long long) partitions));
}

/* All that is asked ends. */
static void on_end(struct timer *t)
{
    struct ask *k = CONTAINER_OF(t, struct ask, end);

    k->shards = shards_close(k->shards);
}

/* Waiting helps where nobody answers, not where we are not let in. */
static void on_refused(void *owner, struct shard *shard, const char *reason)
{
    struct ask *k = owner;

    mem_free(k->refusal);
    k->refusal = mem_format("Redis at %s cannot be used: %s", shard->address, reason);
    if (shards_kind(k->shards) != STORE_STANDALONE || !redis_refuses(shard->redis) || k->is_failed)
        return;
    ask_fail(k, mem_string(k->refusal));
    timer_start(k->loop, &k->end, 0, on_end);
}

static void on_up(void *owner, struct shard *shard)
{
    shard->data = owner; /* it has been there */
    away_back(shard);
}

static bool has_met(const struct ask *k)
{
    const struct list *shards = shards_list(k->shards);

    for (const struct list *it = shards->next; it != shards; it = it->next)
        if (LIST_ENTRY(it, struct shard, link)->data)
            return true;
    return false;
}

static int ask_open_as(const struct arguments *a, bool is_partly, struct ask **ret_ask)
{
    int status = settings_use(a);
    if (status != EXIT_OK)
        return status;
    struct ask *k = NEW(struct ask);
    k->opened_ms = clock_ms();
    k->is_partly = is_partly && conf_get()->store.kind == STORE_CLUSTER;
    k->place = shards_place();
    k->loop = loop_new();
    const struct shards_settings settings = {
        .redis = {.connections = 1,
                  .window = WINDOW,
                  .timeout_ms = k->is_partly ? AWAY_REPLY_TIME_MS : REPLY_TIME_MS},
        .on_up = on_up,
        .on_refused = on_refused,
        .owner = k,
    };
    AUTO_FREE char *error = NULL;
    if (shards_open(k->loop, &settings, &k->shards, &error) < 0) {
        status = say_failed("%s", error);
        ask_close(k);
        return status;
    }
    struct buf *b = ask_command(k, 5);
    resp_arg_text(b, "HMGET");
    resp_arg_text(b, KEY_META);
    resp_arg_text(b, "schema");
    resp_arg_text(b, "partitions");
    resp_arg_text(b, "hash");
    ask_send(k, on_meta, k);
    status = ask_wait(k);
    if (status == EXIT_OK && !has_met(k)) {
        away_forget(); /* that is no part, but all */
        ask_fail_unanswered(k, NULL);
        status = say_failed("%s", k->error);
    }
    if (status != EXIT_OK) {
        ask_close(k);
        return status;
    }
    *ret_ask = k;
    return EXIT_OK;
}

int ask_open(const struct arguments *a, struct ask **ret_ask)
{
    return ask_open_as(a, false, ret_ask);
}

int ask_open_partly(const struct arguments *a, struct ask **ret_ask)
{
    return ask_open_as(a, true, ret_ask);
}

static void on_reached(void *context, const struct redis_value *values)
{
    *(bool *) context = values[0].type != REDIS_NIL;
}

int ask_reaches(struct ask *k, unsigned partition, const char *subject)
{
    bool is_reached = false;

    (void) ask_key(k, "ZCARD", 2, KEY_OF_CLAIMED, partition, span_of("")); /* no more arguments */
    ask_send(k, on_reached, &is_reached);
    int status = ask_wait(k);
    if (status != EXIT_OK || is_reached)
        return status;
    return say_partly("nothing can be told of %s, or done: partition %u, where it is, is away", subject,
                      partition);
}

struct ask *ask_close(struct ask *k)
{
    if (!k)
        return NULL;
    must(k->open == 0);
    timer_stop(&k->end);
    k->shards = shards_close(k->shards);
    k->loop = loop_free(k->loop);
    buf_done(&k->commands);
    mem_free(k->place);
    mem_free(k->refusal);
    mem_free(k->error);
    return mem_free(k);
}
