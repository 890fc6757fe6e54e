/*
 * Does: what the files of queue.h share: a call with its owner, arguments, answers by word.
 * Does not: concern anybody else: queue.h is the contract.
 * Owns: a call, from queue_call_new() to queue_call_free().
 * Fails: an answer that no script of ours gives is a bug.
 */
#pragma once

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/queue.h"

struct queue_call {
    struct store_call call;
    unsigned partition;
    void *context;
    union {
        queue_on_commit *commit;
        queue_on_delete *remove;
        queue_on_claim *claim;
        queue_on_settle *settle;
        queue_on_act *act;
        queue_on_lease *lease;
        queue_on_due *due;
        queue_on_reap *reap;
        queue_on_compare *compare;
    } on;
};

/* size: of the struct that begins with a queue_call. time_ms UINT64_MAX: without end. */
void *queue_call_new(size_t size, unsigned partition, uint64_t time_ms, void *context,
                     void (*on_done)(struct store_call *c, enum store_result result,
                                     const struct redis_value *values));
void queue_call_free(struct queue_call *q);
struct queue_call *queue_call_of(struct store_call *c);

/* Arguments: a key of the call's partition with or without a name in it, the partition's tag. */
void queue_key(struct queue_call *q, enum key key);
void queue_key_of(struct queue_call *q, enum key key, struct span subject);
void queue_tag(struct queue_call *q);
void queue_flag(struct queue_call *q, bool flag); /* 1 or 0 */
/* The detail of an event, NULL for none: its addresses as log.redact shows them. */
void queue_detail(struct queue_call *q, const char *detail);

/* Jobs put aside by a script, from its lines "j <job> x <why>"; valid as long as the value. Returns how many; room for `most`. */
size_t queue_held_lines(const struct redis_value *lines, struct queue_put_aside *ret_held, size_t most);

/* The place of the reply among the words. */
unsigned queue_answer(const struct redis_value *value, const char *const *words, unsigned count);
