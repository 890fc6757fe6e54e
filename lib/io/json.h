/*
 * Does: writes JSON for the CLI: objects and arrays in order, strings made valid UTF-8. Reads the members of an object that others wrote.
 * Does not: limit the length of what it reads; the caller has.
 * Owns: what was made, until json_free() or until it is put into another.
 * Fails: reading only, with NULL or false.
 * Calls: jansson, named in json.c only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct json; /* an object or array; putting one into another gives it away */
struct json *json_new_object(void);
struct json *json_new_array(void);
/* key NULL: append to an array; the same below. Bytes that are not UTF-8 become U+FFFD. */
void json_put_text(struct json *to, const char *key, struct span value);
void json_put_number(struct json *to, const char *key, int64_t value);
void json_put_real(struct json *to, const char *key, double value); /* infinities and NaN become null */
void json_put_flag(struct json *to, const char *key, bool value);
void json_put_null(struct json *to, const char *key);
void json_put(struct json *to, const char *key, struct json *child);
/* Indented by two, ends with a newline; no byte of it is a control character of a terminal's, newlines apart. */
void json_print(const struct json *value, struct buf *out);
void json_print_line(const struct json *value, struct buf *out); /* in one line, which ends with a newline */
struct json *json_free(struct json *value);                      /* always NULL */

struct json *json_read(struct span text); /* NULL: not one object, or one with a member given twice */
/* Texts point into the object. False: no such member, or of another type. */
bool json_get_text(const struct json *from, const char *key, struct span *ret_text);
bool json_get_number(const struct json *from, const char *key, int64_t *ret_number); /* whole ones */
bool json_get_flag(const struct json *from, const char *key, bool *ret_flag);
