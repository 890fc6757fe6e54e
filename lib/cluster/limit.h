/*
 * Does: cluster-wide limits as one reactor sees them: token buckets and slots, each in a key of its own, taken in slices so that most questions
 *       are answered at once. What a slice holds and nobody uses goes back within about a second; keys expire when they hold nothing.
 * Does not: know what is limited, or what to do when Redis cannot say (rate.h).
 * Owns: slices, calls under way, and holds until limit_leave().
 * Fails: LIMIT_UNKNOWN: Redis did not answer in time.
 * See: lua/limit.lua, lua/slot.lua; docs/choices.md "Limits".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cluster/store.h"

enum { LIMIT_KEY_MAX = 512, LIMIT_WANTS_MAX = 32 };
#define LIMIT_COUNT_MAX \
    (UINT64_C(1) << 50) /* tokens of a bucket: exact as a number of Lua's, with room for sums */
#define LIMIT_SPAN_MAX_MS (UINT64_C(366) * 86400000)

/* A bucket holds `burst` tokens when full and gains `count` in `per_ms`. per_ms 0: slots: `count` may be held at once. */
struct limit_rule {
    uint64_t count, per_ms, burst;
};
/*
 * "600/1h", "600/1h burst=100", "10GiB/1d"; without burst a bucket holds `count`. Slots: "200". Numbers may have a size's unit.
 * -EINVAL: *ret_why says in static words what was expected.
 */
int limit_parse(struct span text, bool is_slots, struct limit_rule *ret_rule, const char **ret_why);

struct limit_want {
    struct span key; /* any bytes, 1 to LIMIT_KEY_MAX; copied */
    struct limit_rule rule;
    uint64_t count;    /* 0: takes nothing, but passes only where one could be taken (a look); slots: 1 */
    const char *label; /* static text: what refused, in a result; may be NULL */
};

enum limit_answer { LIMIT_PASS, LIMIT_REFUSED, LIMIT_UNKNOWN };
struct limit_hold; /* slots that are held */
struct limit_call; /* a question under way */
struct limit_result {
    enum limit_answer answer;
    unsigned which;    /* REFUSED: the want that refused */
    const char *label; /* its label, or NULL */
    uint64_t
        wait_ms; /* REFUSED: when it is worth asking again, 0: nobody knows (slots, or more than the burst) */
    struct limit_hold
        *hold; /* PASS with slots among the wants: the callee's, who gives it to limit_leave() */
    struct limit_call *call; /* limit_take() was false: for limit_cancel(), until on_answer */
};
typedef void limit_on_answer(void *context, const struct limit_result *result);

struct limiter;
struct limiter *limiter_open(struct store *s);
/* Gives back what it can; questions under way end without an answer. Before store_close(). Always NULL. */
struct limiter *limiter_close(struct limiter *l);

/*
 * All or nothing over at most LIMIT_WANTS_MAX wants; none of them: passes. True: *ret holds the answer at once. False: ret->call is set, and
 * on_answer comes once, never inside this call, and within ingress.limits_time.
 */
bool limit_take(struct limiter *l, const struct limit_want *wants, size_t count, limit_on_answer *on_answer,
                void *context, struct limit_result *ret);
void limit_cancel(struct limit_call *call); /* no on_answer comes; what it got or gets goes back */
/* Tokens that were taken and not used; wants of slots are passed over (limit_leave). Best soon after. */
void limit_give_back(struct limiter *l, const struct limit_want *wants, size_t count);
void limit_leave(struct limit_hold *hold); /* NULL is fine */
