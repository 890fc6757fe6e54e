/* JSON by jansson. A struct json is a json_t; only this file knows. */
#include "io/json.h"

#include <jansson.h>

#include "base/mem.h"

static json_t *unwrap(const struct json *j)
{
    return (json_t *) (uintptr_t) j;
}

/* The length of the valid UTF-8 sequence at s, 0 when there is none (RFC 3629). */
static size_t sequence_len(struct span s)
{
    unsigned char first = (unsigned char) s.at[0], second = s.len > 1 ? (unsigned char) s.at[1] : 0;
    size_t len = first < 0x80                    ? 1
                 : first >= 0xc2 && first < 0xe0 ? 2
                 : first >= 0xe0 && first < 0xf0 ? 3
                 : first >= 0xf0 && first < 0xf5 ? 4
                                                 : 0;

    if (len == 0 || len > s.len)
        return 0;
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
        return 0;
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char) s.at[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

static void add_valid(struct buf *out, struct span text)
{
    while (text.len > 0) {
        size_t len = sequence_len(text);

        buf_add(out, len ? text.at : "\xef\xbf\xbd", len ? len : 3);
        text.at += len ? len : 1;
        text.len -= len ? len : 1;
    }
}

static void put(struct json *to, const char *key, json_t *value)
{
    must(value);
    if (!key) {
        must(json_array_append_new(unwrap(to), value) == 0);
        return;
    }
    AUTO_BUF struct buf name = {0};
    add_valid(&name, span_of(key));
    buf_add_char(&name, '\0');
    must(json_object_set_new(unwrap(to), name.data, value) == 0);
}

struct json *json_new_object(void)
{
    json_t *j = json_object();

    must(j);
    return (struct json *) (void *) j;
}

struct json *json_new_array(void)
{
    json_t *j = json_array();

    must(j);
    return (struct json *) (void *) j;
}

void json_put_text(struct json *to, const char *key, struct span value)
{
    AUTO_BUF struct buf clean = {0};

    add_valid(&clean, value);
    put(to, key, json_stringn(clean.len ? clean.data : "", clean.len));
}

void json_put_number(struct json *to, const char *key, int64_t value)
{
    put(to, key, json_integer(value));
}

void json_put_real(struct json *to, const char *key, double value)
{
    json_t *real = json_real(value); /* NULL for what JSON cannot say */

    put(to, key, real ? real : json_null());
}

void json_put_flag(struct json *to, const char *key, bool value)
{
    put(to, key, json_boolean(value));
}

void json_put_null(struct json *to, const char *key)
{
    put(to, key, json_null());
}

void json_put(struct json *to, const char *key, struct json *child)
{
    put(to, key, unwrap(child));
}

/* U+007F to U+009F, which JSON lets through and a terminal obeys (jansson cuts no sequence in two). The length of it, 0 when it is none. */
static size_t control_len(const char *at, size_t len)
{
    const unsigned char *c = (const unsigned char *) at;

    if (c[0] == 0x7f)
        return 1;
    return len > 1 && c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0 ? 2 : 0;
}

static int add_to_buf(const char *bytes, size_t size, void *out)
{
    size_t from = 0;

    for (size_t i = 0, len; i < size; i += len ? len : 1) {
        len = control_len(bytes + i, size - i);
        if (!len)
            continue;
        buf_add(out, bytes + from, i - from);
        buf_printf(out, "\\u%04x", (unsigned char) bytes[i + len - 1]);
        from = i + len;
    }
    buf_add(out, bytes + from, size - from);
    return 0;
}

void json_print(const struct json *value, struct buf *out)
{
    /* 15 digits: 0.1 stays 0.1. */
    must(json_dump_callback(unwrap(value), add_to_buf, out, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) == 0);
    buf_add_char(out, '\n');
}

void json_print_line(const struct json *value, struct buf *out)
{
    must(json_dump_callback(unwrap(value), add_to_buf, out, JSON_COMPACT | JSON_REAL_PRECISION(15)) == 0);
    buf_add_char(out, '\n');
}

struct json *json_free(struct json *value)
{
    json_decref(unwrap(value));
    return NULL;
}

/* ---- reading */

struct json *json_read(struct span text)
{
    json_t *value = json_loadb(text.len > 0 ? text.at : "", text.len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(value))
        return (struct json *) value;
    json_decref(value);
    return NULL;
}

bool json_get_text(const struct json *from, const char *key, struct span *ret_text)
{
    const json_t *value = json_object_get(unwrap(from), key);
    if (!json_is_string(value))
        return false;
    *ret_text = (struct span){.at = json_string_value(value), .len = json_string_length(value)};
    return true;
}

bool json_get_number(const struct json *from, const char *key, int64_t *ret_number)
{
    const json_t *value = json_object_get(unwrap(from), key);
    if (!json_is_integer(value))
        return false;
    *ret_number = json_integer_value(value);
    return true;
}

bool json_get_flag(const struct json *from, const char *key, bool *ret_flag)
{
    const json_t *value = json_object_get(unwrap(from), key);
    if (!json_is_boolean(value))
        return false;
    *ret_flag = json_is_true(value);
    return true;
}
