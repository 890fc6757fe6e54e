/*
 * Does: says what Redis keeps of a domain's MTA-STS policy (KEY_STS) for all couriers.
 * Does not: know what a policy means (courier/sts.h).
 * Owns: its texts. Fails: never.
 * See: wire.h for the record.
 */
#pragma once

#include <stdint.h>

enum { STS_RECORD_ID_MAX = 32, STS_RECORD_TEXT_MAX = 1 << 20 };

struct sts_record {
    char *domain;
    char *id; /* of the TXT record; "": not known */
    char *text;
    uint64_t fetched_ms, until_ms; /* clock of Redis */
};
void sts_record_done(struct sts_record *r);
