/* Who is let in to the bus. */
#include "dispatcher/gate.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/metric.h"

static uint64_t node_of(void *owner, struct span key)
{
    return keyring_node_of(&((struct gate *) owner)->keyring, key, clock_ms());
}

static void on_frame(void *owner, struct span from, uint64_t node, struct span frame)
{
    ((struct gate *) owner)->on_frame(from, node, frame);
}

/* It has joined since the last read, maybe. */
static void on_unknown(void *owner)
{
    struct gate *g = owner;

    if (g->node)
        node_look_soon(g->node);
}

static void on_refused(void *owner, struct span key)
{
    struct gate *g = owner;

    metric_add(METRIC_BUS_REFUSED_TOTAL, 1);
    g->refused_count++;
    snprintf(g->refused_key, sizeof(g->refused_key), "%.*s", SPAN_ARG(key));
}

static void on_crowded(void *owner, bool is_crowded)
{
    ((struct gate *) owner)->was_crowded |= is_crowded;
}

int gate_open(struct gate *g, struct loop *l,
              void (*on_frame_here)(struct span from, uint64_t node, struct span frame), uint16_t *ret_port)
{
    const struct conf *conf = conf_get();
    const struct hub_events events = {.node_of = node_of,
                                      .on_frame = on_frame,
                                      .on_unknown = on_unknown,
                                      .on_refused = on_refused,
                                      .on_crowded = on_crowded,
                                      .owner = g};

    g->on_frame = on_frame_here;
    keyring_begin(&g->keyring, clock_ms());
    return hub_open(l, conf->bus.listen, conf->bus.max_connections, &g->keyring.keys, &events, &g->hub,
                    ret_port);
}

void gate_view(struct gate *g, const struct node_view *view, uint64_t me)
{
    uint64_t now = clock_ms(), age_ms = conf_get()->bus.key_age_ms;

    keyring_learn(&g->keyring, view, now);
    hub_ask_again(g->hub);
    if (!keyring_look(&g->keyring, view, me, store_redis_ms(g->store), age_ms, now))
        return;
    hub_renew(g->hub, &g->keyring.keys);
    log_event(LOG_BUS_KEY, F("key", g->keyring.keys.public_key));
    node_beat_soon(g->node);
}

void gate_dead(struct gate *g)
{
    keyring_begin(&g->keyring, clock_ms());
    hub_renew(g->hub, &g->keyring.keys);
}

void gate_stats(const struct gate *g, struct node_stats *s)
{
    keyring_tell(&g->keyring, s, store_redis_ms(g->store), clock_ms());
}

void gate_tell(struct gate *g)
{
    if (g->refused_count)
        log_event(LOG_PEER_REFUSED, FN("times", g->refused_count), F("key", g->refused_key));
    if (g->was_crowded)
        log_event(LOG_BUS_CROWDED);
    g->refused_count = 0;
    g->was_crowded = false;
}

void gate_close(struct gate *g)
{
    g->node = NULL;
    g->hub = hub_close(g->hub);
    keyring_done(&g->keyring);
}
