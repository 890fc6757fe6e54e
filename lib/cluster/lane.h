/*
 * Does: lanes: which line of traffic a message travels in, by who sends it (settings group lanes), and the names of queues made of domain and lane.
 * Does not: know what becomes of a queue's mail (transport.h), nor move it.
 * Owns: nothing: a lane's name is the settings', valid as long as that snapshot.
 * Fails: lanes_check() with -EINVAL and a sentence; the others never.
 */
#pragma once

#include "base/conf.h"
#include "cluster/keys.h"

/*
 * sender: "" for the null sender, which settings write as "<>"; tenant: NULL for none. The most exact row wins: the sender's address, its
 * domain (@example.com), the longest @.example.com above that, the tenant. "": the default lane.
 */
const char *lane_of(const struct conf *conf, const char *sender, const char *tenant);

/* domain, or domain/lane; lane: "" for the default one. */
void queue_name(struct span domain, const char *lane, struct buf *out);
/*
 * Mail of a queue that a rule sends another way, when it does not mean all of that queue, travels apart: in a queue of its own, of the same domain and
 * lane, whose name ends with "~" and the rule: example.com/~r5, example.com/bulk~r5. apart: the rule's number, not 0.
 */
void queue_name_apart(struct span domain, const char *lane, uint64_t apart, struct buf *out);
struct span queue_apart(struct span queue); /* "r5"; empty: it is nobody's */
/* Its two parts, borrowed from queue; lane is empty for the default one. Of one that travels apart: those of the queue it comes from. */
void queue_split(struct span queue, struct span *ret_domain, struct span *ret_lane);

/*
 * The value of the row that means a queue most exactly; NULL: none. Keys are example.com, .example.com for its subdomains, or *, each maybe with
 * a lane: example.com/bulk. The more exact domain wins (itself, the longest .suffix, *), then the row that names the lane.
 */
const char *queue_row(const struct conf_map *rows, const char *queue);
/* Does such a key mean the queue? */
bool queue_fits(const char *row, const char *queue);

/* The group's row of a queue's lane; NULL: the default lane, or one that the settings do not know. */
const struct conf_lane *lane_find(const struct conf *conf, struct span lane);
/* The pool of source addresses that a queue's mail leaves from: its lane's, else the one named default; NULL: none, the kernel chooses. */
const struct conf_pool *pool_of(const struct conf *conf, struct span queue);

/* Are lanes and pools in order? -EINVAL: *ret_error (the caller's) says where, what is wrong and what to do. */
int lanes_check(const struct conf *conf, char **ret_error);
