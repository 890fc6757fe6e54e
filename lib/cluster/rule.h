/*
 * Does: the operator's rules, as kept in TABLE_RULES: reads them, finds the one that fits a queue or a job, writes one.
 * Does not: obey them (couriers, dispatchers), nor tell of changes (rule_watch.h), nor walk the jobs that an order concerns (baridctl).
 * Owns: all texts of its rules, until rules_done().
 * Fails: -EBADMSG: not a list of pairs; -E2BIG: more than anybody may have written. A row that cannot be read is passed over and counted.
 * See: rule.def; lua/table.lua.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "io/redis.h"
#include "mail/envelope.h"

enum rule_action {
#define RULE(NAME, name, stands, undoes, help) RULE_##NAME,
#include "cluster/rule.def"
#undef RULE
    RULE_ACTION_COUNT
};
const char *rule_name(enum rule_action action);
bool rule_stands(enum rule_action action); /* by its nature */
bool rule_undoes(enum rule_action action);

enum { RULES_MAX = 1000, RULE_BYTES_MAX = 65536, RULE_TEXT_MAX = 1024, RULE_ID_MAX = 16 };
#define RULE_TIME_MAX UINT64_C(3153600000000) /* ms: what an operator may say, a hundred years */
#define RULE_KEEP_MS \
    UINT64_C(604800000) /* a rule that ended so long ago is removed by whoever writes the next */

/* Whom it means; NULL, "" and 0: anything. Of a rule that was read no text is NULL, and all are its own. */
struct rule_filter {
    const char *queue;         /* a name, or a pattern as in courier.routes */
    const char *message;       /* a message's id, or a job's: of one order alone */
    const char *sender;        /* an address, @domain, or <> for the null sender */
    const char *recipient;     /* an open one: an address, or @domain */
    const char *user, *tenant; /* who submitted it */
    const char *error;         /* part of the last error, in any case */
    const char *class;         /* of the last error: a name of mail/bounce.def */
    const char *client;        /* the address it came from, its network, or the name that was said with it */
    uint64_t older_ms;         /* accepted so long ago */
};
struct rule {
    uint64_t number; /* its id is "r" and this */
    enum rule_action action;
    struct rule_filter filter;
    const char *
        to; /* REDIRECT: as a row of courier.routes says it; LIMIT: which one; TRACE: a host, or .example.net; else "" */
    uint64_t value;                         /* LIMIT */
    uint64_t since_ms, until_ms, undone_ms; /* clock of Redis. until_ms 0: until it is undone */
    bool is_standing;                       /* obeyed by nodes, also for what comes later */
    const char *by, *because;               /* who gave it, and why; "" when not said */
    uint64_t done;                          /* jobs it concerned when it was given */
};
struct rules { /* by number */
    struct rule *items;
    size_t count;
    size_t unreadable;            /* rows passed over */
    uint64_t last;                /* the highest number, theirs too: no number is given twice */
    uint64_t actions;             /* a bit for each that some rule has */
    const struct rule **by_queue; /* for rule_walk; NULL: all are looked at */
    size_t named;                 /* of these: the first ones, which name one queue */
};

/* From HGETALL of KEY_RULES. now_ms: only those that nodes obey then (rule_is_in_force()), by Redis' clock; 0: all. */
int rules_read(const struct redis_value *value, uint64_t now_ms, struct rules *ret_rules);
void rules_done(struct rules *r);
/* Those with this action, with texts of their own; for who walks all of them: rules_find() does not know them. */
void rules_copy(const struct rules *rules, enum rule_action action, struct rules *ret_rules);
void rule_done(struct rule *r);
/* One row. -EBADMSG, -EPROTONOSUPPORT as wire.h, -EBADMSG also when its field is another one's. */
int rule_read(struct span field, struct span value, struct rule *ret_rule);
void rule_write(const struct rule *r, struct buf *out);

bool rule_is_in_force(const struct rule *r, uint64_t now_ms); /* standing, not undone, not over */
/* When it ended: an order that does not stand when it was given, others when they were undone or were over; 0: it is in force. */
uint64_t rule_ended_ms(const struct rule *r, uint64_t now_ms);

/* What is asked about: a queue, and a job of it if there is one. */
struct rule_subject {
    const char *queue;
    const char *job; /* its name; NULL: none is at hand, so only rules fit that say no more than the queue */
    const struct envelope
        *envelope; /* NULL: it cannot be read, and fits no filter by texts; the same without job */
    const struct job_state *state;
};
bool rule_filter_fits(const struct rule_filter *f, const struct rule_subject *s, uint64_t now_ms);
/* Its filter fits; but a bounce leaves our own reports alone, unless it names the null sender: whom it returned mail to would not hear of it. */
bool rule_means(const struct rule *r, const struct rule_subject *s, uint64_t now_ms);
/* Those that may mean this queue, by number, as rule_queue_fits() and the rest of their filters then tell. rules and queue are borrowed. */
struct rule_walk {
    const struct rules *rules;
    struct rule_run {
        size_t next, end;
    } runs[3];
    size_t count;
};
void rule_walk_begin(struct rule_walk *w, const struct rules *rules, const char *queue);
const struct rule *rule_walk_next(struct rule_walk *w); /* NULL: no more */
void rules_index(struct rules *rules);      /* rules_read() has done it; rules do not change any more */
char *rule_queue_origin(const char *queue); /* of what travels apart: the queue it comes from */
bool rule_filter_is_queue_only(const struct rule_filter *f); /* it means all of its queues */
/* Do all open recipients of the job fit (else only some, when rule_filter_fits()): a parent is acted on as a whole only then. */
bool rule_filter_fits_all(const struct rule_filter *f, const struct rule_subject *s, uint64_t now_ms);
/* A queue's name against a name or a pattern; NULL and "": any. */
bool rule_queue_fits(const char *wanted, const char *queue);
/* An address or @domain against an address: the local part as it is, the domain in any case. */
bool rule_address_fits(const char *pattern, const char *addr);
/* The verdict that filters by error and class look at: of the first open recipient; NULL: never attempted. */
const struct verdict *rule_last_error(const struct job_state *s);

/* Some rule has this action. rules may be NULL, here and below: there are none. */
static inline bool rules_has(const struct rules *rules, enum rule_action action)
{
    return rules && (rules->actions >> action & 1);
}
/* How many have it. */
size_t rules_count(const struct rules *rules, enum rule_action action);
/* The first in force that fits; NULL: none. */
const struct rule *rules_find(const struct rules *rules, enum rule_action action,
                              const struct rule_subject *s, uint64_t now_ms);

/* What suspends a queue; NULL: nothing. A pattern means destinations: #fanout rests by its own name only. */
const struct rule *rules_suspending(const struct rules *rules, const char *queue, uint64_t now_ms);

/* "r17" */
void rule_id_add(uint64_t number, struct buf *out);
int rule_id_parse(struct span text, uint64_t *ret_number); /* -EINVAL */
/* Of a job's note (field r, lua/prelude.lua): the rule that released it last. No standing hold that was there before takes it again. 0: none */
uint64_t rule_released(struct span note);
/* "rule r17: because", as held jobs and histories say it. */
void rule_reason_add(const struct rule *r, struct buf *out);
