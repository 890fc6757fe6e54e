/* The record of a tenant. */
#include <errno.h>

#include "base/mem.h"
#include "cluster/tenant.h"
#include "cluster/wire.h"
#include "cluster/wire_private.h"
#include "proto/mail.pb-c.h"

void wire_put_tenant(const struct tenant *t, struct buf *out)
{
    Barid__Tenant m = BARID__TENANT__INIT;

    m.name = bytes_of(t->name);
    m.has_name = true;
#define TENANT_RATE(row, what, per_ms, help) WIRE_PUT(&m, row, t->row);
#define TENANT_QUOTA(row, help) WIRE_PUT(&m, row, t->row);
#include "cluster/tenant.def"
    WIRE_PUT(&m, changed_ms, t->changed_ms);
    record_put(&m.base, out);
}

static bool tenant_is_sound(const Barid__Tenant *m)
{
#define TENANT_RATE(row, what, per_ms, help) m->row <= TENANT_LIMIT_MAX &&
#define TENANT_QUOTA(row, help) m->row <= TENANT_LIMIT_MAX &&
    return
#include "cluster/tenant.def"
        tenant_name_check(bytes_span(m->name)) == 0 && m->changed_ms <= WIRE_TIME_MAX;
}

int wire_get_tenant(struct span in, struct tenant **ret_tenant)
{
    struct arena a;
    void *message;

    int r = record_get(in, &barid__tenant__descriptor, &a, &message);
    if (!r && !tenant_is_sound(message))
        r = -EBADMSG;
    if (!r) {
        const Barid__Tenant *m = message;
        struct tenant *t = tenant_new(bytes_span(m->name));
#define TENANT_RATE(row, what, per_ms, help) t->row = m->row;
#define TENANT_QUOTA(row, help) t->row = m->row;
#include "cluster/tenant.def"
        t->changed_ms = m->changed_ms;
        *ret_tenant = t;
    }
    arena_done(&a);
    return r;
}
