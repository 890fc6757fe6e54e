/*
 * Does: says who may send what to whom: a closed relay with trusted networks and relay domains (BEHAVIOURS E01 to E03, B19).
 * Does not: look anything up, or know whether the store takes mail.
 * Owns: a set of rules made from the settings of one listener.
 * Fails: policy_new() with -EINVAL and a sentence about the setting that cannot be used.
 */
#pragma once

#include "base/conf.h"
#include "ingress/smtp_server.h"

struct policy;
/* -EINVAL: *ret_error (owned by the caller) says why. */
int policy_new(const struct conf_listener *conf, struct policy **ret_policy, char **ret_error);
struct policy *policy_free(struct policy *p); /* always NULL */

/* By the client's own address. */
bool policy_is_trusted(const struct policy *p, const struct ip *client);
/* Is mail for this recipient taken? Answer: 250, maybe with the address to use instead, or 5xx. */
void policy_recipient(const struct policy *p, bool is_trusted, const struct addr *recipient,
                      struct smtp_answer *ret_answer);
/* domain: normalised. It is one of the relay domains. */
bool policy_is_ours(const struct policy *p, const char *domain);
