/*
 * Does: recipients as they are named to hosts and in notifications: ORCPT (RFC 3461 section 4), and the utf-8 address type (RFC 6533 section 3).
 * Does not: parse commands or fold fields.
 * Owns: nothing; adds to the caller's buffer.
 * Fails: never. What decodes to anything but printable ASCII stays encoded, bytes that are no UTF-8 become '?': no line ends where none was.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

/* Is it "type;xtext", of the utf-8 type with characters above ASCII as they are (RFC 6533)? And without type, as in ENVID? */
bool orcpt_is_sound(struct span orcpt);
bool xtext_is_sound(struct span xtext);
/* As it may be said to a host without SMTPUTF8. */
void orcpt_add_ascii(struct span orcpt, struct buf *out);
/* As a field of a report has it, decoded: "rfc822;a+b@one.test". is_ascii: without bytes above 0x7f. */
void orcpt_add_decoded(struct span orcpt, bool is_ascii, struct buf *out);
void xtext_add_decoded(struct span xtext, struct buf *out);
/* The same of an address: "rfc822;a@one.test", "utf-8;\x{E4}@one.test". */
void orcpt_add_addr(struct span addr, bool is_ascii, struct buf *out);
