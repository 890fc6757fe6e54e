/*
 * Does: looks over all partitions: queues with their depths, claimed and held jobs, leases, the oldest job.
 * Does not: stop the world: with mail moving, the figures are of slightly different moments. But "nothing waits and nothing is claimed" is
 *           only said when no event came between two looks, so that no job was missed on its way.
 * Owns: the queues, until survey_done().
 * Fails: survey_take() with EXIT_ASKED_FAILED and said.
 */
#pragma once

#include "base/id.h"
#include "cluster/keys.h"
#include "ctl/ask.h"
#include "io/json.h"

struct survey_queue {
    char *name;
    unsigned partition;
    uint64_t waiting, due; /* waiting: all in q; due: those whose time has come */
    uint64_t next_ms;      /* Redis' clock: when its first job is due; 0: none waits */
    uint64_t paused_until_ms;
    char *error;      /* why it is or was paused; "" */
    struct id oldest; /* of its jobs first and last due: with few jobs exact, else near */
    bool has_oldest;
};

struct survey_reason { /* why jobs are held */
    char *because;
    uint64_t count;
};

struct survey_partition {
    uint64_t owner, owned_until_ms; /* a dispatcher's incarnation, 0: none; until: Redis' clock */
    uint64_t queues, paused;        /* with waiting jobs; of all, paused ones */
    uint64_t waiting, due, claimed, held;
    uint64_t next_ms; /* when its first waiting job is due, 0: none waits */
};

struct survey {
    uint64_t now_ms; /* Redis' clock */
    uint64_t waiting, due, claimed, held;
    unsigned leased;             /* partitions with an owner */
    struct survey_queue *queues; /* those with waiting jobs, and paused ones */
    size_t queue_count, queue_room;
    struct id oldest; /* of all, claimed and held too */
    bool has_oldest;
    struct survey_reason *reasons; /* of some held jobs: those put aside first in each partition */
    size_t reason_count;
    uint64_t reasons_of; /* how many jobs that are */
    struct survey_partition partitions[PARTITION_COUNT];
};

int survey_take(struct ask *k, struct survey *ret_survey);
void survey_done(struct survey *s);
bool survey_is_owned(const struct survey *s, unsigned partition); /* somebody has its lease */
void survey_note_reason(struct survey *s, struct span because);
/* "3 by operator, 1 content is missing"; nothing when none is held. */
void add_reasons(struct buf *out, const struct survey *s);
void put_reasons(struct json *json, const struct survey *s); /* as held_because: [{because, jobs}] */
/* How old a message is by Redis' clock; 0 when its id is of the future. */
uint64_t survey_age_ms(const struct survey *s, const struct id *id);
