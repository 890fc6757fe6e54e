/*
 * Does: where a parcel goes: a file, or a program that imports it at the other end of a pipe and answers what it confirmed.
 * Does not: know what is in it.
 * Owns: file or program, until outlet_close().
 * Fails: EXIT_ASKED_FAILED and said: what was put since the last outlet_sync() may or may not be there.
 */
#pragma once

#include "cluster/parcel.h"
#include "ctl/verb.h"

struct outlet;
/* A new file ("-": standard output, which is never durable). */
int outlet_open_file(const char *name, struct outlet **ret_outlet);
/* `program` (NULL: this one) with "store import", which reads settings (NULL: none) and, if given, works with the store at address. */
int outlet_open_program(const char *program, const char *settings, const char *address,
                        struct outlet **ret_outlet);
int outlet_put(struct outlet *o, const struct parcel_entry *e);
/* All that was put is durable. *ret_letters: answers of the jobs since the last sync (ctl/intake.h), valid until the next; a file has none. */
int outlet_sync(struct outlet *o, struct span *ret_letters);
bool outlet_answers(const struct outlet *o);   /* it is a program: each sync has letters */
int outlet_end(struct outlet *o);              /* the last entry, and all of it durable */
struct outlet *outlet_close(struct outlet *o); /* always NULL */
uint64_t outlet_bytes(const struct outlet *o); /* written so far */
