/*
 * Does: parts of a limit: what was granted to each holder, and what it may still be using of it.
 * Does not: decide who gets what.
 * Owns: nothing.
 * Fails: never. Pure: time is an argument.
 * See: README.md "Rules that keep limits exact". A limit is kept when no share is raised above what the others leave of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum { SHARE_MS = 5000 }; /* what a holder is granted ends so long after the hello that the grant answered */

struct share {
    struct list link;     /* among the shares of its limit */
    uint32_t connections; /* granted; 0: taken back */
    uint32_t most;        /* may be in use until until_ms: of this grant or of one before it */
    uint64_t rate_micro;  /* granted; 0: no limit */
    uint64_t most_rate;   /* UINT64_MAX: no limit */
    uint64_t until_ms;
    uint32_t serial; /* of the grant */
    bool is_known;   /* the holder has told that it took this grant */
};

/* In force: what may be in use now. */
uint32_t share_connections(const struct share *s, uint64_t now_ms);
/* All in the list but one, or NULL. */
uint32_t shares_connections(const struct list *shares, const struct share *but, uint64_t now_ms);
/* UINT64_MAX: somebody has no limit. */
uint64_t shares_rate(const struct list *shares, const struct share *but, uint64_t now_ms);

/* Granted now, in answer to a hello that came at heard_ms; serial: higher with each grant, also an unchanged one. */
void share_grant(struct share *s, uint32_t connections, uint64_t rate_micro, uint32_t serial,
                 uint64_t heard_ms, uint64_t now_ms);
/* Its holder uses so many; knows: it has taken the grant of this serial. */
void share_hear(struct share *s, bool knows, uint32_t used, uint64_t now_ms);
/* It was granted by somebody else, and is known by what its holder tells. */
void share_adopt(struct share *s, uint32_t connections, uint32_t used, uint64_t rate_micro, uint32_t serial,
                 uint64_t now_ms);
/* Its holder has given it back, or is gone: at most `used` are left of it. */
void share_return(struct share *s, uint32_t used, uint64_t now_ms);
