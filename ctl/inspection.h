/*
 * Does: looks at every server behind the queue: each primary, each replica that it names, each Sentinel; and tells what should be otherwise.
 * Does not: change anything.
 * Owns: what it found, until inspection_done().
 * Fails: never by itself: a server that does not answer is a finding.
 * See: cluster/audit.h, which judges each primary and replica.
 */
#pragma once

#include "cluster/audit.h"
#include "ctl/ask.h"

struct finding {
    enum audit level; /* ADVICE, WEAK, UNSAFE, UNFIT or BUSY */
    char *text;       /* goes on after "Redis at A", or stands for itself where it is about all of them */
    const char *why;
};
struct findings {
    struct finding *all;
    size_t count, room;
    enum audit worst;
};

struct server {
    char *address, *role; /* primary, replica, sentinel */
    char *primary;        /* of a replica: its address; else NULL */
    bool has_answered;
    char *version; /* "" */
    struct audit_memory memory;
    int64_t clock_ms;             /* ahead of this machine's clock */
    unsigned replicas;            /* of a primary, online */
    uint64_t behind_bytes, lag_s; /* of a replica */
    struct findings findings;
};

struct inspection {
    struct server **servers;
    size_t count, room;
    struct findings findings; /* about all of them together */
    enum audit worst;         /* of all */
};

/* An exit status: EXIT_OK also when there is much to find. */
int inspect(struct ask *k, struct inspection *ret_inspection);
void inspection_done(struct inspection *n);
/* "good", "advice", "weak", "unsafe", "unfit", "busy". */
const char *audit_word(enum audit level);
