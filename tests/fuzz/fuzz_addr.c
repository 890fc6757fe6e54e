/* Addresses, domains, IP addresses and networks: what is taken obeys the limits and can be written and read again. */
#include <string.h>

#include "base/mem.h"
#include "mail/addr.h"
#include "mail/xtext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_domain(struct span text)
{
    char once[DOMAIN_MAX + 1], twice[DOMAIN_MAX + 1];
    if (domain_normalise(text, once) < 0)
        return;
    must(strlen(once) <= DOMAIN_MAX && strlen(once) + 1 >= text.len);
    must(domain_normalise(span_of(once), twice) == 0 && strcmp(once, twice) == 0);
    must(domain_matches(once, once) && domain_matches(once, "*"));
}

static void check_path(struct span text)
{
    struct addr a, b;
    int taken = addr_parse_path(text, &a);
    if (taken < 0)
        return;
    must((size_t) taken <= text.len && taken <= PATH_MAX_LEN && text.at[taken - 1] == '>');
    if (a.whole.len == 0) {
        must(taken == 2);
        return;
    }
    must(a.whole.at > text.at && a.whole.at + a.whole.len < text.at + taken);
    for (size_t i = 0; i < a.whole.len; i++)
        must(a.whole.at[i] >= ' ' && a.whole.at[i] <= '~');
    if (a.domain.len == 0)
        return;
    must(a.local.len <= LOCAL_MAX && a.local.len + 1 + a.domain.len == a.whole.len);
    must(addr_parse(a.whole, &b) == 0 && span_equal(a.domain, b.domain) && span_equal(a.local, b.local));
    must(a.is_literal || domain_check(a.domain) == 0);
    AUTO_BUF struct buf path = {0}; /* what a courier says of it is read the same */
    buf_printf(&path, "<%.*s> x", SPAN_ARG(a.whole));
    must(addr_parse_path(buf_span(&path), &b) == (int) a.whole.len + 2 && span_equal(a.whole, b.whole));
    (void) addr_has_route(&a); /* any answer will do */
}

/* With UTF-8 more is taken, and nothing else of what is ASCII; no control byte comes through. */
static void check_utf8(struct span text)
{
    struct addr a, b;
    int taken = addr_parse_path(text, &a), taken_utf8 = addr_parse_path_utf8(text, &b);
    must(taken < 0 || (taken == taken_utf8 && span_equal(a.whole, b.whole)));
    if (taken_utf8 < 0)
        return;
    for (size_t i = 0, step; i < b.whole.len; i += step) {
        struct span rest = {.at = b.whole.at + i, .len = b.whole.len - i};
        bool is_ascii = (unsigned char) rest.at[0] < 0x80;
        must(!is_ascii || (rest.at[0] >= ' ' && rest.at[0] <= '~'));
        step = is_ascii ? 1 : span_utf8_len(rest);
        must(step > 0);
    }
    must(b.local.len <= LOCAL_MAX && b.domain.len <= DOMAIN_MAX);
}

/* Decoded, it is one line, and the same when it is written and read again. */
static void check_xtext(struct span text)
{
    AUTO_BUF struct buf plain = {0}, xtext = {0}, again = {0};
    if (xtext_decode(text, true, &plain) < 0)
        return;
    for (size_t i = 0; i < plain.len; i++)
        must((unsigned char) plain.data[i] >= ' ' && plain.data[i] != 0x7f);
    xtext_encode(buf_span(&plain), &xtext);
    must(xtext_decode(buf_span(&xtext), true, &again) == 0 && span_equal(buf_span(&plain), buf_span(&again)));
}

static void check_ip(struct span text)
{
    AUTO_BUF struct buf out = {0};
    struct ip ip, again;
    if (ip_parse(text, &ip) < 0)
        return;
    ip_format(&ip, &out);
    must(ip_parse(buf_span(&out), &again) == 0 && ip_equal(&ip, &again));
    must(ip_kind(&ip) <= IP_RESERVED);
}

static void check_host(const char *host, uint16_t port)
{
    AUTO_BUF struct buf text = {0};
    char again[DOMAIN_MAX + 1];
    uint16_t same = 0;
    must(port > 0 && strlen(host) > 0 && strlen(host) <= DOMAIN_MAX);
    buf_printf(&text, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    must(hostport_parse(buf_span(&text), 1, again, &same) == 0 && same == port && strcmp(host, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {.at = (const char *) data, .len = size};
    struct network network;
    char host[DOMAIN_MAX + 1];
    uint16_t port;
    check_path(text);
    check_utf8(text);
    check_xtext(text);
    check_domain(text);
    check_ip(text);
    if (network_parse(text, &network) == 0)
        must(network_has(&network, &network.base));
    if (hostport_parse(text, 25, host, &port) == 0)
        check_host(host, port);
    return 0;
}
