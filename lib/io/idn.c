/* Names to A-labels by libidn2; pure ASCII never reaches it. */
#include "io/idn.h"

#include <errno.h>
#include <idn2.h>
#include <string.h>

#include "base/mem.h"

int idn_domain(struct span domain, char ret_text[static DOMAIN_MAX + 1])
{
    AUTO_FREE char *text = NULL;
    char *ascii = NULL;
    bool is_ascii = true;
    int r;

    for (size_t i = 0; i < domain.len; i++)
        is_ascii = is_ascii && (unsigned char) domain.at[i] < 0x80;
    if (is_ascii)
        return domain_normalise(domain, ret_text);
    if (domain.len > 4 * DOMAIN_MAX)
        return -E2BIG;
    if (memchr(domain.at, '\0', domain.len))
        return -EINVAL;
    text = mem_text(domain.at, domain.len);
    r = idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES);
    if (r != IDN2_OK)
        return r == IDN2_TOO_BIG_DOMAIN || r == IDN2_TOO_BIG_LABEL ? -E2BIG : -EINVAL;
    r = domain_normalise(span_of(ascii), ret_text);
    idn2_free(ascii);
    return r;
}
