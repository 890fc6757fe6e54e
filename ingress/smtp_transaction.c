/* One mail transaction: sender and recipients. Recipients that differ in the case of the domain only are one (BEHAVIOURS B25). */
#include <string.h>

#include "base/mem.h"
#include "ingress/smtp_private.h"
#include "mail/ascii.h"

enum { MANY = 8, FIRST_ROOM = 4 };

static void add_text(struct smtp_transaction *t, struct span text)
{
    char *at = buf_reserve(&t->text, text.len + 1);
    if (text.len > 0)
        memcpy(at, text.at, text.len);
    at[text.len] = '\0';
    buf_commit(&t->text, text.len + 1);
}

struct smtp_transaction *smtp_transaction_new(struct span sender)
{
    struct smtp_transaction *t = NEW(struct smtp_transaction);
    add_text(t, sender);
    return t;
}

struct smtp_transaction *smtp_transaction_free(struct smtp_transaction *t)
{
    if (!t)
        return NULL;
    buf_done(&t->text);
    map_done(&t->known);
    mem_free(t->recipients);
    mem_free(t->content);
    mem_free(t);
    return NULL;
}

const char *smtp_sender(const struct smtp_transaction *t)
{
    return t->text.data;
}

const char *smtp_recipient(const struct smtp_transaction *t, size_t i)
{
    must(i < t->recipient_count);
    return t->text.data + t->recipients[i];
}

/* The address with its domain in lower case: what recipients are compared by. The grammar allows no '@' in a domain. */
static struct span key_of(struct span address, char room[static PATH_MAX_LEN])
{
    must(address.len <= PATH_MAX_LEN);
    const char *at_sign = memrchr(address.at, '@', address.len);
    size_t domain = at_sign ? (size_t) (at_sign - address.at) : 0;
    memcpy(room, address.at, domain);
    for (size_t i = domain; i < address.len; i++)
        room[i] = to_lower(address.at[i]);
    return (struct span){.at = room, .len = address.len};
}

bool smtp_transaction_has(const struct smtp_transaction *t, const struct addr *addr)
{
    char room[PATH_MAX_LEN], other_room[PATH_MAX_LEN];
    if (t->recipient_count == 0)
        return false;
    struct span key = key_of(addr->whole, room);
    if (t->recipient_count >= MANY)
        return map_get(&t->known, key) != NULL;
    for (size_t i = 0; i < t->recipient_count; i++)
        if (span_equal(key_of(span_of(smtp_recipient(t, i)), other_room), key))
            return true;
    return false;
}

static void remember(struct smtp_transaction *t, size_t i)
{
    char room[PATH_MAX_LEN];
    (void) map_set(&t->known, key_of(span_of(smtp_recipient(t, i)), room), t); /* none is there twice */
}

void smtp_transaction_add(struct smtp_transaction *t, const struct addr *addr)
{
    if (t->recipient_count == t->recipient_room) {
        t->recipient_room = t->recipient_room ? t->recipient_room * 2 : FIRST_ROOM;
        t->recipients = mem_resize(t->recipients, t->recipient_room * sizeof t->recipients[0]);
    }
    must(t->text.len < UINT32_MAX - PATH_MAX_LEN);
    t->recipients[t->recipient_count++] = (uint32_t) t->text.len;
    add_text(t, addr->whole);
    if (t->recipient_count < MANY)
        return;
    for (size_t i = t->recipient_count == MANY ? 0 : t->recipient_count - 1; i < t->recipient_count; i++)
        remember(t, i);
}
