/*
 * Does: asks all that must be asked before a session, a sender, a recipient or a message is taken: store, user, rates and quotas, DNS, tables; one
 *       after the other, at once where all of it can be answered at once.
 * Does not: know SMTP's grammar (the engine), or hold rules (policy.h, rate.h, domain_check.h, tables.h).
 * Owns: a question until it is answered or cancelled.
 * Fails: never; whatever is away is answered 4xx, or as the setting for it says.
 * See: docs/flow.md section 1; BEHAVIOURS B34, D09, E01, E09 to E11, E14.
 */
#pragma once

#include "cluster/limit.h"
#include "cluster/tenant.h"
#include "ingress/service.h"

/* Who asks; lives as long as its questions. */
struct admission_client {
    struct service *service;
    struct ip ip;
    struct user *user;     /* NULL: nobody logged in */
    struct tenant *tenant; /* the user's; NULL: none, or not known */
    bool has_certificate;  /* that permits to relay */
};

struct admission;
typedef void admission_on_answer(void *owner, const struct smtp_answer *answer);

/*
 * Each gives NULL with *ret_answer set, or on_answer comes later: once, never inside the call, unless it is cancelled. Addresses in an answer
 * are valid until the next question.
 */
/* 220, or 421. 220: *ret_hold is the session's place among those that are limited, for limit_leave(); maybe NULL. */
struct admission *admission_session(const struct admission_client *c, struct limit_hold **ret_hold,
                                    admission_on_answer *on_answer, void *owner,
                                    struct smtp_answer *ret_answer);
/* 250, 4xx or 5xx. bytes: as announced, 0: not. */
struct admission *admission_sender(const struct admission_client *c, const struct addr *sender,
                                   uint64_t bytes, admission_on_answer *on_answer, void *owner,
                                   struct smtp_answer *ret_answer);
/* 250, maybe with addresses to use instead, 4xx or 5xx. */
struct admission *admission_recipient(const struct admission_client *c, const struct addr *recipient,
                                      admission_on_answer *on_answer, void *owner,
                                      struct smtp_answer *ret_answer);
/* The content is whole: 250, or 4xx. */
struct admission *admission_content(const struct admission_client *c, uint64_t bytes,
                                    admission_on_answer *on_answer, void *owner,
                                    struct smtp_answer *ret_answer);
struct admission *admission_cancel(struct admission *a); /* always NULL; NULL is harmless */
/* The session said nothing: its connection is not counted after all. */
void admission_give_back_session(const struct admission_client *c);
/* By network, user or certificate. */
bool admission_may_relay(const struct admission_client *c);
