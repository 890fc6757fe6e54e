/* Nodes, their orders, and the claims that Redis knows of each. */
#include "ctl/members.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char *member_state_name(enum member_state state)
{
    static const char *const names[] = {
        [MEMBER_JOINING] = "joining", [MEMBER_SILENT] = "silent",   [MEMBER_WITHOUT_STORE] = "without store",
        [MEMBER_WORKING] = "working", [MEMBER_ORDERED] = "ordered", [MEMBER_DRAINING] = "draining",
        [MEMBER_DRAINED] = "drained", [MEMBER_ENDING] = "ending",
    };

    return names[state];
}

bool member_has_name(const struct member *m, const char *name)
{
    return strcmp(m->peer->stats.name, name) == 0;
}

size_t members_named(const struct members *m, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < m->count; i++)
        count += member_has_name(&m->all[i], name);
    return count;
}

uint64_t member_left(const struct member *m)
{
    const struct node_stats *s = &m->peer->stats;

    switch (s->role) {
    case ROLE_INGRESS: return s->sessions;
    case ROLE_DISPATCHER: return s->partitions;
    case ROLE_COURIER: return m->claims;
    case ROLE_COUNT: break;
    }
    return 0;
}

static enum member_state state_of(const struct members *all, const struct member *m)
{
    const struct node_stats *s = &m->peer->stats;

    if (s->role == ROLE_COUNT)
        return MEMBER_JOINING;
    if (!is_beating(&all->health, m->peer))
        return MEMBER_SILENT;
    if (m->order && !s->is_draining)
        return MEMBER_ORDERED;
    if (m->order)
        return member_left(m) > 0 ? MEMBER_DRAINING : MEMBER_DRAINED;
    if (s->is_draining)
        return MEMBER_ENDING;
    return s->store_audit_ok ? MEMBER_WORKING : MEMBER_WITHOUT_STORE;
}

static int compare(const void *left, const void *right)
{
    const struct node_peer *a = ((const struct member *) left)->peer,
                           *b = ((const struct member *) right)->peer;

    if (a->stats.role != b->stats.role)
        return (int) a->stats.role - (int) b->stats.role;
    int order = strcmp(a->stats.name, b->stats.name);
    return order ? order : a->incarnation < b->incarnation ? -1 : a->incarnation > b->incarnation;
}

/* One answer for each courier, in the order of the members. */
static void on_claims(void *context, const struct redis_value *values)
{
    struct members *m = context;
    size_t at = 0;

    for (size_t i = 0; i < m->count; i++)
        if (m->all[i].peer->stats.role == ROLE_COURIER)
            m->all[i].claims += answer_count(&values[at++]);
}

static int count_claims(struct ask *k, struct members *m)
{
    bool has_courier = false;

    for (size_t i = 0; i < m->count; i++)
        has_courier |= m->all[i].peer->stats.role == ROLE_COURIER;
    for (unsigned p = 0; has_courier && p < PARTITION_COUNT; p++) {
        for (size_t i = 0; i < m->count; i++) {
            if (m->all[i].peer->stats.role != ROLE_COURIER)
                continue;
            struct buf *b = ask_key(k, "ZCOUNT", 4, KEY_OF_CLAIMED, p, span_of(""));
            resp_arg_number(b, (int64_t) m->all[i].peer->incarnation);
            resp_arg_number(b, (int64_t) m->all[i].peer->incarnation);
        }
        ask_send(k, on_claims, m);
    }
    return ask_wait(k);
}

/* Claims are counted after the beats were read: who said then that it drains has taken none since. */
int members_read(struct ask *k, struct members *ret_members)
{
    struct members m = {.all = NULL};

    health_ask(k, &m.health);
    int status = ask_wait(k);
    if (status == EXIT_OK) {
        const struct node_view *view = &m.health.view;
        m.all = mem_array(view->count + 1, sizeof *m.all);
        for (size_t i = 0; i < view->count; i++) {
            const char *name = view->peers[i].stats.name;
            m.all[m.count++] = (struct member){
                .peer = &view->peers[i],
                .order = node_orders_find(&view->orders, NODE_ORDER_DRAIN, span_of(name))};
        }
        if (m.count)
            qsort(m.all, m.count, sizeof *m.all, compare);
        status = count_claims(k, &m);
    }
    for (size_t i = 0; i < m.count; i++) {
        if (m.all[i].claims < m.all[i].peer->stats.claimed)
            m.all[i].claims = m.all[i].peer->stats.claimed;
        m.all[i].state = state_of(&m, &m.all[i]);
    }
    if (status != EXIT_OK)
        members_done(&m);
    *ret_members = m;
    return status;
}

void members_done(struct members *m)
{
    health_done(&m->health);
    mem_free(m->all);
    *m = (struct members){.all = NULL};
}
