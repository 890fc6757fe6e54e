/* From a domain to addresses: the MX question, then the addresses of each host, then the rules that drop some of them. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "cluster/lane.h"
#include "courier/policy_search.h"
#include "courier/route.h"
#include "mail/ascii.h"

enum { FALLBACK_GROUP = UINT16_MAX + 1 }; /* worse than any preference of an MX */

struct host {
    char name[DOMAIN_MAX + 1]; /* or "unix:/path" */
    uint16_t port;
    unsigned preference;
    bool is_unix, is_by_mx, is_fallback, is_own, is_away; /* away: an address question was not answered */
    struct ip ips[16];
    size_t ip_count;
    bool is_insecure;              /* an answer with addresses was not secure */
    char expanded[DOMAIN_MAX + 1]; /* the name at the end of its aliases; "": no answer had addresses */
    struct policy_host *policy;
    bool was_refused; /* it had addresses, all of a kind we never connect to */
};

struct route_search {
    struct courier *courier;
    struct conf *conf; /* held: route.conf */
    uint64_t redirect;
    char domain[DOMAIN_MAX + 3];
    struct transport transport;
    route_on_found *on_found;
    void *context;
    struct dns_question *mx;
    struct dns_question *questions[2 * ROUTE_HOSTS_MAX];
    struct address_answer {
        struct route_search *search;
        size_t host, question;
    } answers[2 * ROUTE_HOSTS_MAX];
    size_t question_count, open_count;
    struct host hosts[ROUTE_HOSTS_MAX];
    size_t host_count;
    const char *how;
    struct tail tail;
    bool is_mx_secure;
    struct policy_search policies;
    struct policy_host policy_hosts[ROUTE_HOSTS_MAX];
};

/* ---- the result ---- */

static void search_free(struct route_search *s)
{
    tail_remove(&s->tail);
    if (s->mx)
        dns_cancel(s->mx);
    for (size_t i = 0; i < s->question_count; i++) {
        if (s->questions[i])
            dns_cancel(s->questions[i]);
    }
    policy_search_end(&s->policies);
    transport_done(&s->transport);
    conf_release(s->conf);
    mem_free(s);
}

void route_cancel(struct route_search *s)
{
    search_free(s);
}

/* Of the best preference, the first by name: all couriers find the same one, also when a host has no address for a moment. "": none. */
static const char *best_host(const struct route_search *s)
{
    const struct host *best = NULL;

    for (size_t i = 0; i < s->host_count; i++) {
        const struct host *h = &s->hosts[i];

        if (h->is_own || h->is_fallback)
            continue;
        if (!best || h->preference < best->preference ||
            (h->preference == best->preference && strcmp(h->name, best->name) < 0))
            best = h;
    }
    return best ? best->name : "";
}

static void answer(struct route_search *s, struct route *r)
{
    route_on_found *on_found = s->on_found;
    void *context = s->context;

    r->conf = s->conf;
    s->conf = NULL;
    r->redirect = s->redirect;
    r->how = mem_string(s->how);
    r->site = mem_string(best_host(s));
    r->transport = s->transport;
    r->sts_trouble = s->policies.sts_trouble;
    s->transport = (struct transport){0};
    search_free(s);
    on_found(context, r);
}

static void answer_failure(struct route_search *s, enum status status)
{
    struct route *r = NEW(struct route);

    verdict_set(&r->failure, status, NULL);
    answer(s, r);
}

static void add_targets(struct route *r, const struct host *h, size_t most)
{
    size_t count = h->is_unix ? 1 : h->ip_count;

    for (size_t i = 0; i < count && r->count < most; i++) {
        struct target *t = &r->targets[r->count++];

        memcpy(t->host, h->name, sizeof(t->host));
        t->path = h->is_unix ? mem_string(h->name + strlen("unix:")) : NULL;
        t->ip = h->ips[i];
        t->port = h->port;
        t->is_by_mx = h->is_by_mx;
        t->group = h->preference + (h->is_fallback ? FALLBACK_GROUP : 0);
        t->policy = tls_policy_hold(h->policy->policy);
    }
}

/* Our own host in the list: it and all that are not better are dropped (RFC 5321 section 5.1, BEHAVIOURS I08). */
static unsigned own_preference(const struct route_search *s)
{
    unsigned own = UINT32_MAX;

    for (size_t i = 0; i < s->host_count; i++) {
        if (s->hosts[i].is_by_mx && s->hosts[i].is_own && s->hosts[i].preference < own)
            own = s->hosts[i].preference;
    }
    return own;
}

static enum status why_none(const struct route_search *s, unsigned own)
{
    bool any_away = false, any_refused = false, any_better = false, any_own = false;

    for (size_t i = 0; i < s->host_count; i++) {
        const struct host *h = &s->hosts[i];

        if (h->is_fallback)
            continue;
        any_away |= h->is_away;
        any_refused |= h->was_refused;
        any_better |= h->preference < own && !h->is_own;
        any_own |= h->is_own;
    }
    if (any_away)
        return STATUS_NO_ADDRESS_NOW;
    if (s->transport.kind == TRANSPORT_HOSTS) /* the operator named them: a mistake of his returns no mail */
        return any_own ? STATUS_LOOPS_NOW : STATUS_NO_ADDRESS_NOW;
    if (own != UINT32_MAX)
        return any_better ? STATUS_BEST_AWAY : STATUS_LOOPS;
    return any_refused ? STATUS_REFUSED_ADDRESS : STATUS_NO_ADDRESS;
}

static int by_preference(const void *a, const void *b)
{
    const struct host *x = a, *y = b;

    return x->preference < y->preference ? -1 : x->preference > y->preference;
}

static void finish(struct route_search *s)
{
    unsigned own = own_preference(s);
    size_t most = conf_get()->courier.max_addresses;
    struct route *r = NEW(struct route);

    qsort(s->hosts, s->host_count, sizeof(s->hosts[0]), by_preference);
    r->targets = mem_array(ROUTE_TARGETS_MAX, sizeof(*r->targets));
    for (size_t i = 0; i < s->host_count; i++) {
        const struct host *h = &s->hosts[i];

        if (!h->is_fallback && !h->is_own && h->preference < own)
            add_targets(r, h, ROUTE_TARGETS_MAX);
    }
    r->count = route_cap(r->targets, r->count, most < ROUTE_TARGETS_MAX / 2 ? most : ROUTE_TARGETS_MAX / 2);
    if (r->count == 0 && own != UINT32_MAX && why_none(s, own) == STATUS_LOOPS) {
        route_free(r); /* no fallback host either: it would send the mail back here */
        answer_failure(s, STATUS_LOOPS);
        return;
    }
    for (size_t i = 0; i < s->host_count; i++) {
        if (s->hosts[i].is_fallback)
            add_targets(r, &s->hosts[i], ROUTE_TARGETS_MAX);
    }
    if (r->count == 0)
        verdict_set(&r->failure, why_none(s, own), NULL);
    answer(s, r);
}

/* ---- policies ---- */

static void on_policies(void *context)
{
    finish(context);
}

/* The addresses are known: each host that has some gets its TLS policy. */
static void find_policies(struct route_search *s)
{
    size_t count = 0;

    for (size_t i = 0; i < s->host_count; i++) {
        struct host *h = &s->hosts[i];
        struct policy_host *p = &s->policy_hosts[count];

        if (h->ip_count == 0 && !h->is_unix)
            continue;
        *p = (struct policy_host){.name = h->is_unix ? NULL : h->name,
                                  .port = h->port,
                                  .is_by_mx = h->is_by_mx,
                                  .is_mx_secure = s->is_mx_secure,
                                  .is_secure = h->expanded[0] && !h->is_insecure};
        memcpy(p->expanded, h->expanded, sizeof(p->expanded));
        h->policy = p;
        count++;
    }
    if (policy_search_hosts(&s->policies, s->policy_hosts, count, on_policies, s))
        finish(s);
}

/* ---- addresses ---- */

static bool is_own_host(const struct route_search *s, const char *name)
{
    const struct client_settings *client = &s->courier->client;

    for (size_t i = 0; i < client->own_name_count; i++) {
        if (span_equal_nocase(span_of(client->own_names[i]), span_of(name)))
            return true;
    }
    return false;
}

static void add_address(struct host *h, const struct ip *ip)
{
    const struct conf *conf = conf_get();

    if (h->ip_count == ARRAY_LEN(h->ips))
        return;
    if (route_list_has(&conf->courier.own_addresses, ip)) {
        h->is_own = true;
        return;
    }
    if (h->is_by_mx && !route_may_connect(ip, &conf->courier.own_addresses, &conf->courier.allow_private,
                                          conf->courier.refuse_private)) {
        h->was_refused = true;
        return;
    }
    h->ips[h->ip_count++] = *ip;
}

static void on_addresses(void *context, const struct dns_answer *a)
{
    struct address_answer *slot = context;
    struct route_search *s = slot->search;
    struct host *h = &s->hosts[slot->host];

    s->questions[slot->question] = NULL;
    if (a->result == DNS_AWAY)
        h->is_away = true;
    if (a->result == DNS_OK) {
        h->is_insecure |= !a->is_secure;
        memcpy(h->expanded, a->name, sizeof(h->expanded));
    }
    for (size_t i = 0; a->result == DNS_OK && i < a->count; i++)
        add_address(h, &a->records[i].ip);
    if (--s->open_count == 0)
        find_policies(s);
}

static void on_tail(struct tail *t)
{
    find_policies(CONTAINER_OF(t, struct route_search, tail));
}

/* Asks for all hosts' addresses; a numeric host needs no question. */
static void ask_addresses(struct route_search *s)
{
    static const enum dns_type types[] = {DNS_A, DNS_AAAA};

    for (size_t i = 0; i < s->host_count; i++) {
        struct host *h = &s->hosts[i];
        struct ip ip;

        if (h->is_unix)
            continue;
        h->is_own = h->is_own || is_own_host(s, h->name);
        if (ip_parse(span_of(h->name), &ip) == 0) {
            if (!h->is_by_mx ||
                s->domain[0] == '[') /* the name of an MX is never an address (BEHAVIOURS I11) */
                add_address(h, &ip);
            continue;
        }
        for (size_t k = 0; k < ARRAY_LEN(types) && !h->is_own; k++) {
            size_t q = s->question_count++;

            s->answers[q] = (struct address_answer){s, i, q};
            s->open_count++;
            s->questions[q] = dns_ask(s->courier->dns, h->name, types[k], on_addresses, &s->answers[q]);
        }
    }
    if (s->open_count == 0)
        tail_add(s->courier->loop, &s->tail, on_tail);
}

static void add_host(struct route_search *s, const char *name, uint16_t port, unsigned preference,
                     bool is_by_mx, bool is_fallback)
{
    struct host *h;

    if (s->host_count == ROUTE_HOSTS_MAX)
        return;
    h = &s->hosts[s->host_count++];
    *h = (struct host){
        .port = port, .preference = preference, .is_by_mx = is_by_mx, .is_fallback = is_fallback};
    for (size_t i = 0; i <= strlen(name); i++)
        h->name[i] = to_lower(name[i]);
}

static void add_socket(struct route_search *s, struct span name, unsigned preference)
{
    struct host *h;

    if (s->host_count == ROUTE_HOSTS_MAX || name.len > DOMAIN_MAX)
        return;
    h = &s->hosts[s->host_count++];
    *h = (struct host){.is_unix = true, .preference = preference};
    memcpy(h->name, name.at, name.len);
}

/* Tried in this order: each is worse than the one before it. */
static void add_named_hosts(struct route_search *s, struct span hosts, bool is_fallback)
{
    uint16_t usual = s->transport.is_wrapped ? 465 : (uint16_t) conf_get()->courier.port;
    unsigned preference = 0;

    while (hosts.len > 0) {
        struct span one = span_trim(span_cut(&hosts, ','));
        char name[DOMAIN_MAX + 1];
        uint16_t port;

        if (span_starts_nocase(one, SPAN("unix:")))
            add_socket(s, one, preference++);
        else if (one.len > 0 && hostport_parse(one, usual, name, &port) == 0)
            add_host(s, name, port, preference++, false, is_fallback);
    }
}

static void add_fallback_hosts(struct route_search *s)
{
    const struct conf_list *list = &conf_get()->courier.fallback_hosts;

    for (size_t i = 0; i < list->count; i++)
        add_named_hosts(s, span_of(list->items[i]), true);
}

/* ---- MX ---- */

/* The best hosts only, equals in random order: a domain with 200 MX costs no more than one with ROUTE_HOSTS_MAX. */
static int by_record(const void *a, const void *b)
{
    const struct dns_record *x = a, *y = b;

    if (x->preference != y->preference)
        return x->preference < y->preference ? -1 : 1;
    return x->data.len < y->data.len ? -1 : x->data.len > y->data.len;
}

static void add_mx_hosts(struct route_search *s, const struct dns_answer *a)
{
    struct dns_record *sorted = mem_copy(a->records, a->count * sizeof(*sorted));
    uint64_t random = clock_us();
    size_t most = ROUTE_HOSTS_MAX - conf_get()->courier.fallback_hosts.count % ROUTE_HOSTS_MAX;

    for (size_t i = 0; i < a->count; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        sorted[i].data = (struct span){NULL,
                                       (size_t) (random >> 33)}; /* an MX has no data: a place for its lot */
    }
    qsort(sorted, a->count, sizeof(*sorted), by_record);
    for (size_t i = 0; i < a->count && s->host_count < most; i++) {
        if (sorted[i].name[0])
            add_host(s, sorted[i].name, (uint16_t) conf_get()->courier.port, sorted[i].preference, true,
                     false);
    }
    mem_free(sorted);
}

static void on_mx(void *context, const struct dns_answer *a)
{
    struct route_search *s = context;

    s->mx = NULL;
    s->is_mx_secure = a->is_secure;
    switch (a->result) {
    case DNS_NO_NAME: answer_failure(s, STATUS_NO_SUCH_DOMAIN); return;
    case DNS_AWAY: answer_failure(s, STATUS_DNS_AWAY); return;
    case DNS_NO_DATA: /* RFC 5321 section 5.1: the domain itself, at preference 0 */
        s->how = "implicit mx";
        add_host(s, s->domain, (uint16_t) conf_get()->courier.port, 0, true, false);
        break;
    case DNS_OK:
        if (a->count == 1 && !a->records[0].name[0]) {
            answer_failure(s, STATUS_NULL_MX); /* RFC 7505 section 3 */
            return;
        }
        add_mx_hosts(s, a);
        break;
    }
    add_fallback_hosts(s);
    ask_addresses(s);
}

/* [192.0.2.1] or [IPv6:...]: there, and no MX (BEHAVIOURS I12). */
static void find_literal(struct route_search *s)
{
    AUTO_FREE char *inner = mem_text(s->domain + 1, strlen(s->domain) > 2 ? strlen(s->domain) - 2 : 0);
    AUTO_BUF struct buf text = {0};
    struct ip ip;

    s->how = "literal";
    if (ip_parse(span_of(inner), &ip) == 0) {
        ip_format(&ip, &text);
        buf_add_char(&text, '\0');
        add_host(s, text.data, (uint16_t) conf_get()->courier.port, 0, true, false);
    }
    ask_addresses(s);
}

/* Hosts that the settings name; those of a transport have their own backups, and what it tells them is for nobody else. */
static void find_named(struct route_search *s)
{
    bool is_plain = strcmp(s->transport.name, "static") == 0;

    s->how = s->transport.name;
    add_named_hosts(s, span_of(s->transport.hosts), false);
    if (is_plain)
        add_fallback_hosts(s);
    ask_addresses(s);
}

struct route_search *route_find(struct courier *c, const char *queue, uint64_t redirect, const char *to,
                                route_on_found *on_found, void *context)
{
    struct route_search *s = NEW(struct route_search);
    struct span domain, lane;

    queue_split(span_of(queue), &domain, &lane);
    s->conf = conf_hold((struct conf *) (uintptr_t) conf_get());
    s->redirect = redirect;
    if (redirect)
        transport_read(s->conf, to, &s->transport);
    else
        transport_find(s->conf, queue, &s->transport);
    s->courier = c;
    s->on_found = on_found;
    s->context = context;
    if (domain.len > DOMAIN_MAX) { /* a queue that ingress would not have made: no host has such a name */
        s->how = "no domain";
        tail_add(c->loop, &s->tail, on_tail);
        return s;
    }
    memcpy(s->domain, domain.at, domain.len);
    policy_search_begin(&s->policies, c, s->domain, &s->transport);
    if (s->transport.kind == TRANSPORT_HOSTS) {
        find_named(s);
    } else if (s->domain[0] == '[') {
        find_literal(s);
    } else { /* also of what a route holds, once it is released */
        s->how = "mx";
        s->mx = dns_ask(c->dns, s->domain, DNS_MX, on_mx, s);
    }
    return s;
}
