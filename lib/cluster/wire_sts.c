/* The record of an MTA-STS policy. */
#include <errno.h>

#include "base/mem.h"
#include "cluster/wire.h"
#include "cluster/wire_private.h"
#include "mail/addr.h"
#include "mail/ascii.h"
#include "proto/mail.pb-c.h"

void sts_record_done(struct sts_record *r)
{
    mem_free(r->domain);
    mem_free(r->id);
    mem_free(r->text);
    *r = (struct sts_record){.domain = NULL};
}

void wire_put_sts(const struct sts_record *r, struct buf *out)
{
    Barid__StsPolicy m = BARID__STS_POLICY__INIT;

    m.domain = bytes_of(r->domain);
    m.has_domain = true;
    m.id = bytes_of(r->id);
    m.has_id = m.id.len > 0;
    m.text = bytes_of(r->text);
    m.has_text = true;
    WIRE_PUT(&m, fetched_ms, r->fetched_ms);
    WIRE_PUT(&m, until_ms, r->until_ms);
    record_put(&m.base, out);
}

static bool id_is_sound(struct span id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!is_alnum(id.at[i]))
            return false;
    return id.len <= STS_RECORD_ID_MAX;
}

static bool sts_is_sound(const Barid__StsPolicy *m)
{
    return domain_check(bytes_span(m->domain)) == 0 && id_is_sound(bytes_span(m->id)) &&
           bytes_fit(m->text, 1, STS_RECORD_TEXT_MAX) && m->fetched_ms <= m->until_ms &&
           m->until_ms <= WIRE_TIME_MAX;
}

int wire_get_sts(struct span in, struct sts_record *ret_record)
{
    struct arena a;
    void *message;

    int r = record_get(in, &barid__sts_policy__descriptor, &a, &message);
    if (!r && !sts_is_sound(message))
        r = -EBADMSG;
    if (!r) {
        const Barid__StsPolicy *m = message;
        *ret_record = (struct sts_record){
            .domain = bytes_text(m->domain),
            .id = bytes_text(m->id),
            .text = bytes_text(m->text),
            .fetched_ms = m->fetched_ms,
            .until_ms = m->until_ms,
        };
    }
    arena_done(&a);
    return r;
}
