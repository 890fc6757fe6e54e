/*
 * A random walk: two dispatchers, four couriers, one queue with more work than anybody can do. Frames are lost and late, couriers come and go, leases move.
 * At every moment all that the couriers may use together is within the queue's limit. WALK_SEED repeats one walk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "dispatcher/grant.h"
#include "dispatcher/ring.h"

enum {
    DISPATCHERS = 2,
    COURIERS = 4,
    STEP_MS = 10,
    WALK_MS = 120000,
    CALM_MS = 20000, /* at the end nothing is lost, and all of the limit comes to be used */
    WALKS = 40,
    LEASE_MS = 3000,
    FRAMES_MAX = 4096,
    LIMIT = 12,
    RATE_PER_MINUTE = 3000,
};
#define Q SPAN("example.com")

struct packet {
    uint64_t at_ms;
    bool is_to_courier;
    unsigned from, to;
    uint64_t life; /* of the courier */
    struct buf bytes;
};

struct courier_sim {
    uint64_t incarnation;
    uint64_t token, until_ms, rate;
    uint32_t serial, most, used, finished;
    uint64_t report_ms;
    bool is_report_due, is_granted;
};

struct dispatcher_sim {
    struct partitions partitions;
    struct couriers couriers;
    struct schedule schedule;
    bool is_dead;
};

static struct walk {
    uint64_t random;
    uint64_t now, last_keep_ms, next_token, next_life;
    uint64_t late_max_ms; /* frames */
    unsigned lost_percent;
    bool moves_leases, is_calm;
    unsigned p, owner;   /* DISPATCHERS: nobody */
    uint64_t acquire_ms; /* the other one may take it from then on */
    bool was_killed;
    struct dispatcher_sim d[DISPATCHERS];
    struct courier_sim c[COURIERS];
    struct node_peer peers[COURIERS];
    struct node_view view;
    struct limits *limits;
    struct packet packets[FRAMES_MAX];
    size_t packet_count;
    uint64_t link_ms[2][DISPATCHERS][COURIERS]; /* frames of one link arrive in order */
    uint32_t most_used;
} w;

static uint64_t draw(uint64_t below)
{
    w.random = w.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (w.random >> 33) % below;
}

/* ---- the network ---- */

static void post(bool is_to_courier, unsigned from, unsigned to, struct span bytes)
{
    unsigned d = is_to_courier ? from : to, c = is_to_courier ? to : from;

    if (w.packet_count == FRAMES_MAX || (!w.is_calm && draw(100) < w.lost_percent))
        return;
    uint64_t at = w.now + (w.is_calm ? 0 : draw(w.late_max_ms + 1));
    uint64_t *last = &w.link_ms[is_to_courier][d][c];
    *last = at > *last ? at : *last;
    struct packet *packet = &w.packets[w.packet_count++];
    *packet = (struct packet){
        .at_ms = *last, .is_to_courier = is_to_courier, .from = from, .to = to, .life = w.c[c].incarnation};
    buf_add_span(&packet->bytes, bytes);
}

static void take_grant(struct courier_sim *c, const struct grant *g)
{
    uint64_t clock = w.now - 500000;

    if (g->answers_ms > clock)
        return;
    if (g->token < c->token || (g->token == c->token && g->serial <= c->serial))
        return;
    c->is_report_due |= g->connections < c->most;
    c->token = g->token;
    c->serial = g->serial;
    c->most = g->connections;
    c->rate = g->rate_micro;
    if (g->connections)
        c->until_ms = g->answers_ms + 5000 + 500000;
    c->is_granted = g->connections > 0;
}

static void deliver(const struct packet *packet)
{
    if (packet->is_to_courier) {
        struct frame f;
        if (w.c[packet->to].incarnation != packet->life)
            return;
        assert_int_equal(wire_get_frame(buf_span(&packet->bytes), &f), 0);
        for (size_t i = 0; i < f.grant_count; i++)
            take_grant(&w.c[packet->to], &f.grants[i]);
        frame_done(&f);
        return;
    }
    struct dispatcher_sim *d = &w.d[packet->to];
    AUTO_FREE char *name = mem_format("%u", packet->from);
    if (!d->is_dead)
        assert_int_equal(
            ring_take_frame(&d->schedule, NULL, span_of(name), packet->life, buf_span(&packet->bytes), w.now),
            0);
}

static void deliver_all(void)
{
    size_t kept = 0;

    for (size_t i = 0; i < w.packet_count; i++) {
        struct packet packet = w.packets[i];
        if (packet.at_ms > w.now) {
            w.packets[kept++] = packet;
            continue;
        }
        deliver(&packet);
        buf_done(&packet.bytes);
    }
    w.packet_count = kept;
}

/* ---- couriers ---- */

static void courier_report(unsigned i, bool is_hello)
{
    struct courier_sim *c = &w.c[i];
    bool has_work = c->token && (c->is_granted || c->used || c->is_report_due);
    struct report r = {
        .partition = w.p,
        .queue = Q,
        .token = c->token,
        .connections = c->used,
        .claimed = c->used,
        .is_returned = !c->is_granted,
        .finished = c->finished,
        .succeeded = c->finished,
        .serial = c->serial,
        .granted = c->is_granted ? c->most : 0,
    };
    struct frame f = {.has_hello = true, .reports = &r, .report_count = has_work};
    AUTO_BUF struct buf bytes = {0};

    f.hello = (struct hello){.incarnation = c->incarnation,
                             .clock_ms = w.now - 500000,
                             .free_jobs = 1000,
                             .free_connections = 500 - c->used};
    if (!is_hello && !has_work)
        return;
    c->finished = 0;
    c->is_report_due = false;
    wire_put_frame(&f, &bytes);
    for (unsigned d = 0; d < DISPATCHERS; d++)
        post(false, i, d, buf_span(&bytes));
}

static void courier_step(unsigned i)
{
    struct courier_sim *c = &w.c[i];

    if (c->is_granted && w.now >= c->until_ms) {
        c->is_granted = false;
        c->is_report_due = true;
    }
    if (c->is_granted && c->used < c->most)
        c->used += (uint32_t) draw(c->most - c->used + 1);
    if (c->used && draw(20) == 0) { /* a transaction ends; above what is granted its connection too */
        c->finished++;
        c->used -= !c->is_granted || c->used > c->most || draw(4) == 0;
        c->is_report_due |= !c->is_granted && !c->used;
    }
    if (w.now >= c->report_ms) {
        c->report_ms = w.now + 1000;
        courier_report(i, true);
    } else if (c->is_report_due) {
        courier_report(i, false);
    }
}

static void courier_join(unsigned i)
{
    w.c[i] = (struct courier_sim){.incarnation = ++w.next_life, .report_ms = w.now};
    w.peers[i] = (struct node_peer){.incarnation = w.c[i].incarnation,
                                    .stats = {.role = ROLE_COURIER, .capacity = 100}};
}

/* ---- dispatchers ---- */

static int on_send(void *owner, struct span to, struct span frame)
{
    const struct dispatcher_sim *d = owner;
    post(true, (unsigned) (d - w.d), (unsigned) (to.at[0] - '0'), frame);
    return 0;
}

static void on_gone(void *owner, struct courier *gone)
{
    schedule_courier_gone(&((struct dispatcher_sim *) owner)->schedule, gone, w.now);
}

static void see_nodes(void)
{
    w.view = (struct node_view){.last = UINT64_MAX / 2, .peers = w.peers, .count = COURIERS};
    for (unsigned i = 0; i < DISPATCHERS; i++)
        couriers_view(&w.d[i].couriers, &w.view, w.now, on_gone, &w.d[i]);
}

static void acquire(unsigned i)
{
    w.d[i].partitions.of[w.p] = (struct partition){
        .is_held = true,
        .is_named = true,
        .token = ++w.next_token,
        .sent_ms = w.now,
        .acquired_ms = w.now,
        .settled_ms = w.now + (w.was_killed ? LEASE_EXPIRED_MS : LEASE_SETTLE_MS)};
    w.owner = i;
    w.last_keep_ms = w.now;
}

static void lease_step(void)
{
    if (w.owner == DISPATCHERS) {
        if (w.now >= w.acquire_ms) {
            unsigned i = (unsigned) draw(DISPATCHERS);
            if (!w.d[i].is_dead)
                acquire(i);
        }
        return;
    }
    struct dispatcher_sim *d = &w.d[w.owner];
    if (!d->is_dead && w.now >= w.last_keep_ms + 1000) {
        w.last_keep_ms = w.now;
        d->partitions.of[w.p].sent_ms = w.now;
    }
    if (!w.moves_leases || w.is_calm || draw(1500) != 0)
        return;
    w.was_killed = draw(2) == 0;
    if (w.was_killed) {
        d->is_dead = true;
        w.acquire_ms = w.last_keep_ms + LEASE_MS;
    } else {
        w.acquire_ms = w.now + draw(300);
    }
    d->partitions.of[w.p].is_held = false;
    w.owner = DISPATCHERS;
}

static void dispatcher_open(struct dispatcher_sim *d)
{
    *d = (struct dispatcher_sim){.is_dead = false};
    schedule_init(&d->schedule, &d->partitions, &d->couriers);
    d->schedule.limits = w.limits;
    d->schedule.most = 100;
    d->schedule.start = LIMIT;
    couriers_view(&d->couriers, &w.view, w.now, on_gone, d);
}

static void dispatcher_close(struct dispatcher_sim *d)
{
    schedule_done(&d->schedule);
    couriers_done(&d->couriers);
}

static void dispatcher_step(unsigned i)
{
    struct dispatcher_sim *d = &w.d[i];

    if (d->is_dead) {
        if (w.owner != i && draw(300) == 0) { /* a new life */
            dispatcher_close(d);
            dispatcher_open(d);
        }
        return;
    }
    if (draw(10) == 0)
        schedule_ring(&d->schedule, w.p, Q, w.now);
    couriers_refresh(&d->couriers, w.now);
    schedule_check(&d->schedule, w.now);
    schedule_run(&d->schedule, w.now);
    grants_flush(&d->schedule, on_send, d);
}

/* ---- the walk ---- */

static void assert_limit_holds(uint64_t seed)
{
    uint32_t used = 0, granted = 0;
    uint64_t rate = 0;

    for (unsigned i = 0; i < COURIERS; i++) {
        const struct courier_sim *c = &w.c[i];
        uint32_t may = c->is_granted && w.now < c->until_ms ? c->most : 0;
        granted += may;
        /* What goes on after the end of its grant is kept off the limit as long as it is heard; here it may be not. */
        used += c->used > may && w.now < c->until_ms ? c->used : may;
        rate += may ? c->rate : 0;
    }
    if (used > LIMIT || rate > UINT64_C(1000000) * RATE_PER_MINUTE / 60)
        fail_msg("seed %llu: %u connections, %llu messages in 1000 s at %llu ms", (unsigned long long) seed,
                 used, (unsigned long long) rate / 1000, (unsigned long long) w.now);
    w.most_used = granted;
}

static void walk(uint64_t seed, bool moves_leases)
{
    const struct conf conf = {.dispatcher = {.queue_connections = LIMIT, .queue_rate = RATE_PER_MINUTE}};
    char *error;

    w = (struct walk){.random = seed, .now = 1000000, .next_token = 1000, .next_life = 100};
    w.p = partition_of(Q);
    w.owner = DISPATCHERS;
    w.moves_leases = moves_leases;
    w.late_max_ms = moves_leases ? 200 : 2500;
    w.lost_percent = (unsigned) draw(moves_leases ? 5 : 40);
    assert_int_equal(limits_new(&conf, &w.limits, &error), 0);
    for (unsigned i = 0; i < COURIERS; i++)
        courier_join(i);
    w.view = (struct node_view){.last = UINT64_MAX / 2, .peers = w.peers, .count = COURIERS};
    for (unsigned i = 0; i < DISPATCHERS; i++)
        dispatcher_open(&w.d[i]);
    uint64_t end = w.now + WALK_MS;
    while (w.now < end) {
        w.now += STEP_MS;
        w.is_calm = w.now >= end - CALM_MS;
        if (!w.is_calm && draw(1000) == 0) {
            courier_join((unsigned) draw(COURIERS));
            see_nodes();
        }
        lease_step();
        deliver_all();
        for (unsigned i = 0; i < COURIERS; i++)
            courier_step(i);
        for (unsigned i = 0; i < DISPATCHERS; i++)
            dispatcher_step(i);
        deliver_all();
        assert_limit_holds(seed);
    }
    if (w.most_used != LIMIT)
        fail_msg("seed %llu: only %u connections are granted in the end", (unsigned long long) seed,
                 w.most_used);
    for (size_t i = 0; i < w.packet_count; i++)
        buf_done(&w.packets[i].bytes);
    for (unsigned i = 0; i < DISPATCHERS; i++)
        dispatcher_close(&w.d[i]);
    limits_free(w.limits);
}

static void walks(bool moves_leases)
{
    const char *seed = getenv("WALK_SEED");

    for (uint64_t i = 1; i <= (seed ? 1 : WALKS); i++)
        walk(seed ? strtoull(seed, NULL, 10) : i, moves_leases);
}

/* proves: H16 */
static void a_limit_holds_whatever_frames_are_lost_or_late(void **state)
{
    (void) state;
    walks(false);
}

/* proves: H16 */
static void a_limit_holds_while_its_owner_changes(void **state)
{
    (void) state;
    walks(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_holds_whatever_frames_are_lost_or_late),
        cmocka_unit_test(a_limit_holds_while_its_owner_changes),
    };
    return cmocka_run_group_tests_name("dispatcher/limit_walk", tests, NULL, NULL);
}
