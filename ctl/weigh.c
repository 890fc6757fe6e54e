/*
 * SCAN returns keys in the order of their hashes: the first thousands are a fair sample of all. A large index is one key among millions, that a sample
 * would miss or take for many: so those that there are few of are asked for by name.
 */
#include "ctl/weigh.h"

#include <string.h>

#include "base/mem.h"
#include "cluster/table.h"
#include "ctl/selection.h"

enum { SCAN_KEYS = 500, AT_ONCE = 500, QUEUES_MAX = 5000, USAGE_SAMPLES = 5, CURSOR_MAX = 24 };

static const struct {
    const char *name, *keys, *help;
} rows[] = {
#define WEIGHT(NAME, name, keys, help) [WEIGHT_##NAME] = {name, keys, help},
#include "ctl/weigh.def"
#undef WEIGHT
};

const char *weight_name(enum weight w)
{
    return rows[w].name;
}

const char *weight_help(enum weight w)
{
    return rows[w].help;
}

enum weight weight_of(struct span key)
{
    for (enum weight w = 0; w < WEIGHT_OTHERS; w++) {
        struct span rest = span_of(rows[w].keys);
        while (rest.len) {
            struct span start = span_cut(&rest, ' ');
            if (key.len > start.len && memcmp(key.at, start.at, start.len) == 0)
                return w;
        }
    }
    return WEIGHT_OTHERS;
}

/* They may be any number, each key being small. */
static bool is_sampled(enum weight w)
{
    return w != WEIGHT_EVENTS && w != WEIGHT_INDEXES && w != WEIGHT_TABLES;
}

/* ---- one key ---- */

struct scale { /* context of a question about one key */
    struct weighed_shard *shard;
    enum weight weight;
};

static void on_usage(void *context, const struct redis_value *values)
{
    const struct scale *s = context;
    uint64_t bytes = answer_count(&values[0]);
    struct weighed *of = &s->shard->of[s->weight];

    of->sampled += bytes > 0; /* else it has gone meanwhile, or never was */
    of->sampled_bytes += bytes;
}

static struct buf *ask_usage(struct ask *k)
{
    struct buf *b = ask_command(k, 5);

    resp_arg_text(b, "MEMORY");
    resp_arg_text(b, "USAGE");
    return b;
}

static int send_usage(struct weighed_shard *shard, struct buf *b, enum weight weight)
{
    struct ask *k = shard->weights->ask;
    struct scale *s = NEW(struct scale);

    *s = (struct scale){shard, weight};
    resp_arg_text(b, "SAMPLES");
    resp_arg_number(b, USAGE_SAMPLES);
    ask_send_with(k, on_usage, s);
    return ask_open_count(k) >= AT_ONCE ? ask_wait(k) : EXIT_OK;
}

/* ---- a sample of the many ---- */

struct names {
    struct weighed_shard *shard;
    char cursor[CURSOR_MAX + 1];
    char **keys;
    size_t count;
};
struct page {
    struct names *names;
};

static void on_names(void *context, const struct redis_value *values)
{
    struct names *n = ((const struct page *) context)->names;
    const struct redis_value *page = &values[0];
    struct span cursor = page->type == REDIS_ARRAY && page->count == 2 ? redis_text(&page->items[0])
                                                                       : SPAN("0");

    if (cursor.len == 0 || cursor.len > CURSOR_MAX)
        cursor = SPAN("0");
    memcpy(n->cursor, cursor.at, cursor.len);
    n->cursor[cursor.len] = '\0';
    if (page->type != REDIS_ARRAY || page->count != 2 || page->items[1].type != REDIS_ARRAY)
        return;
    const struct redis_value *list = &page->items[1];
    n->shard->scanned += list->count;
    n->keys = mem_resize(n->keys, (n->count + list->count + 1) * sizeof(*n->keys));
    for (size_t i = 0; i < list->count; i++)
        if (is_sampled(weight_of(redis_text(&list->items[i]))))
            n->keys[n->count++] = answer_text(&list->items[i]);
}

static int scan_once(struct names *n, struct shard *shard)
{
    struct ask *k = n->shard->weights->ask;
    struct page *p = NEW(struct page);
    struct buf *b = ask_command(k, 4);

    p->names = n;
    resp_arg_text(b, "SCAN");
    resp_arg_text(b, n->cursor);
    resp_arg_text(b, "COUNT");
    resp_arg_number(b, SCAN_KEYS);
    ask_shard_with(k, shard, on_names, p);
    return ask_wait(k);
}

static int weigh_sample(struct weighed_shard *s, struct shard *shard)
{
    struct names n = {.shard = s, .cursor = "0"};
    int status;

    do
        status = scan_once(&n, shard);
    while (status == EXIT_OK && strcmp(n.cursor, "0") != 0 && s->scanned < s->weights->sample);
    if (strcmp(n.cursor, "0") == 0)
        s->keys = s->scanned; /* all of them */
    for (size_t i = 0; i < n.count; i++) {
        if (status == EXIT_OK) {
            struct buf *b = ask_usage(s->weights->ask);
            resp_arg_text(b, n.keys[i]);
            status = send_usage(s, b, weight_of(span_of(n.keys[i])));
        }
        mem_free(n.keys[i]);
    }
    mem_free(n.keys);
    return status == EXIT_OK ? ask_wait(s->weights->ask) : status;
}

/* ---- the few, by name ---- */

static struct weighed_shard *shard_of(struct weights *w, unsigned slot)
{
    const struct shard *shard = shards_find(ask_shards(w->ask), slot);

    for (size_t i = 0; shard && i < w->count; i++)
        if (strcmp(w->shards[i].address, shard->address) == 0)
            return &w->shards[i];
    return w->count ? &w->shards[0] : NULL; /* its slots move just now */
}

static int weigh_key(struct weights *w, enum key key, unsigned partition, struct span subject)
{
    AUTO_BUF struct buf name = {.data = NULL};
    struct buf *b = ask_usage(w->ask);

    key_arg(b, key, partition, subject, 0);
    key_format(&name, key, partition, subject, 0);
    return send_usage(shard_of(w, partition_slot(partition)), b, weight_of(buf_span(&name)));
}

static int on_queue(void *context, unsigned partition, const char *queue)
{
    struct weights *w = context;

    if (w->queues++ >= QUEUES_MAX || strcmp(queue, QUEUE_FANOUT) == 0)
        return EXIT_OK;
    w->queues_weighed++;
    return weigh_key(w, KEY_OF_QUEUE, partition, span_of(queue));
}

/* Queues beyond those that were weighed: like the others. */
static void scale_queues(struct weights *w)
{
    if (w->queues <= QUEUES_MAX)
        return;
    for (size_t i = 0; i < w->count; i++) {
        struct weighed *of = &w->shards[i].of[WEIGHT_INDEXES];
        of->sampled_bytes = of->sampled_bytes / QUEUES_MAX * w->queues;
    }
}

static int weigh_named(struct weights *w)
{
    static const enum key keys[] = {KEY_OF_CLAIMED, KEY_OF_HELD,    KEY_OF_DUE,  KEY_OF_OWNER,
                                    KEY_OF_EVENTS,  KEY_OF_TENANTS, KEY_OF_QUEUE};
    static const char *const common[] = {
#define TABLE(NAME, name, help) "barid:{c}:" name,
#include "cluster/table.def"
#undef TABLE
        KEY_META, KEY_NODES, KEY_CHANGED};
    int status = selection_each_queue(w->ask, "*", on_queue, w);

    scale_queues(w);
    for (unsigned p = 0; p < PARTITION_COUNT; p++)
        for (size_t i = 0; i < ARRAY_LEN(keys) && status == EXIT_OK; i++)
            status = weigh_key(w, keys[i], p, keys[i] == KEY_OF_QUEUE ? span_of(QUEUE_FANOUT) : span_of(""));
    for (size_t i = 0; i < ARRAY_LEN(common) && status == EXIT_OK; i++) {
        struct buf *b = ask_usage(w->ask);
        resp_arg_text(b, common[i]);
        status = send_usage(shard_of(w, common_slot()), b, WEIGHT_TABLES);
    }
    return status == EXIT_OK ? ask_wait(w->ask) : status;
}

/* ---- all ---- */

struct shard_state {
    struct weighed_shard *shard;
};

static void on_state(void *context, const struct redis_value *values)
{
    struct weighed_shard *s = ((const struct shard_state *) context)->shard;

    s->keys = answer_count(&values[0]);
    s->memory = audit_memory(&values[1]);
}

static int look_at_shard(struct weights *w, struct weighed_shard *s, struct shard *shard)
{
    struct shard_state *state = NEW(struct shard_state);

    state->shard = s;
    s->weights = w;
    s->address = mem_string(shard->address);
    resp_arg_text(ask_command(w->ask, 1), "DBSIZE");
    resp_arg_text(ask_command(w->ask, 1), "INFO");
    ask_shard_with(w->ask, shard, on_state, state);
    int status = ask_wait(w->ask);
    return status == EXIT_OK ? weigh_sample(s, shard) : status;
}

/* What was seen in the sample stands for as large a part of all. */
static void scale(struct weighed_shard *s)
{
    double times = s->scanned > 0 && s->keys > s->scanned ? (double) s->keys / (double) s->scanned : 1;

    for (enum weight i = 0; i < WEIGHT_COUNT; i++) {
        struct weighed *of = &s->of[i];
        double by = is_sampled(i) ? times : 1;
        of->keys = (uint64_t) ((double) of->sampled * by + 0.5);
        of->bytes = (uint64_t) ((double) of->sampled_bytes * by + 0.5);
    }
}

int weights_take(struct ask *k, uint64_t sample, struct weights *ret_weights)
{
    const struct list *shards = shards_list(ask_shards(k));
    size_t count = 0;
    int status = EXIT_OK;

    for (const struct list *it = shards->next; it != shards; it = it->next)
        count++;
    struct shard **open = mem_array(count + 1, sizeof(struct shard *));
    *ret_weights = (struct weights){.ask = k, .sample = sample};
    ret_weights->shards = mem_array(count + 1, sizeof(*ret_weights->shards));
    for (struct list *it = shards->next; it != shards; it = it->next) {
        struct shard *shard = LIST_ENTRY(it, struct shard, link);
        if (shard->slot_count > 0)
            open[ret_weights->count++] = shard;
    }
    for (size_t i = 0; i < ret_weights->count && status == EXIT_OK; i++)
        status = look_at_shard(ret_weights, &ret_weights->shards[i], open[i]);
    if (status == EXIT_OK)
        status = weigh_named(ret_weights);
    for (size_t i = 0; i < ret_weights->count; i++)
        scale(&ret_weights->shards[i]);
    mem_free(open);
    return status;
}

void weights_done(struct weights *w)
{
    for (size_t i = 0; i < w->count; i++)
        mem_free(w->shards[i].address);
    mem_free(w->shards);
    *w = (struct weights){.shards = NULL};
}
