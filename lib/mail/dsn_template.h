/*
 * Does: the operator's own words for the human part of a notification: text with a few named fields in braces.
 * Does not: read files (courier/template.h), nor encode (mime.h).
 * Owns: a parsed template, until dsn_template_free().
 * Fails: dsn_template_parse() with -EINVAL and a sentence that says line and reason; writing never.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

enum { DSN_TEMPLATE_MAX = 8192, DSN_TEMPLATE_LINE_MAX = 900, DSN_SUBJECT_MAX = 400 };

enum dsn_field {
    DSN_FIELD_RECIPIENTS, /* each with what happened: lines of their own; not for a subject */
    DSN_FIELD_COUNT,
    DSN_FIELD_HOST,
    DSN_FIELD_SENDER,
    DSN_FIELD_MESSAGE_ID,
    DSN_FIELD_NUMBER,
    DSN_FIELD_ARRIVED,
    DSN_FIELD_RETRY_UNTIL,
    DSN_FIELDS
};

struct dsn_template;

/*
 * Lines of UTF-8 that end with LF or CRLF: maybe "Subject: ..." and an empty line, then the text, which must have {recipients}, once. "{{" and "}}" are
 * braces. *ret_error is the caller's.
 */
int dsn_template_parse(struct span text, struct dsn_template **ret_template, char **ret_error);
struct dsn_template *dsn_template_free(struct dsn_template *t); /* always NULL */

bool dsn_template_has_subject(const struct dsn_template *t);
/* One line, and lines with CRLF. values: by enum dsn_field. */
void dsn_template_add_subject(const struct dsn_template *t, const struct span *values, struct buf *out);
void dsn_template_add_text(const struct dsn_template *t, const struct span *values, struct buf *out);
