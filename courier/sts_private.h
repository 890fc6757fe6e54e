/*
 * Does: what the sts*.c files share: what is known of a domain, one fetch of a policy, and what Redis has.
 * Does not: serve anybody else.
 * Owns: a fetch and a call are their starter's until they answer or are cancelled.
 * Fails: see each.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "courier/sts.h"
#include "io/loop.h"
#include "mail/addr.h"

struct courier;
struct dns_question;
struct http_client;

/* ---- sts_fetch.c: the addresses of mta-sts.<domain>, then HTTPS, within tls_out.sts_fetch_time */
struct sts_fetch;
/* policy: handed over, without id and times; NULL: trouble and why say what was wrong, why during the call only. */
typedef void sts_on_fetched(void *context, struct sts_policy *policy, enum sts_trouble trouble,
                            const char *why);
/* Answers once, never inside the call. */
struct sts_fetch *sts_fetch_start(struct courier *c, struct http_client *http, const char *domain,
                                  sts_on_fetched *on_fetched, void *context);
struct sts_fetch *sts_fetch_cancel(struct sts_fetch *f); /* NULL is fine; always NULL */

/* ---- sts_store.c: what Redis has, for all couriers */
struct sts_news {
    bool is_known;             /* false: Redis did not answer, the rest is nothing */
    struct sts_policy *policy; /* in force; borrowed; NULL: none */
    bool is_claimed;           /* the fetch is ours */
    enum sts_trouble trouble;  /* of somebody's fetch a moment ago */
    uint64_t retry_ms;         /* and how long from now nobody tries again */
};
typedef void sts_on_news(void *context, const struct sts_news *news);
struct sts_call;
/* Each answers once, never inside the call. Looking tells of a policy only; claiming asks to be the one who fetches. */
struct sts_call *sts_store_look(struct courier *c, const char *domain, sts_on_news *on_news, void *context);
struct sts_call *sts_store_claim(struct courier *c, const char *domain, sts_on_news *on_news, void *context);
struct sts_call *sts_call_cancel(struct sts_call *call); /* NULL is fine; always NULL */
/* The end of a claim: with a policy, with trouble, or because another one was faster. Tried for a moment; nobody is told. */
void sts_store_keep(struct courier *c, const struct sts_policy *p);
void sts_store_fail(struct courier *c, const char *domain, enum sts_trouble trouble);
void sts_store_release(struct courier *c, const char *domain);

/* ---- sts_entry.c: what is known of one domain */
enum sts_step { STS_RESTING, STS_LOOKING, STS_CLAIMING, STS_WAITING, STS_FETCHING };

struct sts {
    struct courier *courier;
    struct http_client *http; /* NULL: nothing was fetched yet */
    struct map entries;
    struct list order; /* least recently asked for first */
    size_t bytes;      /* about what they take */
};

struct sts_entry {
    struct list link;
    struct sts *sts;
    enum sts_step step;
    struct list searches;
    struct sts_policy *policy; /* NULL: none known; its time may be over */
    enum sts_trouble trouble;  /* of the last fetch */
    uint64_t asked_ms;         /* clock_ms(), as the next two: when somebody last asked */
    uint64_t looked_until_ms;  /* Redis has none */
    uint64_t failed_until_ms;  /* the last fetch failed */
    struct dns_question *txt;
    struct sts_call *call;
    struct sts_fetch *fetch;
    struct timer timer; /* RESTING: renew; WAITING: claim again */
    size_t bytes;
    char id[STS_ID_MAX + 1]; /* as the TXT record says now; "": it says nothing */
    char domain[DOMAIN_MAX + 1];
};

/* Leaves STS_RESTING; in the end sts_answer_all(). */
void sts_entry_look(struct sts_entry *e);
bool sts_is_in_force(const struct sts_entry *e);
/* The domain names a policy that we do not have. */
bool sts_is_new_due(const struct sts_entry *e);
void sts_entry_take(struct sts_entry *e, struct sts_policy *p); /* takes it over, with what it takes */

/* ---- sts.c. The last thing done with an entry: those who are answered may have it forgotten. */
void sts_answer_all(struct sts_entry *e);
