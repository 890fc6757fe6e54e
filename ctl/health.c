/* Nodes and store. */
#include "ctl/health.h"

#include <stdio.h>

#include "base/conf.h"
#include "base/mem.h"
#include "ctl/away.h"

enum { DURABILITY_NONE = 1, SHARD_ADDRESS_MAX = 300 };

static void on_health_time(void *context, const struct redis_value *values)
{
    struct health *h = context;

    h->now_ms = answer_time_ms(&values[0]);
}

static void on_nodes(void *context, const struct redis_value *values)
{
    struct health *h = context;

    view_done(&h->view);
    h->knows_nodes = values[0].type != REDIS_NIL;
    (void) view_read(&values[0], &h->view);               /* of the wrong type: no nodes */
    (void) node_orders_read(&values[1], &h->view.orders); /* as above */
}

static bool is_fuller(const struct audit_memory *a, const struct audit_memory *b)
{
    double of_a = a->most_bytes ? (double) a->used_bytes / (double) a->most_bytes : 0;
    double of_b = b->most_bytes ? (double) b->used_bytes / (double) b->most_bytes : 0;

    return of_a > of_b || (of_a >= of_b && a->used_bytes > b->used_bytes);
}

struct shard_asked {
    struct health *health;
    char address[SHARD_ADDRESS_MAX + 1];
};

static void add_trouble(struct health *h, struct span sentence)
{
    char *all = mem_format("%s%s%.*s", h->trouble, *h->trouble ? "; " : "", SPAN_ARG(sentence));

    mem_free(h->trouble);
    h->trouble = all;
}

/* Sentences of all shards; the memory of the fullest one. */
static void on_store(void *context, const struct redis_value *values)
{
    const struct shard_asked *asked = context;
    struct health *h = asked->health;
    AUTO_BUF struct buf trouble = {.data = NULL};
    const struct audit_demand demand = audit_demand();
    if (values[0].type == REDIS_NIL) { /* away: said by add_cluster_causes() */
        h->is_store_ok = false;
        return;
    }
    enum audit audit = audit_judge(asked->address, &demand, values, &trouble);
    struct audit_memory memory = audit_memory(&values[AUDIT_INFO]);

    if (trouble.len)
        add_trouble(h, buf_span(&trouble));
    h->is_store_ok &= audit <= AUDIT_WEAK ||
                      (audit == AUDIT_UNSAFE && conf_get()->store.durability == DURABILITY_NONE);
    if (h->shard_count++ == 0 || is_fuller(&memory, &h->memory))
        h->memory = memory;
}

static void ask_shard(struct ask *k, struct health *h, struct shard *shard)
{
    struct shard_asked *asked = NEW(struct shard_asked);

    asked->health = h;
    (void) snprintf(asked->address, sizeof(asked->address), "%s", shard->address); /* it fits */
    audit_ask(ask_commands(k, AUDIT_ANSWERS));
    ask_shard_with(k, shard, on_store, asked);
}

void health_ask(struct ask *k, struct health *h)
{
    const struct list *shards = shards_list(ask_shards(k));

    resp_arg_text(ask_command(k, 1), "TIME");
    ask_send(k, on_health_time, h);
    struct buf *b = ask_command(k, 2);
    resp_arg_text(b, "HGETALL");
    resp_arg_text(b, KEY_NODES);
    b = ask_command(k, 2);
    resp_arg_text(b, "HGETALL");
    resp_arg_text(b, KEY_ORDERS);
    ask_send(k, on_nodes, h);
    mem_free(h->trouble);
    h->trouble = mem_string("");
    h->is_store_ok = true;
    h->shard_count = 0;
    for (struct list *it = shards->next; it != shards; it = it->next) {
        struct shard *shard = LIST_ENTRY(it, struct shard, link);
        if (shard->slot_count > 0)
            ask_shard(k, h, shard);
    }
}

void health_done(struct health *h)
{
    view_done(&h->view);
    mem_free(h->trouble);
    *h = (struct health){.now_ms = 0};
}

uint64_t beat_age_ms(const struct health *h, const struct node_peer *p)
{
    return p->stats.beat_ms < h->now_ms ? h->now_ms - p->stats.beat_ms : 0;
}

bool is_beating(const struct health *h, const struct node_peer *p)
{
    return node_is_beating(p, h->now_ms);
}

unsigned working_count(const struct health *h, enum role role)
{
    unsigned working = 0;

    for (size_t i = 0; i < h->view.count; i++) {
        const struct node_stats *stats = &h->view.peers[i].stats;
        working += stats->role == role && is_beating(h, &h->view.peers[i]) && stats->store_audit_ok &&
                   !stats->is_draining;
    }
    return working;
}

const struct node_peer *peer_of(const struct health *h, uint64_t incarnation)
{
    for (size_t i = 0; i < h->view.count; i++)
        if (h->view.peers[i].incarnation == incarnation)
            return &h->view.peers[i];
    return NULL;
}

void add_node(struct buf *out, const struct health *h, enum role role, uint64_t incarnation)
{
    const struct node_peer *p = peer_of(h, incarnation);

    if (!h->knows_nodes) {
        buf_printf(out, "%s %llu", role_name(role), (unsigned long long) incarnation);
    } else if (p && *p->stats.name) {
        buf_add_printable(out, span_of(p->stats.name), DOMAIN_MAX);
        buf_printf(out, " (%llu)", (unsigned long long) incarnation);
    } else {
        buf_printf(out, "%s %llu, which is no more", role_name(role), (unsigned long long) incarnation);
    }
}

void add_cause(struct buf *out, const char *format, ...)
{
    va_list args;

    buf_add_text(out, out->len ? "; " : "");
    va_start(args, format);
    buf_vprintf(out, format, args);
    va_end(args);
}

void add_cluster_causes(struct buf *out, const struct health *h)
{
    AUTO_BUF struct buf away = {.data = NULL};

    away_add(&away);
    if (away.len > 0)
        add_cause(out, "%.*s", SPAN_ARG(buf_span(&away)));
    if (!h->is_store_ok && *h->trouble)
        add_cause(out, "%s", h->trouble);
    if (!h->knows_nodes)
        add_cause(out, "which nodes work cannot be told");
    for (enum role role = 0; h->knows_nodes && role < ROLE_COUNT; role++)
        if (working_count(h, role) == 0)
            add_cause(out, "no %s works", role_name(role));
}
