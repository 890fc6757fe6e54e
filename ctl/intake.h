/*
 * Does: puts the entries of a parcel into the store: content, jobs in their places, pauses, tables; many at once, each confirmed. What is
 *       there already is left as it is.
 * Does not: read files (verb_store_import.c), or overrun a full store: what it makes is refused as mail of clients is.
 * Owns: the store's connections, what is under way.
 * Fails: intake_take() and intake_wait() with EXIT_ASKED_FAILED and said: the store is full, or does not answer. What was confirmed stays,
 *        and a repeat finds it there.
 */
#pragma once

#include "cluster/parcel.h"
#include "ctl/ask.h"
#include "io/json.h"

enum arrival_answer {
#define ARRIVAL(NAME, letter, name, sentence) ARRIVED_##NAME,
#include "ctl/arrival.def"
#undef ARRIVAL
    ARRIVAL_ANSWERS
};
char arrival_letter(enum arrival_answer answer);
bool arrival_is_there(char letter); /* and will be: the source may forget it */

struct intake_counts {
    uint64_t jobs[ARRIVAL_ANSWERS];
    uint64_t chunks, bytes;
    uint64_t rows_set, rows_other; /* other: another value is there, and stays */
    uint64_t pauses, unknown;      /* unknown: entries of kinds that a newer version knows */
};

struct intake;
/* replaces_rows: of tables, also where another value is there. */
int intake_open(struct ask *k, bool replaces_rows, struct intake **ret_intake);
struct intake *intake_close(struct intake *in); /* always NULL; nothing may be under way */
int intake_take(struct intake *in, const struct parcel_entry *e);
int intake_wait(struct intake *in); /* until all is answered */
/* Letters of the jobs since the last call, in their order; valid until the next intake_take(). After intake_wait() only. */
struct span intake_answers(struct intake *in);
const struct intake_counts *intake_counts(const struct intake *in);
