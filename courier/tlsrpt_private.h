/*
 * Does: what the tlsrpt*.c files share: counts on their way to Redis, and the report that is being sent.
 * Does not: serve anybody else.
 * Owns: see each. Fails: see each.
 */
#pragma once

#include "base/map.h"
#include "courier/courier.h"
#include "courier/tlsrpt_row.h"
#include "io/dns.h"
#include "io/loop.h"

struct http_client;
struct tlsrpt_record;
struct tlsrpt_sending;

struct tlsrpt {
    struct courier *courier;
    bool is_on;
    struct map tallies; /* "<day> <domain>" -> struct tally */
    struct list order;
    size_t row_count;
    uint64_t seq;     /* of calls that count */
    uint64_t written; /* sessions in the call under way */
    bool is_writing, is_closed;
    struct timer timer;
    struct tlsrpt_sending *sending; /* NULL: none */
    uint64_t token_seq;
    struct http_client *http; /* NULL: nothing was sent by https yet */
};

/* NULL: its name would be too long. Else as dns_ask(). */
struct dns_question *tlsrpt_ask_record(struct courier *c, const char *domain, dns_on_answer *on_answer,
                                       void *context);
bool tlsrpt_find_record(const struct dns_answer *a, struct tlsrpt_record *ret_record);

/* ---- tlsrpt_send.c: one report at a time */
/* Looks for reports that are due, unless one is being sent: takes it, makes it, sends it, and looks for the next. */
void tlsrpt_send_due(struct tlsrpt *t);
struct tlsrpt_sending *tlsrpt_send_cancel(struct tlsrpt_sending *s); /* NULL is fine; always NULL */
