/* A way, by the settings in force here. */
#include "ctl/way.h"

#include "base/mem.h"
#include "cluster/lane.h"
#include "cluster/tls_setting.h"
#include "io/idn.h"
#include "mail/ascii.h"

/* A domain, the domain of an address, or an address literal. */
static int domain_of(const char *text, char ret_domain[static DOMAIN_MAX + 1])
{
    const char *at_sign = strrchr(text, '@');
    struct span domain = span_of(at_sign ? at_sign + 1 : text);

    if (domain.len == 0 || domain.at[0] != '[')
        return idn_domain(domain, ret_domain);
    if (domain.len > DOMAIN_MAX || domain.at[domain.len - 1] != ']')
        return -1;
    for (size_t i = 0; i < domain.len; i++)
        ret_domain[i] = to_lower(domain.at[i]);
    ret_domain[domain.len] = '\0';
    return 0;
}

/* "<>" is how settings and people write the null sender. Nobody in particular is in no lane by address. */
static const char *sender_of(const struct arguments *a)
{
    const char *sender = argument_text(a, "sender", "anybody");

    return strcmp(sender, "<>") == 0 ? "" : sender;
}

static void find(const struct arguments *a, struct way *w)
{
    const struct conf *conf = conf_get();
    struct buf queue = {.data = NULL};
    const char *tenant = argument_text(a, "tenant", "");

    w->lane = lane_of(conf, sender_of(a), *tenant ? tenant : NULL);
    queue_name(span_of(w->domain), w->lane, &queue);
    w->queue = buf_steal_text(&queue);
    w->pool = pool_of(conf, span_of(w->queue));
    transport_find(conf, w->queue, &w->transport);
    w->tls = w->transport.tls ? w->transport.tls : tls_setting_find(conf, w->domain, NULL);
}

void add_way_hosts(struct buf *out, const struct way *w)
{
    switch (w->transport.kind) {
    case TRANSPORT_HOSTS: buf_add_text(out, w->transport.hosts); return;
    case TRANSPORT_MX:
        if (w->domain[0] == '[')
            buf_add_text(out, "the address itself");
        else
            buf_printf(out, "the MX of %s", w->domain);
        return;
    case TRANSPORT_HOLD: buf_add_text(out, "none: held until `baridctl queue release`"); return;
    case TRANSPORT_DISCARD: buf_add_text(out, "none: discarded"); return;
    }
}

void add_way_pool(struct buf *out, const struct way *w)
{
    if (!w->pool) {
        buf_add_text(out, "none: as the kernel chooses");
        return;
    }
    buf_printf(out, "%s: ", w->pool->name);
    for (size_t i = 0; i < w->pool->addresses.count; i++)
        buf_printf(out, "%s%s", i > 0 ? ", " : "", w->pool->addresses.items[i]);
    if (*w->pool->helo_name)
        buf_printf(out, " as %s", w->pool->helo_name);
}

/* Other words that would ask for less are start errors. */
bool way_is_guarded(const struct transport *t)
{
    return (t->user || t->is_wrapped) && (!t->tls || strcmp(t->tls, "auto") == 0);
}

int way_find(const struct arguments *a, struct way *ret_way)
{
    *ret_way = (struct way){.queue = NULL};
    if (domain_of(a->operands[0], ret_way->domain) < 0)
        return say_usage("\"%s\" is neither a domain nor an address", a->operands[0]);
    find(a, ret_way);
    return EXIT_OK;
}

void way_done(struct way *w)
{
    if (!w->queue)
        return;
    mem_free(w->queue);
    transport_done(&w->transport);
}
