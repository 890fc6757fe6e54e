/*
 * Does: decides what the sender of a job is told after an attempt (BEHAVIOURS J07, K01, K03, K09, K12, K19, K23), and has it written (dsn_job.h).
 * Does not: decide verdicts, nor write to the store (settle.c).
 * Owns: its findings until notice_done(); an entry between notice_make() and on_made.
 * Fails: never: what is not told is logged and counted, with the reason.
 */
#pragma once

#include "courier/job.h"
#include "mail/dsn.h"
#include "mail/mail_kind.h"

struct entry;

/* What a recipient's last verdict comes to. */
struct finding {
    enum dsn_action action; /* the sender is to be told of it, as that; DSN_ACTION_COUNT: is not */
    const struct verdict *verdict, *last;
    struct verdict ended; /* of its time, or the sender's patience */
};

struct notice {
    struct finding *findings; /* one for each recipient */
    size_t count;
    size_t told, silent; /* to be told; failed, and the sender wants to hear nothing of it */
    /* asked for once, however many recipients there are */
    uint64_t warn_ms; /* a delay is told after so long; 0: not asked for yet */
    bool has_kind;
    struct mail_kind kind;
};

void notice_init(struct notice *n, const struct job *j);
void notice_done(struct notice *n);

/* The recipient has failed; is put off, which is told once; is done, and that was asked for. Its finding has the verdict. */
void notice_failed(struct notice *n, const struct job *j, size_t recipient);
void notice_deferred(struct notice *n, struct job *j, size_t recipient);
void notice_delivered(struct notice *n, struct job *j, size_t recipient);

/*
 * The notification of e's notice is made, if one is due and no limit stands against it: at once, or when the limits have answered. on_made gets
 * how many recipients it has no room for: they are as before, and another one tells of them.
 */
typedef void notice_on_made(struct entry *e, size_t left);
void notice_make(struct entry *e, notice_on_made *on_made);

/* Before settings are in force, or again after a reload. */
void notice_load_settings(struct courier *c);
