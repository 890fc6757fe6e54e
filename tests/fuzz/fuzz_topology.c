/*
 * What a Redis Cluster and Sentinels say about who has what: any replies and any error. What is taken is an address that can be connected to, a slot
 * there is, a map without a slot of two; what is not is refused as a whole. First line: an error; the rest: a reply.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/topology.h"
#include "io/redis_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char asked[] = "192.0.2.1:6379";

static void check_address(const char *address)
{
    char host[DOMAIN_MAX + 1];
    uint16_t port = 0;

    must(strnlen(address, SHARD_ADDRESS_MAX) < SHARD_ADDRESS_MAX);
    must(hostport_parse(span_of(address), 0, host, &port) == 0 && port > 0);
}

static void check_error(struct span error)
{
    struct redirection r;

    if (!redirection_read(error, asked, &r))
        return;
    must(r.slot < SLOT_COUNT);
    check_address(r.address);
}

static void check_map(const struct redis_value *v)
{
    struct slot_map m;
    size_t taken = 0, told = 0;

    if (slot_map_read(v, asked, &m) < 0)
        return;
    must(v->type == REDIS_ARRAY && m.count <= SLOT_MAP_PRIMARIES_MAX && m.count <= v->count);
    for (size_t i = 0; i < m.count; i++)
        check_address(m.addresses[i]);
    for (size_t slot = 0; slot < SLOT_COUNT; slot++) {
        must(m.owner[slot] == SLOT_NOBODY || m.owner[slot] < m.count);
        taken += m.owner[slot] != SLOT_NOBODY;
    }
    for (size_t i = 0; i < v->count; i++) { /* no slot was told twice, or outside of the map */
        const struct redis_value *range = &v->items[i];
        struct span host = range->count > 2 ? redis_text(&range->items[2].items[0]) : SPAN("?");
        if (!span_equal(host, SPAN("?")))
            told += (size_t) (range->items[1].integer - range->items[0].integer + 1);
    }
    must(told == taken);
    slot_map_done(&m);
}

static void check_reply(const struct redis_value *v)
{
    char address[SHARD_ADDRESS_MAX];
    struct cluster_state state;

    check_map(v);
    (void) cluster_state_read(v, &state); /* any text may have the two lines */
    int r = sentinel_primary_read(v, address);
    must(r == 0 || r == -EBADMSG || (r == -ENOENT && v->type == REDIS_NIL));
    if (r == 0)
        check_address(address);
    must(sentinel_successors_read(v, 0) <= (v->type == REDIS_ARRAY ? v->count : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = {.at = (const char *) data, .len = size};
    struct span error = span_cut(&rest, '\n');
    char *copy = mem_copy(error.at ? error.at : "", error.len + !error.len);
    struct reply_reader *r = reply_reader_new();
    struct redis_value v;

    check_error((struct span){.at = copy, .len = error.len}); /* a byte too far is seen */
    mem_free(copy);
    if (rest.len > 0 && rest.len <= REPLY_SLICE_BYTES) {
        reply_reader_feed(r, rest);
        if (reply_reader_next(r, &v) > 0)
            check_reply(&v);
    }
    reply_reader_free(r);
    return 0;
}
