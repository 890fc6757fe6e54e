/*
 * Does: counts what a queue's messages came to since its last report: the dispatcher paces the queue by it (BEHAVIOURS H16, H17).
 * Does not: decide anything about the mail.
 * Owns: nothing.
 * Fails: never. Pure.
 */
#pragma once

#include "courier/smtp_client.h"

struct feedback {
    uint32_t finished;  /* messages that are over, whatever became of them */
    uint32_t succeeded; /* of these: the host took them, for one recipient at least */
    uint32_t throttled; /* the host told us to slow down: messages, and connections that it turned away */
};

/* A host's 421, 451 and 452 mean: slower. 450 and 4.2.x do not: they are about one mailbox (RFC 5321 section 4.2.3, RFC 3463 section 3.3). */
bool feedback_is_throttling(const struct verdict *v);
/* A message the engine handed back, its verdicts still in it. */
void feedback_add(struct feedback *f, const struct client_message *m);
