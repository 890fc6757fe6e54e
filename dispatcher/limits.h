/*
 * Does: how fast a queue may be worked: connections and rate, by the operator's rules before the settings; and a bucket that keeps a rate over time.
 * Does not: hand anything out (schedule.h).
 * Owns: the tables made from dispatcher.limits, dispatcher.site_limits and the rules.
 * Fails: limits_new() with -EINVAL and a sentence when a limit cannot be read. Pure: time is an argument.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/conf.h"

struct limit {
    uint32_t connections; /* all couriers together, 1 or more */
    uint64_t rate_micro;  /* messages per second, in millionths; 0: no limit */
};

struct limits;
/* From dispatcher.queue_connections, .queue_rate and .limits. ret_error: the caller's. */
int limits_new(const struct conf *c, struct limits **ret_limits, char **ret_error);
/* From dispatcher.site_limits. */
int limits_new_sites(const struct conf *c, struct limits **ret_limits, char **ret_error);
/* Both. */
int limits_read(const struct conf *c, struct limits **ret_queues, struct limits **ret_sites,
                char **ret_error);
struct limits *limits_free(struct limits *l); /* always NULL */
/*
 * What a rule of the operator says of a name (those of limits_of(), or a site's), before any row of the settings. Of each limit the rule of the
 * most particular name wins, among those of one name the last.
 */
struct limit_order {
    bool has_connections, has_rate; /* what is said of `limit` */
    struct limit limit;
};
void limits_order(struct limits *l, struct span name, const struct limit_order *order);
bool limits_is_empty(const struct limits *l); /* nothing but the general setting */
/* The row of this name, else ".example.com" for its nearest parent; false: none. */
bool limits_find(const struct limits *l, struct span name, struct limit *ret_limit);
/*
 * The most particular row: the queue, its domain, ".example.com" for the nearest parent, "*" with its lane, else the general setting. #fanout has no limits; its
 * connections bound only how many messages one courier expands at a time.
 */
struct limit limits_of(const struct limits *l, struct span queue);

/* A token bucket: filled continuously, holds one second's worth, but at least one message. */
struct bucket {
    int64_t level_micro; /* messages, in millionths; below 0: ahead of the rate */
    uint64_t at_ms;
};
void bucket_start(struct bucket *b, uint64_t now_ms); /* empty */
/* May a message go now? Always with rate 0. */
bool bucket_has_one(struct bucket *b, uint64_t rate_micro, uint64_t now_ms);
bool bucket_is_full(struct bucket *b, uint64_t rate_micro, uint64_t now_ms);
void bucket_take(struct bucket *b, uint64_t rate_micro, uint32_t count, uint64_t now_ms);
