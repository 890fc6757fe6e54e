/*
 * Does: internationalised domain names to A-labels (IDNA2008 with UTS 46 non-transitional).
 * Calls: libidn2, named in idn.c only.
 */
#pragma once

#include "base/buf.h"
#include "mail/addr.h"

/* Lower-case A-label form without trailing dot. -EINVAL: not a domain name; -E2BIG. Pure ASCII input takes domain_normalise(). */
int idn_domain(struct span domain, char ret_text[static DOMAIN_MAX + 1]);
/* local@domain of which the domain only is not ASCII: the same with A-labels is added to out. False: not so, nothing is added. */
bool idn_address(struct span address, struct buf *out);
