/*
 * Does: frames between nodes over ZeroMQ: a hub (ROUTER) in each dispatcher, links (DEALER) in ingress and courier.
 * Does not: know what a frame means; promise anything: all that is sent may be lost.
 * Owns: sockets. Heartbeats are the users' own.
 * Fails: bus_send() and hub_send() with -EAGAIN (full) or -EHOSTUNREACH (unknown peer): the frame is dropped.
 * Calls: libzmq, named in bus.c only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "io/loop.h"

enum { BUS_FRAME_MAX = 262144, BUS_NAME_MAX = 64 };

/* from: the peer's name (hub), empty for a link. */
typedef void bus_on_frame(void *owner, struct span from, struct span frame);

struct hub;
/* address "host:port", port 0 for any; *ret_port is the port bound. */
int hub_open(struct loop *l, const char *address, bus_on_frame *on_frame, void *owner, struct hub **ret_hub,
             uint16_t *ret_port);
int hub_send(struct hub *h, struct span to, struct span frame);
struct hub *hub_close(struct hub *h); /* always NULL */

struct link;
/* name: unique in the cluster for this life of the node ("<incarnation>.<reactor>"). Connects and reconnects in the background. */
int link_open(struct loop *l, const char *address, const char *name, bus_on_frame *on_frame, void *owner,
              struct link **ret_link);
int link_send(struct link *k, struct span frame);
struct link *link_close(struct link *k); /* always NULL */
/* At the end of the process, after all hubs and links are closed. */
void bus_end(void);
