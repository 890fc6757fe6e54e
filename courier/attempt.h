/*
 * Does: what follows a transaction or a fault for one job: next transaction, next host, or the end of the attempt.
 * Does not: settle (settle.h).
 * Fails: never.
 * See: BEHAVIOURS H03, H05, H08, H09, H13, H15, I13. Choice: a 4xx to MAIL, RCPT, DATA or dot defers; only faults of a connection go to the next host.
 */
#pragma once

#include "courier/job.h"

struct connection;

/* A claimed job's content is at hand: attempts it, or does what its fate asks. */
void attempt_begin(struct job *j);
/* The engine of a connection handed the job's message back. target: SIZE_MAX when it is not in the route any more. */
void attempt_on_result(struct job *j, const struct connection *k, size_t target);
/* All hosts at hand were tried: what the last one lacked or did wrong is the verdict. */
void attempt_end_without_host(struct job *j);
/* No host can be used: every recipient still undecided gets the verdict, and the attempt ends. */
void attempt_end(struct job *j, const struct verdict *why);
