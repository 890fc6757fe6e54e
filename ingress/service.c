/* Services: made of a listener's settings. A new one is made whole, then takes the place of the contents of the old one. */
#include "ingress/service.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cluster/spool.h"
#include "ingress/certificate.h"
#include "ingress/overload.h"
#include "ingress/reactor.h"
#include "ingress/sasl.h"

/* The store knows at most 4096 chunks of a message, of which early ones may be short. */
enum { WHOLE_CHUNKS_MAX = 3500, DEFAULT_PORT = 25 };

/* In the order of enum smtp_extension. */
static const char *const extensions[] = {"CHUNKING", "DSN",        "SMTPUTF8",      "REQUIRETLS",
                                         "LIMITS",   "BINARYMIME", "FUTURERELEASE", "DELIVERBY"};

static int fault(const struct conf_listener *l, const char *name, char **ret_error, char *what)
{
    AUTO_FREE char *path = conf_member_path(&l->as_member, "listeners", name);
    *ret_error = mem_format("%s: %s", path, what);
    mem_free(what);
    return -EINVAL;
}

static void contents_done(struct service *s)
{
    (void) policy_free(s->policy);     /* always NULL */
    (void) rate_free(s->rate);         /* always NULL */
    (void) tls_server_release(s->tls); /* always NULL */
    networks_done(&s->balancers);
    networks_done(&s->xclient);
    mem_free(s->mechanisms);
    mem_free(s->tls_mechanisms);
    mem_free(s->fingerprints);
    conf_release(s->settings);
}

/* ---- the settings' words */

static int add_extensions(struct service *s, char **ret_error)
{
    const struct conf_list *list = &s->conf->extensions;
    for (size_t i = 0; i < list->count; i++) {
        size_t bit = 0;
        while (bit < ARRAY_LEN(extensions) &&
               !span_equal_nocase(span_of(list->items[i]), span_of(extensions[bit])))
            bit++;
        if (bit == ARRAY_LEN(extensions))
            return fault(
                s->conf, "extensions", ret_error,
                mem_format(
                    "\"%s\" is not one of CHUNKING DSN SMTPUTF8 REQUIRETLS LIMITS BINARYMIME FUTURERELEASE "
                    "DELIVERBY",
                    list->items[i]));
        s->profile.extensions |= 1u << bit;
    }
    return 0;
}

/* 64 hex digits, with or without colons. */
static bool parse_fingerprint(const char *text, char ret_hex[static 65])
{
    size_t len = 0;
    for (; *text; text++) {
        char c = *text >= 'A' && *text <= 'F' ? (char) (*text - 'A' + 'a') : *text;
        bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (c == ':')
            continue;
        if (!is_hex || len == 64)
            return false;
        ret_hex[len++] = c;
    }
    ret_hex[len] = '\0';
    return len == 64;
}

static int add_fingerprints(struct service *s, char **ret_error)
{
    const struct conf_list *list = &s->conf->client_fingerprints;
    s->fingerprints = mem_array(list->count + 1, sizeof s->fingerprints[0]);
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], "verified") == 0)
            s->permits_verified = true;
        else if (parse_fingerprint(list->items[i], s->fingerprints[s->fingerprint_count]))
            s->fingerprint_count++;
        else
            return fault(s->conf, "client_fingerprints", ret_error,
                         mem_format("\"%s\" is neither the 64 hex digits of a SHA-256 nor \"verified\"",
                                    list->items[i]));
    }
    return 0;
}

static void set_limits(struct service *s)
{
    const struct conf_ingress *all = &s->settings->ingress;
    const struct conf_listener *l = s->conf;
    uint64_t storable = (uint64_t) WHOLE_CHUNKS_MAX * SPOOL_CHUNK;
    s->profile.limits = (struct smtp_limits){
        .message_bytes = l->max_message_bytes < storable ? l->max_message_bytes : storable,
        .line_bytes = all->max_line_bytes,
        .header = {.size_bytes = all->max_header_bytes,
                   .fields = all->max_header_fields,
                   .hops = all->max_hops},
        .recipients = l->max_recipients,
        .transactions = l->max_transactions,
        .errors = l->max_errors,
        .junk = l->max_junk,
        .command_ms = l->command_timeout_ms,
        .data_ms = l->data_timeout_ms,
        .data_total_ms = l->data_total_ms,
        .data_rate = all->data_min_rate_bytes,
        .requires_fqdn = l->require_fqdn,
    };
}

/* All but what needs a reactor, files or what others share. */
static int set_rules(struct service *s, char **ret_error)
{
    const struct conf_listener *l = s->conf;
    bool has_tls = l->certificates.count > 0 && l->tls != LISTENER_TLS_OFF;
    s->is_tls_implicit = l->tls == LISTENER_TLS_IMPLICIT;
    s->is_proxied = l->proxy;
    s->fixup = (struct fixup_rules){
        .adds_fields = l->fix_headers, .removes_bcc = l->remove_bcc, .checks_from = l->check_from};
    s->profile = (struct smtp_profile){
        /* Where the handshake comes first there is no STARTTLS to offer or to ask for. */
        .tls = !has_tls || s->is_tls_implicit    ? SMTP_TLS_OFF
               : l->tls == LISTENER_TLS_REQUIRED ? SMTP_TLS_REQUIRED
                                                 : SMTP_TLS_OFFERED,
        .auth = (enum smtp_auth) l->auth,
        .auth_without_tls = l->auth_without_tls,
        .future_max_ms = s->settings->retry.lifetime_ms,
        .normalises_lf = l->bare_lf,
        .banner = l->banner,
    };
    set_limits(s);
    int r = add_extensions(s, ret_error);
    if (r >= 0)
        r = add_fingerprints(s, ret_error);
    if (r >= 0)
        r = networks_parse(l, "balancers", &l->balancers, &s->balancers, ret_error);
    if (r >= 0)
        r = networks_parse(l, "xclient", &l->xclient, &s->xclient, ret_error);
    if (r >= 0)
        r = policy_new(l, &s->policy, ret_error);
    if (r >= 0)
        r = rate_new(l->name, &l->limits, &s->rate, ret_error);
    return r;
}

/* ---- what does not go together */

static int check_certificates(const struct conf_listener *l, char **ret_error)
{
    bool has_certificate = l->certificates.count > 0;
    if (!has_certificate && (l->tls == LISTENER_TLS_REQUIRED || l->tls == LISTENER_TLS_IMPLICIT))
        return fault(
            l, "tls", ret_error,
            mem_format("%s, but there is no certificate: set tls.certificates, or listeners.%s.certificates",
                       l->tls == LISTENER_TLS_REQUIRED ? "required" : "implicit", l->name));
    if (l->client_fingerprints.count > 0 && !*l->client_ca)
        return fault(
            l, "client_fingerprints", ret_error,
            mem_format(
                "only a certificate that an authority vouches for permits to relay: set listeners.%s.client_ca",
                l->name));
    if (*l->client_ca && (!has_certificate || l->tls == LISTENER_TLS_OFF))
        return fault(
            l, "client_ca", ret_error,
            mem_format("clients have certificates in TLS only: set listeners.%s.certificates and tls",
                       l->name));
    return 0;
}

static int check_combinations(const struct conf_listener *l, char **ret_error)
{
    bool has_tls = l->certificates.count > 0 && l->tls != LISTENER_TLS_OFF;
    int r = check_certificates(l, ret_error);
    if (r < 0)
        return r;
    if (l->auth != SMTP_AUTH_OFF && !has_tls && !l->auth_without_tls)
        return fault(
            l, "auth", ret_error,
            mem_format(
                "passwords are taken within TLS only, and there is none: set tls.certificates and listeners.%s.tls, "
                "or, if you must, listeners.%s.auth_without_tls",
                l->name, l->name));
    if (l->check_from && l->auth == SMTP_AUTH_OFF)
        return fault(
            l, "check_from", ret_error,
            mem_format("there is no user whose address it could be: set listeners.%s.auth", l->name));
    if (l->proxy && l->balancers.count == 0)
        return fault(
            l, "proxy", ret_error,
            mem_format(
                "required, but of whom? set listeners.%s.balancers to the networks of the load balancers",
                l->name));
    if (!l->proxy && l->balancers.count > 0)
        return fault(l, "balancers", ret_error,
                     mem_format("are listed, but proxy is off: set listeners.%s.proxy to required", l->name));
    return 0;
}

struct place {
    struct ip ip;
    uint16_t port;
    const struct conf_listener *listener;
};

/* seen: the addresses of all listeners before. */
static int check_address(const struct conf_listener *l, const char *text, struct place *seen,
                         size_t *seen_count, char **ret_error)
{
    struct place here = {.listener = l};
    if (service_parse_address(span_of(text), &here.ip, &here.port) < 0)
        return fault(l, "address", ret_error,
                     mem_format("\"%s\" is not an address; expected 192.0.2.1:25 or [2001:db8::1]:25", text));
    for (size_t i = 0; i < *seen_count; i++)
        if (here.port != 0 && seen[i].port == here.port && ip_equal(&seen[i].ip, &here.ip))
            return fault(l, "address", ret_error,
                         seen[i].listener == l ? mem_format("%s is there twice", text)
                                               : mem_format("%s is an address of the listener %s too", text,
                                                            seen[i].listener->name));
    seen[(*seen_count)++] = here;
    return 0;
}

static int check_addresses(const struct conf *conf, char **ret_error)
{
    size_t count = 0, seen_count = 0;
    for (size_t i = 0; i < conf->listener_count; i++)
        count += conf->listeners[i].address.count;
    AUTO_FREE struct place *seen = mem_array(count + 1, sizeof seen[0]);
    for (size_t i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *l = &conf->listeners[i];
        if (l->address.count == 0)
            return fault(l, "address", ret_error,
                         mem_string("is not set; expected addresses such as 0.0.0.0:25 and [::]:25"));
        for (size_t k = 0; k < l->address.count; k++) {
            int r = check_address(l, l->address.items[k], seen, &seen_count, ret_error);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

int services_check(const struct conf *conf, char **ret_error)
{
    int r = check_addresses(conf, ret_error);
    for (size_t i = 0; i < conf->listener_count && r >= 0; i++) {
        struct service s = {.conf = &conf->listeners[i], .settings = conf_hold((struct conf *) conf)};
        r = set_rules(&s, ret_error);
        if (r >= 0)
            r = check_combinations(s.conf, ret_error);
        contents_done(&s);
    }
    return r;
}

/* ---- the services of a reactor */

static char *mechanisms_of(const struct service *s, bool is_secured)
{
    struct buf out = {.data = NULL};
    sasl_mechanisms(s->reactor, s, is_secured, &out);
    return buf_steal_text(&out);
}

/* Under stress clients must hurry (BEHAVIOURS B16). */
static void hurry(struct smtp_limits *limits, uint64_t longest_ms)
{
    if (limits->command_ms > longest_ms)
        limits->command_ms = longest_ms;
    if (limits->data_ms > longest_ms)
        limits->data_ms = longest_ms;
}

static int service_renew(struct service *s, char **ret_error)
{
    const struct conf *conf = conf_get();
    must(s->index < conf->listener_count);
    struct service fresh = {
        .reactor = s->reactor,
        .index = s->index,
        .name = s->name,
        .settings = conf_hold((struct conf *) conf),
        .conf = &conf->listeners[s->index],
    };
    int r = set_rules(&fresh, ret_error);
    if (r < 0) {
        contents_done(&fresh);
        return r;
    }
    fresh.tls = certificate_get(s->index);
    if (!fresh.tls && fresh.profile.tls == SMTP_TLS_OFFERED)
        fresh.profile.tls = SMTP_TLS_OFF; /* the first certificate came with a reload, and cannot be used */
    if (fresh.conf->auth != SMTP_AUTH_OFF) {
        fresh.mechanisms = mechanisms_of(&fresh, false);
        fresh.tls_mechanisms = mechanisms_of(&fresh, true);
        fresh.profile.mechanisms = fresh.mechanisms;
        fresh.profile.tls_mechanisms = fresh.tls_mechanisms;
    }
    if (overload_is_stressed())
        hurry(&fresh.profile.limits, conf->ingress.stress_timeout_ms);
    contents_done(s);
    *s = fresh;
    return 0;
}

/* "host:port" with a numeric host; port 0 is not what hostport_parse() takes. */
int service_parse_address(struct span text, struct ip *ret_ip, uint16_t *ret_port)
{
    char host[DOMAIN_MAX + 1];
    struct span name = text;
    bool is_any_port = text.len > 2 && memcmp(text.at + text.len - 2, ":0", 2) == 0;
    if (is_any_port)
        name.len -= 2;
    int r = text.len ? hostport_parse(name, DEFAULT_PORT, host, ret_port) : -EINVAL;
    if (r < 0)
        return r;
    if (is_any_port)
        *ret_port = 0;
    return ip_parse(span_of(host), ret_ip);
}

int services_open(struct reactor *r, char **ret_error)
{
    const struct conf *conf = conf_get();
    r->services = mem_array(conf->listener_count + 1, sizeof r->services[0]);
    for (size_t i = 0; i < conf->listener_count; i++) {
        struct service *s = r->services[r->service_count++] = NEW(struct service);
        *s = (struct service){.reactor = r, .index = i, .name = mem_string(conf->listeners[i].name)};
        int error = service_renew(s, ret_error);
        if (error < 0)
            return error;
    }
    return 0;
}

void services_refresh(struct reactor *r)
{
    for (size_t i = 0; i < r->service_count; i++) {
        AUTO_FREE char *error = NULL;
        if (service_renew(r->services[i], &error) < 0 && r->index == 0)
            log_event(LOG_CONFIG_REFUSED, F("error", error));
    }
}

void services_close(struct reactor *r)
{
    for (size_t i = 0; i < r->service_count; i++) {
        contents_done(r->services[i]);
        mem_free(r->services[i]->name);
        mem_free(r->services[i]);
    }
    r->services = mem_free(r->services);
    r->service_count = 0;
}

bool service_permits_certificate(const struct service *s, const struct tls_info *info)
{
    if (!info || !info->is_client_verified)
        return false;
    for (size_t i = 0; i < s->fingerprint_count; i++)
        if (strcmp(s->fingerprints[i], info->fingerprint) == 0)
            return true;
    return s->permits_verified;
}
