/*
 * Does: knows which queues have work and which couriers may work them: rings, due queues and reports in, grants out.
 * Does not: look for work (look.h), send frames (grant.h), touch mail.
 * Owns: one struct work per such queue, at most `most`; what finds no room stays in Redis, where `due` finds it again.
 * Fails: never. Time is an argument, so that tests can let it pass.
 * See: DESIGN.md section 5; share.h keeps limits, pace.h learns what a destination bears, README.md tells the rules.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "cluster/queue.h"
#include "dispatcher/couriers.h"
#include "dispatcher/limits.h"
#include "dispatcher/pace.h"
#include "dispatcher/partition.h"
#include "dispatcher/share.h"
#include "dispatcher/site.h"

enum {
    WORK_SILENT_MS = 1500, /* no report for so long: granted again, the frame may have been lost */
    WORK_WAIT_MS = 100,    /* what could not be granted is looked at again */
    WORK_RENEW_MS = 400,   /* a report of work under way is answered, but not more often */
    WORK_KEEP_MS = 900,    /* the same when the queue is empty and only claimed jobs are left */
    WORK_STAY_MS = 5000,   /* a queue does not move to another courier before */
    WORK_BUSY_MS = 2000,   /* all its couriers are busy for so long: one more */
    WORK_GOOD_MS = 60000,  /* what was learnt of a destination that works is kept so long after */
    WORK_RESUME_MS = 1000, /* the resumption of a paused queue is asked for, but not more often */
    LEFT_OUT_MS =
        300000,     /* a courier that cannot reach a destination that others reach gets its queue no more */
    TURN_MS = 1000, /* while others wait for room: a queue's turn, in time */
    TURN_MESSAGES = 100, /* and in messages */
    SQUEEZE_MS = 250,    /* turns are looked at so often */
};

/* A courier that works a queue, or may still be using what it was granted. */
struct holder {
    struct share share; /* link: in work.shares */
    struct list out;    /* its grant is to be sent */
    struct work *work;
    struct courier *courier;
    uint64_t token;      /* of the lease under which we granted it; 0: we did not */
    uint64_t granted_ms; /* when we last granted it; 0: never */
    uint64_t answers_ms; /* its clock in the hello which that answered */
    uint64_t since_ms;   /* the courier has it since */
    uint64_t epoch;      /* of the couriers when it was chosen */
    uint32_t counted;    /* its connections in the sums */
    uint32_t used;       /* as last reported */
    bool is_empty;       /* as last reported */
};

struct work {
    struct list link;   /* ready, waiting or held */
    struct list shares; /* holders */
    struct site *site;  /* where its mail goes, when that has limits; NULL: not known, or none */
    struct list site_link;
    struct bucket bucket;
    struct pace pace;
    uint64_t look_ms;   /* waiting, held: when to look at it again */
    uint64_t proven_ms; /* its destination last took something; 0: on trial */
    uint64_t paused_ms; /* rests until, as far as we know */
    uint64_t resume_ms; /* its resumption is not asked for again before */
    uint64_t busy_ms;   /* since when all its couriers have more than they can do; 0: not */
    uint64_t unable_ms; /* since when nobody can bind its pool; 0: somebody can */
    uint64_t left_out;  /* the courier that cannot reach its destination; 0: none */
    uint64_t left_out_until_ms;
    uint64_t turn_ms;  /* its turn began */
    int64_t turn_left; /* messages; below 0: taken from the next turn */
    uint32_t squeezed; /* while others wait for room: no more connections than that; 0: no such limit */
    uint32_t spread;   /* over so many couriers */
    uint32_t serial;   /* of the last grant */
    unsigned partition;
    bool is_fanout;
    bool is_suspect;   /* its destination was dead, and has not been seen to work since */
    bool wants;        /* there may be work that nobody has found to be gone */
    bool is_rung;      /* a ring came after the last grant */
    bool is_suspended; /* by a rule: granted to nobody */
    uint64_t redirect; /* number of the rule that sends its mail another way; 0: none */
    size_t key_len;
    char key[]; /* partition, then the queue's name */
};

struct rules;
struct schedule {
    struct partitions *partitions;
    struct couriers *couriers;
    const struct limits *limits;
    size_t most;
    uint32_t start;          /* connections a queue begins with */
    uint64_t pause_first_ms; /* as the owner pauses, about */
    uint64_t pool_wait_ms;   /* a queue waits so long for a courier that can bind its pool */
    void (*on_pause)(void *owner, unsigned partition, struct span queue, struct span error);
    void (*on_resume)(void *owner, unsigned partition, struct span queue);
    void *owner;
    struct sites sites;
    struct map works;
    struct list ready, waiting, held;
    size_t wanting, granted;   /* gauges: works that want, holders we granted something */
    uint64_t connections;      /* granted to them */
    uint64_t short_ms;         /* somebody waited for room, last */
    uint64_t squeeze_ms;       /* turns are looked at next */
    uint32_t serial;           /* the highest of a work that was forgotten */
    bool has_output;           /* some courier's outgoing list is not empty */
    const struct rules *rules; /* of the operator; borrowed until the next schedule_obey(); NULL: none */
    bool awaits_rules;         /* they are not known yet: nothing is granted */
    bool suspends;             /* some rule suspends queues */
    struct overshoot {
        uint32_t queue, site; /* connections beyond a limit, at the worst since it was last told */
        uint64_t tell_ms;
    } overshoot;
};

void schedule_init(struct schedule *s, struct partitions *partitions, struct couriers *couriers);
void schedule_done(struct schedule *s);
struct span work_queue(const struct work *w);

/* There is new work in this queue. */
void schedule_ring(struct schedule *s, unsigned partition, struct span queue, uint64_t now_ms);
/* Redis says that this queue has work that nobody may have claimed, and is not paused. */
void schedule_due(struct schedule *s, unsigned partition, const struct queue_due *due, uint64_t now_ms);
void schedule_report(struct schedule *s, struct courier *from, const struct report *r, uint64_t now_ms);
/* Grants what can be granted. */
void schedule_run(struct schedule *s, uint64_t now_ms);
/* Looks at what waits, was not reported or is over; to be called every some 25 ms. */
void schedule_check(struct schedule *s, uint64_t now_ms);
/* The settings have changed: a paused queue whose mail goes another way now is tried at once. */
void schedule_rethink(struct schedule *s, bool (*is_other)(const void *context, struct span queue),
                      const void *context, uint64_t now_ms);
/*
 * The rules in force are these; NULL: none. What is suspended by them is taken back at once, what is no more is worked again. True: there may be
 * such queues that are not in the table.
 */
bool schedule_obey(struct schedule *s, const struct rules *rules, uint64_t now_ms);
void schedule_courier_gone(struct schedule *s, const struct courier *gone, uint64_t now_ms);
