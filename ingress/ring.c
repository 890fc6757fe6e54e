/*
 * Rings. The first ring to a dispatcher after 2 ms of silence goes at once; what follows within 2 ms shares a frame. Under load a frame
 * carries many, an idle cluster waits for nothing.
 */
#include "ingress/ring.h"

#include <pthread.h>
#include <string.h>

#include "base/fault.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"
#include "cluster/keys.h"
#include "cluster/wire.h"
#include "io/bus.h"

enum { GATHER_MS = 2, NO_LINE = UINT16_MAX, NAMES_MAX = BUS_FRAME_MAX / 2 };

/* A dispatcher as published. */
struct place {
    uint64_t incarnation;
    char *bus, *key;
};

static struct {
    pthread_mutex_t lock;
    uint64_t version;
    uint64_t incarnation;
    struct bus_keys keys;
    struct place *places;
    size_t place_count;
    uint16_t owners[PARTITION_COUNT]; /* index into places, or NO_LINE */
} published = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct waiting {
    unsigned partition;
    uint32_t count;
    uint32_t at, len; /* the queue's name in line.names */
};

/* To one dispatcher. */
struct line {
    struct ringer *ringer;
    uint64_t incarnation;
    char *bus;
    struct link *link;
    struct timer timer;
    uint64_t sent_ms;
    struct waiting *waiting; /* FRAME_ENTRIES of them */
    size_t waiting_count;
    struct buf names;
    bool is_wanted;
};

struct ringer {
    struct loop *loop;
    unsigned reactor;
    uint64_t version;
    struct line **lines;
    size_t line_count;
    struct line *owners[PARTITION_COUNT]; /* NULL: nobody */
    struct buf frame;
};

/* ---- what the main thread knows */

static void places_free(struct place *places, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_free(places[i].bus);
        mem_free(places[i].key);
    }
    mem_free(places);
}

static bool is_usable(const struct node_peer *peer)
{
    return peer->stats.role == ROLE_DISPATCHER && peer->stats.bus && peer->stats.bus[0] != '\0';
}

static uint16_t place_of(const struct place *places, size_t count, const struct node_peer *peer)
{
    for (size_t i = 0; peer && i < count; i++)
        if (places[i].incarnation == peer->incarnation)
            return (uint16_t) i;
    return NO_LINE;
}

bool ring_publish(const struct node_view *view, uint64_t incarnation, const struct bus_keys *keys)
{
    size_t count = 0;
    struct place *places = mem_array(view->count + 1, sizeof places[0]);
    uint16_t owners[PARTITION_COUNT];
    for (size_t i = 0; i < view->count && count < NO_LINE; i++)
        if (is_usable(&view->peers[i]))
            places[count++] = (struct place){view->peers[i].incarnation, mem_string(view->peers[i].stats.bus),
                                             mem_string(view->peers[i].stats.bus_key)};
    for (unsigned p = 0; p < PARTITION_COUNT; p++)
        owners[p] = place_of(places, count, node_for_partition(view, p));
    must(pthread_mutex_lock(&published.lock) == 0);
    bool is_same = published.incarnation == incarnation && published.place_count == count &&
                   memcmp(published.owners, owners, sizeof owners) == 0 &&
                   strcmp(published.keys.public_key, keys->public_key) == 0;
    for (size_t i = 0; is_same && i < count; i++)
        is_same = published.places[i].incarnation == places[i].incarnation &&
                  strcmp(published.places[i].bus, places[i].bus) == 0 &&
                  strcmp(published.places[i].key, places[i].key) == 0;
    if (is_same) {
        places_free(places, count);
    } else {
        places_free(published.places, published.place_count);
        published.places = places;
        published.place_count = count;
        published.incarnation = incarnation;
        published.keys = *keys;
        memcpy(published.owners, owners, sizeof owners);
        published.version++;
    }
    must(pthread_mutex_unlock(&published.lock) == 0);
    return !is_same;
}

void ring_forget(void)
{
    places_free(published.places, published.place_count);
    published.places = NULL;
    published.place_count = 0;
    bus_keys_wipe(&published.keys);
}

/* ---- a line */

static void line_send(struct line *l)
{
    struct ring rings[FRAME_ENTRIES];
    struct frame frame = {.rings = rings, .ring_count = l->waiting_count};
    timer_stop(&l->timer);
    if (l->waiting_count == 0)
        return;
    for (size_t i = 0; i < l->waiting_count; i++) {
        const struct waiting *w = &l->waiting[i];
        rings[i] = (struct ring){w->partition, {.at = l->names.data + w->at, .len = w->len}, w->count};
    }
    buf_clear(&l->ringer->frame);
    wire_put_frame(&frame, &l->ringer->frame);
    if (link_send(l->link, buf_span(&l->ringer->frame)) < 0)
        metric_add(METRIC_FRAMES_DROPPED_TOTAL, 1);
    else
        metric_add(METRIC_RINGS_SENT_TOTAL, (int64_t) l->waiting_count);
    FAULT_SENT(ring_sent);
    l->sent_ms = loop_now_ms(l->ringer->loop);
    l->waiting_count = 0;
    buf_clear(&l->names);
}

static void on_gathered(struct timer *t)
{
    line_send(CONTAINER_OF(t, struct line, timer));
}

/* Nothing is expected from a dispatcher. */
static void on_frame(void *owner UNUSED, struct span frame UNUSED)
{
    metric_add(METRIC_FRAMES_REFUSED_TOTAL, 1);
}

static struct line *line_new(struct ringer *r, const struct place *place)
{
    struct link *link = NULL;
    AUTO_FREE char *name = mem_format("%llu.%u", (unsigned long long) published.incarnation, r->reactor);
    if (link_open(r->loop, place->bus, name, &published.keys, place->key, on_frame, NULL, &link) < 0)
        return NULL; /* an address we cannot use: rings for it are lost, its polls go on */
    struct line *l = NEW(struct line);
    l->ringer = r;
    l->link = link;
    l->incarnation = place->incarnation;
    l->bus = mem_string(place->bus);
    l->waiting = mem_array(FRAME_ENTRIES, sizeof l->waiting[0]);
    return l;
}

static void line_free(struct line *l)
{
    line_send(l);
    l->link = link_close(l->link);
    buf_done(&l->names);
    mem_free(l->waiting);
    mem_free(l->bus);
    mem_free(l);
}

static void line_add(struct line *l, unsigned partition, struct span queue)
{
    for (size_t i = 0; i < l->waiting_count; i++) {
        struct waiting *w = &l->waiting[i];
        if (w->partition == partition &&
            span_equal((struct span){.at = l->names.data + w->at, .len = w->len}, queue)) {
            w->count++;
            return;
        }
    }
    l->waiting[l->waiting_count++] = (struct waiting){partition, 1, (uint32_t) l->names.len,
                                                      (uint32_t) queue.len};
    buf_add_span(&l->names, queue);
}

/* ---- a reactor's lines */

struct ringer *ringer_new(struct loop *l, unsigned reactor)
{
    struct ringer *r = NEW(struct ringer);
    r->loop = l;
    r->reactor = reactor;
    return r;
}

static void drop_lines(struct ringer *r, bool all)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->line_count; i++) {
        if (!all && r->lines[i]->is_wanted)
            r->lines[kept++] = r->lines[i];
        else
            line_free(r->lines[i]);
    }
    r->line_count = kept;
}

struct ringer *ringer_free(struct ringer *r)
{
    drop_lines(r, true);
    buf_done(&r->frame);
    mem_free(r->lines);
    mem_free(r);
    return NULL;
}

static struct line *line_for(struct ringer *r, const struct place *place)
{
    for (size_t i = 0; i < r->line_count; i++)
        if (r->lines[i]->incarnation == place->incarnation && strcmp(r->lines[i]->bus, place->bus) == 0) {
            (void) link_use(r->lines[i]->link, &published.keys, place->key); /* no key: the former stays */
            return r->lines[i];
        }
    struct line *l = line_new(r, place);
    if (l) {
        r->lines = mem_resize(r->lines, (r->line_count + 1) * sizeof r->lines[0]);
        r->lines[r->line_count++] = l;
    }
    return l;
}

void ringer_update(struct ringer *r)
{
    must(pthread_mutex_lock(&published.lock) == 0);
    if (r->version != published.version && published.incarnation > 0) {
        struct line **at = mem_array(published.place_count + 1, sizeof at[0]);
        r->version = published.version;
        for (size_t i = 0; i < r->line_count; i++)
            r->lines[i]->is_wanted = false;
        for (size_t i = 0; i < published.place_count; i++) {
            at[i] = line_for(r, &published.places[i]);
            if (at[i])
                at[i]->is_wanted = true;
        }
        for (unsigned p = 0; p < PARTITION_COUNT; p++)
            r->owners[p] = published.owners[p] == NO_LINE ? NULL : at[published.owners[p]];
        drop_lines(r, false);
        mem_free(at);
    }
    must(pthread_mutex_unlock(&published.lock) == 0);
}

void ringer_ring(struct ringer *r, unsigned partition, const char *queue)
{
    struct line *l = r->owners[partition % PARTITION_COUNT];
    uint64_t now = loop_now_ms(r->loop);
    if (!l)
        return;
    line_add(l, partition, span_of(queue));
    bool is_silent = !l->timer.place && now - l->sent_ms >= GATHER_MS;
    if (l->waiting_count == FRAME_ENTRIES || l->names.len > NAMES_MAX || is_silent)
        line_send(l);
    else if (!l->timer.place)
        timer_start(r->loop, &l->timer, GATHER_MS, on_gathered);
}
