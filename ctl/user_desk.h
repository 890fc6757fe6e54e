/*
 * Does: reads and writes users for the verbs, one after the other; takes passwords from where they are given.
 * Does not: know which verb it works for, or touch the queue.
 * Owns: the connections, until desk_close().
 * Fails: EXIT_ASKED_FAILED or EXIT_BAD_USAGE, said.
 */
#pragma once

#include "cluster/user.h"
#include "ctl/table_link.h"

struct desk {
    struct table_link *link;
    /* The user under work, and its record as it was read: a write succeeds only when nobody else wrote meanwhile. */
    struct user *user;
    struct buf read;
};
int desk_open(const struct arguments *a, struct desk *ret_desk);
void desk_close(struct desk *d);

/* EXIT_OK: d->user is that user. must_be_new: there must be none yet, and d->user is a new one. */
int desk_find(struct desk *d, const char *name, bool must_be_new);
int desk_write(struct desk *d);
int desk_remove(struct desk *d, const char *name); /* also one whose record cannot be read */
/* All of them by name; one that cannot be read comes as NULL. */
typedef void desk_on_user(void *context, struct span name, const struct user *user);
int desk_list(struct desk *d, desk_on_user *on_user, void *context);

/*
 * Sets the verifier by the options of the verb: --password-file, --password-stdin, --verifier, --no-password, or else a password made up here,
 * which is appended to *generated.
 */
int desk_set_password(struct desk *d, const struct arguments *a, struct buf *generated);
/* Sets what --tenant, --senders and the quotas give. */
int desk_set_options(struct desk *d, const struct arguments *a);
