/* Bus frames: protobuf (proto/bus.proto). What comes from a peer is checked whole before a byte of it is used. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/wire.h"
#include "cluster/wire_private.h"
#include "io/bus.h"
#include "proto/bus.pb-c.h"

/* An entry: tag and length (5), queue (3 + 319), site (3 + 255), trouble (3 + 160), fourteen numbers (2 + 10 each). */
enum {
    ENTRY_BYTES_MAX = 5 + 3 + QUEUE_TEXT_MAX + 3 + DOMAIN_MAX + 3 + TROUBLE_MAX + 14 * 12,
    HELLO_BYTES_MAX = 64
};
_Static_assert(FRAME_ENTRIES *ENTRY_BYTES_MAX + HELLO_BYTES_MAX <= BUS_FRAME_MAX, "a full frame fits");

enum { COUNT_MAX = 1000000000 };
static const uint64_t rate_max = UINT64_C(1000000000000000); /* a thousand million messages per second */

static ProtobufCBinaryData queue_bytes(struct span queue)
{
    must(queue.len && queue.len <= QUEUE_TEXT_MAX);
    return bytes_of_span(queue);
}

static ProtobufCBinaryData site_bytes(struct span site)
{
    must(site.len <= DOMAIN_MAX);
    return bytes_of_span(site);
}

static void put_rings(struct arena *a, const struct frame *f, Barid__Frame *m)
{
    Barid__Ring *r = arena_array(a, f->ring_count, sizeof(*r));
    m->n_rings = f->ring_count;
    m->rings = arena_array(a, f->ring_count, sizeof(*m->rings));
    for (size_t i = 0; i < f->ring_count; i++, r++) {
        barid__ring__init(r);
        WIRE_PUT(r, partition, f->rings[i].partition);
        r->queue = queue_bytes(f->rings[i].queue);
        r->has_queue = true;
        WIRE_PUT(r, count, f->rings[i].count);
        m->rings[i] = r;
    }
}

static void put_grants(struct arena *a, const struct frame *f, Barid__Frame *m)
{
    Barid__Grant *g = arena_array(a, f->grant_count, sizeof(*g));
    m->n_grants = f->grant_count;
    m->grants = arena_array(a, f->grant_count, sizeof(*m->grants));
    for (size_t i = 0; i < f->grant_count; i++, g++) {
        const struct grant *from = &f->grants[i];
        barid__grant__init(g);
        WIRE_PUT(g, partition, from->partition);
        g->queue = queue_bytes(from->queue);
        g->has_queue = true;
        WIRE_PUT(g, token, from->token);
        WIRE_PUT(g, connections, from->connections);
        WIRE_PUT(g, rate_micro, from->rate_micro);
        WIRE_PUT(g, answers_ms, from->answers_ms);
        WIRE_PUT(g, serial, from->serial);
        g->site = site_bytes(from->site);
        g->has_site = from->site.len > 0;
        m->grants[i] = g;
    }
}

static void put_reports(struct arena *a, const struct frame *f, Barid__Frame *m)
{
    Barid__Report *r = arena_array(a, f->report_count, sizeof(*r));
    m->n_reports = f->report_count;
    m->reports = arena_array(a, f->report_count, sizeof(*m->reports));
    for (size_t i = 0; i < f->report_count; i++, r++) {
        const struct report *from = &f->reports[i];
        barid__report__init(r);
        WIRE_PUT(r, partition, from->partition);
        r->queue = queue_bytes(from->queue);
        r->has_queue = true;
        WIRE_PUT(r, token, from->token);
        WIRE_PUT(r, connections, from->connections);
        WIRE_PUT(r, claimed, from->claimed);
        WIRE_PUT(r, is_empty, from->is_empty);
        WIRE_PUT(r, wait_ms, from->wait_ms > WIRE_TIME_MAX ? WIRE_TIME_MAX : from->wait_ms);
        WIRE_PUT(r, is_returned, from->is_returned);
        WIRE_PUT(r, finished, from->finished);
        WIRE_PUT(r, serial, from->serial);
        WIRE_PUT(r, granted, from->granted);
        WIRE_PUT(r, succeeded, from->succeeded);
        WIRE_PUT(r, throttled, from->throttled);
        must(from->trouble.len <= TROUBLE_MAX);
        r->trouble = bytes_of_span(from->trouble);
        r->has_trouble = from->trouble.len > 0;
        WIRE_PUT(r, was_paused, from->was_paused);
        r->site = site_bytes(from->site);
        r->has_site = from->site.len > 0;
        m->reports[i] = r;
    }
}

static void put_borrows(struct arena *a, const struct frame *f, Barid__Frame *m)
{
    Barid__Borrow *b = arena_array(a, f->borrow_count, sizeof(*b));
    m->n_borrows = f->borrow_count;
    m->borrows = arena_array(a, f->borrow_count, sizeof(*m->borrows));
    for (size_t i = 0; i < f->borrow_count; i++, b++) {
        const struct borrow *from = &f->borrows[i];
        barid__borrow__init(b);
        b->site = site_bytes(from->site);
        b->has_site = true;
        WIRE_PUT(b, token, from->token);
        WIRE_PUT(b, connections, from->connections);
        WIRE_PUT(b, wanted, from->wanted);
        WIRE_PUT(b, finished, from->finished);
        WIRE_PUT(b, serial, from->serial);
        m->borrows[i] = b;
    }
}

static void put_loans(struct arena *a, const struct frame *f, Barid__Frame *m)
{
    Barid__Loan *l = arena_array(a, f->loan_count, sizeof(*l));
    m->n_loans = f->loan_count;
    m->loans = arena_array(a, f->loan_count, sizeof(*m->loans));
    for (size_t i = 0; i < f->loan_count; i++, l++) {
        const struct loan *from = &f->loans[i];
        barid__loan__init(l);
        l->site = site_bytes(from->site);
        l->has_site = true;
        WIRE_PUT(l, token, from->token);
        WIRE_PUT(l, connections, from->connections);
        WIRE_PUT(l, rate_micro, from->rate_micro);
        WIRE_PUT(l, answers_ms, from->answers_ms);
        WIRE_PUT(l, serial, from->serial);
        m->loans[i] = l;
    }
}

void wire_put_frame(const struct frame *f, struct buf *out)
{
    struct arena a;
    Barid__Frame m = BARID__FRAME__INIT;
    Barid__Hello hello = BARID__HELLO__INIT;

    must(f->ring_count <= FRAME_ENTRIES && f->grant_count <= FRAME_ENTRIES &&
         f->report_count <= FRAME_ENTRIES && f->borrow_count <= FRAME_ENTRIES &&
         f->loan_count <= FRAME_ENTRIES);
    arena_init(&a, SIZE_MAX / 2);
    if (f->has_hello) {
        WIRE_PUT(&hello, incarnation, f->hello.incarnation);
        WIRE_PUT(&hello, clock_ms, f->hello.clock_ms);
        WIRE_PUT(&hello, free_jobs, f->hello.free_jobs);
        WIRE_PUT(&hello, is_draining, f->hello.is_draining);
        WIRE_PUT(&hello, count, f->hello.count);
        hello.free_connections = f->hello.free_connections;
        hello.has_free_connections = f->hello.free_connections != UINT32_MAX; /* none is told, too */
        m.hello = &hello;
    }
    put_rings(&a, f, &m);
    put_grants(&a, f, &m);
    put_reports(&a, f, &m);
    put_borrows(&a, f, &m);
    put_loans(&a, f, &m);
    wire_pack(&m.base, out);
    arena_done(&a);
}

/* Also adds up the room for the names. */
static bool is_entry(uint32_t partition, ProtobufCBinaryData queue, uint64_t token, size_t *names_len)
{
    if (partition >= PARTITION_COUNT || !bytes_are_queue(queue) || token > WIRE_EXACT_MAX)
        return false;
    *names_len += queue.len;
    return true;
}

static bool is_site(ProtobufCBinaryData site, size_t *names_len)
{
    if (!bytes_are_queue(site) || site.len > DOMAIN_MAX)
        return false;
    *names_len += site.len;
    return true;
}

static bool is_text(ProtobufCBinaryData text, size_t most, size_t *names_len)
{
    *names_len += text.len;
    return text.len <= most;
}

static bool loans_are_sound(const Barid__Frame *m, size_t *names_len)
{
    for (size_t i = 0; i < m->n_borrows; i++) {
        const Barid__Borrow *b = m->borrows[i];
        if (!is_site(b->site, names_len) || b->token > WIRE_EXACT_MAX || b->connections > COUNT_MAX ||
            b->wanted > COUNT_MAX || b->finished > COUNT_MAX)
            return false;
    }
    for (size_t i = 0; i < m->n_loans; i++) {
        const Barid__Loan *l = m->loans[i];
        if (!is_site(l->site, names_len) || l->token > WIRE_EXACT_MAX || l->connections > COUNT_MAX ||
            l->rate_micro > rate_max || l->answers_ms > WIRE_TIME_MAX)
            return false;
    }
    return true;
}

static bool frame_is_sound(const Barid__Frame *m, size_t *ret_names_len)
{
    *ret_names_len = 0;
    if (m->n_rings > FRAME_ENTRIES || m->n_grants > FRAME_ENTRIES || m->n_reports > FRAME_ENTRIES ||
        m->n_borrows > FRAME_ENTRIES || m->n_loans > FRAME_ENTRIES)
        return false;
    if (m->hello && (!m->hello->incarnation || m->hello->incarnation > WIRE_EXACT_MAX ||
                     m->hello->clock_ms > WIRE_TIME_MAX || m->hello->free_jobs > COUNT_MAX ||
                     m->hello->free_connections > COUNT_MAX))
        return false;
    for (size_t i = 0; i < m->n_rings; i++) {
        const Barid__Ring *r = m->rings[i];
        if (!is_entry(r->partition, r->queue, 0, ret_names_len) || r->count > COUNT_MAX)
            return false;
    }
    for (size_t i = 0; i < m->n_grants; i++) {
        const Barid__Grant *g = m->grants[i];
        if (!is_entry(g->partition, g->queue, g->token, ret_names_len) || g->connections > COUNT_MAX ||
            g->rate_micro > rate_max || g->answers_ms > WIRE_TIME_MAX ||
            (g->site.len && !is_site(g->site, ret_names_len)))
            return false;
    }
    for (size_t i = 0; i < m->n_reports; i++) {
        const Barid__Report *r = m->reports[i];
        if (!is_entry(r->partition, r->queue, r->token, ret_names_len) || r->connections > COUNT_MAX ||
            r->claimed > COUNT_MAX || r->wait_ms > WIRE_TIME_MAX || r->finished > COUNT_MAX ||
            r->granted > COUNT_MAX || r->succeeded > COUNT_MAX || r->throttled > COUNT_MAX ||
            !is_text(r->trouble, TROUBLE_MAX, ret_names_len) ||
            (r->site.len && !is_site(r->site, ret_names_len)))
            return false;
    }
    return loans_are_sound(m, ret_names_len);
}

static struct span take_name(char **at, ProtobufCBinaryData text)
{
    if (text.len == 0)
        return (struct span){0};
    struct span name = {.at = memcpy(*at, text.data, text.len), .len = text.len};
    *at += text.len;
    return name;
}

static void get_entries(const Barid__Frame *m, struct frame *f, char *names)
{
    for (size_t i = 0; i < m->n_rings; i++)
        f->rings[i] = (struct ring){
            .partition = m->rings[i]->partition,
            .queue = take_name(&names, m->rings[i]->queue),
            .count = m->rings[i]->count,
        };
    for (size_t i = 0; i < m->n_grants; i++)
        f->grants[i] = (struct grant){
            .partition = m->grants[i]->partition,
            .queue = take_name(&names, m->grants[i]->queue),
            .token = m->grants[i]->token,
            .connections = m->grants[i]->connections,
            .rate_micro = m->grants[i]->rate_micro,
            .answers_ms = m->grants[i]->answers_ms,
            .serial = m->grants[i]->serial,
            .site = take_name(&names, m->grants[i]->site),
        };
    for (size_t i = 0; i < m->n_reports; i++) {
        const Barid__Report *r = m->reports[i];
        f->reports[i] = (struct report){
            .partition = r->partition,
            .queue = take_name(&names, r->queue),
            .token = r->token,
            .connections = r->connections,
            .claimed = r->claimed,
            .is_empty = r->is_empty,
            .wait_ms = r->wait_ms,
            .is_returned = r->is_returned,
            .finished = r->finished,
            .serial = r->serial,
            .granted = r->granted,
            .succeeded = r->succeeded,
            .throttled = r->throttled,
            .trouble = take_name(&names, r->trouble),
            .was_paused = r->was_paused,
            .site = take_name(&names, r->site),
        };
    }
    for (size_t i = 0; i < m->n_borrows; i++)
        f->borrows[i] = (struct borrow){
            .site = take_name(&names, m->borrows[i]->site),
            .token = m->borrows[i]->token,
            .connections = m->borrows[i]->connections,
            .wanted = m->borrows[i]->wanted,
            .finished = m->borrows[i]->finished,
            .serial = m->borrows[i]->serial,
        };
    for (size_t i = 0; i < m->n_loans; i++)
        f->loans[i] = (struct loan){
            .site = take_name(&names, m->loans[i]->site),
            .token = m->loans[i]->token,
            .connections = m->loans[i]->connections,
            .rate_micro = m->loans[i]->rate_micro,
            .answers_ms = m->loans[i]->answers_ms,
            .serial = m->loans[i]->serial,
        };
}

int wire_get_frame(struct span in, struct frame *ret_frame)
{
    struct arena a;
    size_t names_len;

    if (in.len > BUS_FRAME_MAX)
        return -EBADMSG;
    arena_init(&a, arena_budget(in.len));
    const Barid__Frame *m = wire_unpack(&a, &barid__frame__descriptor, in);
    if (!m || !frame_is_sound(m, &names_len)) {
        arena_done(&a);
        return -EBADMSG;
    }
    struct frame f = {
        .has_hello = m->hello != NULL,
        .ring_count = m->n_rings,
        .grant_count = m->n_grants,
        .report_count = m->n_reports,
        .borrow_count = m->n_borrows,
        .loan_count = m->n_loans,
    };
    if (m->hello)
        f.hello = (struct hello){
            .incarnation = m->hello->incarnation,
            .clock_ms = m->hello->clock_ms,
            .free_jobs = m->hello->free_jobs,
            /* An older courier does not tell. */
            .free_connections = m->hello->has_free_connections ? m->hello->free_connections : UINT32_MAX,
            .count = m->hello->count,
            .is_draining = m->hello->is_draining,
        };
    if (f.ring_count)
        f.rings = mem_array(f.ring_count, sizeof(*f.rings));
    if (f.grant_count)
        f.grants = mem_array(f.grant_count, sizeof(*f.grants));
    if (f.report_count)
        f.reports = mem_array(f.report_count, sizeof(*f.reports));
    if (f.borrow_count)
        f.borrows = mem_array(f.borrow_count, sizeof(*f.borrows));
    if (f.loan_count)
        f.loans = mem_array(f.loan_count, sizeof(*f.loans));
    if (names_len)
        f.names = mem_alloc(names_len);
    get_entries(m, &f, f.names);
    arena_done(&a);
    *ret_frame = f;
    return 0;
}

void frame_done(struct frame *f)
{
    mem_free(f->rings);
    mem_free(f->grants);
    mem_free(f->reports);
    mem_free(f->borrows);
    mem_free(f->loans);
    mem_free(f->names);
    *f = (struct frame){0};
}
