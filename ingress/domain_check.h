/*
 * Does: asks DNS whether mail could come from, or go to, a domain: MX, else addresses; null MX (BEHAVIOURS E09 to E11, RFC 7505).
 * Does not: decide whom to ask for (ingress/admission.h), nor look for hosts to connect to. Domains with a route of their own
 *       (courier.routes) are fine unasked.
 * Owns: a reactor's resolver, opened with the first question: cached, equal questions asked once. Questions until answered or cancelled.
 * Fails: a resolver that gives no usable answer: 451, or 250 as ingress.dns_unknown says; never 5xx.
 */
#pragma once

#include "io/loop.h"

struct domain_check; /* of one reactor */
struct domain_check *domain_check_new(struct loop *l);
struct domain_check *domain_check_free(
    struct domain_check *d); /* always NULL; no question may be under way */

enum domain_use { DOMAIN_OF_SENDER, DOMAIN_OF_RECIPIENT };
/* 250: nothing against it. Sender: 550 5.1.8, 550 5.7.27 (null MX), 451 4.1.8. Recipient: 550 5.1.2, 556 5.1.10 (null MX), 451 4.4.3. */
struct domain_answer {
    unsigned code;
    const char *status, *text;
};
typedef void domain_on_answer(void *owner, const struct domain_answer *answer);

struct domain_question;
/* domain: normalised (A-labels, lower case). Always answers later, never inside the call. */
struct domain_question *domain_ask(struct domain_check *d, const char *domain, enum domain_use use,
                                   domain_on_answer *on_answer, void *owner);
struct domain_question *domain_cancel(struct domain_question *q); /* always NULL; NULL is harmless */
