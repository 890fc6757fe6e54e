/* MTA-STS policies of domains: asked for, kept, renewed. */
#include "courier/sts.h"

#include "base/mem.h"
#include "courier/courier.h"

struct sts {
    struct courier *courier;
};

struct sts_search {
    struct tail tail;
    sts_on_policy *on_policy;
    void *context;
};

static void on_tail(struct tail *t)
{
    struct sts_search *s = CONTAINER_OF(t, struct sts_search, tail);
    sts_on_policy *on_policy = s->on_policy;
    void *context = s->context;

    mem_free(s);
    on_policy(context, NULL, STS_TROUBLE_NONE);
}

struct sts_search *sts_ask(struct courier *c, const char *domain UNUSED, sts_on_policy *on_policy,
                           void *context)
{
    struct sts_search *s = NEW(struct sts_search);

    s->on_policy = on_policy;
    s->context = context;
    tail_add(c->loop, &s->tail, on_tail);
    return s;
}

struct sts_search *sts_cancel(struct sts_search *s)
{
    if (!s)
        return NULL;
    tail_remove(&s->tail);
    return mem_free(s);
}

struct sts *sts_open(struct courier *c)
{
    struct sts *s = NEW(struct sts);

    s->courier = c;
    return s;
}

struct sts *sts_close(struct sts *s)
{
    return mem_free(s);
}
