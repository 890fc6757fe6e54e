/*
 * Does: which cluster-wide limits a client, network, user, tenant or listener is under: a listener's `limits`, quotas of users and rates of
 *       tenants, as wants of one question to the limiter.
 * Does not: count (cluster/limit.h), or answer SMTP.
 * Owns: the rules of one listener, made from its settings; answers keep nothing of it.
 * Fails: rate_new() -EINVAL with a sentence that names the setting.
 * See: BEHAVIOURS B34, E12, M07.
 */
#pragma once

#include "base/conf.h"
#include "cluster/limit.h"
#include "cluster/tenant.h"
#include "cluster/user.h"
#include "mail/addr.h"

enum rate_what {
    RATE_CONNECTIONS,
    RATE_MESSAGES,
    RATE_RECIPIENTS,
    RATE_BYTES,
    RATE_SESSIONS,
    RATE_WHAT_COUNT
};
enum rate_whom { RATE_CLIENT, RATE_NETWORK, RATE_USER, RATE_TENANT, RATE_LISTENER, RATE_WHOM_COUNT };

/* Who is asking; what is NULL is not known (yet), and limits on it do not apply. */
struct rate_subject {
    const char *listener; /* its name; never NULL */
    const struct ip *ip;
    const struct user *user;
    const struct tenant *tenant;
};

struct rate;
/* listener: the name in error texts. NULL is returned in *ret_rate when there are no limits: it passes everything but quotas. */
int rate_new(const char *listener, const struct conf_map *limits, struct rate **ret_rate, char **ret_error);
struct rate *rate_free(struct rate *r); /* NULL is fine; always NULL */

/*
 * As limit_take(). CONNECTIONS, MESSAGES, RECIPIENTS, BYTES: `count` tokens; SESSIONS: one slot, held in the result's `hold` until
 * limit_leave(). Where no limit applies it passes at once, without cost. A result's label names the limit: "messages_per_client".
 */
bool rate_take(const struct rate *r, struct limiter *l, enum rate_what what, uint64_t count,
               const struct rate_subject *who, limit_on_answer *on_answer, void *context,
               struct limit_result *ret);
/* Tokens of a rate_take() that passed and were not used after all: the same arguments. */
void rate_give_back(const struct rate *r, struct limiter *l, enum rate_what what, uint64_t count,
                    const struct rate_subject *who);
/* PASS, or UNKNOWN where ingress.limits_unknown says to pass. */
bool rate_passes(const struct limit_result *result);
