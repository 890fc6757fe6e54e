/* One mail transaction: sender, recipients and their parameters. Recipients that differ in the case of the domain only are one (BEHAVIOURS B25). */
#include <string.h>

#include "base/mem.h"
#include "ingress/smtp_private.h"
#include "mail/ascii.h"

enum { MANY = 8, FIRST_ROOM = 4 };

uint32_t smtp_transaction_keep(struct smtp_transaction *t, struct span text)
{
    size_t at = t->text.len;
    must(at < UINT32_MAX - SMTP_LINE_MAX);
    char *to = buf_reserve(&t->text, text.len + 1);
    if (text.len > 0)
        memcpy(to, text.at, text.len);
    to[text.len] = '\0';
    buf_commit(&t->text, text.len + 1);
    return (uint32_t) at;
}

struct smtp_transaction *smtp_transaction_new(struct span sender)
{
    struct smtp_transaction *t = NEW(struct smtp_transaction);
    (void) smtp_transaction_keep(t, sender); /* at 0 */
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

void smtp_transaction_point(const struct smtp_transaction *t, uint32_t at, struct addr *addr)
{
    const char *whole = t->text.data + at;
    addr->local.at = whole + (addr->local.at - addr->whole.at);
    addr->domain.at = whole + (addr->domain.at - addr->whole.at);
    addr->whole.at = whole;
}

static const char *text_at(const struct smtp_transaction *t, uint32_t at)
{
    return at > 0 ? t->text.data + at : NULL;
}

const char *smtp_envid(const struct smtp_transaction *t)
{
    return text_at(t, t->envid);
}

const char *smtp_mail_auth(const struct smtp_transaction *t)
{
    return text_at(t, t->auth);
}

struct smtp_dsn smtp_recipient_dsn(const struct smtp_transaction *t, size_t i)
{
    must(i < t->recipient_count);
    return (struct smtp_dsn){t->recipients[i].notify, text_at(t, t->recipients[i].orcpt)};
}

const char *smtp_recipient(const struct smtp_transaction *t, size_t i)
{
    must(i < t->recipient_count);
    return t->text.data + t->recipients[i].addr;
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

/* The address as asked is in the text already. */
static uint32_t place_of(struct smtp_transaction *t, const struct addr *addr)
{
    bool is_kept = t->asked.addr > 0 && addr->whole.at == t->text.data + t->asked.addr;
    return is_kept ? t->asked.addr : smtp_transaction_keep(t, addr->whole);
}

void smtp_transaction_add(struct smtp_transaction *t, const struct addr *addr)
{
    struct smtp_slot slot = t->asked;
    if (t->recipient_count == t->recipient_room) {
        t->recipient_room = t->recipient_room ? t->recipient_room * 2 : FIRST_ROOM;
        t->recipients = mem_resize(t->recipients, t->recipient_room * sizeof t->recipients[0]);
    }
    slot.addr = place_of(t, addr);
    t->recipients[t->recipient_count++] = slot;
    if (t->recipient_count < MANY)
        return;
    for (size_t i = t->recipient_count == MANY ? 0 : t->recipient_count - 1; i < t->recipient_count; i++)
        remember(t, i);
}

void smtp_transaction_cut(struct smtp_transaction *t, size_t recipient_count)
{
    char room[PATH_MAX_LEN];
    if (recipient_count < MANY)
        map_done(&t->known);
    for (size_t i = recipient_count; i < t->recipient_count && recipient_count >= MANY; i++)
        (void) map_remove(&t->known, key_of(span_of(smtp_recipient(t, i)), room)); /* it is there */
    t->recipient_count = recipient_count;
}
