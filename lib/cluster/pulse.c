/* Rates from beats. */
#include "cluster/pulse.h"

#include <string.h>

#include "base/mem.h"

static struct pulse_node *find(const struct pulses *p, uint64_t incarnation)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->nodes[i].incarnation == incarnation)
            return &p->nodes[i];
    return NULL;
}

static struct pulse_beat beat_of(const struct node_stats *s)
{
    struct pulse_beat b = {.ms = s->beat_ms,
                           .counts = {[PULSE_ACCEPTED] = s->accepted,
                                      [PULSE_DELIVERED] = s->delivered,
                                      [PULSE_DEFERRED] = s->deferred,
                                      [PULSE_FAILED] = s->failed,
                                      [PULSE_IN_DOUBT] = s->in_doubt}};

    memcpy(b.deferred_as, s->deferred_as, sizeof(b.deferred_as));
    memcpy(b.failed_as, s->failed_as, sizeof(b.failed_as));
    return b;
}

static void note(struct pulse_node *n, const struct node_stats *s)
{
    if (n->count > 0 && s->beat_ms <= n->beats[n->count - 1].ms)
        return;
    if (n->count == PULSE_BEATS) {
        memmove(&n->beats[0], &n->beats[1], (PULSE_BEATS - 1) * sizeof(n->beats[0]));
        n->count--;
    }
    n->beats[n->count++] = beat_of(s);
}

void pulses_note(struct pulses *p, const struct node_view *view)
{
    struct pulses now = {.nodes = mem_array(view->count + 1, sizeof(struct pulse_node))};

    for (size_t i = 0; i < view->count; i++) {
        const struct node_peer *peer = &view->peers[i];
        const struct pulse_node *known = find(p, peer->incarnation);
        struct pulse_node *n = &now.nodes[now.count];
        if (peer->stats.role == ROLE_COUNT)
            continue;
        *n = known ? *known : (struct pulse_node){.incarnation = peer->incarnation};
        note(n, &peer->stats);
        now.count++;
    }
    pulses_done(p);
    *p = now;
}

void pulses_done(struct pulses *p)
{
    p->nodes = mem_free(p->nodes);
    p->count = 0;
}

/* Counters of one life only grow; a node that is silent has no new beats, and its rate stands for a moment too long, not for ever. */
static double rate(const struct pulse_node *n, uint64_t before, uint64_t after)
{
    uint64_t ms = n->beats[n->count - 1].ms - n->beats[0].ms;

    return after > before && ms > 0 ? (double) (after - before) * 1000 / (double) ms : 0;
}

static double node_rate(const struct pulse_node *n, enum pulse what)
{
    return n->count < 2 ? 0 : rate(n, n->beats[0].counts[what], n->beats[n->count - 1].counts[what]);
}

double pulse_rate(const struct pulses *p, uint64_t incarnation, enum pulse what)
{
    const struct pulse_node *n = find(p, incarnation);

    return n ? node_rate(n, what) : 0;
}

double pulse_rate_of_all(const struct pulses *p, enum pulse what)
{
    double sum = 0;

    for (size_t i = 0; i < p->count; i++)
        sum += node_rate(&p->nodes[i], what);
    return sum;
}

double pulse_rate_of_class(const struct pulses *p, enum bounce bounce, bool is_failed)
{
    double sum = 0;

    for (size_t i = 0; i < p->count; i++) {
        const struct pulse_node *n = &p->nodes[i];
        if (n->count < 2)
            continue;
        const struct pulse_beat *first = &n->beats[0], *last = &n->beats[n->count - 1];
        sum += is_failed ? rate(n, first->failed_as[bounce], last->failed_as[bounce])
                         : rate(n, first->deferred_as[bounce], last->deferred_as[bounce]);
    }
    return sum;
}

bool pulses_are_known(const struct pulses *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->nodes[i].count < 2)
            return false;
    return true;
}
