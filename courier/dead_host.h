/*
 * Does: remembers for a moment where no connection could be made, for all queues of this courier: such hosts are tried last (BEHAVIOURS I14).
 * Does not: keep anybody from trying: where nothing better is left, a dead host is tried all the same.
 * Owns: one entry for each address, bounded.
 * Fails: never; when it is full, no more is remembered until entries have run out.
 */
#pragma once

#include "base/map.h"
#include "courier/route.h"

enum { DEAD_HOST_MS = 60000, DEAD_HOSTS_MAX = 10000 };

struct dead_hosts {
    struct map until; /* a place -> clock_ms() when it is forgotten, as number */
};

/* A place is a target as seen from an address of ours; source NULL: from whichever the kernel chooses. now_ms: clock_ms(). */
void dead_hosts_add(struct dead_hosts *d, const struct target *t, const struct ip *source, uint64_t now_ms);
void dead_hosts_remove(struct dead_hosts *d, const struct target *t, const struct ip *source);
bool dead_hosts_has(const struct dead_hosts *d, const struct target *t, const struct ip *source,
                    uint64_t now_ms);
void dead_hosts_done(struct dead_hosts *d);
