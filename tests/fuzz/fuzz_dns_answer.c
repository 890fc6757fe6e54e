/* Any bytes as a DNS answer: the first two choose question and type. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "io/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_A,  DNS_CNAME, DNS_SOA,  DNS_PTR,
                                          DNS_MX, DNS_TXT,   DNS_AAAA, DNS_TLSA};
    static const char *const names[] = {"example.org", "a", "1.2.0.192.in-addr.arpa", ""};
    if (size < 2)
        return 0;
    const char *name = names[data[0] % ARRAY_LEN(names)];
    enum dns_type type = types[data[1] % ARRAY_LEN(types)];
    struct span packet = {.at = (const char *) data + 2, .len = size - 2};
    struct dns_answer answer;
    bool is_truncated;
    int r = dns_answer_parse(packet, name, type, &answer, &is_truncated);
    if (r < 0)
        return 0;
    must(answer.count <= DNS_RECORDS_MAX);
    must((answer.result == DNS_OK) == (answer.count > 0));
    must(strlen(answer.name) <= DOMAIN_MAX - 2);
    for (size_t i = 0; i < answer.count; i++) {
        const struct dns_record *record = &answer.records[i];
        must(strlen(record->name) <= DOMAIN_MAX - 2);
        for (const char *c = record->name; *c; c++)
            must((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || strchr("-_./", *c));
        if (type == DNS_TLSA)
            must(record->data.len >= 4);
    }
    dns_answer_done(&answer);
    return 0;
}
