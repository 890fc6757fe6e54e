/*
 * Does: for bus.c: one ZeroMQ socket on a loop (bus_end.c), keys and who may connect (bus_curve.c), a hub's listening socket (bus_door.c).
 * Does not: know frames.
 * Owns: an end owns its socket, a door its descriptor.
 * Fails: -errno.
 */
#pragma once

#include <zmq.h>

#include "io/bus.h"

enum { PARTS_MAX = 9 };

/* One message of exactly the parts wanted; they are the end's. It may be closed in there. */
typedef void end_on_message(void *owner, zmq_msg_t *parts);

struct end {
    unsigned magic;
    struct loop *loop;
    void *socket; /* NULL: closed */
    struct watch *watch;
    struct tail check;
    struct timer more; /* messages left for the next round */
    bool is_busy;      /* closed in its own callback: freed when that is back */
    size_t parts;      /* of a message; any other is dropped whole */
    end_on_message *on_message;
    void *owner;
};

int bus_errno(void);
/* A socket with what all ours have in common; then options, bind or connect, end_start(). */
int end_open(struct loop *l, void *context, int kind, size_t parts, end_on_message *on_message, void *owner,
             struct end **ret_end);
int end_set(struct end *e, int option, int value);
int end_set_text(struct end *e, int option, const char *value);
int end_start(struct end *e);
int end_send(struct end *e, struct span part, bool is_last);
struct end *end_close(struct end *e); /* NULL is fine; always NULL */
struct span part_span(zmq_msg_t *part);

int end_set_server(struct end *e, const struct bus_keys *keys);
int end_set_client(struct end *e, const struct bus_keys *keys, const char *hub_key);
/* The key that the peer of this part has shown; empty: none. Valid as long as the part. */
struct span part_key(zmq_msg_t *part);

struct guard {
    struct loop *loop;
    struct end *end;
    const struct hub_events *events;
    struct list open; /* struct question, oldest first */
    size_t count;     /* of them */
    struct timer timer;
};
/* From now on it decides who may connect to the CURVE servers of the context, by events->node_of(). */
int guard_open(struct guard *g, struct loop *l, void *context, const struct hub_events *events);
void guard_ask_again(struct guard *g);
void guard_close(struct guard *g);

struct door {
    struct loop *loop;
    int fd;
    uint16_t port;
    int most; /* descriptors, before it is shut */
    bool is_shut;
    struct timer look;
    const struct hub_events *events;
};
int door_open(struct door *d, struct loop *l, const char *address, size_t descriptors_max,
              const struct hub_events *events);
void door_close(struct door *d);
