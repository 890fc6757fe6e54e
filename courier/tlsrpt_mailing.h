/*
 * Does: commits the mail of a TLS report to our own queue, in #fanout of the domain's partition: a message id made of day and domain makes that
 *       happen once, whoever repeats it, for MARK_MS after.
 * Does not: make the report (tlsrpt_report.h).
 * Owns: nothing. Fails: as queue_commit() says.
 */
#pragma once

#include "base/id.h"
#include "cluster/queue.h"
#include "courier/courier.h"
#include "mail/tlsrpt_mail.h"

/* The message's, the report's too: the same for all who ask. day_end_ms: since 1970. */
struct id tlsrpt_mailing_id(const char *domain, uint64_t day_end_ms);
/* m->wall_ms is the message's arrival, too. */
void tlsrpt_mailing_commit(struct courier *c, const struct tlsrpt_mail *m, const struct id *id,
                           queue_on_commit *on_commit, void *context);
