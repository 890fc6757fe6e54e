/*
 * Does: says what the operator's rules in force mean to a queue, or to a job that waits.
 * Does not: give or change rules (rulebook.h).
 * Owns: the rules it read, until ruling_done().
 * Fails: EXIT_ASKED_FAILED and said.
 */
#pragma once

#include "cluster/rule.h"
#include "ctl/ask.h"
#include "io/json.h"

struct ruling {
    struct rules rules; /* those that ended too */
    uint64_t now_ms;    /* Redis' clock */
};
int ruling_read(struct ask *k, struct ruling *ret_ruling);
void ruling_done(struct ruling *r);

const struct rule *ruling_suspends(const struct ruling *r, const char *queue); /* NULL: nothing does */
/* Append causes (health.h): why a queue rests, and which way its mail goes; what becomes of a job when a courier takes it. */
void add_ruling(struct buf *out, const struct ruling *r, const char *queue);
void add_job_ruling(struct buf *out, const struct ruling *r, const struct rule_subject *job);
/* suspended, suspended_by, redirected_to. */
void put_ruling(struct json *json, const struct ruling *r, const char *queue);
/* Of the whole cluster, for status: how many rules are in force, which of them suspend. */
void add_suspensions(struct buf *out, const struct ruling *r);
struct json *ruling_json(const struct ruling *r);
