/*
 * Does: tenants: their records in TABLE_TENANTS, and what each has in the queue.
 * Does not: enforce anything (ingress/rate.h, ingress/quota.h).
 * Owns: a struct tenant is counted; its holders are of one thread.
 * Fails: tenant_decode(): -EBADMSG, -EPROTONOSUPPORT as wire.h.
 * See: tenant.def; lua/prelude.lua, tally().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct store;

enum { TENANT_NAME_MAX = 64, TENANT_USES_MAX = 64 };
#define TENANT_LIMIT_MAX (UINT64_C(1) << 50)

struct tenant {
    unsigned holders;
    char *name;
    /* Limits, 0: none. */
#define TENANT_RATE(name, what, per_ms, help) uint64_t name;
#define TENANT_QUOTA(name, help) uint64_t name;
#include "cluster/tenant.def"
    uint64_t changed_ms; /* clock of Redis, for display */
};
struct tenant *tenant_new(struct span name); /* one holder; no limits */
struct tenant *tenant_ref(struct tenant *t);
struct tenant *tenant_unref(struct tenant *t); /* NULL is fine; always NULL */
bool tenant_has_quota(const struct tenant *t); /* NULL: no */

/* The limits of a record by name. */
struct tenant_row {
    const char *name, *help;
    size_t offset; /* of a uint64_t in struct tenant */
};
extern const struct tenant_row tenant_rows[];
extern const size_t tenant_row_count;
uint64_t *tenant_limit(struct tenant *t, size_t row);

void tenant_encode(const struct tenant *t, struct buf *out);
int tenant_decode(struct span in, struct tenant **ret_tenant);
/* -EINVAL: empty, too long, not UTF-8, or with control bytes. Every other name is only itself. */
int tenant_name_check(struct span name);

enum tenant_answer {
    TENANT_FOUND,
    TENANT_NONE,
    TENANT_AWAY,
    TENANT_BROKEN /* its record cannot be read: as away */
};
/* tenant: borrowed, tenant_ref() to keep; NULL but for TENANT_FOUND. */
typedef void tenant_on_answer(void *context, enum tenant_answer answer, struct tenant *tenant);
/* Exactly one on_answer, never inside the call. */
void tenant_get(struct store *s, struct span name, uint64_t time_ms, tenant_on_answer *on_answer,
                void *context);

/* What a tenant has in the queue, over all partitions: jobs that have not ended, and bytes of their stored content. */
struct tenant_use {
    uint64_t messages, bytes;
};
/* uses: in the order of the names, valid during the call; NULL: they could not be read in time. Exactly once, never inside the call. */
typedef void tenant_on_uses(void *context, const struct tenant_use *uses, size_t count);
/* 1 to TENANT_USES_MAX names, copied. */
void tenant_uses(struct store *s, const struct span *names, size_t count, uint64_t time_ms,
                 tenant_on_uses *on_uses, void *context);
