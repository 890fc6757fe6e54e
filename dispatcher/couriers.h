/*
 * Does: the couriers as heard over the bus: their clocks, what room they have, which of them takes a queue.
 * Does not: know what they hold (schedule.h).
 * Owns: one struct courier per incarnation heard, until it has left the view and fallen silent.
 * Fails: couriers_hello() gives NULL when there are too many, or it is late.
 * See: PROTOCOL.md "Partition leases"; grants count from the courier's own clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "cluster/node.h"
#include "cluster/wire.h"
#include "io/bus.h"

enum {
    COURIERS_MAX = 1024,
    COURIER_HEARD_MS = 2000,   /* heard so recently: it may be granted queues */
    COURIER_SETTLE_MS = 100,   /* after its first hello: all its first reports have come */
    COURIER_FORGET_MS = 10000, /* not in the view and not heard for so long */
};

struct courier {
    uint64_t incarnation;
    char name[BUS_NAME_MAX + 1]; /* of its connection, as last heard */
    size_t name_len;
    uint64_t first_ms, heard_ms; /* our clock */
    uint64_t clock_ms;           /* its clock, in the last hello */
    uint64_t count;              /* of the last hello */
    uint32_t room;               /* jobs it could claim, less what was granted since it said so */
    uint32_t free;               /* connections it could open, the same */
    uint32_t trial; /* connections granted to queues whose destination has not been seen to work */
    bool is_draining, is_in_view;
    struct list outgoing; /* holders whose grants it is to be sent */
};

/* It may be granted queues. */
struct courier_choice {
    struct node_peer peer; /* a shallow copy of the view's */
    struct courier *courier;
};

struct couriers {
    struct courier **all;
    size_t count;
    const struct node_view *view; /* borrowed until the next couriers_view() */
    struct courier_choice *usable;
    size_t usable_count;
    const char *(*pool_of)(
        struct span queue); /* source addresses its mail must come from, or NULL; NULL: none does */
    uint64_t pool_told_ms;  /* that nobody can bind a pool was last logged */
    bool is_stale;          /* it is to be made anew */
    uint64_t digest;        /* of the usable, when they were last found */
    uint64_t epoch;         /* grows when others may be granted queues than before */
};

/* from: its connection. NULL, too: the hello is older than one that was heard. */
struct courier *couriers_hello(struct couriers *c, struct span from, const struct hello *h, uint64_t now_ms);
/* on_gone: a courier is over, its grants too; it is freed after the call. */
void couriers_view(struct couriers *c, const struct node_view *view, uint64_t now_ms,
                   void (*on_gone)(void *context, struct courier *gone), void *context);
struct courier *couriers_find(const struct couriers *c, uint64_t incarnation);
bool courier_is_heard(const struct courier *c, uint64_t now_ms);
/* Time has passed: who may be granted queues is judged anew. */
void couriers_refresh(struct couriers *c, uint64_t now_ms);
/*
 * By rendezvous of the queue among those that may be granted queues, can bind an address of its pool, and that `may` does not refuse (NULL: all).
 * NULL: none.
 */
typedef bool courier_may(const void *context, const struct courier *c);
struct courier *couriers_choose(struct couriers *c, unsigned partition, struct span queue, courier_may *may,
                                const void *context, uint64_t now_ms);
/* The same, whether it can bind or not: it says why the mail cannot go, and lets expire what is too old. */
struct courier *couriers_choose_unable(struct couriers *c, unsigned partition, struct span queue,
                                       courier_may *may, const void *context, uint64_t now_ms);
/* May anybody but this one be granted the queue? */
bool couriers_have_other(struct couriers *c, uint64_t incarnation, struct span queue, uint64_t now_ms);
/* Can it bind an address of the queue's pool, as far as its last beat told? */
bool couriers_can_bind(const struct couriers *c, const struct courier *courier, struct span queue);
/* It could claim a job and open a connection. */
bool courier_has_room(const struct courier *c);
bool couriers_have_room(struct couriers *c, uint64_t now_ms);
/* A queue with so many connections is granted to it. */
void courier_take_room(struct courier *c, uint32_t connections);
/* Every courier in the view is heard, and has had the time to report all it holds; *ret_first_ms: none was first heard before that. */
bool couriers_all_known(const struct couriers *c, uint64_t now_ms, uint64_t *ret_first_ms);
void couriers_done(struct couriers *c);
