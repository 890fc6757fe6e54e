/* Finds addresses by their '@': in log values, commands, replies of other hosts, and the details of events. */
#include "base/redact.h"

#include <stdatomic.h>
#include <string.h>

enum { HASH_DIGITS = 6 };

static _Atomic bool is_redacting;

void redact_set(bool is_on)
{
    atomic_store_explicit(&is_redacting, is_on, memory_order_relaxed);
}

bool redact_is_on(void)
{
    return atomic_load_explicit(&is_redacting, memory_order_relaxed);
}

/* FNV-1a: the same on all nodes and in all versions, which the map's seeded hash is not. */
static uint64_t hash_of(const char *at, size_t len)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char) at[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

/* Any byte that may stand in an unquoted local part, and those above ASCII. When in doubt it belongs to the address. */
static bool is_local(char c)
{
    return (unsigned char) c > ' ' && c != 0x7f && !strchr("<>()[],;:\\\"@", c);
}

/* How many of the len bytes at `at`, counted from their end, are a local part. */
static size_t local_len(const char *at, size_t len)
{
    size_t from = len;
    if (len == 0)
        return 0;
    if (at[len - 1] != '"') {
        while (from > 0 && is_local(at[from - 1]))
            from--;
        return len - from;
    }
    for (from = len - 1; from > 0; from--)
        if (at[from - 1] == '"' && (from == 1 || at[from - 2] != '\\'))
            return len - from + 1;
    return len; /* its beginning was cut off */
}

static void add_local(struct buf *out, const char *at, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t hash = hash_of(at, len);
    char first = at[0] == '"' && len > 1 ? at[1] : at[0];
    buf_add_char(out, first > ' ' && first < 0x7f ? first : '?');
    buf_add_char(out, '~');
    for (int i = 0; i < HASH_DIGITS; i++, hash >>= 4)
        buf_add_char(out, digits[hash & 15]);
}

void redact_add(struct buf *out, struct span text)
{
    while (redact_is_on() && text.len > 0) {
        const char *at_sign = memchr(text.at, '@', text.len);
        if (!at_sign)
            break;
        size_t before = (size_t) (at_sign - text.at), local = local_len(text.at, before);
        buf_add(out, text.at, before - local);
        if (local > 0)
            add_local(out, at_sign - local, local);
        buf_add_char(out, '@');
        text = (struct span){.at = at_sign + 1, .len = text.len - before - 1};
    }
    buf_add_span(out, text);
}
