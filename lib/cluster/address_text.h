/*
 * Does: the text of address tables, one grammar for files, commands and Redis: a key ("user@example.com", "@example.com") and its value (what
 *       stands for it), parsed and normalised.
 * Does not: look anything up (ingress/tables.h), nor write (table.h).
 * Owns: nothing.
 * Fails: -EINVAL, -E2BIG: not of the grammar, too long; a file also with a sentence that names it and the line.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "mail/addr.h"

/* What may stand for a key. LIST: addresses, or "@domain" for a key "@domain". ONE: a single one of these. NOTHING: the key alone. */
enum address_rule { ADDRESS_LIST, ADDRESS_ONE, ADDRESS_NOTHING };
enum { ADDRESS_KEY_MAX = LOCAL_MAX + 1 + DOMAIN_MAX, ADDRESS_LINE_MAX = 16384, ADDRESS_VALUES_MAX = 1000 };
enum { ADDRESS_FILE_MAX = 64 << 20 };

/* In a table of recipients: an address that exists; a domain all of whose addresses do; one of which the others listed do. */
#define RECIPIENT_KNOWN "ok"
#define RECIPIENT_ALL "all"
#define RECIPIENT_LISTED "listed"

/*
 * Appends the local part as it is compared: without quotes it does not need. Case is kept: a key in lower case stands for every case of an
 * address, one with capitals for itself only.
 */
void address_local(struct span local, struct buf *out);
/* Appends "local@domain" or "@domain", the domain in lower-case A-labels; a literal is no key. */
int address_key(struct span text, struct buf *out);
struct span address_domain(struct span key); /* the "@domain" at the end of a key */
/* Appends what stands for a key, normalised: "a@example.com, b@example.org". Nothing is appended on failure. */
int address_value(struct span text, struct span key, enum address_rule rule, struct buf *out);
/* Cuts the next one off a value, normalised or not; false: there is none. Commas in quotes do not part. */
bool address_next(struct span *rest, struct span *ret_text);

/* Rows of a file in the order they stand there, normalised; one more of the same key is for on_row to judge: what it returns ends the reading. */
typedef const char *address_on_row(void *context, struct span key, struct span value); /* NULL: go on */
/* name: for the sentence. The pure part, under fuzz. */
int address_text_read(struct span text, const char *name, enum address_rule rule, address_on_row *on_row,
                      void *context, char **ret_error);
int address_file_read(const char *path, enum address_rule rule, address_on_row *on_row, void *context,
                      char **ret_error);
