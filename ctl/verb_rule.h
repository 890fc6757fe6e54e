/*
 * Does: what the verbs of rules share: ending one, telling of one, and undoing what one did to jobs.
 * Does not: read or write rules (rulebook.h).
 * Owns: nothing.
 * Fails: exit status, said.
 */
#pragma once

#include "cluster/rule.h"
#include "ctl/ask.h"
#include "io/json.h"

/* Of rules that were given, would be given or ended: their words and what is said of each, or one JSON object at the end. */
struct telling {
    bool is_json, is_dry;
    struct json *rules;
};
void telling_begin(struct telling *t, const struct arguments *a);
void rule_tell(struct telling *t, const struct rule *r, uint64_t now_ms, const char *said);
void telling_end(struct telling *t, int status); /* nothing more is told after a failure */
/* A queue or a pattern of them, in lower case. EXIT_OK, or EXIT_BAD_USAGE and said. */
int rule_pattern_check(const char *pattern);
/* Asks unless --yes, and ends it; consent was checked (order_check_consent()). */
int rule_end(const struct arguments *a, struct telling *t, struct ask *k, const struct rule *r,
             uint64_t now_ms);
/* The whole of `undo` for a rule that moved jobs (hold, retry, release, bounce): they are put back, and it is marked. */
int rule_undo_jobs(const struct arguments *a, const struct rule *rule);
