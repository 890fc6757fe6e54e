/*
 * Does: what settle.c (decides) and settler.c (writes) share: one settle of one job.
 * Does not: concern anybody else.
 * Owns: an entry is the settler's from entry_send() until its answer.
 * Fails: never; see settle.h.
 */
#pragma once

#include "courier/dsn_job.h"
#include "courier/notice.h"
#include "courier/settle.h"

enum { DETAIL_MAX = 1000 };

struct entry {
    struct list link;
    struct job *job; /* NULL: a stray */
    unsigned partition;
    char *queue;
    char *name, *token; /* text from the store, of any length */
    char next[48];
    enum outcome outcome;
    uint64_t delay_ms;
    struct buf state, detail;
    bool is_exact, has_dsn, is_moved;
    uint32_t chunk_count;
    const char *event;
    /* of an attempt */
    size_t delivered, deferred, failed;
    struct notice notice;
    char *dsn_to; /* who is told */
    notice_on_made *on_made;
    struct dsn_job dsn;
    void (*on_noted)(struct job *j);
};

/* For a job that is in no list; its claim, queue and chunks are taken over. */
struct entry *entry_new(struct job *j, enum outcome outcome, const char *event);
/* With the others of its partition, at the end of the round. */
void entry_send(struct courier *c, struct entry *e);
/* What a recipient's last verdict comes to. */
void entry_judge(struct entry *e, size_t recipient);
/* A deferral past the last moment is a failure: which of our rows says so, or STATUS_COUNT. */
enum status settle_end_of_patience(const struct job *j, size_t recipient, const struct verdict *last);
/* By whose schedule. */
const char *settle_queue(const struct job *j, size_t recipient);
