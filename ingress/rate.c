/*
 * Limits as wants. A key says what, by whom, on which listener, and last, because it may be any bytes, who: no two subjects share one (BEHAVIOURS
 * M07). Quotas of users and tenants hold wherever they send from.
 */
#include "ingress/rate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum {
    HOUR_MS = 3600000,
    DAY_MS = 86400000,
    V4_AT = 12,          /* where the IPv4 address begins in struct ip */
    CLIENT_V6_BYTES = 8, /* a host has a whole /64 to itself */
    NETWORK_V6_BYTES = 6,
    NETWORK_V4_BYTES = 3,
    WANTS_MAX = RATE_WHOM_COUNT + 4
};

struct rate {
    bool has_any[RATE_WHAT_COUNT];
    struct limit_rule rules[RATE_WHAT_COUNT][RATE_WHOM_COUNT]; /* count 0: no limit */
};

#define ROW(WHAT, what)                                    \
    [RATE_##WHAT] = {[RATE_CLIENT] = what "_per_client",   \
                     [RATE_NETWORK] = what "_per_network", \
                     [RATE_USER] = what "_per_user",       \
                     [RATE_TENANT] = what "_per_tenant",   \
                     [RATE_LISTENER] = what "_per_listener"}
static const char *const names[RATE_WHAT_COUNT][RATE_WHOM_COUNT] = {
    ROW(CONNECTIONS, "connections"), ROW(MESSAGES, "messages"),
    ROW(RECIPIENTS, "recipients"),   ROW(BYTES, "bytes"),
    ROW(SESSIONS, "sessions"),
};

/* Quotas that records have in fields; label: the field's name. */
struct quota {
    enum rate_what what;
    size_t offset;
    uint64_t per_ms;
    const char *label;
};
#define USER_QUOTA(WHAT, name, per_ms)                                      \
    {                                                                       \
        RATE_##WHAT, offsetof(struct user, name), (per_ms), "user's " #name \
    }
static const struct quota user_quotas[] = {
    USER_QUOTA(MESSAGES, messages_per_hour, HOUR_MS),
    USER_QUOTA(MESSAGES, messages_per_day, DAY_MS),
    USER_QUOTA(RECIPIENTS, recipients_per_hour, HOUR_MS),
    USER_QUOTA(RECIPIENTS, recipients_per_day, DAY_MS),
};
static const struct quota tenant_quotas[] = {
#define TENANT_RATE(name, what, per_ms, help) \
    {RATE_##what, offsetof(struct tenant, name), (per_ms), "tenant's " #name},
#include "cluster/tenant.def"
};

/* ---- settings */

static struct limit_rule *rule_of(struct rate *r, const char *name, bool *ret_is_slots)
{
    for (size_t what = 0; what < RATE_WHAT_COUNT; what++)
        for (size_t whom = 0; whom < RATE_WHOM_COUNT; whom++)
            if (strcmp(names[what][whom], name) == 0) {
                r->has_any[what] = true;
                *ret_is_slots = what == RATE_SESSIONS;
                return &r->rules[what][whom];
            }
    return NULL;
}

int rate_new(const char *listener, const struct conf_map *limits, struct rate **ret_rate, char **ret_error)
{
    struct rate *r = limits->count ? NEW(struct rate) : NULL;

    for (size_t i = 0; i < limits->count; i++) {
        const char *name = limits->keys[i], *value = limits->values[i], *why;
        bool is_slots;
        struct limit_rule *rule = rule_of(r, name, &is_slots);
        if (!rule)
            *ret_error = mem_format(
                "listeners.%s.limits: \"%s\": expected <what>_per_<whom>, with connections, messages, "
                "recipients, bytes or sessions per client, network, user, tenant or listener",
                listener, name);
        else if (limit_parse(span_of(value), is_slots, rule, &why) < 0)
            *ret_error = mem_format("listeners.%s.limits.%s: \"%s\": expected %s", listener, name, value,
                                    why);
        else
            continue;
        (void) rate_free(r); /* always NULL */
        return -EINVAL;
    }
    *ret_rate = r;
    return 0;
}

struct rate *rate_free(struct rate *r)
{
    return mem_free(r);
}

/* ---- wants */

struct wants {
    size_t count;
    struct limit_want at[WANTS_MAX];
    char keys[WANTS_MAX][LIMIT_KEY_MAX];
};

/* subject: any bytes, or empty. */
static void want_add(struct wants *w, const struct limit_rule *rule, uint64_t count, const char *label,
                     const char *scope, struct span subject)
{
    char *key = w->keys[w->count];
    int len = snprintf(key, LIMIT_KEY_MAX, "%s:%s:", label, scope);

    must(len > 0 && (size_t) len + subject.len <= LIMIT_KEY_MAX);
    if (subject.len)
        memcpy(key + len, subject.at, subject.len);
    w->at[w->count++] = (struct limit_want){
        .key = {.at = key, .len = (size_t) len + subject.len},
        .rule = *rule,
        .count = count,
        .label = label,
    };
}

/* The bytes of an address that its limits are counted by. An IPv4 address is the same in both its forms. */
static struct span part_of(const struct ip *ip, enum rate_whom whom)
{
    const char *bytes = (const char *) ip->bytes;
    bool is_v4 = ip->is_v4;

    if (whom == RATE_CLIENT)
        return is_v4 ? (struct span){.at = bytes + V4_AT, .len = sizeof ip->bytes - V4_AT}
                     : (struct span){.at = bytes, .len = CLIENT_V6_BYTES};
    return is_v4 ? (struct span){.at = bytes + V4_AT, .len = NETWORK_V4_BYTES}
                 : (struct span){.at = bytes, .len = NETWORK_V6_BYTES};
}

/* Who that is, in bytes; false: nobody known. */
static bool subject_of(const struct rate_subject *who, enum rate_whom whom, struct span *ret_subject)
{
    const char *name = NULL;

    switch (whom) {
    case RATE_CLIENT:
    case RATE_NETWORK:
        if (who->ip)
            *ret_subject = part_of(who->ip, whom);
        return who->ip != NULL;
    case RATE_USER: name = who->user ? who->user->name : NULL; break;
    case RATE_TENANT: name = who->user ? who->user->tenant : NULL; break;
    default: name = ""; break;
    }
    *ret_subject = span_of(name);
    return name != NULL;
}

static void add_rules(struct wants *w, const struct rate *r, enum rate_what what, uint64_t count,
                      const struct rate_subject *who)
{
    for (unsigned whom = 0; whom < RATE_WHOM_COUNT; whom++) {
        struct span subject;
        if (r->rules[what][whom].count && subject_of(who, whom, &subject))
            want_add(w, &r->rules[what][whom], count, names[what][whom], who->listener, subject);
    }
}

static void add_quotas(struct wants *w, const struct quota *quotas, size_t quota_count, const void *holder,
                       enum rate_what what, uint64_t count, const char *name)
{
    for (size_t i = 0; i < quota_count; i++) {
        const struct quota *q = &quotas[i];
        uint64_t most;
        memcpy(&most, (const char *) holder + q->offset, sizeof most);
        if (q->what != what || most == 0)
            continue;
        const struct limit_rule rule = {.count = most, .per_ms = q->per_ms, .burst = most};
        want_add(w, &rule, count, q->label, "", span_of(name));
    }
}

/* Whether there is anything that could limit this: what is not configured costs nothing. */
static bool is_free(const struct rate *r, enum rate_what what, const struct rate_subject *who)
{
    return !(r && r->has_any[what]) && !who->user && !who->tenant;
}

static void wants_make(struct wants *w, const struct rate *r, enum rate_what what, uint64_t count,
                       const struct rate_subject *who)
{
    w->count = 0;
    if (r && r->has_any[what])
        add_rules(w, r, what, count, who);
    if (who->user)
        add_quotas(w, user_quotas, ARRAY_LEN(user_quotas), who->user, what, count, who->user->name);
    if (who->tenant)
        add_quotas(w, tenant_quotas, ARRAY_LEN(tenant_quotas), who->tenant, what, count, who->tenant->name);
}

bool rate_take(const struct rate *r, struct limiter *l, enum rate_what what, uint64_t count,
               const struct rate_subject *who, limit_on_answer *on_answer, void *context,
               struct limit_result *ret)
{
    struct wants wants;

    *ret = (struct limit_result){.answer = LIMIT_PASS};
    if (is_free(r, what, who))
        return true;
    wants_make(&wants, r, what, count, who);
    return limit_take(l, wants.at, wants.count, on_answer, context, ret);
}

void rate_give_back(const struct rate *r, struct limiter *l, enum rate_what what, uint64_t count,
                    const struct rate_subject *who)
{
    struct wants wants;

    if (is_free(r, what, who))
        return;
    wants_make(&wants, r, what, count, who);
    limit_give_back(l, wants.at, wants.count);
}

bool rate_passes(const struct limit_result *result)
{
    enum { UNKNOWN_PASSES = 1 }; /* the second of "refuse pass" */

    return result->answer == LIMIT_PASS ||
           (result->answer == LIMIT_UNKNOWN && conf_get()->ingress.limits_unknown == UNKNOWN_PASSES);
}
