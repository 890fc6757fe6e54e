/*
 * PROXY headers. What is not a header is known at its first wrong byte, so that nobody is waited for who speaks something else. Addresses of
 * version 2 that are not TCP's are refused: SMTP comes over TCP, and to take the balancer's own address instead could make a stranger trusted.
 */
#include "ingress/proxy.h"

#include <errno.h>
#include <string.h>

#include "mail/ascii.h"

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
enum {
    SIGNATURE_LEN = sizeof signature - 1,
    FIXED_LEN = SIGNATURE_LEN + 4,
    TCP4_LEN = 12,
    TCP6_LEN = 36,
    PORT_MAX = 65535,
    PORT_DIGITS = 5
};

/* Does `in` begin with text, as far as it goes? */
static bool begins(struct span in, const char *text, size_t len)
{
    return memcmp(in.at, text, in.len < len ? in.len : len) == 0;
}

/* ---- version 1: a line of text */

/* An address as version 1 writes it: no name of a scope, no prefix, and of the family said. */
static bool parse_address(struct span text, bool is_v4, struct ip *ret_ip)
{
    bool has_colon = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = to_lower(text.at[i]);
        bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (!is_hex && c != '.' && c != ':')
            return false;
        has_colon = has_colon || c == ':';
    }
    return has_colon != is_v4 && ip_parse(text, ret_ip) == 0;
}

static bool parse_port(struct span text, uint16_t *ret_port)
{
    uint64_t port;
    if (text.len > PORT_DIGITS || (text.len > 1 && text.at[0] == '0') ||
        span_number(text, PORT_MAX, &port) < 0)
        return false;
    *ret_port = (uint16_t) port;
    return true;
}

/* line: what is behind "PROXY ", without its CR LF. */
static int parse_words(struct span line, struct proxy_header *ret_header)
{
    struct proxy_header h = {.is_local = false};
    struct ip own;
    uint16_t own_port;
    struct span family = span_cut(&line, ' ');
    if (span_equal(family, SPAN("UNKNOWN"))) { /* whatever follows is to be ignored */
        *ret_header = (struct proxy_header){.is_local = true};
        return 0;
    }
    bool is_v4 = span_equal(family, SPAN("TCP4"));
    if (!is_v4 && !span_equal(family, SPAN("TCP6")))
        return -EBADMSG;
    struct span from = span_cut(&line, ' '), to = span_cut(&line, ' '), port = span_cut(&line, ' ');
    if (!parse_address(from, is_v4, &h.ip) || !parse_address(to, is_v4, &own) || !parse_port(port, &h.port) ||
        !parse_port(line, &own_port))
        return -EBADMSG;
    *ret_header = h;
    return 0;
}

static int parse_line(struct span in, struct proxy_header *ret_header)
{
    static const char start[] = "PROXY ";
    const size_t start_len = sizeof start - 1;
    size_t len = 0;
    if (!begins(in, start, start_len))
        return -EBADMSG;
    while (len < in.len && len < PROXY_LINE_MAX && is_printable(in.at[len]))
        len++;
    if (len + 2 > PROXY_LINE_MAX)
        return -EBADMSG;
    if (len == in.len)
        return 0;
    if (in.at[len] != '\r' || (len + 1 < in.len && in.at[len + 1] != '\n'))
        return -EBADMSG;
    if (len < start_len)
        return -EBADMSG;
    if (len + 1 == in.len)
        return 0;
    int r = parse_words((struct span){.at = in.at + start_len, .len = len - start_len}, ret_header);
    return r < 0 ? r : (int) len + 2;
}

/* ---- version 2: bytes */

static size_t number_at(const char *p)
{
    return (size_t) (uint8_t) p[0] << 8 | (uint8_t) p[1];
}

static void take_tcp4(const char *p, struct proxy_header *h)
{
    h->ip.is_v4 = true;
    h->ip.bytes[10] = h->ip.bytes[11] = 0xff;
    memcpy(h->ip.bytes + 12, p, 4);
    h->port = (uint16_t) number_at(p + 8);
}

static void take_tcp6(const char *p, struct proxy_header *h)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(h->ip.bytes, p, sizeof h->ip.bytes);
    h->ip.is_v4 = memcmp(p, mapped, sizeof mapped) == 0;
    h->port = (uint16_t) number_at(p + 32);
}

static int parse_bytes(struct span in, struct proxy_header *ret_header)
{
    enum { LOCAL = 0x20, PROXY = 0x21, UNSPECIFIED = 0x00, TCP4 = 0x11, TCP6 = 0x21 };
    struct proxy_header h = {.is_local = false};
    if (!begins(in, signature, SIGNATURE_LEN))
        return -EBADMSG;
    if (in.len > SIGNATURE_LEN && in.at[SIGNATURE_LEN] != LOCAL && in.at[SIGNATURE_LEN] != PROXY)
        return -EBADMSG;
    if (in.len < FIXED_LEN)
        return 0;
    size_t len = number_at(in.at + SIGNATURE_LEN + 2);
    uint8_t family = (uint8_t) in.at[SIGNATURE_LEN + 1];
    h.is_local = in.at[SIGNATURE_LEN] == LOCAL || family == UNSPECIFIED;
    if (FIXED_LEN + len > PROXY_HEADER_MAX)
        return -EBADMSG;
    if (!h.is_local && !(family == TCP4 && len >= TCP4_LEN) && !(family == TCP6 && len >= TCP6_LEN))
        return -EBADMSG;
    if (in.len < FIXED_LEN + len)
        return 0;
    if (!h.is_local && family == TCP4)
        take_tcp4(in.at + FIXED_LEN, &h);
    else if (!h.is_local)
        take_tcp6(in.at + FIXED_LEN, &h);
    *ret_header = h;
    return (int) (FIXED_LEN + len);
}

int proxy_parse(struct span in, struct proxy_header *ret_header)
{
    if (in.len == 0)
        return 0;
    return in.at[0] == signature[0] ? parse_bytes(in, ret_header) : parse_line(in, ret_header);
}
