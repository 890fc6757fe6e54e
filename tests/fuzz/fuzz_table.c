/*
 * Address tables: any bytes as a file are refused with a sentence that names file and line, or are rows; those, written and read again, are the
 * same, and what an address is looked for under begins with its own key. First byte: which kind of table; 3: what Redis holds for a key.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/address_text.h"
#include "cluster/table.h"
#include "ingress/table_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RULES = 3 };
#define NAME "a file"

static enum address_rule rule;
static struct buf rows;
static size_t row_count, refuse_at; /* the row that on_row refuses; 0: none */
static bool has_hash;               /* which would begin a comment in what is written */

static bool is_line(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((uint8_t) s.at[i] < ' ' || s.at[i] == 0x7f)
            return false;
    return true;
}

/* A key is an address without a literal, or @domain, and stays as it is. */
static void check_key(struct span key)
{
    AUTO_BUF struct buf same = {.data = NULL}, whole = {.data = NULL};
    struct addr addr;

    must(key.len <= ADDRESS_KEY_MAX && is_line(key));
    must(address_key(key, &same) == 0 && span_equal(buf_span(&same), key));
    if (key.at[0] == '@')
        buf_add_char(&whole, 'x');
    buf_add_span(&whole, key);
    must(addr_parse_utf8(buf_span(&whole), &addr) == 0 && !addr.is_literal);
}

/* All keys of an address are keys; the first is its own, the last its domain's. */
static void check_lookup(struct span key)
{
    struct table_keys keys;
    struct addr addr;

    if (key.at[0] == '@' || addr_parse_utf8(key, &addr) < 0)
        return;
    table_keys_make(&keys, addr.local, addr.domain, "+-");
    must(keys.count >= 2 && keys.count <= TABLE_KEYS_MAX);
    must(span_equal(keys.keys[0], key));
    must(span_equal(keys.keys[keys.count - 1], address_domain(key)));
}

static void check_value(struct span key, struct span value)
{
    AUTO_BUF struct buf same = {.data = NULL};
    struct span rest = value, one;
    size_t count = 0;

    must(value.len && value.len <= TABLE_VALUE_MAX && is_line(value));
    must(address_value(value, key, rule, &same) == 0 && span_equal(buf_span(&same), value));
    for (; address_next(&rest, &one); count++) {
        AUTO_BUF struct buf whole = {.data = NULL};
        struct addr addr;
        must(one.len && (one.at[0] != '@' || key.at[0] == '@'));
        if (one.at[0] == '@')
            buf_add_char(&whole, 'x');
        buf_add_span(&whole, one);
        must(addr_parse_utf8(buf_span(&whole), &addr) == 0 && !addr.is_literal);
    }
    must(count >= 1 && count <= (rule == ADDRESS_ONE ? 1 : ADDRESS_VALUES_MAX));
}

static const char *on_row(void *context UNUSED, struct span key, struct span value)
{
    check_key(key);
    check_lookup(key);
    if (rule == ADDRESS_NOTHING)
        must(value.len == 0);
    else
        check_value(key, value);
    if (++row_count == refuse_at)
        return "is refused";
    has_hash |= memchr(key.at, '#', key.len) || (value.len && memchr(value.at, '#', value.len));
    buf_add_span(&rows, key);
    buf_add_char(&rows, ' ');
    buf_add_span(&rows, value);
    buf_add_char(&rows, '\n');
    return NULL;
}

static int read_rows(struct span text, struct buf *ret_rows)
{
    char *error = NULL;
    size_t lines = 1;
    unsigned line;

    rows = (struct buf){.data = NULL};
    row_count = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.at[i] == '\n';
    int r = address_text_read(text, NAME, rule, on_row, NULL, &error);
    must((r < 0) == (error != NULL));
    if (error) {
        must(sscanf(error, NAME ": line %u: ", &line) == 1 && line >= 1 && line <= lines);
        must(is_line(span_of(error)));
    }
    mem_free(error);
    *ret_rows = rows;
    return r;
}

static void check_file(struct span text)
{
    AUTO_BUF struct buf first = {.data = NULL}, again = {.data = NULL};

    has_hash = false;
    if (read_rows(text, &first) < 0 || refuse_at || has_hash)
        return;
    must(read_rows(buf_span(&first), &again) == 0);
    must(span_equal(buf_span(&first), buf_span(&again)));
}

/* What a stranger wrote into Redis is a value, or refused; never half of one. */
static void check_stored(struct span value)
{
    static const struct span keys[] = {SPAN("bob@example.com"), SPAN("@example.com")};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        AUTO_BUF struct buf out = {.data = NULL};
        buf_add_char(&out, '<');
        if (address_value(value, keys[i], ADDRESS_LIST, &out) < 0)
            must(span_equal(buf_span(&out), SPAN("<")));
        else
            check_value(keys[i], (struct span){.at = out.data + 1, .len = out.len - 1});
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct span rest = {.at = (const char *) data + 1, .len = size - 1};
    unsigned kind = data[0] % (RULES + 1);
    refuse_at = data[0] & 0x80 ? 2 : 0;
    rule = kind < RULES ? kind : ADDRESS_LIST;
    if (kind < RULES)
        check_file(rest);
    else
        check_stored(rest);
    return 0;
}
