/* The record of an operator's rule. */
#include <errno.h>

#include "cluster/rule.h"
#include "cluster/wire.h"
#include "cluster/wire_private.h"
#include "proto/mail.pb-c.h"

enum { MAY_BE_IGNORED = 1000 }; /* fields from here on */

/* TEXT(field of the message, member of struct rule): all texts, empty ones not written. */
#define RULE_TEXTS(TEXT)              \
    TEXT(queue, filter.queue)         \
    TEXT(message, filter.message)     \
    TEXT(sender, filter.sender)       \
    TEXT(recipient, filter.recipient) \
    TEXT(user, filter.user)           \
    TEXT(tenant, filter.tenant)       \
    TEXT(error, filter.error)         \
    TEXT(class_, filter.class)        \
    TEXT(client, filter.client)       \
    TEXT(to, to)                      \
    TEXT(by, by)                      \
    TEXT(because, because)

void wire_put_rule(const struct rule *r, struct buf *out)
{
    Barid__Rule m = BARID__RULE__INIT;

    WIRE_PUT(&m, number, r->number);
    WIRE_PUT(&m, action, (uint32_t) r->action);
#define TEXT(field, member)        \
    m.field = bytes_of(r->member); \
    m.has_##field = m.field.len > 0;
    RULE_TEXTS(TEXT)
#undef TEXT
    WIRE_PUT(&m, older_ms, r->filter.older_ms);
    WIRE_PUT(&m, value, r->value);
    WIRE_PUT(&m, since_ms, r->since_ms);
    WIRE_PUT(&m, until_ms, r->until_ms);
    WIRE_PUT(&m, undone_ms, r->undone_ms);
    WIRE_PUT(&m, is_standing, r->is_standing);
    WIRE_PUT(&m, done, r->done);
    record_put(&m.base, out);
}

static bool rule_is_sound(const Barid__Rule *m)
{
#define TEXT(field, member) bytes_fit(m->field, 0, RULE_TEXT_MAX) && span_is_text(bytes_span(m->field)) &&
    return RULE_TEXTS(TEXT) m->number > 0 && m->number <= WIRE_EXACT_MAX && m->action < RULE_ACTION_COUNT &&
           m->older_ms <= WIRE_TIME_MAX && m->since_ms <= WIRE_TIME_MAX && m->until_ms <= WIRE_TIME_MAX &&
           m->undone_ms <= WIRE_TIME_MAX && m->value <= WIRE_EXACT_MAX && m->done <= WIRE_EXACT_MAX;
#undef TEXT
}

/* Of a newer version: whom it means may be in there, and without that it would mean more (proto/mail.proto). */
static bool says_more(const Barid__Rule *m)
{
    for (size_t i = 0; i < m->base.n_unknown_fields; i++)
        if (m->base.unknown_fields[i].tag < MAY_BE_IGNORED)
            return true;
    return false;
}

int wire_get_rule(struct span in, struct rule *ret_rule)
{
    struct arena a;
    void *message;

    int r = record_get(in, &barid__rule__descriptor, &a, &message);
    if (!r && says_more(message))
        r = -EPROTONOSUPPORT;
    if (!r && !rule_is_sound(message))
        r = -EBADMSG;
    if (!r) {
        const Barid__Rule *m = message;
        *ret_rule = (struct rule){.number = m->number,
                                  .action = (enum rule_action) m->action,
                                  .value = m->value,
                                  .since_ms = m->since_ms,
                                  .until_ms = m->until_ms,
                                  .undone_ms = m->undone_ms,
                                  .is_standing = m->is_standing,
                                  .done = m->done};
        ret_rule->filter.older_ms = m->older_ms;
#define TEXT(field, member) ret_rule->member = bytes_text(m->field);
        RULE_TEXTS(TEXT)
#undef TEXT
    }
    arena_done(&a);
    return r;
}
