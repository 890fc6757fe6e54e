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

struct survey {
    uint64_t now_ms; /* Redis' clock */
    uint64_t waiting, due, claimed, held;
    unsigned leased;             /* partitions with an owner */
    struct survey_queue *queues; /* those with waiting jobs, and paused ones */
    size_t queue_count, queue_room;
    struct id oldest; /* of all, claimed and held too */
    bool has_oldest;
};

int survey_take(struct ask *k, struct survey *ret_survey);
void survey_done(struct survey *s);
/* How old a message is by Redis' clock; 0 when its id is of the future. */
uint64_t survey_age_ms(const struct survey *s, const struct id *id);
