/*
 * Any bytes as a DNS answer: the first two choose question and type. What is taken says what the header says, holds names that can be shown,
 * and does not depend on what lies behind the packet; what is refused leaves nothing behind.
 */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "io/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *name)
{
    must(strlen(name) <= DOMAIN_MAX - 2);
    for (const char *c = name; *c; c++)
        must((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || strchr("-_./", *c));
}

static void check_answer(const struct dns_answer *a, struct span packet, enum dns_type type,
                         bool is_truncated)
{
    const uint8_t *header = (const uint8_t *) packet.at;
    unsigned rcode = header[3] & 15;

    must(packet.len >= 12 && (header[2] & 0x80) && is_truncated == ((header[2] & 2) != 0));
    must(a->count <= DNS_RECORDS_MAX && (a->result == DNS_OK) == (a->count > 0));
    must(a->result != DNS_OK || rcode == 0);
    must(a->result != DNS_NO_DATA || rcode == 0);
    must(a->result != DNS_NO_NAME || rcode == 3);
    must(!is_truncated || a->result == DNS_AWAY);
    must(!a->is_secure || (header[3] & 0x20));
    must(a->ttl_s <= INT32_MAX);
    must(a->result != DNS_AWAY || a->ttl_s == 0);
    check_name(a->name);
    for (size_t i = 0; i < a->count; i++) {
        const struct dns_record *r = &a->records[i];

        check_name(r->name);
        must((type == DNS_TLSA || type == DNS_TXT) == (r->data.at != NULL));
        must(r->data.len < 65536);
        must((type != DNS_PTR && type != DNS_CNAME) || r->name[0]);
    }
}

static void check_same(const struct dns_answer *a, const struct dns_answer *b)
{
    must(a->result == b->result && a->count == b->count && a->is_secure == b->is_secure &&
         a->ttl_s == b->ttl_s);
    must(strcmp(a->name, b->name) == 0);
    for (size_t i = 0; i < a->count; i++) {
        const struct dns_record *r = &a->records[i], *s = &b->records[i];

        must(r->preference == s->preference && strcmp(r->name, s->name) == 0);
        must(ip_equal(&r->ip, &s->ip) && span_equal(r->data, s->data));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_A,  DNS_CNAME, DNS_SOA,  DNS_PTR,
                                          DNS_MX, DNS_TXT,   DNS_AAAA, DNS_TLSA};
    static const char *const names[] = {"example.org", "a", "1.2.0.192.in-addr.arpa", ""};
    static const struct dns_answer nothing = {.ttl_s = 77};
    if (size < 2)
        return 0;
    const char *name = names[data[0] % ARRAY_LEN(names)];
    enum dns_type type = types[data[1] % ARRAY_LEN(types)];
    struct span packet = {.at = (const char *) data + 2, .len = size - 2};
    struct dns_answer answer = nothing, longer = nothing;
    AUTO_BUF struct buf more = {0};
    bool is_truncated = true, same;

    buf_add_span(&more, packet);
    buf_add(&more, "\xc0\x0c\x3f", 3);
    int r = dns_answer_parse(packet, name, type, &answer, &is_truncated);
    if (r < 0) {
        must(memcmp(&answer, &nothing, sizeof(answer)) == 0);
        return 0;
    }
    check_answer(&answer, packet, type, is_truncated);
    must(dns_answer_parse(buf_span(&more), name, type, &longer, &same) == 0 && same == is_truncated);
    check_same(&answer, &longer);
    dns_answer_done(&answer);
    dns_answer_done(&longer);
    return 0;
}
