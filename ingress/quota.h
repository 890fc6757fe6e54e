/*
 * Does: tells whether a tenant's part of the queue has room: what Redis counts for it in all partitions, read every 2 s while the tenant sends through
 *       this reactor, and what passed here since.
 * Does not: know tenants without a quota, or rates (rate.h). Never exact: all reactors together may take more by what they take in 2 s.
 * Owns: what it read, and questions until they are answered.
 * Fails: LIMIT_UNKNOWN: Redis did not say within ingress.limits_time.
 */
#pragma once

#include "cluster/limit.h"
#include "cluster/tenant.h"

struct quota;
struct quota *quota_open(struct store *s);
/* Questions end without an answer. Before store_close(). Always NULL. */
struct quota *quota_close(struct quota *q);

/*
 * May the tenant add a message of so many bytes (0: not known)? True: *ret is the answer, at once. False: on_answer comes once, never inside
 * this call. PASS counts it in. REFUSED: the result's label names the quota. A tenant without one, or NULL: passes, at no cost.
 */
bool quota_ask(struct quota *q, const struct tenant *t, uint64_t bytes, limit_on_answer *on_answer,
               void *context, struct limit_result *ret);
void quota_cancel(struct quota *q, const void *context); /* no on_answer comes; harmless if none would */
