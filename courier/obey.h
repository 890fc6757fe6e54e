/*
 * Does: has this courier obey the operator's rules: queues that rest, jobs put aside, returned or dropped as they are claimed, ways that differ.
 * Does not: read rules (lib/cluster/rule_watch.h), nor grant or limit: dispatchers do (dispatcher/obey.h).
 * Owns: nothing; rules are the watch's until it tells of the next.
 * Fails: never. Where there are no rules, each of these costs the caller one comparison: courier.rules is NULL.
 */
#pragma once

#include "courier/job.h"
#include "courier/work.h"

/* What standing rules do to jobs: words of METRIC_RULED_TOTAL. */
enum { OBEY_WORD_COUNT = 3 };
extern const char *const obey_words[OBEY_WORD_COUNT];

/* The rules in force are these now. */
void obey_begin(struct courier *c, const struct rules *rules);
/* What they say of a work, before anything follows. */
void obey_judge(struct work *w);
/* True: the job is settled: held, returned, or dropped, by the first standing rule that fits it. It needs no content for that. */
bool obey_take(struct job *j);
/* The same for a many-queue message of which nothing has gone yet, when the rule fits all its recipients; its jobs are met one by one otherwise. */
bool obey_take_parent(struct job *j);
/* Number of the rule that sends this job another way than the rest of its queue, so that it travels apart (lane.h); 0: none does. */
uint64_t obey_apart(const struct job *j);
/* Does a rule limit the site of this host? */
bool obey_limits_site(const struct courier *c, const char *host);
