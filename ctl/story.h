/*
 * Does: gathers what the cluster knows of one message: the events of all its jobs in order, its envelope, and where its jobs are now.
 * Does not: print (verb_trace.c).
 * Owns: all of it, until story_done().
 * Fails: story_read() with EXIT_ASKED_FAILED and said; a message nobody knows has no events and no jobs.
 */
#pragma once

#include "base/id.h"
#include "ctl/ask.h"
#include "mail/envelope.h"

struct story_event {
    uint64_t ms, seq; /* of the stream entry: Redis' clock */
    unsigned partition;
    uint32_t job; /* index */
    char *event, *detail;
};

enum story_place { PLACE_GONE, PLACE_WAITING, PLACE_CLAIMED, PLACE_HELD };
struct story_job {
    uint32_t index;
    unsigned partition;
    enum story_place place;
    char *queue;            /* "" when it is gone */
    uint64_t due_ms;        /* waiting */
    bool is_waiting_parent; /* all expanded; it stays while its jobs read its content */
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
    struct envelope envelope;
    bool has_envelope, is_many; /* many: has jobs in several queues */
    size_t pages;               /* of events, read */
};

int story_read(struct ask *k, const struct id *id, struct story *ret_story);
void story_done(struct story *s);
/* Every recipient is settled, or its job is held: nothing more happens by itself. */
bool story_is_over(const struct story *s);
bool story_is_known(const struct story *s);
