/* Questions to DNS one after the other: a person waits, and a handful of them is asked. */
#include "ctl/site.h"

#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/mem.h"
#include "cluster/tls_setting.h"
#include "cluster/wire.h"
#include "ctl/print.h"
#include "io/tls.h"

enum { HOSTS_MAX = 20 };

const char *dns_word(enum dns_result result)
{
    static const char *const words[] = {
        [DNS_OK] = "found", [DNS_NO_NAME] = "no such name", [DNS_NO_DATA] = "none", [DNS_AWAY] = "no answer"};

    return words[result];
}

/* ---- one question ---- */

struct question {
    struct loop *loop;
    struct site *site;
    struct site_host *host; /* NULL: of the domain */
    enum dns_type type;
};

static void take_mx(struct site *s, const struct dns_answer *a)
{
    s->mx = a->result;
    s->is_mx_secure = a->is_secure;
    s->hosts = mem_array(HOSTS_MAX, sizeof(*s->hosts));
    for (size_t i = 0; a->result == DNS_OK && i < a->count && s->host_count < HOSTS_MAX; i++) {
        struct site_host *host = &s->hosts[s->host_count];
        if (!*a->records[i].name) {
            s->is_null_mx = a->count == 1;
            continue;
        }
        memcpy(host->name, a->records[i].name, sizeof(host->name));
        host->preference = a->records[i].preference;
        s->host_count++;
    }
}

static void take_addresses(struct site_host *h, const struct dns_answer *a)
{
    if (a->result != DNS_OK) {
        if (h->address_count == 0)
            h->result = a->result;
        return;
    }
    h->result = DNS_OK;
    h->is_secure = a->is_secure;
    h->addresses = mem_resize(h->addresses, (h->address_count + a->count) * sizeof(*h->addresses));
    for (size_t i = 0; i < a->count; i++)
        h->addresses[h->address_count++] = a->records[i].ip;
}

static void take_sts(struct site *s, const struct dns_answer *a)
{
    static const char version[] = "v=STSv1;";
    size_t found = 0;

    s->is_sts_away = a->result == DNS_AWAY;
    for (size_t i = 0; a->result == DNS_OK && i < a->count; i++) {
        struct span text = a->records[i].data;
        if (text.len <= strlen(version) || memcmp(text.at, version, strlen(version)) != 0)
            continue;
        const char *id = memmem(text.at, text.len, "id=", 3);
        size_t len = id ? strcspn(id + 3, "; ") : 0, left = id ? (size_t) (text.at + text.len - id - 3) : 0;
        len = len < left ? len : left;
        if (len > 0 && len < sizeof(s->sts_id)) {
            memcpy(s->sts_id, id + 3, len);
            s->sts_id[len] = '\0';
            found++;
        }
    }
    if (found > 1)
        s->sts_id[0] = '\0'; /* RFC 8461 section 3.1: as if there were none */
}

/* Those that prove nothing ask for encryption all the same (RFC 7672 section 2.2). */
static void take_tlsa(struct site_host *h, const struct dns_answer *a)
{
    h->is_tlsa_away = a->result == DNS_AWAY;
    for (size_t i = 0; a->result == DNS_OK && a->is_secure && i < a->count; i++) {
        struct span data = a->records[i].data;
        struct tls_association t = {.usage = 0};
        if (data.len > 3)
            t = (struct tls_association){.usage = (uint8_t) data.at[0],
                                         .selector = (uint8_t) data.at[1],
                                         .matching = (uint8_t) data.at[2],
                                         .data = {data.at + 3, data.len - 3}};
        if (tls_association_is_usable(&t))
            h->tlsa++;
        else
            h->tlsa_unusable++;
    }
}

static void on_answer(void *context, const struct dns_answer *a)
{
    const struct question *q = context;

    switch (q->type) {
    case DNS_MX: take_mx(q->site, a); break;
    case DNS_TXT: take_sts(q->site, a); break;
    case DNS_TLSA: take_tlsa(q->host, a); break;
    default: take_addresses(q->host, a); break;
    }
    loop_stop(q->loop);
}

static void ask_dns(struct ask *k, struct dns *dns, struct site *s, struct site_host *host, const char *name,
                    enum dns_type type)
{
    struct question q = {ask_loop(k), s, host, type};

    (void) dns_ask(dns, name, type, on_answer, &q); /* answered in any case */
    loop_run(q.loop);
}

/* ---- hosts ---- */

static int compare_hosts(const void *left, const void *right)
{
    const struct site_host *a = left, *b = right;

    if (a->preference != b->preference)
        return a->preference < b->preference ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void look_at_host(struct ask *k, struct dns *dns, struct site *s, struct site_host *host)
{
    host->result = DNS_NO_DATA;
    ask_dns(k, dns, s, host, host->name, DNS_AAAA);
    ask_dns(k, dns, s, host, host->name, DNS_A);
    if (!host->is_secure || !s->is_mx_secure)
        return; /* DANE applies to nothing else (RFC 7672 section 2.2) */
    AUTO_FREE char *name = mem_format("_%llu._tcp.%s", (unsigned long long) conf_get()->courier.port,
                                      host->name);
    if (strlen(name) <= DOMAIN_MAX)
        ask_dns(k, dns, s, host, name, DNS_TLSA);
}

static void look_at_dns(struct ask *k, struct dns *dns, struct site *s)
{
    const char *domain = s->way->domain;

    ask_dns(k, dns, s, NULL, domain, DNS_MX);
    if (s->mx == DNS_NO_DATA) { /* RFC 5321 section 5.1: the domain itself */
        s->is_implicit = true;
        memcpy(s->hosts[0].name, domain, strlen(domain) + 1);
        s->host_count = 1;
    }
    if (s->host_count > 0)
        qsort(s->hosts, s->host_count, sizeof(*s->hosts), compare_hosts);
    for (size_t i = 0; i < s->host_count; i++)
        look_at_host(k, dns, s, &s->hosts[i]);
    AUTO_FREE char *name = mem_format("_mta-sts.%s", domain);
    if (strlen(name) <= DOMAIN_MAX)
        ask_dns(k, dns, s, NULL, name, DNS_TXT);
}

/* ---- what the cluster knows ---- */

/* "mode: enforce" of the policy's text. */
static char *mode_of(const char *text)
{
    for (struct span rest = span_of(text); rest.len;) {
        struct span value = span_trim(span_cut(&rest, '\n')), name = span_cut(&value, ':');
        if (span_equal_nocase(span_trim(name), SPAN("mode"))) {
            value = span_trim(value);
            while (value.len && value.at[value.len - 1] == '\r')
                value.len--;
            return mem_text(value.at ? value.at : "", value.len);
        }
    }
    return mem_string("");
}

struct policy {
    struct site *site;
    uint64_t now_ms;
};

static void on_policy(void *context, const struct redis_value *values)
{
    const struct policy *p = context;
    struct sts_record record;

    if (values[0].type != REDIS_STRING || wire_get_sts(redis_text(&values[0]), &record) < 0)
        return;
    if (record.until_ms > p->now_ms) {
        mem_free(p->site->sts_mode);
        p->site->sts_mode = mode_of(record.text);
        p->site->sts_left_ms = record.until_ms - p->now_ms;
    }
    sts_record_done(&record);
}

static int look_at_policy(struct ask *k, struct site *s, const struct health *h)
{
    struct policy p = {s, h->now_ms};
    AUTO_FREE char *key = mem_format("%s%s", KEY_STS, s->way->domain);
    struct buf *b = ask_command(k, 2);

    resp_arg_text(b, "GET");
    resp_arg_text(b, key);
    ask_send(k, on_policy, &p);
    return ask_wait(k);
}

static void look_at_couriers(struct site *s, const struct health *h)
{
    for (size_t i = 0; i < h->view.count; i++) {
        const struct node_peer *p = &h->view.peers[i];
        for (size_t j = 0; j < p->stats.busy_count && is_beating(h, p); j++) {
            const struct node_busy *b = &p->stats.busy[j];
            if (strcmp(b->queue, s->way->queue) != 0)
                continue;
            s->connections += b->connections;
            s->granted += b->granted;
            s->jobs += b->jobs;
            s->couriers++;
        }
    }
}

int site_look(struct ask *k, const struct way *way, const struct health *h, struct site *ret_site)
{
    const struct dns_settings settings = dns_settings_of(conf_get());
    struct dns *dns;

    *ret_site = (struct site){.way = way, .mx = DNS_NO_DATA, .sts_mode = mem_string("")};
    if (way->transport.kind == TRANSPORT_MX && way->domain[0] != '[') {
        int r = dns_open(ask_loop(k), &settings, &dns);
        if (r < 0)
            return say_failed("the resolvers cannot be asked: %s; see dns.servers", strerror(-r));
        look_at_dns(k, dns, ret_site);
        dns_close(dns);
    }
    look_at_couriers(ret_site, h);
    return look_at_policy(k, ret_site, h);
}

void site_done(struct site *s)
{
    for (size_t i = 0; i < s->host_count; i++)
        mem_free(s->hosts[i].addresses);
    mem_free(s->hosts);
    mem_free(s->sts_mode);
    *s = (struct site){.way = NULL};
}

/* ---- TLS in words ---- */

void add_host_tls(struct buf *out, const struct site *s, const struct site_host *host)
{
    struct tls_setting setting;
    AUTO_FREE char *error = NULL;

    if (tls_setting_parse(span_of(s->way->tls), &setting, &error) < 0) {
        buf_add_text(out, error);
        return;
    }
    bool is_auto = setting.wish == TLS_WISH_AUTO;
    if (host->is_tlsa_away && (is_auto || setting.wish == TLS_WISH_DANE))
        buf_add_text(out, "not used: DNS does not say whether there is DANE");
    else if (host->tlsa > 0 && (is_auto || setting.wish == TLS_WISH_DANE))
        buf_printf(out, "dane, by %u TLSA records", host->tlsa);
    else if (is_auto && strcmp(s->sts_mode, "enforce") == 0)
        buf_add_text(out, "verify, by MTA-STS");
    else if (host->tlsa_unusable > 0 && (is_auto || setting.wish == TLS_WISH_DANE))
        buf_printf(out, "encrypt: none of its %u TLSA records can be used", host->tlsa_unusable);
    else if (is_auto)
        buf_add_text(out, "may: encrypted where the host offers it");
    else
        buf_add_text(out, s->way->tls);
    tls_setting_done(&setting);
}
