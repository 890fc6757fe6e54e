/*
 * Does: what doctor looks at, each a part of its own: the cluster's nodes and settings, the store, the network as seen from here.
 * Does not: print (verb_doctor.c), or change anything.
 * Owns: nothing; findings go into the diagnosis.
 * Fails: EXIT_ASKED_FAILED and said where Redis does not answer; all else is a finding.
 */
#pragma once

#include "ctl/ask.h"
#include "ctl/diagnosis.h"
#include "ctl/health.h"

/* Pure: from the beats. */
void doctor_roles(struct diagnosis *d, const struct health *h);  /* enough of each, of one version */
void doctor_clocks(struct diagnosis *d, const struct health *h); /* of nodes, against Redis' */
void doctor_settings(struct diagnosis *d,
                     const struct health *h); /* of nodes, against one another, and against ours */
int doctor_store(struct diagnosis *d, struct ask *k);
void doctor_certificates(struct diagnosis *d);
/* Asks the resolvers and tries connections, on the loop of k; some seconds at most. */
void doctor_dns(struct diagnosis *d, struct ask *k);
void doctor_ports(struct diagnosis *d, struct ask *k, const struct health *h);
