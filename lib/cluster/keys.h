/*
 * Does: names of everything in Redis: partitions, hash tags, keys (keys.def).
 * Does not: reach the store.
 * Owns: nothing. Fails: never.
 * See: DESIGN.md section 4, PROTOCOL.md "Keys of a partition".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "mail/addr.h"

enum { SLOT_COUNT = 16384 }; /* of a Redis Cluster */
#ifndef LAYOUT
#define LAYOUT 256 /* another one only to test moves between layouts: make LAYOUT=64 */
#endif
enum {
    PARTITION_COUNT = LAYOUT,
    SCHEMA_VERSION = 1,
    LANE_MAX = 63,
    QUEUE_TEXT_MAX = DOMAIN_MAX + 1 + LANE_MAX
};
#define QUEUE_FANOUT "#fanout"
#define HASH_NAME "xxh3-64"
#define KEY_META "barid:{c}:meta"
#define KEY_NODES "barid:{c}:nodes"
#define KEY_RULES "barid:{c}:rules"   /* hash: the operator's rules (cluster/rule.h) */
#define KEY_ORDERS "barid:{c}:orders" /* hash: what the operator orders nodes to do (cluster/orders.h) */
#define KEY_PROBE "probe:{c}:store"   /* as KEY(PROBE) and KEY(NEVER) of a partition */
#define KEY_NEVER "never:{c}"
#define KEY_SECRET \
    "barid:{c}:secret" /* 32 random bytes, written once: what unknown users look like (ingress/auth.h) */
#define KEY_TICKET \
    "barid:{c}:ticket:%llu" /* 32 random bytes: what the session tickets of an epoch are made with (cluster/ticket.h) */
#define KEY_STS "barid:{c}:sts:" /* and a domain: its MTA-STS policy, until it ends (cluster/sts_record.h) */
#define KEY_STS_FETCH \
    "barid:{c}:sts-fetch:" /* and a domain: who fetches its policy now, or why that failed a moment ago (courier/sts_store.c) */
#define KEY_TLSRPT_DUE \
    "barid:{c}:tlsrpt:due" /* zset: TLS reports, "<day> <domain>", by when they are due, ms (cluster/tlsrpt_store.h) */
#define KEY_TLSRPT_OF "barid:{c}:tlsrpt:of:"         /* and one of these: hash: what was counted for it */
#define KEY_TLSRPT_LAST "barid:{c}:tlsrpt:last:%llu" /* the last counts of a courier's life that were added */
#define KEY_DIALOG \
    "barid:{c}:dialog" /* stream: what sessions say that an operator watches; gone soon after (cluster/transcript.h) */
#define KEY_CHANGED "barid:{c}:changed" /* hash: version of each table by its name */

/* The shortest hex counter whose CRC16 slot falls in [64 p, 64 p + 63]. Thread-safe. */
const char *partition_tag(unsigned partition);
/* The slot that a key is in: that of its hash tag, the part in the first braces, or of the whole. */
unsigned key_slot(struct span key);
unsigned partition_slot(unsigned partition);
unsigned common_slot(void); /* of the keys barid:{c}:... */
/* By the domain part of a queue (before '/'); hash(domain) mod 256. Not for "#fanout", which every partition has. */
unsigned partition_of(struct span queue);

/* 1 to QUEUE_TEXT_MAX bytes, none of them a control byte or a space: what every node takes for a queue's name, whoever wrote it. */
bool queue_is_name(struct span queue);

enum key {
#define KEY(name, format, help) KEY_OF_##name,
#include "cluster/keys.def"
#undef KEY
    KEY_COUNT
};
/* Appends the key as a RESP argument. subject: job or queue name where the row has one, else empty; index: of a chunk. */
void key_arg(struct buf *command, enum key key, unsigned partition, struct span subject, uint32_t index);
void key_format(struct buf *out, enum key key, unsigned partition, struct span subject, uint32_t index);
