/*
 * Does: submission users: their records in TABLE_USERS, what each may send as.
 * Does not: run an exchange (ingress/sasl.h) or count quotas (ingress/rate.h).
 * Owns: a struct user is counted; its holders are of one thread.
 * Fails: see enum user_answer.
 * See: wire.h for the record, verifier.h for passwords.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "mail/addr.h"

struct store;

#include "cluster/verifier.h"

/* What a record may hold at most; what is above is no record. All of one must fit TABLE_VALUE_MAX too. */
enum { USER_NAME_MAX = 255, USER_TENANT_MAX = 64, USER_SENDERS_MAX = 200, USER_SENDER_MAX = 320 };

struct user {
    unsigned holders;
    char *name;
    char *tenant; /* NULL: none */
    /* "a@example.com", "@example.com" (that domain only), "@.example.com" (its subdomains), "*"; none: the own name if it is an address. */
    char **senders;
    size_t sender_count;
    bool is_disabled;
    bool is_foreign; /* another service vouches for it (dovecot, oauth), and we have no record */
    /* Quotas; 0: none. */
    uint64_t messages_per_hour, messages_per_day, recipients_per_hour, recipients_per_day;
    uint64_t changed_ms; /* clock of Redis, for display */
    struct verifier verifier;
};
struct user *user_new(struct span name); /* one holder; may send as its own name only */
struct user *user_ref(struct user *u);
struct user *user_unref(struct user *u); /* NULL is fine; always NULL; wipes the verifier */
/* sender: as user_sender_check() made it. */
void user_add_sender(struct user *u, const char *sender);
void user_clear_senders(struct user *u);

/* -EINVAL: empty, too long, not UTF-8, or with control bytes. Every other name is itself, and only itself. */
int user_name_check(struct span name);
/* One of the forms above; its domain becomes an A-label in lower case. -EINVAL. */
int user_sender_check(struct span sender, char ret_sender[static USER_SENDER_MAX + 1]);

/*
 * Whether mail may be sent with this sender. Domains are compared as A-labels, local parts without regard to ASCII case: who may write as "Anna@"
 * may write as "anna@". The null sender is nobody else's: it passes (receipts have it, RFC 8098 section 3).
 */
bool user_may_send(const struct user *u, const struct addr *sender);

enum user_answer { USER_FOUND, USER_NONE, USER_AWAY, USER_BROKEN /* its record cannot be read: as away */ };
/* user: borrowed, user_ref() to keep; NULL but for USER_FOUND. */
typedef void user_on_answer(void *context, enum user_answer answer, struct user *user);
/* Exactly one on_answer, never inside the call; it cannot be taken back. time_ms: how long it is tried. */
void user_get(struct store *s, struct span name, uint64_t time_ms, user_on_answer *on_answer, void *context);
/*
 * After change_version(TABLE_USERS) has grown: whether a session that `was` opened may go on, by what user_get() says now. Not when the user was
 * disabled, removed or given another password; an unreadable record or a store that is away ends nothing.
 */
bool user_may_go_on(const struct user *was, enum user_answer answer, const struct user *now);
