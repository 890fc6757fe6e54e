/* What a Redis Cluster and Sentinels say, read with suspicion: any byte of it may be wrong. */
#include "cluster/topology.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { RANGES_MAX = SLOT_COUNT, PORT_MAX = 65535 };

/* Host and port as one address; false: no host that could be connected to. */
static bool address_join(struct span host, int64_t port, char ret_address[static SHARD_ADDRESS_MAX])
{
    char checked[DOMAIN_MAX + 1];
    uint16_t number;

    if (!host.len || host.len > DOMAIN_MAX || port < 1 || port > PORT_MAX)
        return false;
    AUTO_BUF struct buf text = {.data = NULL};
    bool is_six = memchr(host.at, ':', host.len) != NULL;
    buf_add_text(&text, is_six ? "[" : "");
    buf_add_span(&text, host);
    buf_add_text(&text, is_six ? "]" : "");
    if (hostport_parse(buf_span(&text), (uint16_t) port, checked, &number) < 0 || number != port)
        return false; /* a host with a port of its own is none */
    /* It fits: checked is a host. */
    (void) snprintf(ret_address, SHARD_ADDRESS_MAX, is_six ? "[%s]:%u" : "%s:%u", checked, (unsigned) number);
    return true;
}

/* ---- CLUSTER SLOTS */

/* The address of a node [host, port, ...]; host nil or empty: that of whom we asked. 0; -ENOENT: it does not tell its name. */
static int node_address(const struct redis_value *node, const char *asked,
                        char ret_address[static SHARD_ADDRESS_MAX])
{
    char host[DOMAIN_MAX + 1];
    uint16_t port;

    if (node->type != REDIS_ARRAY || node->count < 2 || node->items[1].type != REDIS_INTEGER ||
        (node->items[0].type != REDIS_STRING && node->items[0].type != REDIS_NIL))
        return -EBADMSG;
    struct span name = redis_text(&node->items[0]);
    if (span_equal(name, SPAN("?")))
        return -ENOENT;
    if (!name.len) {
        if (hostport_parse(span_of(asked), 1, host, &port) < 0)
            return -EBADMSG;
        name = span_of(host);
    }
    return address_join(name, node->items[1].integer, ret_address) ? 0 : -EBADMSG;
}

/* The place of the address among those of the map, where it is put if new. */
static int address_place(struct slot_map *m, const char *address, unsigned successors, size_t *ret_place)
{
    size_t i = 0;

    /* A primary's ranges mostly come together; a map of many ranges has few primaries all the same. */
    if (m->count && strcmp(m->addresses[m->count - 1], address) == 0)
        i = m->count - 1;
    while (i < m->count && strcmp(m->addresses[i], address) != 0)
        i++;
    if (i == m->count) {
        if (m->count == SLOT_MAP_PRIMARIES_MAX)
            return -EBADMSG;
        (void) snprintf(m->addresses[i], SHARD_ADDRESS_MAX, "%s", address); /* it fits */
        m->successors[i] = successors;
        m->count++;
    }
    *ret_place = i;
    return 0;
}

static int range_read(struct slot_map *m, const struct redis_value *range, const char *asked)
{
    char address[SHARD_ADDRESS_MAX];
    size_t place;

    if (range->type != REDIS_ARRAY || range->count < 2 || range->items[0].type != REDIS_INTEGER ||
        range->items[1].type != REDIS_INTEGER)
        return -EBADMSG;
    int64_t first = range->items[0].integer, last = range->items[1].integer;
    if (first < 0 || first > last || last >= SLOT_COUNT)
        return -EBADMSG;
    if (range->count == 2)
        return 0; /* nobody */
    int r = node_address(&range->items[2], asked, address);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = address_place(m, address, (unsigned) range->count - 3, &place);
    if (r < 0)
        return r;
    for (int64_t slot = first; slot <= last; slot++) {
        if (m->owner[slot] != SLOT_NOBODY)
            return -EBADMSG; /* two owners */
        m->owner[slot] = (uint16_t) place;
    }
    return 0;
}

int slot_map_read(const struct redis_value *slots, const char *asked, struct slot_map *ret_map)
{
    struct slot_map *m = NEW(struct slot_map);
    int r = slots->type == REDIS_ARRAY && slots->count <= RANGES_MAX ? 0 : -EBADMSG;

    size_t room = r == 0 && slots->count < SLOT_MAP_PRIMARIES_MAX ? slots->count : SLOT_MAP_PRIMARIES_MAX;
    m->addresses = mem_array(room + 1, sizeof *m->addresses);
    m->successors = mem_array(room + 1, sizeof *m->successors);
    memset(m->owner, 0xff, sizeof m->owner);
    for (size_t i = 0; r == 0 && i < slots->count; i++)
        r = range_read(m, &slots->items[i], asked);
    if (r == 0)
        *ret_map = *m;
    else
        slot_map_done(m);
    mem_free(m);
    return r;
}

void slot_map_done(struct slot_map *m)
{
    m->addresses = mem_free(m->addresses);
    m->successors = mem_free(m->successors);
    m->count = 0;
}

/* ---- CLUSTER INFO */

int cluster_state_read(const struct redis_value *info, struct cluster_state *ret_state)
{
    struct span rest = redis_text(info);
    struct cluster_state state = {.is_ok = false};
    bool has_state = false, has_epoch = false;

    while (rest.len) {
        struct span value = span_cut(&rest, '\n'), key = span_cut(&value, ':');
        if (value.len && value.at[value.len - 1] == '\r')
            value.len--;
        if (span_equal(key, SPAN("cluster_state"))) {
            has_state = true;
            state.is_ok = span_equal(value, SPAN("ok"));
        } else if (span_equal(key, SPAN("cluster_current_epoch"))) {
            has_epoch = span_number(value, UINT64_MAX, &state.epoch) == 0;
        }
    }
    if (!has_state || !has_epoch)
        return -EBADMSG;
    *ret_state = state;
    return 0;
}

/* ---- MOVED and ASK */

bool redirection_read(struct span error, const char *asked, struct redirection *ret_redirection)
{
    struct span rest = error, word = span_cut(&rest, ' '), slot = span_cut(&rest, ' ');
    struct redirection r = {.is_ask = span_equal(word, SPAN("ASK"))};
    char host[DOMAIN_MAX + 1];
    uint64_t number = 0, port = 0;
    uint16_t unused;

    if (!r.is_ask && !span_equal(word, SPAN("MOVED")))
        return false;
    if (span_number(slot, SLOT_COUNT - 1, &number) < 0 || !rest.len)
        return false;
    r.slot = (unsigned) number;
    const char *colon = memrchr(rest.at, ':', rest.len); /* an IPv6 host comes without brackets */
    if (!colon)
        return false;
    struct span name = {.at = rest.at, .len = (size_t) (colon - rest.at)};
    struct span digits = {.at = colon + 1, .len = rest.len - name.len - 1};
    if (name.len > 1 && name.at[0] == '[' && name.at[name.len - 1] == ']')
        name = (struct span){.at = name.at + 1, .len = name.len - 2};
    if (!name.len) {
        if (hostport_parse(span_of(asked), 1, host, &unused) < 0)
            return false;
        name = span_of(host);
    }
    if (span_number(digits, PORT_MAX, &port) < 0 || !address_join(name, (int64_t) port, r.address))
        return false;
    *ret_redirection = r;
    return true;
}

/* ---- Sentinel */

/* What is behind that name; empty: nothing. */
static struct span sentinel_field(const struct redis_value *answer, const char *name)
{
    struct span field = {.at = NULL};

    if (answer->type != REDIS_ARRAY)
        return field;
    for (size_t i = 0; i + 1 < answer->count; i += 2)
        if (redis_is_text(&answer->items[i], name))
            field = redis_text(&answer->items[i + 1]);
    return field;
}

uint64_t sentinel_number_read(const struct redis_value *answer, const char *name)
{
    uint64_t value = 0;

    (void) span_number(sentinel_field(answer, name), UINT64_MAX, &value); /* stays 0 */
    return value;
}

/* "slave", and nothing that keeps it from being promoted: s_down, o_down, disconnected. One that is told its new primary just now can be. */
static bool is_reached(struct span flags)
{
    static const char telling[] = "reconf_";

    while (flags.len) {
        struct span flag = span_cut(&flags, ',');
        bool is_told = flag.len >= strlen(telling) && memcmp(flag.at, telling, strlen(telling)) == 0;
        if (!is_told && !span_equal(flag, SPAN("slave")))
            return false;
    }
    return true;
}

/*
 * As Sentinel chooses: it is reached, has told something since it was met, is not forbidden, and has not been without
 * its primary for too long. Whoever was primary and does not follow yet comes last with any Sentinel, and is waited for by nobody.
 */
static bool is_successor(const struct redis_value *replica, uint64_t link_down_most_ms)
{
    return is_reached(sentinel_field(replica, "flags")) &&
           span_equal(sentinel_field(replica, "role-reported"), SPAN("slave")) &&
           sentinel_number_read(replica, "info-refresh") > 0 &&
           sentinel_number_read(replica, "slave-priority") > 0 &&
           sentinel_number_read(replica, "master-link-down-time") <= link_down_most_ms;
}

unsigned sentinel_successors_read(const struct redis_value *answer, uint64_t link_down_most_ms)
{
    unsigned successors = 0;

    for (size_t i = 0; answer->type == REDIS_ARRAY && i < answer->count; i++)
        successors += is_successor(&answer->items[i], link_down_most_ms);
    return successors;
}

int sentinel_primary_read(const struct redis_value *answer, char ret_address[static SHARD_ADDRESS_MAX])
{
    char address[SHARD_ADDRESS_MAX];
    int64_t port;

    if (answer->type == REDIS_NIL)
        return -ENOENT;
    if (answer->type != REDIS_ARRAY || answer->count != 2 || redis_number(&answer->items[1], &port) < 0 ||
        !address_join(redis_text(&answer->items[0]), port, address))
        return -EBADMSG;
    memcpy(ret_address, address, sizeof address);
    return 0;
}
