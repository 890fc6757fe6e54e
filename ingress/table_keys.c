/* Keys of an address, the most exact first. */
#include "ingress/table_keys.h"

#include <string.h>

#include "base/mem.h"
#include "mail/ascii.h"

static bool is_same(struct span a, struct span b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static void add(struct table_keys *k, struct span local, struct span domain, bool is_lower)
{
    char *text = k->text[k->count];
    struct span key = {.at = text, .len = local.len + 1 + domain.len};

    must(key.len <= ADDRESS_KEY_MAX);
    for (size_t i = 0; i < local.len; i++)
        text[i] = is_lower ? to_lower(local.at[i]) : local.at[i];
    text[local.len] = '@';
    memcpy(text + local.len + 1, domain.at, domain.len);
    if (k->count > 0 && is_same(key, k->keys[k->count - 1]))
        return;
    k->keys[k->count++] = key;
}

/* Bytes before the detail; all of it where there is none. A quoted local part has none. */
static size_t base_len(struct span local, const char *delimiters)
{
    for (size_t i = 1; i < local.len && local.at[0] != '"'; i++)
        if (local.at[i] != '\0' && strchr(delimiters, local.at[i]))
            return i;
    return local.len;
}

void table_keys_make(struct table_keys *k, struct span local, struct span domain, const char *delimiters)
{
    AUTO_BUF struct buf compared = {.data = NULL};

    k->count = 0;
    address_local(local, &compared);
    struct span whole = buf_span(&compared);
    struct span base = {.at = whole.at, .len = base_len(whole, delimiters)};
    add(k, whole, domain, false);
    add(k, whole, domain, true);
    if (base.len < whole.len) {
        add(k, base, domain, false);
        add(k, base, domain, true);
    }
    add(k, (struct span){.at = NULL}, domain, false);
}
