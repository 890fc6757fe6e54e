/*
 * Does: what the whole cluster's work depends on: its nodes, and whether its store may be used.
 * Does not: look at queues (survey.h, outlook.h).
 * Owns: what it read, until health_done().
 * Fails: never by itself: questions end as ask.h says.
 */
#pragma once

#include "cluster/audit.h"
#include "cluster/node.h"
#include "ctl/ask.h"

struct health {
    uint64_t now_ms; /* Redis' clock */
    struct node_view view;
    bool knows_nodes; /* false: the shard of the common keys is away */
    bool is_store_ok;
    char *trouble; /* what is wrong with the store, "" */
    unsigned shard_count;
    struct audit_memory memory; /* of the fullest shard */
};
/* Asks; what h holds is true after ask_wait(). */
void health_ask(struct ask *k, struct health *h);
void health_done(struct health *h);

uint64_t beat_age_ms(const struct health *h, const struct node_peer *p);
bool is_beating(const struct health *h, const struct node_peer *p); /* lately enough not to be buried */
/* Nodes of a role that do their work: they beat, have the store, are not draining. */
unsigned working_count(const struct health *h, enum role role);
/* NULL: none of that incarnation lives. */
const struct node_peer *peer_of(const struct health *h, uint64_t incarnation);
/* "courier1.example.com (1795342000000001)", or what can be said of one that is no more. */
void add_node(struct buf *out, const struct health *h, enum role role, uint64_t incarnation);
/* Appends sentences about what stops all mail, separated by "; ". */
void add_cluster_causes(struct buf *out, const struct health *h);
void add_cause(struct buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
