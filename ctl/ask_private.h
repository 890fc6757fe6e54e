/*
 * Does: what ask.c (questions) and ask_open.c (its life) share. Included by these only.
 */
#pragma once

#include "ctl/ask.h"

struct ask {
    struct loop *loop;
    struct shards *shards;
    char *place;         /* for texts */
    struct buf commands; /* of the next question */
    unsigned command_count;
    size_t open;
    bool is_failed;
    bool is_partly; /* goes on without shards that are away */
    uint64_t opened_ms;
    char *error;
    char *refusal; /* why a connection failed that we tried last, or NULL */
    struct timer pause, end;
};

void ask_fail(struct ask *k, char *error); /* takes the sentence; all that is asked ends */
/* shard NULL: whose it is is not known. */
void ask_fail_unanswered(struct ask *k, const struct shard *shard);
