/*
 * One shard of the store: greeting, durability audit, meta, and a look at memory, clock and settings each second. With replicas each look writes:
 * a primary that is cut off from its replicas goes on answering, and only a write that they hold tells one from the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/audit.h"
#include "cluster/keys.h"
#include "cluster/script.h"
#include "cluster/store_private.h"

enum { LOAD_TIME_MS = 3000, ROOM_PERCENT = 2 };

/* Replies of a greeting, in order; then those of SCRIPT LOAD, if the scripts went with it; TIME comes last, as near as can be to its reading. */
enum greeting {
    GREETING_NAME,
    GREETING_CONFIG,
    GREETING_INFO,
    GREETING_REPLAY,
    GREETING_META,
    GREETING_LOADS
};

static void set_trouble(struct store_shard *ss, const char *sentence)
{
    mem_free(ss->trouble);
    ss->trouble = mem_string(sentence);
}

void store_shard_ready(struct store_shard *ss)
{
    struct store *s = ss->store;

    ss->shard->is_amiss = ss->gathers_ms > 0; /* who may be promoted is asked of others until then */
    if (ss->is_ready)
        return;
    ss->is_ready = true;
    set_trouble(ss, "");
    report_ready(ss->shard->address);
    store_resume(s, &ss->parked);
    if (s->events.on_ready)
        s->events.on_ready(s->events.owner);
}

void store_shard_lost(struct store_shard *ss, const char *sentence, bool is_told)
{
    struct store *s = ss->store;
    bool was_ready = ss->is_ready;

    ss->is_ready = false;
    set_trouble(ss, sentence);
    if (!was_ready)
        return;
    /* Who has nothing of ours any more is no loss. */
    report_lost(ss->shard->address, is_told || !ss->shard->slot_count ? NULL : sentence);
    if (s->events.on_lost)
        s->events.on_lost(s->events.owner, sentence);
}

/* ---- what replies tell ---- */

void store_shard_see_time(struct store_shard *ss, const struct redis_value *time, uint64_t sent_ms)
{
    int64_t seconds, micros;

    if (time->type != REDIS_ARRAY || time->count != 2 || redis_number(&time->items[0], &seconds) < 0 ||
        redis_number(&time->items[1], &micros) < 0)
        return;
    /* Redis looked at its clock between our sending and our reading: half way is the best guess. */
    uint64_t middle_ms = sent_ms + (clock_ms() - sent_ms) / 2;
    ss->clock_offset_ms = seconds * 1000 + micros / 1000 - (int64_t) middle_ms;
}

void store_shard_see_memory(struct store_shard *ss, const struct redis_value *info)
{
    struct audit_memory memory = audit_memory(info);
    uint64_t soft = conf_get()->store.soft_watermark;

    ss->memory_percent = memory.most_bytes ? (unsigned) (memory.used_bytes * 100 / memory.most_bytes) : 0;
    /* Once full, it takes a bit more than the watermark to have room again. */
    ss->is_full = ss->memory_percent >= (ss->is_full ? soft - ROOM_PERCENT : soft);
    report_memory(ss->shard->address, ss->is_full, ss->memory_percent, &memory);
}

/* An answer that says nothing for now: loading, or busy with a script. */
static int judge_later(struct store_shard *ss, const struct redis_value *error)
{
    if (!ss->is_ready) {
        AUTO_FREE char *text = mem_format("Redis at %s is not usable yet: %.*s", ss->shard->address,
                                          SPAN_ARG(error->text));
        set_trouble(ss, text);
    }
    return -EAGAIN;
}

static bool is_primary(const struct redis_value *info)
{
    return span_equal(audit_field(info, "role"), SPAN("master"));
}

int store_shard_judge(struct store_shard *ss, const struct redis_value *answers)
{
    const char *address = ss->shard->address;
    const struct audit_demand demand = audit_demand();
    struct buf sentence = {.data = NULL};

    const struct redis_value *info = &answers[AUDIT_INFO];
    for (size_t i = 0; i < AUDIT_ANSWERS; i++)
        if (store_is_temporary(&answers[i]))
            return judge_later(ss, &answers[i]);
    enum audit audit = audit_judge(address, &demand, answers, &sentence);
    AUTO_FREE char *text = buf_steal_text(&sentence);

    if (audit == AUDIT_WEAK || (audit == AUDIT_UNSAFE && !ss->store->must_be_durable)) {
        report_unsafe(address, text);
        audit = AUDIT_GOOD;
    }
    if (audit == AUDIT_GOOD)
        return 0;
    /* Another has taken over, and who is known soon: nobody has to mend anything. */
    bool is_replaced = demand.kind != STORE_STANDALONE && !is_primary(info);
    bool is_told = audit != AUDIT_BUSY && !is_replaced;
    if (is_told)
        report_refused(address, text);
    store_shard_lost(ss, text, is_told);
    return audit == AUDIT_BUSY ? -EAGAIN : -EPERM;
}

/* What every node must agree on, as stored. */
static int judge_meta(struct store_shard *ss, const struct redis_value *meta)
{
    const char *address = ss->shard->address;
    int64_t schema = 0, partitions = 0;
    AUTO_FREE char *text = NULL;

    if (store_is_temporary(meta))
        return judge_later(ss, meta);
    if (meta->type != REDIS_ARRAY || meta->count != 3) {
        text = mem_format("Redis at %s cannot be used: it answered %.*s", address, SPAN_ARG(meta->text));
    } else if (redis_number(&meta->items[0], &schema) < 0 || redis_number(&meta->items[1], &partitions) < 0 ||
               !meta->items[2].text.len) {
        text = mem_format("Redis at %s: %s was not written by barid: give barid a Redis of its own", address,
                          KEY_META);
    } else if (schema != SCHEMA_VERSION || partitions != PARTITION_COUNT ||
               !redis_is_text(&meta->items[2], HASH_NAME)) {
        text = mem_format(
            "Redis at %s holds a queue of schema %lld, %lld partitions, hash %.*s; this program needs schema %d, %d, %s: "
            "use the version that wrote it, or another Redis",
            address, (long long) schema, (long long) partitions, SPAN_ARG(meta->items[2].text),
            SCHEMA_VERSION, PARTITION_COUNT, HASH_NAME);
    } else {
        return 0;
    }
    report_refused(address, text);
    store_shard_lost(ss, text, true);
    return -EPERM;
}

/* True when Redis knows all scripts, by the names we computed. */
static bool are_loaded(const struct redis_value *values, unsigned count)
{
    if (count < SCRIPT_COUNT)
        return false;
    for (unsigned i = 0; i < SCRIPT_COUNT; i++) {
        if (!span_equal(redis_text(&values[i]), script_hash(i)))
            return false;
    }
    return true;
}

/* ---- greeting ---- */

/* The common keys are in one shard only: in a Redis Cluster its neighbours are not asked about them. */
static bool has_common_keys(const struct store_shard *ss)
{
    const struct store *s = ss->store;

    return !s->has_slots || shards_find(s->shards, s->common) == ss->shard;
}

static void ask_meta_or_service(struct store_shard *ss, struct buf *b)
{
    if (!has_common_keys(ss)) {
        store_shard_ask_service(ss, b);
        return;
    }
    /* As text: so that it needs no script loaded before. */
    resp_command(b, 7);
    resp_arg(b, SPAN("EVAL"));
    resp_arg(b, script_text(SCRIPT_meta));
    resp_arg_number(b, 1);
    resp_arg_text(b, KEY_META);
    resp_arg_number(b, SCHEMA_VERSION);
    resp_arg_number(b, PARTITION_COUNT);
    resp_arg_text(b, HASH_NAME);
}

/* Answers to store_shard_ask_service(). */
static bool is_service(const struct redis_value *answer)
{
    return answer->type == REDIS_INTEGER || redis_is_text(answer, "PONG");
}

static bool is_elsewhere(const struct redis_value *answer)
{
    return store_is_code(answer, "MOVED") || store_is_code(answer, "ASK") ||
           store_is_code(answer, "TRYAGAIN");
}

void store_shard_greet(void *owner UNUSED, struct shard *shard, struct redis_request *greeting)
{
    struct store_shard *ss = shard->data;
    struct buf *b = &greeting->bytes;

    resp_command(b, 3);
    resp_arg(b, SPAN("CLIENT"));
    resp_arg(b, SPAN("SETNAME"));
    resp_arg_text(b, program_invocation_short_name);
    audit_ask(b);
    ask_meta_or_service(ss, b);
    greeting->reply_count = GREETING_LOADS + 1;
    if (!ss->is_loaded) {
        script_load_all(b);
        greeting->reply_count += SCRIPT_COUNT;
    }
    resp_command(b, 1);
    resp_arg(b, SPAN("TIME"));
}

int store_shard_greeted(void *owner UNUSED, struct shard *shard, const struct redis_value *values,
                        unsigned count)
{
    struct store_shard *ss = shard->data;
    const struct redis_value *meta = &values[GREETING_META];

    must(count > GREETING_LOADS);
    int r = store_shard_judge(ss, &values[GREETING_CONFIG]);
    /* Of a primary the probes will see when it is good enough: its replicas may come any moment. */
    if (r < 0 && !(r == -EPERM && ss->store->replicas && is_primary(&values[GREETING_INFO])))
        return r;
    bool is_of_others = !has_common_keys(ss) && store_shard_serves_others(ss, meta);
    if (!is_service(meta) && !is_of_others && !(ss->store->has_slots && is_elsewhere(meta))) {
        r = judge_meta(ss, meta);
        if (r < 0)
            return r;
    }
    store_shard_see_time(ss, &values[count - 1], clock_ms());
    store_shard_see_memory(ss, &values[GREETING_INFO]);
    ss->is_loaded |= are_loaded(values + GREETING_LOADS, count - GREETING_LOADS - 1);
    return 0;
}

void store_shard_up(void *owner UNUSED, struct shard *shard)
{
    struct store_shard *ss = shard->data;

    store_shard_await_followers(ss);
    if (ss->store->replicas)
        store_shard_probe(ss); /* it is ready when replicas hold what we write */
    else
        store_shard_ready(ss);
}

void store_shard_down(void *owner UNUSED, struct shard *shard, const char *reason)
{
    struct store_shard *ss = shard->data;
    AUTO_FREE char *text = mem_format("Redis at %s is not connected: %s", shard->address, reason);

    ss->is_loaded = false; /* the next one may be another process, or have forgotten */
    store_shard_lost(ss, text, false);
}

void store_shard_refused(void *owner UNUSED, struct shard *shard, const char *reason)
{
    struct store_shard *ss = shard->data;

    if (ss->is_ready)
        return; /* other connections are enough */
    AUTO_FREE char *text = mem_format("Redis at %s is not connected: %s", shard->address, reason);
    set_trouble(ss, text);
}

static void on_loaded(struct redis_request *request, enum redis_result result,
                      const struct redis_value *values)
{
    struct store_shard *ss = CONTAINER_OF(request, struct store_shard, load);

    ss->is_loading = false;
    if (result == REDIS_OK && are_loaded(values, request->reply_count))
        ss->is_loaded = true;
}

void store_shard_load(struct store_shard *ss)
{
    if (ss->is_loading)
        return;
    ss->is_loading = true;
    ss->is_loaded = false;
    buf_clear(&ss->load.bytes);
    script_load_all(&ss->load.bytes);
    ss->load.reply_count = SCRIPT_COUNT;
    ss->load.give_up_ms = clock_ms() + LOAD_TIME_MS;
    ss->load.on_done = on_loaded;
    redis_submit(ss->shard->redis, &ss->load);
}

/* ---- its life ---- */

void store_shard_open(void *owner, struct shard *shard)
{
    struct store *s = owner;
    struct store_shard *ss = NEW(struct store_shard);

    ss->store = s;
    ss->shard = shard;
    ss->held_by = s->replicas;
    ss->clock_offset_ms = (int64_t) (clock_wall_ms() - clock_ms()); /* until Redis tells its own */
    ss->trouble = mem_format("Redis at %s is not connected yet", shard->address);
    list_init(&ss->parked);
    shard->data = ss;
    report_opened(shard->address);
    store_shard_probe_later(ss);
}

void store_shard_close(void *owner UNUSED, struct shard *shard)
{
    struct store_shard *ss = shard->data;

    timer_stop(&ss->probe_timer);
    report_closed(shard->address, ss->is_ready);
    ss->is_ready = false;
    ss->is_probing = ss->is_loading = true; /* no more */
}

void store_shard_closed(void *owner, void *data)
{
    struct store *s = owner;
    struct store_shard *ss = data;

    timer_stop(&ss->probe_timer); /* the end of a probe has set it */
    store_resume(s, &ss->parked);
    must(list_is_empty(&ss->parked));
    redis_request_done(&ss->probe);
    redis_request_done(&ss->load);
    mem_free(ss->trouble);
    mem_free(ss);
}
