/* Nodes and store. */
#include "ctl/health.h"

#include "base/conf.h"
#include "base/mem.h"

/* Dispatchers bury after 4.5 s without a beat. */
enum { SILENT_MS = 4500, DURABILITY_NONE = 1 };

static void on_health_time(void *context, const struct redis_value *values)
{
    struct health *h = context;

    h->now_ms = answer_time_ms(&values[0]);
}

static void on_nodes(void *context, const struct redis_value *values)
{
    struct health *h = context;

    view_done(&h->view);
    (void) view_read(&values[0], &h->view); /* of the wrong type: no nodes */
}

static void on_store(void *context, const struct redis_value *values)
{
    struct health *h = context;
    struct buf trouble = {.data = NULL};
    enum audit audit = audit_judge(conf_get()->store.address, &values[0], &values[1], &trouble);

    mem_free(h->trouble);
    h->trouble = buf_steal_text(&trouble);
    h->memory = audit_memory(&values[1]);
    h->is_store_ok = audit == AUDIT_GOOD ||
                     (audit == AUDIT_UNSAFE && conf_get()->store.durability == DURABILITY_NONE);
}

void health_ask(struct ask *k, struct health *h)
{
    resp_arg_text(ask_command(k, 1), "TIME");
    ask_send(k, on_health_time, h);
    struct buf *b = ask_command(k, 2);
    resp_arg_text(b, "HGETALL");
    resp_arg_text(b, KEY_NODES);
    ask_send(k, on_nodes, h);
    audit_ask(ask_commands(k, 2));
    ask_send(k, on_store, h);
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
    return p->stats.role != ROLE_COUNT && beat_age_ms(h, p) < SILENT_MS;
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

    if (p && *p->stats.name) {
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
    if (!h->is_store_ok)
        add_cause(out, "%s", h->trouble);
    for (enum role role = 0; role < ROLE_COUNT; role++)
        if (working_count(h, role) == 0)
            add_cause(out, "no %s works", role_name(role));
}
