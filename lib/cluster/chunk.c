/* Chunk keys, written in a call. */
#include "cluster/chunk.h"

#include <string.h>

#include "base/mem.h"
#include "cluster/script.h"
#include "cluster/spool.h"

enum { PUT_OVERHEAD = 160 };

static const char head[] = "*6\r\n$3\r\nSET\r\n";

void chunk_put(struct store_call *c, unsigned partition, struct span job, uint32_t index, struct span bytes)
{
    struct buf *b = &c->request.bytes;

    call_begin(c, 6); /* SET comes first: chunk_put_by_script() relies on `head` */
    resp_arg(b, SPAN("SET"));
    key_arg(b, KEY_OF_CHUNK, partition, job, index);
    resp_arg(b, bytes);
    resp_arg(b, SPAN("EX"));
    resp_arg_number(b, SPOOL_TTL_S);
    resp_arg(
        b,
        SPAN(
            "NX")); /* a repeat, or a late request, must not put a time limit back on what has become permanent */
}

size_t chunk_put_size(struct span bytes)
{
    return bytes.len + PUT_OVERHEAD;
}

/* The argument at the start of *rest, taken off. */
static struct span take_arg(struct span *rest)
{
    uint64_t len = 0;
    struct span line = span_cut(rest, '\n');

    must(line.len > 2 && line.at[0] == '$');
    must(span_number((struct span){.at = line.at + 1, .len = line.len - 2}, rest->len, &len) == 0);
    struct span arg = {.at = rest->at, .len = len};
    must(rest->len >= len + 2);
    rest->at += len + 2;
    rest->len -= len + 2;
    return arg;
}

void chunk_put_by_script(struct store_call *c, unsigned partition, size_t count)
{
    struct buf old = c->request.bytes;
    struct span rest = buf_span(&old);
    struct store_call next = {.request = {.reply_count = 0}};

    /* Grows once: the place itself is asked for later. */
    (void) buf_reserve(&next.request.bytes, old.len + count * PUT_OVERHEAD);
    for (size_t i = 0; i < count; i++) {
        must(rest.len > sizeof head && memcmp(rest.at, head, sizeof head - 1) == 0);
        rest.at += sizeof head - 1;
        rest.len -= sizeof head - 1;
        struct span key = take_arg(&rest), bytes = take_arg(&rest);
        struct span ex = take_arg(&rest), ttl = take_arg(&rest), nx = take_arg(&rest);
        must(ex.len == 2 && nx.len == 2);
        script_begin(&next, SCRIPT_chunk, 2, 2);
        resp_arg(&next.request.bytes, key);
        key_arg(&next.request.bytes, KEY_OF_NEVER, partition, (struct span){.at = NULL}, 0);
        resp_arg(&next.request.bytes, bytes);
        resp_arg(&next.request.bytes, ttl);
    }
    buf_add_span(&next.request.bytes, rest); /* as many commands as before: reply_count stays */
    c->request.bytes = next.request.bytes;
    buf_done(&old);
}
