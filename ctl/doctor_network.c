/* DNS, reverse DNS and ports, as seen from this machine. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/mem.h"
#include "ctl/doctor.h"
#include "io/dns.h"
#include "io/socket.h"

enum { CONNECT_TIME_MS = 2000, ARPA_MAX = 80 };

/* ---- one question, waited for ---- */

struct question {
    struct loop *loop;
    enum dns_result result;
    bool is_secure;
    char name[DOMAIN_MAX + 1]; /* of the first record */
    const struct ip *wanted;   /* NULL: none */
    bool has_wanted;
};

static void on_answer(void *context, const struct dns_answer *answer)
{
    struct question *q = context;

    q->result = answer->result;
    q->is_secure = answer->is_secure;
    if (answer->result == DNS_OK && answer->count > 0)
        memcpy(q->name, answer->records[0].name, sizeof(q->name));
    for (size_t i = 0; q->wanted && answer->result == DNS_OK && i < answer->count; i++)
        q->has_wanted |= ip_equal(&answer->records[i].ip, q->wanted);
    loop_stop(q->loop);
}

/* It ends by dns.timeout and dns.tries. */
static void resolve(struct dns *dns, struct question *q, const char *name, enum dns_type type)
{
    (void) dns_ask(dns, name, type, on_answer, q); /* answered in any case */
    loop_run(q->loop);
}

/* ---- resolvers ---- */

static void look_at_resolvers(struct diagnosis *d, struct loop *l, struct dns *dns)
{
    struct question q = {.loop = l};

    resolve(dns, &q, "org", DNS_SOA);
    if (q.result == DNS_AWAY)
        diagnose(d, SEVERITY_WRONG, "DNS",
                 "set dns.servers to resolvers that answer, best on the same machine",
                 "no resolver answers about org");
    else if (q.result == DNS_NO_NAME) /* one without this record is known, too */
        diagnose(d, SEVERITY_ADVICE, "DNS",
                 "if mail goes to the world, set dns.servers to resolvers that know it",
                 "the resolvers answer, and do not know org: a world of its own");
    else if (conf_get()->dns.validates && !q.is_secure)
        diagnose(d, SEVERITY_WRONG, "DNS", "turn validation on there, or dns.validates off",
                 "dns.validates says that the resolvers do, and what is signed comes back as not proven");
    else
        diagnose(d, SEVERITY_GOOD, "DNS", "", "the resolvers answer%s",
                 conf_get()->dns.validates ? ", and validate" : "");
}

/* ---- what others see of the addresses that mail comes from ---- */

/* "1.2.0.192.in-addr.arpa" */
static void arpa_name(const struct ip *ip, char ret_name[static ARPA_MAX])
{
    AUTO_BUF struct buf out = {.data = NULL};
    AUTO_BUF struct buf text = {.data = NULL};
    struct in6_addr six;
    uint8_t four[4] = {0};

    ip_format(ip, &text);
    AUTO_FREE char *plain = buf_steal_text(&text);
    if (inet_pton(AF_INET6, plain, &six) == 1) {
        for (size_t i = sizeof(six.s6_addr); i > 0; i--)
            buf_printf(&out, "%x.%x.", six.s6_addr[i - 1] & 15, six.s6_addr[i - 1] >> 4);
        buf_add_text(&out, "ip6.arpa");
    } else if (inet_pton(AF_INET, plain, four) == 1) {
        buf_printf(&out, "%u.%u.%u.%u.in-addr.arpa", four[3], four[2], four[1], four[0]);
    }
    (void) snprintf(ret_name, ARPA_MAX, "%.*s", SPAN_ARG(buf_span(&out))); /* 73 bytes at most */
}

static void look_at_source(struct diagnosis *d, struct loop *l, struct dns *dns, const struct conf_pool *pool,
                           const char *address)
{
    struct question reverse = {.loop = l}, forward = {.loop = l};
    char arpa[ARPA_MAX];
    struct ip ip;

    if (ip_parse(span_of(address), &ip) < 0)
        return; /* `config check` says so */
    if (ip_kind(&ip) != IP_PUBLIC) {
        diagnose(d, SEVERITY_ADVICE, "reverse DNS", "look at the address that the world sees behind it",
                 "%s of pool %s is not a public address: what its name is cannot be judged here", address,
                 pool->name);
        return;
    }
    arpa_name(&ip, arpa);
    resolve(dns, &reverse, arpa, DNS_PTR);
    if (reverse.result != DNS_OK || !*reverse.name) {
        diagnose(d, SEVERITY_WRONG, "reverse DNS",
                 "have its owner give it a name (PTR): many hosts refuse mail otherwise",
                 "%s of pool %s has no name", address, pool->name);
        return;
    }
    forward.wanted = &ip;
    resolve(dns, &forward, reverse.name, strchr(address, ':') ? DNS_AAAA : DNS_A);
    const char *helo = *pool->helo_name ? pool->helo_name : conf_get()->courier.helo_name;
    if (!forward.has_wanted)
        diagnose(d, SEVERITY_WRONG, "reverse DNS", "give that name this address: hosts compare both",
                 "%s of pool %s is called %s, and that name has another address", address, pool->name,
                 reverse.name);
    else if (*helo && strcasecmp(helo, reverse.name) != 0)
        diagnose(d, SEVERITY_ADVICE, "reverse DNS", "say the same name in EHLO (pools.NAME.helo_name)",
                 "%s of pool %s is called %s, and says %s", address, pool->name, reverse.name, helo);
    else
        diagnose(d, SEVERITY_GOOD, "reverse DNS", "", "%s of pool %s is called %s, and that is its address",
                 address, pool->name, reverse.name);
}

void doctor_dns(struct diagnosis *d, struct ask *k)
{
    const struct conf *conf = conf_get();
    const struct dns_settings settings = dns_settings_of(conf);
    struct dns *dns;

    int r = dns_open(ask_loop(k), &settings, &dns);
    if (r < 0) {
        diagnose(d, SEVERITY_WRONG, "DNS", "see dns.servers", "the resolvers cannot be asked: %s",
                 strerror(-r));
        return;
    }
    look_at_resolvers(d, ask_loop(k), dns);
    for (size_t i = 0; i < conf->pool_count; i++)
        for (size_t j = 0; j < conf->pools[i].addresses.count; j++)
            look_at_source(d, ask_loop(k), dns, &conf->pools[i], conf->pools[i].addresses.items[j]);
    if (conf->pool_count == 0)
        diagnose(d, SEVERITY_ADVICE, "reverse DNS",
                 "name the addresses that mail leaves from in a pool named default",
                 "no pool says which addresses those are: their names cannot be looked at");
    dns_close(dns);
}

/* ---- ports of the nodes ---- */

struct attempt {
    struct loop *loop;
    struct watch *watch;
    struct timer patience;
    bool is_over;
};

static void on_writable(void *context, int events)
{
    struct attempt *a = context;

    (void) events; /* connected or failed: SO_ERROR tells */
    a->is_over = true;
    loop_stop(a->loop);
}

static void on_patience_over(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct attempt, patience)->loop);
}

/* 0 or an errno. */
static int try_connect(struct loop *l, const struct ip *ip, uint16_t port)
{
    struct attempt a = {.loop = l};
    int error = 0;
    socklen_t len = sizeof(error);
    int fd = socket_connect(ip, port, NULL);

    if (fd < 0)
        return -fd;
    if (watch_open(l, fd, on_writable, &a, &a.watch) == 0) {
        watch_set(a.watch, LOOP_WRITE);
        timer_start(l, &a.patience, CONNECT_TIME_MS, on_patience_over);
        loop_run(l);
        timer_stop(&a.patience);
        a.watch = watch_close(a.watch);
    }
    if (!a.is_over)
        error = ETIMEDOUT;
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    close(fd);
    return error;
}

/* "10.0.0.1:7125", "[::1]:7125"; names are not looked up. */
static bool split_address(const char *text, struct ip *ret_ip, uint16_t *ret_port)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;

    if (!colon || span_number(span_of(colon + 1), UINT16_MAX, &port) < 0 || port == 0)
        return false;
    struct span host = {.at = text, .len = (size_t) (colon - text)};
    if (host.len > 2 && host.at[0] == '[') {
        host.at++;
        host.len -= 2;
    }
    *ret_port = (uint16_t) port;
    return ip_parse(host, ret_ip) == 0;
}

static bool look_at_port(struct diagnosis *d, struct loop *l, const struct node_stats *s, const char *what,
                         const char *address)
{
    struct ip ip;
    uint16_t port;

    if (!*address || !split_address(address, &ip, &port))
        return true;
    int error = try_connect(l, &ip, port);
    if (error != 0)
        diagnose(d, SEVERITY_ADVICE, "ports",
                 "other nodes may be let in where this machine is not; if they are not, open it between them",
                 "%s of %s at %s cannot be reached from here: %s", what, s->name, address, strerror(error));
    return error == 0;
}

void doctor_ports(struct diagnosis *d, struct ask *k, const struct health *h)
{
    bool is_good = true;

    for (size_t i = 0; i < h->view.count; i++) {
        const struct node_stats *s = &h->view.peers[i].stats;
        if (!is_beating(h, &h->view.peers[i]))
            continue;
        is_good &= look_at_port(d, ask_loop(k), s, "the bus", s->bus);
        is_good &= look_at_port(d, ask_loop(k), s, "the HTTP port", s->http);
    }
    if (is_good && h->view.count > 0)
        diagnose(d, SEVERITY_GOOD, "ports", "", "the nodes' ports of bus and HTTP are open from here");
}
