/* store memory: what the memory of the store goes to. */
#include "ctl/print.h"
#include "ctl/verb.h"
#include "ctl/weigh.h"
#include "io/json.h"

enum { SAMPLE = 5000, SAMPLE_MAX = 1000000 };

static uint64_t known_bytes(const struct weighed_shard *s)
{
    uint64_t sum = 0;

    for (enum weight i = 0; i < WEIGHT_COUNT; i++)
        sum += s->of[i].bytes;
    return sum;
}

static uint64_t other_bytes(const struct weighed_shard *s)
{
    return later_by(s->memory.used_bytes, known_bytes(s));
}

static struct json *shard_json(const struct weighed_shard *s)
{
    struct json *json = json_new_object(), *kinds = json_new_array();

    json_put_text(json, "address", span_of(s->address));
    json_put_number(json, "used_bytes", (int64_t) s->memory.used_bytes);
    json_put_number(json, "max_bytes", (int64_t) s->memory.most_bytes);
    json_put_number(json, "keys", (int64_t) s->keys);
    json_put_number(json, "keys_seen", (int64_t) s->scanned);
    for (enum weight i = 0; i < WEIGHT_COUNT; i++) {
        struct json *kind = json_new_object();
        json_put_text(kind, "kind", span_of(weight_name(i)));
        json_put_number(kind, "keys", (int64_t) s->of[i].keys);
        json_put_number(kind, "bytes", (int64_t) s->of[i].bytes);
        json_put_number(kind, "keys_weighed", (int64_t) s->of[i].sampled);
        json_put(kinds, NULL, kind);
    }
    json_put(json, "kinds", kinds);
    json_put_number(json, "redis_bytes", (int64_t) other_bytes(s));
    return json;
}

static void add_row(struct grid *t, const struct weighed_shard *s, const char *name, uint64_t keys,
                    uint64_t bytes, const char *help)
{
    AUTO_BUF struct buf size = {.data = NULL}, each = {.data = NULL};

    add_bytes(&size, bytes);
    if (keys > 0)
        add_bytes(&each, bytes / keys);
    grid_cell(t, "%s", name);
    if (keys > 0)
        grid_cell(t, "%llu", (unsigned long long) keys);
    else
        grid_cell(t, "%s", "");
    grid_cell(t, "%.*s", SPAN_ARG(buf_span(&size)));
    grid_cell(t, "%.*s", SPAN_ARG(buf_span(&each)));
    grid_cell(t, "%.1f%%", s->memory.used_bytes ? 100 * (double) bytes / (double) s->memory.used_bytes : 0.0);
    grid_cell(t, "%s", help);
}

static void print_shard(const struct weighed_shard *s)
{
    AUTO_BUF struct buf line = {.data = NULL};
    struct grid t;

    buf_printf(&line, "Redis at %s: ", s->address);
    add_bytes(&line, s->memory.used_bytes);
    if (s->memory.most_bytes) {
        buf_add_text(&line, " used of ");
        add_bytes(&line, s->memory.most_bytes);
    } else {
        buf_add_text(&line, " used, without a limit (maxmemory)");
    }
    buf_printf(&line, "; %llu keys, ", (unsigned long long) s->keys);
    if (s->scanned < s->keys)
        buf_printf(&line, "estimated from %llu of them\n", (unsigned long long) s->scanned);
    else
        buf_add_text(&line, "all weighed\n");
    print_buf(&line);
    grid_init(&t, "kind|>keys|>memory|>each|>part|");
    for (enum weight i = 0; i < WEIGHT_COUNT; i++)
        add_row(&t, s, weight_name(i), s->of[i].keys, s->of[i].bytes, weight_help(i));
    add_row(&t, s, "Redis", 0, other_bytes(s),
            "itself: its dictionaries, buffers of clients and of the append-only file, scripts");
    grid_print(&t);
    grid_done(&t);
}

int verb_store_memory(const struct arguments *a)
{
    struct weights w;
    struct ask *k;
    uint64_t sample;

    if (argument_number(a, "sample", 1, SAMPLE_MAX, SAMPLE, &sample) < 0)
        return EXIT_BAD_USAGE;
    int status = ask_open_partly(a, &k);
    if (status != EXIT_OK)
        return status;
    status = weights_take(k, sample, &w);
    if (status == EXIT_OK && a->is_json) {
        struct json *json = json_new_object(), *list = json_new_array();
        for (size_t i = 0; i < w.count; i++)
            json_put(list, NULL, shard_json(&w.shards[i]));
        json_put(json, "shards", list);
        print_json(json);
    }
    for (size_t i = 0; status == EXIT_OK && !a->is_json && i < w.count; i++)
        print_shard(&w.shards[i]);
    weights_done(&w);
    ask_close(k);
    return status;
}
