/* DNS messages for the tests. */
#include "dns_packet.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/mem.h"

void packet_two(struct buf *b, unsigned n)
{
    buf_add_char(b, (char) (n >> 8));
    buf_add_char(b, (char) n);
}

static void packet_four(struct buf *b, uint32_t n)
{
    packet_two(b, n >> 16);
    packet_two(b, n & 0xffff);
}

void packet_name(struct buf *b, const char *name)
{
    struct span rest = span_of(name);
    while (rest.len > 0) {
        struct span label = span_cut(&rest, '.');
        buf_add_char(b, (char) label.len);
        buf_add_span(b, label);
    }
    buf_add_char(b, 0);
}

void packet_start(struct buf *b, unsigned id, unsigned flags, const char *name, enum dns_type type)
{
    buf_clear(b);
    packet_two(b, id);
    packet_two(b, flags);
    packet_two(b, 1);
    buf_add(b, "\0\0\0\0\0\0", 6);
    packet_name(b, name);
    packet_two(b, (unsigned) type);
    packet_two(b, 1);
}

void packet_record(struct buf *b, unsigned section, const char *owner, unsigned type, uint32_t ttl_s,
                   struct span data)
{
    packet_name(b, owner);
    packet_two(b, type);
    packet_two(b, type == 41 ? 1232 : 1);
    packet_four(b, ttl_s);
    packet_two(b, (unsigned) data.len);
    buf_add_span(b, data);
    char *count = b->data + 6 + 2 * section;
    if (++count[1] == 0)
        count[0]++;
}

void packet_a(struct buf *b, const char *owner, uint32_t ttl_s, const char *address)
{
    struct in_addr a;
    must(inet_pton(AF_INET, address, &a) == 1);
    packet_record(b, 0, owner, DNS_A, ttl_s, (struct span){.at = (const char *) &a, .len = 4});
}

void packet_alias(struct buf *b, const char *owner, uint32_t ttl_s, const char *target)
{
    struct buf data AUTO_BUF = {.data = NULL};
    packet_name(&data, target);
    packet_record(b, 0, owner, DNS_CNAME, ttl_s, buf_span(&data));
}

void packet_mx(struct buf *b, const char *owner, uint32_t ttl_s, unsigned preference, const char *host)
{
    struct buf data AUTO_BUF = {.data = NULL};
    packet_two(&data, preference);
    packet_name(&data, host);
    packet_record(b, 0, owner, DNS_MX, ttl_s, buf_span(&data));
}

void packet_soa(struct buf *b, const char *owner, uint32_t ttl_s, uint32_t minimum_s)
{
    struct buf data AUTO_BUF = {.data = NULL};
    packet_name(&data, "ns.example");
    packet_name(&data, "hostmaster.example");
    for (int i = 0; i < 4; i++)
        packet_four(&data, 1);
    packet_four(&data, minimum_s);
    packet_record(b, 1, owner, DNS_SOA, ttl_s, buf_span(&data));
}

void packet_opt(struct buf *b)
{
    packet_record(b, 2, "", 41, 0, (struct span){.at = NULL});
}
