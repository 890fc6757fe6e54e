/*
 * Does: a scene for tests of the client engine: a client, what it said, a message to one host with up to four recipients.
 * Does not: test on its own.
 * Owns: the client and all buffers, until end().
 * Fails: the test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "courier/smtp_client.h"

enum { RECIPIENTS_MAX = 4 };

struct scene {
    struct smtp_client *client;
    struct buf out; /* all it said since last said() */
    struct envelope envelope, second_envelope;
    struct recipient recipients[RECIPIENTS_MAX]; /* a, b, c and d@one.test */
    struct client_message message, second;
    struct verdict verdicts[RECIPIENTS_MAX], second_verdicts[1];
    size_t piece; /* bytes fed at once */
};

extern const uint32_t indexes[RECIPIENTS_MAX];

void begin(struct scene *s); /* in plain */
void begin_with(struct scene *s, const struct client_terms *terms);
void end(struct scene *s);
/* The remote says text, in pieces. */
void hear(struct scene *s, const char *text);
/* What the client said since the last time. */
void assert_said(struct scene *s, const char *text);
/* From s@us.test to the first count recipients, 5 bytes; the envelope is the test's to change. */
struct client_message *message(struct scene *s, size_t count);
void greet(struct scene *s, const char *ehlo_reply);
/* The connection is over, and the host's mail waits. */
void assert_fault(struct scene *s, enum client_fault fault, const char *status);
void send_content(struct scene *s, const char *content);
void assert_verdict(const struct verdict *v, enum verdict_class class, unsigned code, const char *status);

#define PIPELINING "250-mx.one.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 8BITMIME\r\n"
/* Everything but what the test adds. */
#define OFFER(more) "250-mx.one.test\r\n250-PIPELINING\r\n" more "250 8BITMIME\r\n"
