/*
 * Does: what the address tables say of a sender or recipient: rewritten, instead of it others (aliases), or unknown in its domain. Files
 *       (settings `tables`) go before the tables in Redis; what is not configured costs nothing.
 * Does not: permit anything: permission is asked for the address as given, before this; aliases may then lead anywhere.
 * Owns: a reactor's view of the files, a small cache of Redis' answers, questions under way until they are answered or cancelled.
 * Fails: a store that is slow or away, and a record that cannot be read: 451, never 5xx.
 * See: lib/cluster/address_text.h for keys and values, docs/flow.md section 1.
 */
#pragma once

#include <stdbool.h>

#include "cluster/store.h"
#include "mail/addr.h"

enum { TABLES_DEPTH_MAX = 10, TABLES_RESULTS_MAX = 1000 };

struct tables; /* of one reactor */
struct tables *tables_new(struct store *s);
struct tables *tables_free(struct tables *t); /* always NULL; questions under way are never answered */

/* What there is to say at RCPT. All of it is valid until the next question; what on_result gets, during the call. */
struct tables_result {
    unsigned code; /* 250; 451; 550, 554: unknown, or an alias that leads nowhere */
    const char *status, *text;
    const char *const *addresses; /* take these instead, 1 to TABLES_RESULTS_MAX */
    size_t address_count;         /* 0: the address as given */
};

struct tables_question {
    const struct addr *address; /* has a domain, is no literal */
    bool is_ours;               /* its domain is one of the relay domains: postmaster is always known */
    bool refuses_unknown;       /* where a recipient table covers the domain */
    const char
        *postmaster; /* has the mail of a postmaster who is not listed; NULL or "": he has it himself */
};

struct tables_call;
typedef void tables_on_result(void *owner, const struct tables_result *result);
/* NULL: *ret_result has it already. Else on_result comes later, never inside, once, unless it is cancelled. */
struct tables_call *tables_recipient(struct tables *t, const struct tables_question *q,
                                     tables_on_result *on_result, void *owner,
                                     struct tables_result *ret_result);
struct tables_call *tables_cancel(struct tables_call *c); /* always NULL; NULL is harmless */
/* The sender to take instead, valid until the next question; NULL: as given. Never waits (files only). */
const char *tables_sender(struct tables *t, const struct addr *sender);
