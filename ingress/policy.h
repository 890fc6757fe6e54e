/*
 * Does: says who may send what to whom: a closed relay with trusted networks and relay domains (BEHAVIOURS E01 to E03, B19).
 * Does not: look anything up, or know whether the store takes mail.
 * Owns: a set of rules made from one snapshot of the settings.
 * Fails: policy_new() with -EINVAL and a sentence about the setting that cannot be used.
 */
#pragma once

#include "base/conf.h"
#include "ingress/smtp_server.h"

struct policy;
/* -EINVAL: *ret_error (owned by the caller) says why. */
int policy_new(const struct conf *conf, struct policy **ret_policy, char **ret_error);
struct policy *policy_free(struct policy *p); /* always NULL */

/* By the client's own address. */
bool policy_is_trusted(const struct policy *p, const struct ip *client);
/* May a transaction begin with this sender? Answer: 250, or 5xx. */
void policy_sender(const struct policy *p, const struct addr *sender, struct smtp_answer *ret_answer);
/* Is mail for this recipient taken? Answer: 250, maybe with the address to use instead, or 5xx. */
void policy_recipient(const struct policy *p, bool is_trusted, const struct addr *recipient,
                      struct smtp_answer *ret_answer);
