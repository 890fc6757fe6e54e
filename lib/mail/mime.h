/*
 * Does: UTF-8 text where mail wants ASCII: encoded words (RFC 2047) and quoted-printable (RFC 2045 section 6.7).
 * Does not: read them.
 * Owns: nothing; adds to the caller's buffer.
 * Fails: never; bytes that are no well-formed character come out as '?'.
 */
#pragma once

#include <stdbool.h>

#include "mail/fold.h"

/* Text of a header field: its words as they are, or as encoded words when one is not ASCII. */
void mime_add_words(struct fold *f, struct span text);
/* May it stand in a part as it is: ASCII in lines of at most 998 bytes? */
bool mime_is_plain(struct span text);
/* Lines of text, which end with CRLF, as quoted-printable. */
void mime_add_quoted(struct span text, struct buf *out);
