/* site show: where a domain's mail goes, as it is now. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ctl/outlook.h"
#include "ctl/print.h"
#include "ctl/ruling.h"
#include "ctl/site.h"
#include "io/json.h"

enum { SITE_WORDS_MAX = 300 };

struct showing {
    struct way way;
    struct health health;
    struct ruling ruling;
    struct outlook outlook;
    struct site site;
};

static void add_addresses(struct buf *out, const struct site_host *h)
{
    if (h->result != DNS_OK)
        buf_add_text(out, dns_word(h->result));
    for (size_t i = 0; i < h->address_count; i++) {
        buf_add_text(out, i > 0 ? " " : "");
        ip_format(&h->addresses[i], out);
    }
}

/* The operator's limits of the queue, and of the site that is its best host. */
static void add_rule_limits(struct buf *out, const struct showing *s)
{
    AUTO_FREE char *site = mem_format("site:%s", s->site.host_count > 0 ? s->site.hosts[0].name : "");

    for (size_t i = 0; i < s->ruling.rules.count; i++) {
        const struct rule *r = &s->ruling.rules.items[i];
        if (r->action != RULE_LIMIT || !rule_is_in_force(r, s->ruling.now_ms) ||
            !(strcmp(r->filter.queue, site) == 0 || rule_queue_fits(r->filter.queue, s->way.queue)))
            continue;
        buf_printf(out, "%s%s=%llu for ", out->len ? ", " : "", r->to, (unsigned long long) r->value);
        buf_add_printable(out, span_of(r->filter.queue), SITE_WORDS_MAX);
        buf_add_text(out, " by rule ");
        rule_id_add(r->number, out);
    }
}

static void add_sts(struct buf *out, const struct site *s)
{
    if (s->is_sts_away)
        buf_add_text(out, "no answer about a record");
    else if (*s->sts_id)
        buf_printf(out, "record %s", s->sts_id);
    else
        buf_add_text(out, "no record");
    if (*s->sts_mode) {
        buf_add_text(out, "; couriers keep a policy of mode ");
        buf_add_printable(out, span_of(s->sts_mode), SITE_WORDS_MAX);
        buf_add_text(out, " for another ");
        add_duration(out, s->sts_left_ms);
    } else {
        buf_add_text(out, "; couriers keep no policy");
    }
}

static void add_mx(struct buf *out, const struct showing *s)
{
    if (s->way.transport.kind != TRANSPORT_MX || s->way.domain[0] == '[')
        add_way_hosts(out, &s->way);
    else if (s->site.is_null_mx)
        buf_add_text(out, "a null MX: the domain takes no mail");
    else if (s->site.is_implicit)
        buf_add_text(out, "no MX: the domain itself");
    else if (s->site.mx != DNS_OK)
        buf_printf(out, "MX: %s", dns_word(s->site.mx));
    else
        buf_printf(out, "%zu by MX%s", s->site.host_count, s->site.is_mx_secure ? ", secure by DNSSEC" : "");
}

static void add_pace(struct buf *out, const struct showing *s)
{
    AUTO_BUF struct buf causes = {.data = NULL};

    add_queue_causes(&causes, &s->outlook, &s->health);
    buf_printf(out, "%llu waiting, %llu due; %llu couriers work it with %llu of %llu connections, %llu jobs",
               (unsigned long long) s->outlook.waiting, (unsigned long long) s->outlook.due,
               (unsigned long long) s->site.couriers, (unsigned long long) s->site.connections,
               (unsigned long long) s->site.granted, (unsigned long long) s->site.jobs);
    if (causes.len)
        buf_printf(out, "; %.*s", SPAN_ARG(buf_span(&causes)));
}

static void print_site(const struct showing *s)
{
    AUTO_BUF struct buf out = {.data = NULL}, limits = {.data = NULL};
    struct grid t;

    buf_printf(&out, "queue      %s, %s\npool       ", s->way.queue, s->way.transport.name);
    add_way_pool(&out, &s->way);
    buf_add_text(&out, "\nhosts      ");
    add_mx(&out, s);
    buf_printf(&out, "\ntls        %s%s\nmta-sts    ", s->way.tls,
               way_is_guarded(&s->way.transport) ? ", but never less than verify" : "");
    add_sts(&out, &s->site);
    buf_add_text(&out, "\nlimits     ");
    add_limits(&out, s->way.queue);
    add_rule_limits(&limits, s);
    if (limits.len)
        buf_printf(&out, "\n           before these: %.*s", SPAN_ARG(buf_span(&limits)));
    buf_add_text(&out, "\nnow        ");
    add_pace(&out, s);
    buf_add_char(&out, '\n');
    print_buf(&out);
    if (s->site.host_count == 0)
        return;
    (void) putchar('\n'); /* main() asks whether standard output took it all */
    grid_init(&t, ">mx|host|addresses|DNSSEC|TLS");
    for (size_t i = 0; i < s->site.host_count; i++) {
        const struct site_host *h = &s->site.hosts[i];
        AUTO_BUF struct buf addresses = {.data = NULL}, tls = {.data = NULL};
        add_addresses(&addresses, h);
        add_host_tls(&tls, &s->site, h);
        grid_cell(&t, "%u", h->preference);
        grid_cell_safe(&t, span_of(h->name));
        grid_cell_safe(&t, buf_span(&addresses));
        grid_cell(&t, "%s", h->is_secure ? "secure" : "");
        grid_cell_safe(&t, buf_span(&tls));
    }
    grid_print(&t);
    grid_done(&t);
}

static struct json *host_json(const struct site *s, const struct site_host *h)
{
    struct json *json = json_new_object(), *addresses = json_new_array();
    AUTO_BUF struct buf tls = {.data = NULL};

    json_put_text(json, "host", span_of(h->name));
    json_put_number(json, "preference", h->preference);
    for (size_t i = 0; i < h->address_count; i++) {
        AUTO_BUF struct buf text = {.data = NULL};
        ip_format(&h->addresses[i], &text);
        json_put_text(addresses, NULL, buf_span(&text));
    }
    json_put(json, "addresses", addresses);
    json_put_text(json, "dns", span_of(dns_word(h->result)));
    json_put_flag(json, "secure", h->is_secure);
    json_put_number(json, "tlsa", h->tlsa);
    add_host_tls(&tls, s, h);
    json_put_text(json, "tls", buf_span(&tls));
    return json;
}

static void print_site_json(const struct showing *s)
{
    struct json *json = json_new_object(), *hosts = json_new_array(), *now = json_new_object();
    AUTO_BUF struct buf mx = {.data = NULL}, limits = {.data = NULL}, rules = {.data = NULL};

    add_mx(&mx, s);
    add_limits(&limits, s->way.queue);
    add_rule_limits(&rules, s);
    json_put_text(json, "queue", span_of(s->way.queue));
    json_put_text(json, "transport", span_of(s->way.transport.name));
    json_put_text(json, "mx", buf_span(&mx));
    for (size_t i = 0; i < s->site.host_count; i++)
        json_put(hosts, NULL, host_json(&s->site, &s->site.hosts[i]));
    json_put(json, "hosts", hosts);
    json_put_text(json, "tls", span_of(s->way.tls));
    json_put_text(json, "sts_record", span_of(s->site.sts_id));
    json_put_text(json, "sts_mode", span_of(s->site.sts_mode));
    json_put_text(json, "limits", buf_span(&limits));
    json_put_text(json, "limits_by_rules", buf_span(&rules));
    json_put_number(now, "connections", (int64_t) s->site.connections);
    json_put_number(now, "granted", (int64_t) s->site.granted);
    json_put_number(now, "jobs", (int64_t) s->site.jobs);
    json_put_number(now, "couriers", (int64_t) s->site.couriers);
    put_outlook(now, &s->outlook, &s->health);
    json_put(json, "now", now);
    print_json(json);
}

static int look(struct showing *s, struct ask *k)
{
    int status = ruling_read(k, &s->ruling);

    if (status != EXIT_OK)
        return status;
    health_ask(k, &s->health);
    outlook_ask(k, &s->outlook, &s->ruling, s->way.queue, partition_of(span_of(s->way.queue)));
    status = ask_wait(k);
    return status == EXIT_OK ? site_look(k, &s->way, &s->health, &s->site) : status;
}

int verb_site_show(const struct arguments *a)
{
    struct showing s = {.way = {.queue = NULL}};
    struct ask *k;
    int status = ask_open_partly(a, &k);

    if (status != EXIT_OK)
        return status;
    status = way_find(a, &s.way);
    if (status == EXIT_OK)
        status = look(&s, k);
    if (status == EXIT_OK && a->is_json)
        print_site_json(&s);
    else if (status == EXIT_OK)
        print_site(&s);
    ask_close(k);
    site_done(&s.site);
    outlook_done(&s.outlook);
    ruling_done(&s.ruling);
    health_done(&s.health);
    way_done(&s.way);
    return status;
}
