/* Where the results of TLS sessions are counted. */
#include "courier/tlsrpt.h"

void tlsrpt_count(struct courier *c UNUSED, const struct tls_policy *p UNUSED, const struct target *t UNUSED,
                  const struct ip *source UNUSED, enum tls_failure failure UNUSED, const char *detail UNUSED)
{
}
