/* Domain names and host:port texts. A name is checked before anything looks it up or compares it. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "mail/addr.h"
#include "mail/ascii.h"

static int label_check(struct span label, bool is_utf8)
{
    bool is_ascii = true;
    if (label.len == 0 || label.at[0] == '-' || label.at[label.len - 1] == '-')
        return -EINVAL;
    for (size_t i = 0, step; i < label.len; i += step) {
        char c = label.at[i];
        step = 1;
        if (is_alnum(c) || c == '-' || c == '_')
            continue;
        step = is_utf8 ? span_utf8_len((struct span){.at = label.at + i, .len = label.len - i}) : 0;
        if (step == 0)
            return -EINVAL;
        is_ascii = false;
    }
    return is_ascii && label.len > LABEL_MAX ? -E2BIG : 0;
}

static bool is_number(struct span label)
{
    for (size_t i = 0; i < label.len; i++)
        if (!is_digit(label.at[i]))
            return false;
    return true;
}

static int check_labels(struct span domain, bool is_utf8)
{
    if (domain.len == 0)
        return -EINVAL;
    int too_long = domain.len > DOMAIN_MAX ? -E2BIG : 0;
    size_t start = 0;
    for (size_t i = 0; i <= domain.len; i++) {
        if (i < domain.len && domain.at[i] != '.')
            continue;
        struct span label = {.at = domain.at + start, .len = i - start};
        int r = label_check(label, is_utf8);
        if (r == -EINVAL)
            return r;
        if (r < 0)
            too_long = r;
        /* A name that ends in a number could be taken for an address somewhere (RFC 1123 section 2.1). */
        if (i == domain.len && is_number(label))
            return -EINVAL;
        start = i + 1;
    }
    return too_long;
}

int domain_check(struct span domain)
{
    return check_labels(domain, false);
}

int domain_check_utf8(struct span domain)
{
    return check_labels(domain, true);
}

int domain_normalise(struct span domain, char ret_text[static DOMAIN_MAX + 1])
{
    if (domain.len > 0 && domain.at[domain.len - 1] == '.')
        domain.len--;
    int r = domain_check(domain);
    if (r < 0)
        return r;
    for (size_t i = 0; i < domain.len; i++)
        ret_text[i] = to_lower(domain.at[i]);
    ret_text[domain.len] = '\0';
    return 0;
}

bool domain_matches(const char *domain, const char *pattern)
{
    if (strcmp(pattern, "*") == 0)
        return true;
    if (pattern[0] != '.')
        return strcasecmp(domain, pattern) == 0;
    size_t domain_len = strlen(domain), pattern_len = strlen(pattern);
    return domain_len > pattern_len && strcasecmp(domain + domain_len - pattern_len, pattern) == 0;
}

/* A name or an address, in the form the rest of barid compares. */
static int host_normalise(struct span host, char ret_host[static DOMAIN_MAX + 1])
{
    struct ip ip;
    if (ip_parse(host, &ip) < 0)
        return domain_normalise(host, ret_host);
    AUTO_BUF struct buf text = {0};
    ip_format(&ip, &text);
    memcpy(ret_host, text.data, text.len);
    ret_host[text.len] = '\0';
    return 0;
}

int hostport_parse(struct span s, uint16_t default_port, char ret_host[static DOMAIN_MAX + 1],
                   uint16_t *ret_port)
{
    struct span host = s, port = {0};
    if (s.len == 0)
        return -EINVAL;
    if (s.at[0] == '[') {
        const char *end = memchr(s.at, ']', s.len);
        if (!end)
            return -EINVAL;
        host = (struct span){.at = s.at + 1, .len = (size_t) (end - s.at) - 1};
        port = (struct span){.at = end + 1, .len = s.len - host.len - 2};
        if (port.len > 0 && port.at[0] != ':')
            return -EINVAL;
    } else {
        const char *colon = memchr(s.at, ':', s.len);
        size_t before = colon ? (size_t) (colon - s.at) : s.len;
        /* Two colons: an IPv6 address without brackets, which leaves no place for a port. */
        if (colon && !memchr(colon + 1, ':', s.len - before - 1)) {
            host.len = before;
            port = (struct span){.at = colon, .len = s.len - before};
        }
    }
    uint64_t number = default_port;
    if (port.len > 0) {
        int r = span_number((struct span){.at = port.at + 1, .len = port.len - 1}, UINT16_MAX, &number);
        if (r < 0 || number == 0)
            return -EINVAL;
    }
    int r = host_normalise(host, ret_host);
    if (r < 0)
        return r;
    *ret_port = (uint16_t) number;
    return 0;
}
