/*
 * Does: the parts of a delivery status notification, for dsn.c.
 * Does not: build the message around them.
 * Owns: nothing; adds to the caller's buffer.
 * Fails: never.
 */
#pragma once

#include "mail/dsn.h"

/* How much is told about each recipient; from the first level to the last, until all of them fit. */
enum dsn_detail { DSN_FULL, DSN_SHORT, DSN_TERSE, DSN_NAMES, DSN_DETAIL_COUNT };

/* May addresses be written as they are (RFC 6533)? Only to a sender whose own address needs that. */
bool dsn_is_global(const struct dsn *d);
/* Who it is for. */
const char *dsn_to(const struct dsn *d);
/* What its Subject says, and the template's fields but for the recipients: of those that are listed. */
void dsn_add_subject(const struct dsn *d, struct span message_id, struct buf *out);
/*
 * The part for people, RFC 6522 section 3: listed recipients are in the report, left_out are not. UTF-8; where an action has a template, that
 * says what is to be said of its recipients, and where the first one has, nothing of ours stands around it.
 */
void dsn_add_words(const struct dsn *d, enum dsn_detail detail, size_t listed, size_t left_out,
                   struct span message_id, struct buf *out);
/* The per-message fields of message/delivery-status, RFC 3464 section 2.2. */
void dsn_add_message_fields(const struct dsn *d, struct buf *out);
/* An empty line and one recipient's fields, RFC 3464 section 2.3. */
void dsn_add_recipient_fields(const struct dsn *d, const struct dsn_recipient *r, enum dsn_detail detail,
                              struct buf *out);
/*
 * The last part with its Content fields, at most room bytes: the original whole, or what mail can carry of its header. True when
 * there are bytes above 0x7f in it.
 */
bool dsn_add_original(const struct dsn *d, size_t room, struct buf *out);
/* A host name from the settings, as it may stand in a field; cut at DOMAIN_MAX. */
void dsn_add_name(const char *name, struct buf *out);
