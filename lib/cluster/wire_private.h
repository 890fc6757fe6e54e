/*
 * Does: what the wire*.c files share: a bump arena for protobuf-c, small checks and conversions.
 * Does not: serve anybody else; only wire*.c include it and the generated headers.
 * Owns: an arena owns its blocks until arena_done().
 * Fails: arena_take() gives NULL when a hostile message would need more than its budget; bytes_*() say false.
 * Calls: protobuf-c.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct arena_block;
struct arena {
    ProtobufCAllocator allocator; /* what protobuf-c is given: it frees nothing, arena_done() does */
    struct arena_block *blocks;
    char *at;
    size_t left;
    size_t budget;
    _Alignas(16) char first[2048]; /* most messages need no block */
};
/* budget: bytes in blocks, at most. */
void arena_init(struct arena *a, size_t budget);
void *arena_take(struct arena *a, size_t size_bytes); /* not zeroed; NULL: above the budget */
/* Array of count members for a message of our own making: never NULL. */
void *arena_array(struct arena *a, size_t count, size_t member_bytes);
void arena_done(struct arena *a);

/* What unpacking len bytes may cost: protobuf-c's bookkeeping is at most some 60 bytes for each byte of input. */
size_t arena_budget(size_t len);
/* Appends the message's bytes: where all messages are written. */
void wire_pack(const ProtobufCMessage *message, struct buf *out);
/* A message of `in`, in the arena; NULL: not one. */
void *wire_unpack(struct arena *a, const ProtobufCMessageDescriptor *descriptor, struct span in);

/* Borrowed; NULL is empty. */
ProtobufCBinaryData bytes_of(const char *text);
ProtobufCBinaryData bytes_of_span(struct span s);
ProtobufCBinaryData bytes_of_start(const char *text, size_t max_len);  /* words for people, cut */
bool bytes_fit(ProtobufCBinaryData b, size_t min_len, size_t max_len); /* and hold no NUL */
bool bytes_are_line(ProtobufCBinaryData b);                            /* no CR or LF: what is said in SMTP */
bool bytes_are_queue(ProtobufCBinaryData b); /* a queue's name: printable, no space */
char *bytes_text(ProtobufCBinaryData b);     /* a copy, the caller's */
struct span bytes_span(ProtobufCBinaryData b);

/* ---- records ---- */
enum { RECORD_MAX_BYTES = 64 << 20 };
void record_put(const ProtobufCMessage *message, struct buf *out);
/* -EBADMSG, -EPROTONOSUPPORT as wire.h. The arena is begun here and the caller's to end, also on failure. */
int record_get(struct span in, const ProtobufCMessageDescriptor *descriptor, struct arena *a,
               void **ret_message);
/* The same of a kind of record that has more than one version. */
void record_put_as(uint8_t version, const ProtobufCMessage *message, struct buf *out);
int record_get_to(uint8_t newest, struct span in, const ProtobufCMessageDescriptor *descriptor,
                  struct arena *a, void **ret_message);

/* Optional numbers: 0 is not written. */
#define WIRE_PUT(message, field, value) ((message)->has_##field = ((message)->field = (value)) != 0)

/* Numbers above are nobody's: incarnations and tokens are exact in Lua, times are milliseconds. */
#define WIRE_EXACT_MAX ((UINT64_C(1) << 53) - 1)
#define WIRE_TIME_MAX ((UINT64_C(1) << 48) - 1)
