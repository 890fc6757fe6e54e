/*
 * Does: writes JSON for the CLI: objects and arrays in order, strings made valid UTF-8.
 * Does not: read JSON.
 * Calls: jansson, named in json.c only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct json; /* an object or array; adding one to another gives it away */
struct json *json_object(void);
struct json *json_array(void);
void json_text(struct json *object, const char *key, struct span value); /* key NULL: append to an array; the same below */
void json_number(struct json *object, const char *key, int64_t value);
void json_real(struct json *object, const char *key, double value);
void json_flag(struct json *object, const char *key, bool value);
void json_null(struct json *object, const char *key);
void json_add(struct json *object, const char *key, struct json *child);
void json_print(const struct json *value, struct buf *out); /* indented by two, ends with a newline */
struct json *json_free(struct json *value); /* always NULL */
