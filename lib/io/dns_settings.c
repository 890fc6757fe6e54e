/* From the settings of the programs to those of the resolver. */
#include "io/dns.h"

struct dns_settings dns_settings_of(const struct conf *conf)
{
    return (struct dns_settings){
        .servers = (const char *const *) conf->dns.servers.items,
        .server_count = conf->dns.servers.count,
        .timeout_ms = conf->dns.timeout_ms,
        .tries = (unsigned) conf->dns.tries,
        .min_ttl_ms = conf->dns.min_ttl_ms,
        .max_ttl_ms = conf->dns.max_ttl_ms,
        .negative_ttl_ms = conf->dns.negative_ttl_ms,
        .cache_max = conf->dns.cache,
        .validates = conf->dns.validates,
    };
}
