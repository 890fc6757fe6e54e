/*
 * Does: the frozen hashes that all nodes and versions must agree on.
 * Does not: resist an attacker who chooses input for collisions; map.h does.
 * Calls: xxHash, named in hash.c only.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

uint64_t hash64(struct span s); /* XXH3, seed 0: partitions, rendezvous */
uint64_t hash64_seeded(struct span s, uint64_t seed);
uint32_t hash32(struct span s);                           /* XXH32, seed 0: checksum of records */
void hash_digest(struct span s, char ret_hex[static 33]); /* XXH3 128 bit: digest of an envelope */
