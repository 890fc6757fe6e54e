/*
 * Does: adds up what couriers tell with their beats of the queues they work with most connections: by queue, or by site.
 * Does not: know queues that nobody works, or all that are worked: a courier tells of NODE_BUSY_MAX.
 * Owns: the sums, until busy_sums_done().
 * Fails: never.
 */
#pragma once

#include "cluster/node.h"

struct busy_sum {
    char *name;
    uint64_t connections, granted, rate, jobs, queues;
    uint64_t courier, couriers; /* courier: the last one counted */
    bool has_rate_limit;        /* all of them have one */
};
struct busy_sums {
    struct busy_sum *all;
    size_t count;
};
/* Of those who beat. now_ms: clock of Redis. */
void busy_sums_read(const struct node_view *view, uint64_t now_ms, bool by_site, struct busy_sums *ret_sums);
void busy_sums_done(struct busy_sums *sums);
struct busy_sum *busy_sums_find(const struct busy_sums *sums, struct span name); /* NULL: nobody works it */
