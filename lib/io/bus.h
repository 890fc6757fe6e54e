/*
 * Does: frames between nodes over ZeroMQ, encrypted: a hub (ROUTER) in each dispatcher, links (DEALER) in ingress, courier and other dispatchers.
 * Does not: know what a frame means, nor who may talk (its owner is asked); promise anything: all that is sent may be lost.
 * Owns: sockets, and copies of keys, which it wipes. Heartbeats are the users' own.
 * Fails: link_send() and hub_send() with -EAGAIN (full) or -EHOSTUNREACH (unknown peer): the frame is dropped.
 * Calls: libzmq, named in bus*.c only. See: docs/choices.md "Keys of the bus".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "io/loop.h"

enum { BUS_FRAME_MAX = 262144, BUS_NAME_MAX = 64, BUS_KEY_LEN = 40 };

/* A pair of CURVE keys, as texts (z85). */
struct bus_keys {
    char public_key[BUS_KEY_LEN + 1], secret_key[BUS_KEY_LEN + 1];
};
void bus_keys_make(struct bus_keys *ret_keys);
void bus_keys_wipe(struct bus_keys *k);
bool bus_is_key(struct span text); /* could it be one? */

struct hub;
struct hub_events {
    /*
     * Whose key it is: a number of the owner's, or 0: nobody's that is known now. Asked at each handshake, and for each frame, which is dropped
     * then: a key that is let in no more is not heard from that moment on.
     */
    uint64_t (*node_of)(void *owner, struct span key);
    /*
     * from: the connection, to answer to: the hub's own name for it, nothing that the peer could choose. node: what node_of() said.
     * The hub may be closed in there.
     */
    void (*on_frame)(void *owner, struct span from, uint64_t node, struct span frame);
    /* Somebody waits whose key is not known: hub_ask_again() within a second, or he is put off and tries again and again. */
    void (*on_unknown)(void *owner);
    /* A peer was put off, or a frame of its dropped. May come often. */
    void (*on_refused)(void *owner, struct span key);
    /* So many descriptors are open that no further connections are taken for now; or they are again. */
    void (*on_crowded)(void *owner, bool is_crowded);
    void *owner;
};
/*
 * address: "host:port", port 0 for any; *ret_port is the port bound. No more connections are taken while the process has about so many
 * descriptors open as descriptors_max; one that does not finish its handshake leaves after three seconds.
 */
int hub_open(struct loop *l, const char *address, size_t descriptors_max, const struct bus_keys *keys,
             const struct hub_events *events, struct hub **ret_hub, uint16_t *ret_port);
/* From now on it has these keys. All connections are cut, and made anew by who knows the new public key; the port stays open meanwhile. */
void hub_renew(struct hub *h, const struct bus_keys *keys);
/* More keys are known now, maybe. */
void hub_ask_again(struct hub *h);
int hub_send(struct hub *h, struct span to, struct span frame);
struct hub *hub_close(struct hub *h); /* always NULL */

struct link;
typedef void link_on_frame(void *owner, struct span frame);
/*
 * Connects and reconnects in the background, to the hub that has hub_key; empty: one of a former version, without keys, which is told our name
 * (unique in the cluster for this life of the node: "<incarnation>.<reactor>"). -EINVAL: an address or key that cannot be one.
 */
int link_open(struct loop *l, const char *address, const char *name, const struct bus_keys *keys,
              const char *hub_key, link_on_frame *on_frame, void *owner, struct link **ret_link);
/*
 * Other keys from now on; costs nothing where they are the same. The former connection serves until the new one stands.
 * -EINVAL as above, or no key where there was one: nothing changes.
 */
int link_use(struct link *k, const struct bus_keys *keys, const char *hub_key);
int link_send(struct link *k, struct span frame);
struct link *link_close(struct link *k); /* always NULL */
/* At the end of the process, after all links are closed. */
void bus_end(void);
