/*
 * Does: xtext, in which SMTP parameters carry any text (RFC 3461 section 4): "+" and two capital hex digits stand for a byte.
 * Does not: let a control byte through, plain or encoded (BEHAVIOURS K14, D10): what is decoded is one line of text, and never structure.
 * Owns: nothing.
 * Fails: -EINVAL: not xtext, or a byte that must not be there; the output is as it was.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

/* allows_utf8: UTF-8 may stand in it, plain or encoded (RFC 6533 section 3); what is decoded is well-formed. Else printable ASCII only. */
int xtext_decode(struct span xtext, bool allows_utf8, struct buf *out);
void xtext_encode(struct span text, struct buf *out);
