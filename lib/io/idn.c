/* U-labels to A-labels. */
#include "io/idn.h"

#include <errno.h>
#include <idn2.h>
#include <string.h>

#include "base/mem.h"

/* A name of 255 bytes in A-labels has fewer than this in UTF-8. */
enum { DOMAIN_INPUT_MAX = 1024 };

static bool is_ascii(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char) s.at[i] > 0x7f)
            return false;
    return true;
}

int idn_domain(struct span domain, char ret_text[static DOMAIN_MAX + 1])
{
    uint8_t input[DOMAIN_INPUT_MAX + 1];
    uint8_t *labels = NULL;
    if (is_ascii(domain))
        return domain_normalise(domain, ret_text);
    if (domain.len > DOMAIN_INPUT_MAX)
        return -E2BIG;
    if (memchr(domain.at, '\0', domain.len))
        return -EINVAL;
    memcpy(input, domain.at, domain.len);
    input[domain.len] = '\0';
    /* Not with the library's STD3 rules: they drop a space instead of refusing it. domain_normalise() does what they should. */
    int r = idn2_lookup_u8(input, &labels, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (r == IDN2_TOO_BIG_DOMAIN || r == IDN2_TOO_BIG_LABEL || r == IDN2_PUNYCODE_BIG_OUTPUT)
        return -E2BIG;
    must(r != IDN2_MALLOC);
    if (r != IDN2_OK)
        return -EINVAL;
    r = domain_normalise(span_of((const char *) labels), ret_text);
    idn2_free(labels);
    return r;
}

bool idn_address(struct span address, struct buf *out)
{
    char domain[DOMAIN_MAX + 1];
    const char *at_sign = address.len > 0 ? memrchr(address.at, '@', address.len) : NULL;
    if (!at_sign)
        return false;
    struct span local = {.at = address.at, .len = (size_t) (at_sign + 1 - address.at)};
    struct span name = {.at = at_sign + 1, .len = address.len - local.len};
    if (span_has_8bit(local) || !span_has_8bit(name) || idn_domain(name, domain) < 0)
        return false;
    buf_add_span(out, local);
    buf_add_text(out, domain);
    return true;
}
