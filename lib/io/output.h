/*
 * Does: bytes queued for a socket: one growing buffer, and whole buffers taken over before it; sent together.
 * Does not: wait; stream.c decides when.
 * Owns: the bytes. Empty, it holds no memory.
 * Fails: output_send() with -errno, -EAGAIN when the kernel is full.
 */
#pragma once

#include "base/buf.h"
#include "base/list.h"

struct output {
    struct buf tail; /* what callers format into; goes last */
    struct list pieces;
    size_t piece_bytes;
};

void output_init(struct output *o);
void output_done(struct output *o); /* drops what is queued; usable again */
/* Takes over large buffers, copies small ones; b is empty after. */
void output_take(struct output *o, struct buf *b);
size_t output_unsent(const struct output *o);
int output_send(struct output *o, int fd);
/* For who sends it otherwise: the first of what is queued, all in one place, and that so much of it was taken. */
struct span output_front(const struct output *o);
void output_sent(struct output *o, size_t n);
