/*
 * Does: content as it goes over the wire: dots at line starts doubled (RFC 5321 section 4.5.2), every line end CRLF, the last one added if it lacks.
 * Does not: write the final dot.
 * Owns: nothing. Bare CR and LF, which ingress refuses, would leave as CRLF: no second message can hide behind one (BEHAVIOURS B30, H12).
 * Fails: never.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

struct dot_stuffing {
    bool at_line_start;
    bool after_cr; /* a CR was seen and is not written yet */
};

void dot_stuffing_begin(struct dot_stuffing *d);
void dot_stuffing_add(struct dot_stuffing *d, struct span content, struct buf *out);
void dot_stuffing_end(struct dot_stuffing *d, struct buf *out);
