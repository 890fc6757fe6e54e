/* IP addresses and networks. An IPv4-mapped IPv6 address is the IPv4 address, whatever way it was written. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "base/mem.h"
#include "mail/addr.h"

enum { IP_TEXT_MAX = 64, V4_AT = 12 };

static const uint8_t mapped_prefix[V4_AT] = {[10] = 0xff, [11] = 0xff};

static bool is_mapped(const uint8_t bytes[static 16])
{
    return memcmp(bytes, mapped_prefix, V4_AT) == 0;
}

static bool is_link_local(const uint8_t bytes[static 16])
{
    return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

/* The text as a C string; -EINVAL when it cannot be an address. */
static int copy_text(struct span s, char ret_text[static IP_TEXT_MAX])
{
    if (s.len == 0 || s.len >= IP_TEXT_MAX || memchr(s.at, '\0', s.len))
        return -EINVAL;
    memcpy(ret_text, s.at, s.len);
    ret_text[s.len] = '\0';
    return 0;
}

/* "eth0" or "2" behind the percent sign (RFC 4007 section 11). */
static int scope_parse(const char *text, uint32_t *ret_scope)
{
    uint64_t number;
    if (span_number(span_of(text), UINT32_MAX, &number) < 0)
        number = if_nametoindex(text);
    if (number == 0)
        return -EINVAL;
    *ret_scope = (uint32_t) number;
    return 0;
}

int ip_parse(struct span s, struct ip *ret_ip)
{
    struct ip ip = {0};
    char text[IP_TEXT_MAX];
    bool is_tagged = span_starts_nocase(s, SPAN("IPv6:"));
    if (is_tagged)
        s = (struct span){.at = s.at + 5, .len = s.len - 5};
    int r = copy_text(s, text);
    if (r < 0)
        return r;
    if (!is_tagged && inet_pton(AF_INET, text, ip.bytes + V4_AT) == 1) {
        memcpy(ip.bytes, mapped_prefix, V4_AT);
        ip.is_v4 = true;
        *ret_ip = ip;
        return 0;
    }
    char *percent = strchr(text, '%');
    if (percent)
        *percent = '\0';
    if (inet_pton(AF_INET6, text, ip.bytes) != 1)
        return -EINVAL;
    if (percent && (!is_link_local(ip.bytes) || scope_parse(percent + 1, &ip.scope) < 0))
        return -EINVAL;
    ip.is_v4 = is_mapped(ip.bytes);
    *ret_ip = ip;
    return 0;
}

static void add_text(const struct ip *ip, struct buf *out)
{
    char text[INET6_ADDRSTRLEN];
    bool is_v4 = is_mapped(ip->bytes);
    const char *made = inet_ntop(is_v4 ? AF_INET : AF_INET6, ip->bytes + (is_v4 ? V4_AT : 0), text,
                                 sizeof text);
    must(made != NULL);
    buf_add_text(out, text);
}

void ip_format(const struct ip *ip, struct buf *out)
{
    add_text(ip, out);
    if (ip->scope != 0)
        buf_printf(out, "%%%u", ip->scope);
}

void ip_add_literal(const struct ip *ip, struct buf *out)
{
    buf_add_text(out, is_mapped(ip->bytes) ? "[" : "[IPv6:");
    add_text(ip, out);
    buf_add_char(out, ']');
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0 && a->scope == b->scope;
}

static bool has_prefix(const uint8_t *bytes, const uint8_t *base, unsigned bits)
{
    if (memcmp(bytes, base, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || ((bytes[bits / 8] ^ base[bits / 8]) >> (8 - rest)) == 0;
}

struct kind_row {
    uint8_t base[16];
    uint8_t bits;
    uint8_t kind;
};

/*
 * The IANA special-purpose registries, as seen by somebody who is about to connect; the first row that fits counts. Networks set aside
 * for documentation and benchmarks are private: harmless, and used in laboratories.
 */
static const struct kind_row v4_kinds[] = {
    {{0}, 8, IP_UNSPECIFIED},        {{127}, 8, IP_LOOPBACK},         {{10}, 8, IP_PRIVATE},
    {{172, 16}, 12, IP_PRIVATE},     {{192, 168}, 16, IP_PRIVATE},    {{100, 64}, 10, IP_PRIVATE},
    {{198, 18}, 15, IP_PRIVATE},     {{192, 0, 2}, 24, IP_PRIVATE},   {{198, 51, 100}, 24, IP_PRIVATE},
    {{203, 0, 113}, 24, IP_PRIVATE}, {{169, 254}, 16, IP_LINK_LOCAL}, {{192, 0, 0}, 24, IP_RESERVED},
    {{224}, 4, IP_MULTICAST},        {{240}, 4, IP_RESERVED},
};

static const struct kind_row v6_kinds[] = {
    {{[15] = 1}, 128, IP_LOOPBACK},
    {{0}, 128, IP_UNSPECIFIED},
    {{0xfe, 0x80}, 10, IP_LINK_LOCAL},
    {{0xfe, 0xc0}, 10, IP_PRIVATE},
    {{0xfc}, 7, IP_PRIVATE},
    {{0xff}, 8, IP_MULTICAST},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, IP_PRIVATE},
    {{0x3f, 0xff}, 20, IP_PRIVATE},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, IP_PRIVATE},
    {{0x20}, 3, IP_PUBLIC},
    {{0}, 0, IP_RESERVED},
};

static const uint8_t nat64_prefix[V4_AT] = {0x00, 0x64, 0xff, 0x9b};
static const uint8_t six_to_four_prefix[2] = {0x20, 0x02};

static enum ip_kind v4_kind(const uint8_t bytes[static 4])
{
    for (size_t i = 0; i < ARRAY_LEN(v4_kinds); i++)
        if (has_prefix(bytes, v4_kinds[i].base, v4_kinds[i].bits))
            return (enum ip_kind) v4_kinds[i].kind;
    return IP_PUBLIC;
}

enum ip_kind ip_kind(const struct ip *ip)
{
    const uint8_t *bytes = ip->bytes;
    /* An IPv6 address that a router turns into an IPv4 address is of that one's kind (RFC 6052, RFC 3056). */
    if (is_mapped(bytes) || memcmp(bytes, nat64_prefix, sizeof nat64_prefix) == 0)
        return v4_kind(bytes + V4_AT);
    if (memcmp(bytes, six_to_four_prefix, sizeof six_to_four_prefix) == 0)
        return v4_kind(bytes + 2);
    for (size_t i = 0; i < ARRAY_LEN(v6_kinds); i++)
        if (has_prefix(bytes, v6_kinds[i].base, v6_kinds[i].bits))
            return (enum ip_kind) v6_kinds[i].kind;
    return IP_RESERVED;
}

int network_parse(struct span s, struct network *ret_network)
{
    struct network network = {.prefix = 128};
    const char *slash = s.len > 0 ? memchr(s.at, '/', s.len) : NULL;
    struct span address = {.at = s.at, .len = slash ? (size_t) (slash - s.at) : s.len};
    int r = ip_parse(address, &network.base);
    if (r < 0)
        return r;
    if (network.base.scope != 0)
        return -EINVAL;
    if (slash) {
        bool is_quad = !memchr(address.at, ':', address.len);
        uint64_t bits;
        r = span_number((struct span){.at = slash + 1, .len = s.len - address.len - 1}, is_quad ? 32 : 128,
                        &bits);
        if (r < 0)
            return -EINVAL;
        network.prefix = (unsigned) bits + (is_quad ? 96 : 0);
    }
    /* Bits set behind the prefix are a slip of the pen; guessing which half was meant could open a relay. */
    for (unsigned bit = network.prefix; bit < 128; bit++)
        if (network.base.bytes[bit / 8] & (0x80 >> (bit % 8)))
            return -EINVAL;
    *ret_network = network;
    return 0;
}

bool network_has(const struct network *n, const struct ip *ip)
{
    /* ::/0 means all of IPv6 and not, through the mapped form, all of IPv4. */
    return is_mapped(n->base.bytes) == is_mapped(ip->bytes) &&
           has_prefix(ip->bytes, n->base.bytes, n->prefix);
}
