/* Who reports about TLS. */
#include "cluster/tlsrpt_settings.h"

#include <errno.h>

#include "base/mem.h"
#include "io/idn.h"

bool tlsrpt_settings_are_on(const struct conf *conf)
{
    return conf->tlsrpt.report && *conf->tlsrpt.contact;
}

static int read_address(const char *text, char ret_domain[static DOMAIN_MAX + 1])
{
    struct addr addr;

    if (addr_parse(span_of(text), &addr) < 0 || addr.is_literal)
        return -EINVAL;
    return idn_domain(addr.domain, ret_domain);
}

const char *tlsrpt_settings_from(const struct conf *conf, char ret_submitter[static DOMAIN_MAX + 1])
{
    const char *from = *conf->tlsrpt.from ? conf->tlsrpt.from : conf->tlsrpt.contact;
    int r = read_address(from, ret_submitter);

    must(r == 0); /* the settings were judged before they came into force */
    return from;
}

int tlsrpt_settings_check(const struct conf *conf, char **ret_error)
{
    char domain[DOMAIN_MAX + 1];
    const char *name = "contact", *text = conf->tlsrpt.contact;

    if (!tlsrpt_settings_are_on(conf))
        return 0;
    if (read_address(text, domain) == 0) {
        name = "from";
        text = *conf->tlsrpt.from ? conf->tlsrpt.from : text;
    }
    if (read_address(text, domain) == 0)
        return 0;
    *ret_error = mem_format("tlsrpt.%s: \"%s\" is no mail address in ASCII, such as tls-reports@example.com",
                            name, text);
    return -EINVAL;
}
