/*
 * Does: how the whole cluster is doing, for the status page: all partitions' queues, looked at in rounds while somebody watches, nodes, sites and
 *       rates by the nodes' beats; as JSON, made once a second however many look.
 * Does not: know who may look (web.c), or ask Redis anything while nobody does. Its figures are of slightly different moments.
 * Owns: the last round's figures, the one under way, some beats.
 * Fails: never: what was not answered is missing, and it says so.
 */
#pragma once

#include "cluster/node.h"
#include "cluster/pulse.h"
#include "cluster/queue_depth.h"
#include "cluster/rule.h"
#include "io/json.h"

enum {
    OVERVIEW_WATCHED_MS = 15000, /* rounds go on so long after the last look */
    OVERVIEW_MAKE_MS = 1000,     /* the JSON's least age to be made anew */
    OVERVIEW_REST_MS = 1000,     /* between rounds, at least; and four times as long as the last one took */
    OVERVIEW_AT_ONCE = 8,        /* partitions asked at a time */
    OVERVIEW_QUEUES = 50,        /* shown: the longest */
    OVERVIEW_SITES = 50,
    OVERVIEW_NODES = 200,
    OVERVIEW_QUEUES_SEEN =
        20000 /* looked at in one round; what is in the others is missing, and it says so */
};

struct overview_queue {
    char *name, *error;
    uint64_t waiting, due, next_ms, oldest_ms,
        paused_until_ms; /* clock of Redis; oldest_ms: when the oldest was made */
};
/* One round. */
struct overview_sum {
    uint64_t waiting, due, claimed, held, queues, paused, suspended;
    uint64_t oldest_ms,
        tardy_ms;    /* when the oldest message was made; by how much a job that is due is late */
    unsigned away;   /* partitions that did not answer */
    bool is_partial; /* there are more queues than it looked at */
    struct overview_queue top[OVERVIEW_QUEUES];
    size_t top_count;
};

struct overview {
    struct store *store;
    const struct node *node; /* NULL: it has left */
    const struct rules *rules;
    struct pulses pulses;
    struct overview_sum last, next;
    uint64_t last_ms, took_ms,
        seen_ms; /* clock_ms(): end of the last round, 0: none yet; its span; when somebody looked */
    uint64_t began_ms, rest_until_ms;
    uint64_t seen_count; /* queues of this round */
    unsigned place, asking;
    bool is_under_way;
    struct buf text;
    uint64_t text_ms;
};
void overview_init(struct overview *o, struct store *store);
void overview_done(struct overview *o);                  /* after the store is closed */
void overview_work(struct overview *o, uint64_t now_ms); /* to be called often */
void overview_view(struct overview *o, const struct node_view *view, uint64_t now_ms);
/* The JSON; somebody looks. Valid until the next call. */
struct span overview_text(struct overview *o, uint64_t now_ms);

/* Pure: what a page of a partition adds. */
void overview_add(struct overview_sum *sum, const struct queue_page *page, const struct rules *rules);
void overview_sum_done(struct overview_sum *sum);
/* Pure, but for the clocks it is given: overview_json.c. */
struct overview_moment {
    const struct overview *overview;
    const struct node_view *view;
    const char *name, *version, *trouble; /* ours; what is wrong with the store, "" */
    unsigned memory_percent;
    uint64_t now_ms, redis_ms; /* clock_ms(), and Redis' */
};
struct json *overview_json(const struct overview_moment *m);
