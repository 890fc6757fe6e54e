/* What the table of settings cannot judge of transports and routes. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/lane.h"
#include "cluster/tls_setting.h"
#include "cluster/transport.h"

enum { SHOWN_MAX = 200 };

static int fault(const struct conf *conf, const char *path, const char *key, const char *what,
                 char **ret_error)
{
    struct buf text = {.data = NULL};

    conf_place(conf, path, key, &text);
    buf_add_text(&text, ": ");
    buf_add_text(&text, what);
    *ret_error = buf_steal_text(&text);
    return -EINVAL;
}

static int fault_of(const struct conf *conf, const struct conf_transport *t, const char *name,
                    const char *what, char **ret_error)
{
    AUTO_FREE char *path = conf_member_path(&t->as_member, "transports", name);

    return fault(conf, path, NULL, what, ret_error);
}

static bool is_unix(struct span host)
{
    return span_starts_nocase(host, SPAN("unix:"));
}

/* Why a host cannot be used; NULL: it can. */
static const char *host_fault(struct span host, bool is_lmtp)
{
    char name[DOMAIN_MAX + 1];
    uint16_t port;
    struct ip ip;

    if (is_unix(host)) {
        if (!is_lmtp)
            return "unix: is for a transport with protocol lmtp";
        return host.len > 6 && host.at[5] == '/' && host.len < 5 + 108
                   ? NULL
                   : "write the socket as unix:/path, of at most 107 bytes";
    }
    if (hostport_parse(host, 0, name, &port) < 0 ||
        (ip_parse(span_of(name), &ip) < 0 && domain_check(span_of(name)) < 0))
        return "is no host; write host:port, [host]:port, or [2001:db8::1]:port";
    return is_lmtp && port == 0 ? "an LMTP server has no usual port; write host:port" : NULL;
}

static int check_host(const struct conf *conf, const char *path, const char *key, struct span host,
                      bool is_lmtp, char **ret_error)
{
    AUTO_BUF struct buf text = {.data = NULL};
    const char *why = host_fault(host, is_lmtp);

    if (!why)
        return 0;
    buf_add_char(&text, '"');
    buf_add_printable(&text, host, SHOWN_MAX);
    buf_printf(&text, "\": %s", why);
    buf_add_char(&text, '\0');
    return fault(conf, path, key, text.data, ret_error);
}

static bool has_network_host(const struct conf_transport *t)
{
    for (size_t i = 0; i < t->hosts.count; i++)
        if (!is_unix(span_of(t->hosts.items[i])))
            return true;
    return false;
}

/* Credentials: both of them, for hosts that are named, and never where somebody else could read or answer (BEHAVIOURS H20). */
static int check_login(const struct conf *conf, const struct conf_transport *t, enum tls_wish wish,
                       char **ret_error)
{
    bool is_weak = wish == TLS_WISH_NONE || wish == TLS_WISH_MAY || wish == TLS_WISH_ENCRYPT;

    if (!*t->user)
        return *t->password ? fault_of(conf, t, "password", "is for nobody; give user, too", ret_error) : 0;
    if (!*t->password)
        return fault_of(conf, t, "user", "has no password; give password_file, too", ret_error);
    if (t->hosts.count == 0)
        return fault_of(conf, t, "user", "nobody logs in at the MX of strangers; name hosts", ret_error);
    if (has_network_host(t) && is_weak)
        return fault_of(
            conf, t, "tls",
            "no password goes to whoever answers there; say verify, fingerprint or dane, or leave "
            "user out",
            ret_error);
    return 0;
}

static int check_tls(const struct conf *conf, const struct conf_transport *t, enum tls_wish *ret_wish,
                     char **ret_error)
{
    struct tls_setting setting;
    AUTO_FREE char *why = NULL;

    *ret_wish = TLS_WISH_AUTO;
    if (!*t->tls)
        return 0;
    if (tls_setting_parse(span_of(t->tls), &setting, &why) < 0)
        return fault_of(conf, t, "tls", why, ret_error);
    *ret_wish = setting.wish;
    tls_setting_done(&setting);
    return 0;
}

/* The names that courier.routes has for what needs no transport. */
static bool is_reserved(struct span name)
{
    return span_equal(name, SPAN("mx")) || span_equal(name, SPAN("hold")) ||
           span_equal(name, SPAN("discard"));
}

static int check_transport(const struct conf *conf, const struct conf_transport *t, char **ret_error)
{
    AUTO_FREE char *path = conf_member_path(&t->as_member, "transports", "hosts");
    enum tls_wish wish = TLS_WISH_AUTO;
    int r = 0;

    if (is_reserved(span_of(t->name)))
        return fault_of(conf, t, "hosts", "mx, hold and discard mean something already; take another name",
                        ret_error);
    if (t->protocol == PROTOCOL_LMTP && t->hosts.count == 0)
        return fault_of(conf, t, "protocol", "LMTP goes to no MX; name hosts", ret_error);
    if (t->protocol == PROTOCOL_SMTPS && t->hosts.count == 0)
        return fault_of(conf, t, "protocol", "smtps goes to no MX, which waits for STARTTLS; name hosts",
                        ret_error);
    for (size_t i = 0; r == 0 && i < t->hosts.count; i++)
        r = check_host(conf, path, NULL, span_of(t->hosts.items[i]), t->protocol == PROTOCOL_LMTP, ret_error);
    if (r == 0)
        r = check_tls(conf, t, &wish, ret_error);
    if (r == 0 && t->protocol == PROTOCOL_SMTPS && (wish == TLS_WISH_NONE || wish == TLS_WISH_MAY))
        r = fault_of(conf, t, "tls",
                     "smtps is TLS; say encrypt, verify, fingerprint or dane, or leave tls out", ret_error);
    return r < 0 ? r : check_login(conf, t, wish, ret_error);
}

/* ---- courier.routes ---- */

static bool is_transport(const struct conf *conf, struct span name)
{
    for (size_t i = 0; i < conf->transport_count; i++)
        if (span_equal(span_of(conf->transports[i].name), name))
            return true;
    return is_reserved(name);
}

static bool is_pattern(struct span domain)
{
    struct ip ip;

    if (span_equal(domain, SPAN("*")))
        return true;
    if (domain.len > 2 && domain.at[0] == '[' && domain.at[domain.len - 1] == ']')
        return ip_parse((struct span){domain.at + 1, domain.len - 2}, &ip) == 0;
    if (domain.len > 1 && domain.at[0] == '.')
        domain = (struct span){domain.at + 1, domain.len - 1};
    return domain_check(domain) == 0;
}

static int check_key(const struct conf *conf, const char *key, char **ret_error)
{
    struct span domain, lane;

    queue_split(span_of(key), &domain, &lane);
    if (!is_pattern(domain))
        return fault(conf, "courier.routes", key,
                     "a row begins with a domain (A-labels), .domain, or *, and may go on with /lane",
                     ret_error);
    if ((lane.len > 0 || domain.len < strlen(key)) && !lane_find(conf, lane))
        return fault(conf, "courier.routes", key, "there is no such lane; add it to lanes", ret_error);
    return 0;
}

static int check_value(const struct conf *conf, const char *key, struct span value, char **ret_error)
{
    int r = 0;

    if (is_transport(conf, value))
        return 0;
    if (!memchr(value.at, '.', value.len) && !memchr(value.at, ':', value.len))
        return fault(conf, "courier.routes", key,
                     "there is no such transport; add it to transports, or write host:port", ret_error);
    while (r == 0 && value.len > 0)
        r = check_host(conf, "courier.routes", key, span_trim(span_cut(&value, ',')), false, ret_error);
    return r;
}

int route_value_check(const struct conf *conf, const char *value, char **ret_error)
{
    struct span rest = span_of(value);

    if (is_transport(conf, rest))
        return 0;
    if (!strchr(value, '.') && !strchr(value, ':')) {
        *ret_error = mem_string(
            "there is no such transport; write one of the settings, mx, hold, or host:port");
        return -EINVAL;
    }
    while (rest.len > 0) {
        struct span host = span_trim(span_cut(&rest, ','));
        const char *why = host_fault(host, false);
        if (!why)
            continue;
        *ret_error = mem_format("\"%.*s\": %s", SPAN_ARG(host), why);
        return -EINVAL;
    }
    return 0;
}

int transports_check(const struct conf *conf, char **ret_error)
{
    const struct conf_map *routes = &conf->courier.routes;
    int r = 0;

    for (size_t i = 0; r == 0 && i < conf->transport_count; i++)
        r = check_transport(conf, &conf->transports[i], ret_error);
    for (size_t i = 0; r == 0 && i < routes->count; i++) {
        r = check_key(conf, routes->keys[i], ret_error);
        if (r == 0)
            r = check_value(conf, routes->keys[i], span_of(routes->values[i]), ret_error);
    }
    return r;
}
