/*
 * Does: prints what the client asked for with a message, and who it was: for msg show, trace, why.
 * Does not: read it from the store (record.h).
 * Owns: nothing.
 * Fails: never; of a message without wishes nothing is printed.
 */
#pragma once

#include "base/buf.h"
#include "io/json.h"
#include "mail/envelope.h"

/* "; by user alice of tenant acme; asks for REQUIRETLS, ENVID=x": each led by "; ". */
void add_wishes(struct buf *out, const struct envelope *e);
void add_recipient_wishes(struct buf *out, const struct recipient *r); /* " (NOTIFY=NEVER)" */
/* "held until 2026-... as its sender asked", while that lies ahead; false: it does not. */
bool add_release(struct buf *out, const struct envelope *e, uint64_t now_ms);
void put_wishes(struct json *json, const struct envelope *e);
void put_recipient_wishes(struct json *json, const struct recipient *r);
