/*
 * Does: content in the store, in chunks of at most SPOOL_CHUNK bytes that no script touches: written while it arrives, read while it leaves.
 *       A chunk may be packed; each is by itself, so that any can be read alone.
 * Does not: make content permanent (commit and settle do).
 * Owns: chunks on their way.
 * Fails: SPOOL_UNKNOWN: not confirmed in time; SPOOL_FULL: refused for memory; SPOOL_MISSING: a chunk is not there; SPOOL_DAMAGED: it
 *        cannot be unpacked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cluster/keys.h"
#include "cluster/store.h"
#include "io/zstd.h"
#include "mail/envelope.h"

enum { SPOOL_CHUNK = 262000, SPOOL_STORED_MAX = SPOOL_CHUNK + ZSTD_OVERHEAD, SPOOL_TTL_S = 600 };
enum spool_result { SPOOL_OK, SPOOL_FULL, SPOOL_MISSING, SPOOL_DAMAGED, SPOOL_UNKNOWN };

typedef void spool_on_written(void *context, enum spool_result result);
/* SET NX EX; bytes are copied. A repeat is harmless. By courier (plain refused for memory): again through the script chunk. */
void spool_write(struct store *s, unsigned partition, const char *job, uint32_t index, struct span bytes,
                 bool by_courier, uint64_t time_ms, spool_on_written *on_written, void *context);
/* EXPIRE XX of chunks 0 to count - 1: while a slow client still sends. */
void spool_refresh(struct store *s, unsigned partition, const char *job, uint32_t count,
                   spool_on_written *on_written, void *context);
/* Forgets what a client did not finish; not confirmed, TTL does the rest. */
void spool_discard(struct store *s, unsigned partition, const char *job, uint32_t count);

/* A chunk as it is stored when its message's coding is zstd. */
void spool_pack(struct store *s, struct span plain, struct buf *out);

/* bytes: valid during the call; empty unless SPOOL_OK. */
typedef void spool_on_read(void *context, enum spool_result result, struct span bytes);
/*
 * A chunk of the envelope's content as it will be sent. Repeated until answered, for so long; UINT64_MAX: without end (SPOOL_UNKNOWN only when
 * the store is closed). e is not needed any more when the call returns. No more than SPOOL_CHUNK bytes are ever unpacked.
 */
void spool_read(struct store *s, const struct envelope *e, uint32_t index, uint64_t time_ms,
                spool_on_read *on_read, void *context);
/* The same as it is stored, without end: to copy it. */
void spool_read_stored(struct store *s, const struct envelope *e, uint32_t index, spool_on_read *on_read,
                       void *context);
