/*
 * Does: what smtp_client.c (what we say) and smtp_client_reply.c (what we hear) share.
 * Does not: concern anybody else.
 * Owns: see struct smtp_client.
 * Fails: never.
 * Invariants: replies are matched to `expected` in order; at most two transactions live, the second only behind the first one's dot.
 */
#pragma once

#include "courier/dot_stuffing.h"
#include "courier/smtp_client.h"
#include "mail/reply.h"

enum step {
#define STEP(name, limit, handler) STEP_##name,
#include "courier/smtp_client.def"
#undef STEP
};

enum phase {
    PHASE_ENVELOPE,
    PHASE_CONTENT,
    PHASE_DOT_READY, /* content is out, the dot is not */
    PHASE_DOT_SENT,  /* the point of no return: a connection lost here leaves the message in doubt */
    PHASE_OVER,
};

struct transaction {
    struct client_message *message; /* NULL: free */
    enum phase phase;
    bool mail_ok, mail_refused;
    size_t accepted;
    bool *is_accepted; /* per recipient */
};

struct expected {
    enum step step;
    struct transaction *transaction; /* NULL for the connection's own */
    size_t recipient;
};

struct smtp_client {
    const struct client_settings *settings;
    char *remote;
    struct reply reply;
    struct transaction slots[2];
    struct transaction *current, *next; /* current is the elder; next only with current */
    struct expected *expected;          /* ring */
    size_t expected_first, expected_count, expected_cap;
    struct dot_stuffing stuffing;
    bool is_ready, is_over, is_quitting;
    bool has_pipelining, has_size, has_8bitmime;
    uint64_t size_limit; /* 0: none told */
    enum client_fault fault;
    struct verdict fault_verdict;
    unsigned sent_count, reply_count;
};

/* The next reply but those expected already will answer this step. */
void client_expect(struct smtp_client *c, enum step step, struct transaction *t, size_t recipient);
/* The connection is over; what is under way ends with it, in doubt if its dot is out. */
void client_over(struct smtp_client *c, enum client_fault fault, const struct verdict *why);
void client_put_rcpt(struct smtp_client *c, struct transaction *t, size_t recipient, struct buf *out);
void client_put_data(struct smtp_client *c, struct transaction *t, struct buf *out);
/* The limit of the first step whose reply is owed. */
enum client_limit client_reply_limit(const struct smtp_client *c);
