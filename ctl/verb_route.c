/* route: which way mail to an address takes, by the settings that baridctl reads: as a courier with the same would choose. */
#include "base/conf.h"
#include "base/mem.h"
#include "cluster/lane.h"
#include "cluster/tls_setting.h"
#include "cluster/transport.h"
#include "ctl/outlook.h"
#include "ctl/print.h"
#include "ctl/settings.h"
#include "ctl/verb.h"
#include "io/idn.h"
#include "io/json.h"
#include "mail/ascii.h"

struct way {
    char *queue;
    const char *lane;
    char domain[DOMAIN_MAX + 1];
    const struct conf_pool *pool; /* NULL: none */
    struct transport transport;
    const char *tls; /* text of a policy */
};

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

static void find_way(const struct arguments *a, struct way *w)
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

static void add_hosts(struct buf *out, const struct way *w)
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

static void add_pool(struct buf *out, const struct way *w)
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
static bool is_guarded(const struct transport *t)
{
    return (t->user || t->is_wrapped) && (!t->tls || strcmp(t->tls, "auto") == 0);
}

static void print_way(const struct way *w)
{
    AUTO_BUF struct buf out = {.data = NULL};

    buf_printf(&out, "queue      %s\n", w->queue);
    buf_printf(&out, "lane       %s\n", *w->lane ? w->lane : "the default one");
    buf_add_text(&out, "pool       ");
    add_pool(&out, w);
    buf_printf(&out, "\ntransport  %s%s\nhosts      ", w->transport.name,
               w->transport.is_lmtp      ? ", by LMTP"
               : w->transport.is_wrapped ? ", by SMTPS"
                                         : "");
    add_hosts(&out, w);
    if (w->transport.user)
        buf_printf(&out, "\nlogin      %s", w->transport.user);
    buf_printf(&out, "\ntls        %s%s\nlimits     ", w->tls,
               is_guarded(&w->transport) ? ", but never less than verify" : "");
    add_limits(&out, w->queue);
    buf_add_char(&out, '\n');
    print_buf(&out);
}

static void print_way_json(const struct way *w)
{
    AUTO_BUF struct buf hosts = {.data = NULL}, limits = {.data = NULL};
    struct json *json = json_new_object();

    add_hosts(&hosts, w);
    add_limits(&limits, w->queue);
    json_put_text(json, "queue", span_of(w->queue));
    json_put_text(json, "lane", span_of(w->lane));
    json_put_text(json, "pool", span_of(w->pool ? w->pool->name : ""));
    json_put_text(json, "transport", span_of(w->transport.name));
    json_put_flag(json, "lmtp", w->transport.is_lmtp);
    json_put_flag(json, "smtps", w->transport.is_wrapped);
    json_put_text(json, "hosts", buf_span(&hosts));
    json_put_text(json, "user", span_of(w->transport.user ? w->transport.user : ""));
    json_put_text(json, "tls", span_of(w->tls));
    json_put_text(json, "limits", buf_span(&limits));
    print_json(json);
}

int verb_route(const struct arguments *a)
{
    struct way w = {.queue = NULL};

    if (domain_of(a->operands[0], w.domain) < 0)
        return say_usage("\"%s\" is neither a domain nor an address", a->operands[0]);
    int status = settings_use(a);
    if (status != EXIT_OK)
        return status;
    find_way(a, &w);
    if (a->is_json)
        print_way_json(&w);
    else
        print_way(&w);
    mem_free(w.queue);
    transport_done(&w.transport);
    return EXIT_OK;
}
