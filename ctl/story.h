/*
 * Does: gathers what the cluster knows of one message: the events of all its jobs in order, its envelope, and where its jobs are now.
 * Does not: print (verb_trace.c).
 * Owns: all of it, until story_done().
 * Fails: story_read() with EXIT_ASKED_FAILED and said; a message nobody knows has no events and no jobs.
 */
#pragma once

#include "base/id.h"
#include "ctl/ask.h"
#include "ctl/record.h"

struct story_event {
    uint64_t ms, seq; /* of the stream entry: Redis' clock */
    unsigned partition;
    uint32_t job; /* index */
    char *event, *detail;
};

struct story_job {
    uint32_t index;
    unsigned partition;
    enum place place;
    struct record record; /* nothing in it when it is gone */
    uint64_t score;       /* waiting: due ms; claimed: incarnation of its courier; held: since ms */
};

struct story {
    struct ask *ask;
    struct id id;
    char text[ID_TEXT_LEN + 1];
    uint64_t now_ms, accepted_ms; /* Redis' clock; accepted_ms: of the first event, else the id's time */
    struct story_event *events;   /* in order */
    size_t event_count, event_room;
    struct story_job *jobs; /* by index */
    size_t job_count, job_room;
    bool is_many; /* has jobs in several queues */
    size_t pages; /* of events, read */
};

int story_read(struct ask *k, const struct id *id, struct story *ret_story);
void story_done(struct story *s);
/* Every recipient is settled, or its job is held: nothing more happens by itself. */
bool story_is_over(const struct story *s);
int story_say_unknown(
    const struct story *s); /* EXIT_ASKED_FAILED, or EXIT_PARTLY: a part of the store is away */
bool story_is_known(const struct story *s);
/* A held job without a record has no other trace once its history is forgotten: looks for it in all partitions. */
int story_find_held(struct story *s, uint32_t index);
/* The whole message's: of job 0. NULL: that is gone, or cannot be read. */
const struct envelope *story_envelope(const struct story *s);
/* All expanded; it stays while its jobs read its content. */
bool is_waiting_parent(const struct story_job *job);
/* A message's id, or a job's: then *ret_job is its index, else ANY_JOB. False: neither. */
enum { ANY_JOB = -1 };
bool subject_parse(const char *text, struct id *ret_id, int64_t *ret_job);
/* Says that it is neither; returns EXIT_BAD_USAGE. */
int subject_say_unknown(const char *text);
