/*
 * Does: a job's record as the store has it: asked for, read, and what it says of the job's last attempt.
 * Does not: find out in which place the job is (story.h, selection.h).
 * Owns: what was read, until record_done().
 * Fails: never: what is not there or cannot be read says so.
 */
#pragma once

#include "cluster/queue.h"
#include "ctl/ask.h"
#include "io/json.h"
#include "mail/envelope.h"

enum place { PLACE_GONE, PLACE_WAITING, PLACE_CLAIMED, PLACE_HELD };
const char *place_name(enum place place);

struct record {
    bool is_there;    /* with a queue in it */
    bool is_readable; /* envelope and state */
    bool is_newer;    /* written by a newer version: only its couriers read it */
    char *queue;      /* "" when there is none */
    struct envelope envelope;
    struct job_state state;
    enum fate fate; /* what the operator asked for meanwhile */
    uint32_t crashes, chunk_count;
    uint64_t exact_ms;
    bool keeps_content;
    char *held_because; /* of a held job; "": it does not say */
    char *
        ruled; /* which rule moved it here, and from where, as lua/prelude.lua notes it; "": none that can be undone */
};

void record_init(struct record *r); /* not there */
/* Appends one command to the next question. With texts: envelope and state too. */
void record_ask(struct ask *k, unsigned partition, struct span job, bool with_texts);
void record_read(const struct redis_value *value, struct record *ret_record);
void record_done(struct record *r);

/* Of a readable one: recipients that are not settled; the first of them (or of all); its last verdict, NULL before the first attempt. */
size_t record_open_count(const struct record *r);
size_t record_first_open(const struct record *r);
const struct verdict *record_last_error(const struct record *r);
/* "450 4.2.1 mx.example.com: try later (rate)", printable. */
void add_verdict(struct buf *out, const struct verdict *v);
/* "someone@example.com and 2 more": the open recipients. */
void add_open_recipients(struct buf *out, const struct record *r);
struct json *verdict_json(const struct verdict *v);
/* Sender, open recipients, size, age, attempts, last_error; only `readable` when it is not. */
void put_record(struct json *json, const struct record *r, uint64_t now_ms);
