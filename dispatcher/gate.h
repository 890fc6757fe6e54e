/*
 * Does: the dispatcher's hub: its keys, who is let in, and telling of those who are not, at most once a second.
 * Does not: know frames (ring.h).
 * Owns: the hub, the keyring.
 * Fails: gate_open() with -errno: the address cannot be listened to.
 */
#pragma once

#include "cluster/keyring.h"

struct gate {
    struct keyring keyring;
    struct hub *hub;
    struct node *node;   /* NULL: there is none yet, or no more */
    struct store *store; /* for its clock */
    void (*on_frame)(struct span from, uint64_t node, struct span frame);
    uint64_t refused_count;            /* since last told */
    bool was_crowded;                  /* the same */
    char refused_key[BUS_KEY_LEN + 1]; /* the last one's */
};

/* As bus.listen says; node and store are set later. */
int gate_open(struct gate *g, struct loop *l,
              void (*on_frame)(struct span from, uint64_t node, struct span frame), uint16_t *ret_port);
/* The nodes as read now. me: our incarnation. */
void gate_view(struct gate *g, const struct node_view *view, uint64_t me);
/* We were buried: the next life has other keys. */
void gate_dead(struct gate *g);
void gate_stats(const struct gate *g, struct node_stats *s);
void gate_tell(struct gate *g); /* once a second */
void gate_close(struct gate *g);
