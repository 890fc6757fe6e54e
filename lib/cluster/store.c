/* The store's connections: greeting, durability audit, meta, and a look at memory, clock and settings each second. */
#include "cluster/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "cluster/audit.h"
#include "cluster/keys.h"
#include "cluster/script.h"
#include "cluster/store_private.h"
#include "io/zstd.h"

enum { PROBE_EVERY_MS = 1000, PROBE_TIME_MS = 3000, LOAD_TIME_MS = 3000, ROOM_PERCENT = 2 };

/* Replies of a greeting, in order; then those of SCRIPT LOAD, if the scripts went with it; TIME comes last, as near as can be to its reading. */
enum greeting { GREETING_NAME, GREETING_CONFIG, GREETING_INFO, GREETING_META, GREETING_LOADS };
/* Replies of a probe. */
enum probe { PROBE_TIME, PROBE_CONFIG, PROBE_INFO, PROBE_COUNT };

static void set_trouble(struct store *s, const char *sentence)
{
    mem_free(s->trouble);
    s->trouble = mem_string(sentence);
}

static void become_ready(struct store *s)
{
    if (s->is_ready)
        return;
    s->is_ready = true;
    set_trouble(s, "");
    report_ready(s->address);
    store_unpark(s);
    if (s->events.on_ready)
        s->events.on_ready(s->events.owner);
}

/* is_told: the log has the reason already. */
static void become_lost(struct store *s, const char *sentence, bool is_told)
{
    bool was_ready = s->is_ready;

    s->is_ready = false;
    set_trouble(s, sentence);
    if (!was_ready)
        return;
    report_lost(s->address, is_told ? NULL : sentence);
    if (s->events.on_lost)
        s->events.on_lost(s->events.owner, sentence);
}

/* ---- what replies tell ---- */

static void see_time(struct store *s, const struct redis_value *time, uint64_t sent_ms)
{
    int64_t seconds, micros;

    if (time->type != REDIS_ARRAY || time->count != 2 || redis_number(&time->items[0], &seconds) < 0 ||
        redis_number(&time->items[1], &micros) < 0)
        return;
    /* Redis looked at its clock between our sending and our reading: half way is the best guess. */
    uint64_t middle_ms = sent_ms + (clock_ms() - sent_ms) / 2;
    s->clock_offset_ms = seconds * 1000 + micros / 1000 - (int64_t) middle_ms;
}

static void see_memory(struct store *s, const struct redis_value *info)
{
    struct audit_memory memory = audit_memory(info);
    uint64_t soft = conf_get()->store.soft_watermark;

    s->memory_percent = memory.most_bytes ? (unsigned) (memory.used_bytes * 100 / memory.most_bytes) : 0;
    /* Once full, it takes a bit more than the watermark to have room again. */
    s->is_full = s->memory_percent >= (s->is_full ? soft - ROOM_PERCENT : soft);
    report_memory(s->is_full, s->memory_percent);
}

/* An answer that says nothing for now: loading, or busy with a script. */
static int judge_later(struct store *s, const struct redis_value *error)
{
    if (!s->is_ready) {
        AUTO_FREE char *text = mem_format("Redis at %s is not usable yet: %.*s", s->address,
                                          SPAN_ARG(error->text));
        set_trouble(s, text);
    }
    return -EAGAIN;
}

/* Is this Redis one to keep the queue in? 0, or -EAGAIN, or -EPERM with the trouble set. */
static int judge(struct store *s, const struct redis_value *config, const struct redis_value *info)
{
    struct buf sentence = {.data = NULL};

    if (store_is_temporary(config) || store_is_temporary(info))
        return judge_later(s, store_is_temporary(config) ? config : info);
    enum audit audit = audit_judge(s->address, config, info, &sentence);
    AUTO_FREE char *text = buf_steal_text(&sentence);

    if (audit == AUDIT_UNSAFE && !s->must_be_durable) {
        report_unsafe(text);
        audit = AUDIT_GOOD;
    }
    if (audit == AUDIT_GOOD)
        return 0;
    if (audit != AUDIT_BUSY)
        report_refused(text);
    become_lost(s, text, audit != AUDIT_BUSY);
    return audit == AUDIT_BUSY ? -EAGAIN : -EPERM;
}

/* What every node must agree on, as stored. */
static int judge_meta(struct store *s, const struct redis_value *meta)
{
    int64_t schema = 0, partitions = 0;
    AUTO_FREE char *text = NULL;

    if (store_is_temporary(meta))
        return judge_later(s, meta);
    if (meta->type != REDIS_ARRAY || meta->count != 3) {
        text = mem_format("Redis at %s cannot be used: it answered %.*s", s->address, SPAN_ARG(meta->text));
    } else if (redis_number(&meta->items[0], &schema) < 0 || redis_number(&meta->items[1], &partitions) < 0 ||
               !meta->items[2].text.len) {
        text = mem_format("Redis at %s: %s was not written by barid: give barid a Redis of its own",
                          s->address, KEY_META);
    } else if (schema != SCHEMA_VERSION || partitions != PARTITION_COUNT ||
               !redis_is_text(&meta->items[2], HASH_NAME)) {
        text = mem_format(
            "Redis at %s holds a queue of schema %lld, %lld partitions, hash %.*s; this program needs schema %d, %d, %s: "
            "use the version that wrote it, or another Redis",
            s->address, (long long) schema, (long long) partitions, SPAN_ARG(meta->items[2].text),
            SCHEMA_VERSION, PARTITION_COUNT, HASH_NAME);
    } else {
        return 0;
    }
    report_refused(text);
    become_lost(s, text, true);
    return -EPERM;
}

/* True when Redis knows all scripts, by the names we computed. */
static bool are_loaded(const struct redis_value *values, unsigned count)
{
    if (count < SCRIPT_COUNT)
        return false;
    for (unsigned i = 0; i < SCRIPT_COUNT; i++) {
        if (values[i].type == REDIS_ERROR_REPLY)
            return false;
        must(span_equal(redis_text(&values[i]), script_hash(i)));
    }
    return true;
}

/* ---- greeting ---- */

static void greet(void *owner, struct redis_request *greeting)
{
    struct store *s = owner;
    struct buf *b = &greeting->bytes;

    resp_command(b, 3);
    resp_arg(b, SPAN("CLIENT"));
    resp_arg(b, SPAN("SETNAME"));
    resp_arg_text(b, program_invocation_short_name);
    audit_ask(b);
    /* As text: so that it needs no script loaded before. */
    resp_command(b, 7);
    resp_arg(b, SPAN("EVAL"));
    resp_arg(b, script_text(SCRIPT_meta));
    resp_arg_number(b, 1);
    resp_arg_text(b, KEY_META);
    resp_arg_number(b, SCHEMA_VERSION);
    resp_arg_number(b, PARTITION_COUNT);
    resp_arg_text(b, HASH_NAME);
    greeting->reply_count = GREETING_LOADS + 1;
    if (!s->is_loaded) {
        script_load_all(b);
        greeting->reply_count += SCRIPT_COUNT;
    }
    resp_command(b, 1);
    resp_arg(b, SPAN("TIME"));
}

static int on_greeted(void *owner, const struct redis_value *values, unsigned count)
{
    struct store *s = owner;

    must(count > GREETING_LOADS);
    int r = judge(s, &values[GREETING_CONFIG], &values[GREETING_INFO]);
    if (r < 0)
        return r;
    r = judge_meta(s, &values[GREETING_META]);
    if (r < 0)
        return r;
    see_time(s, &values[count - 1], clock_ms());
    see_memory(s, &values[GREETING_INFO]);
    s->is_loaded |= are_loaded(values + GREETING_LOADS, count - GREETING_LOADS - 1);
    return 0;
}

static void on_up(void *owner)
{
    become_ready(owner);
}

static void on_down(void *owner, const char *reason)
{
    struct store *s = owner;
    AUTO_FREE char *text = mem_format("Redis at %s is not connected: %s", s->address, reason);

    s->is_loaded = false; /* the next one may be another process, or have forgotten */
    become_lost(s, text, false);
}

/* ---- each second ---- */

static void on_probed(struct redis_request *request, enum redis_result result,
                      const struct redis_value *values)
{
    struct store *s = CONTAINER_OF(request, struct store, probe);

    s->is_probing = false;
    if (result != REDIS_OK)
        return; /* the connection's own deadline decides */
    see_time(s, &values[PROBE_TIME], s->probe_sent_ms);
    if (judge(s, &values[PROBE_CONFIG], &values[PROBE_INFO]) < 0)
        return;
    see_memory(s, &values[PROBE_INFO]);
    if (redis_is_up(s->redis))
        become_ready(s);
}

/* Settings are audited here too: a CONFIG SET at run time must not go unseen. */
static void on_probe_time(struct timer *t)
{
    struct store *s = CONTAINER_OF(t, struct store, probe_timer);

    timer_start(s->loop, &s->probe_timer, PROBE_EVERY_MS, on_probe_time);
    if (s->is_probing || !redis_is_up(s->redis))
        return;
    buf_clear(&s->probe.bytes);
    resp_command(&s->probe.bytes, 1);
    resp_arg(&s->probe.bytes, SPAN("TIME"));
    audit_ask(&s->probe.bytes);
    s->probe.reply_count = PROBE_COUNT;
    s->probe.give_up_ms = clock_ms() + PROBE_TIME_MS;
    s->probe.on_done = on_probed;
    s->probe_sent_ms = clock_ms();
    s->is_probing = true;
    redis_submit(s->redis, &s->probe);
}

static void on_loaded(struct redis_request *request, enum redis_result result,
                      const struct redis_value *values)
{
    struct store *s = CONTAINER_OF(request, struct store, load);

    s->is_loading = false;
    if (result == REDIS_OK)
        s->is_loaded |= are_loaded(values, request->reply_count); /* if not, the next NOSCRIPT asks again */
}

void store_load(struct store *s)
{
    if (s->is_loading || s->is_closing)
        return;
    buf_clear(&s->load.bytes);
    script_load_all(&s->load.bytes);
    s->load.reply_count = SCRIPT_COUNT;
    s->load.give_up_ms = clock_ms() + LOAD_TIME_MS;
    s->load.on_done = on_loaded;
    s->is_loading = true;
    redis_submit(s->redis, &s->load);
}

/* ---- its life ---- */

int store_open(struct loop *l, const struct store_events *events, struct store **ret_store, char **ret_error)
{
    const struct conf *conf = conf_get();
    struct store *s = NEW(struct store);
    const struct redis_settings settings = {
        .address = conf->store.address,
        .connections = (unsigned) conf->store.connections,
        .window = (unsigned) conf->store.window,
        .timeout_ms = conf->store.timeout_ms,
        .greet = greet,
        .on_greeted = on_greeted,
        .on_up = on_up,
        .on_down = on_down,
        .owner = s,
    };

    s->loop = l;
    s->events = *events;
    s->clock_offset_ms = (int64_t) (clock_wall_ms() - clock_ms()); /* until Redis tells its own */
    s->address = mem_string(conf->store.address);
    s->must_be_durable = conf->store.durability == 0; /* the first of "fsync none" */
    s->trouble = mem_format("Redis at %s is not connected yet", s->address);
    s->jitter = clock_us() | 1;
    list_init(&s->parked);
    list_init(&s->paused);
    int r = redis_open(l, &settings, &s->redis);
    if (r < 0) {
        *ret_error = mem_format(
            "store.address \"%s\" is neither host:port with a numeric host nor unix:/path", s->address);
        mem_free(s->trouble);
        mem_free(s->address);
        mem_free(s);
        return r;
    }
    report_opened();
    timer_start(l, &s->probe_timer, PROBE_EVERY_MS, on_probe_time);
    *ret_store = s;
    return 0;
}

struct store *store_close(struct store *s)
{
    if (!s)
        return NULL;
    s->is_closing = true;
    timer_stop(&s->probe_timer);
    s->redis = redis_close(s->redis); /* calls under way end as unknown */
    store_end_calls(s);
    report_closed(s->is_ready);
    redis_request_done(&s->probe);
    redis_request_done(&s->load);
    mem_free(s->trouble);
    mem_free(s->address);
    zstd_free(s->zstd);
    return mem_free(s);
}

struct zstd *store_zstd(struct store *s)
{
    if (!s->zstd)
        s->zstd = zstd_new();
    return s->zstd;
}

bool store_is_ready(const struct store *s)
{
    return s->is_ready;
}

bool store_is_full(const struct store *s)
{
    return s->is_full;
}

const char *store_trouble(const struct store *s)
{
    return s->trouble;
}

unsigned store_memory_percent(const struct store *s)
{
    return s->memory_percent;
}

int64_t store_clock_offset_ms(const struct store *s)
{
    return (int64_t) (store_redis_ms(s) - clock_wall_ms());
}

uint64_t store_redis_ms(const struct store *s)
{
    return clock_ms() + (uint64_t) s->clock_offset_ms;
}

struct loop *store_loop(const struct store *s)
{
    return s->loop;
}
