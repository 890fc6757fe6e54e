/*
 * Does: a sample notification that is fresh for each test, and what holds for all that can be made of it.
 * Does not: test on its own.
 * Owns: the sample; sample_teardown() frees.
 * Fails: the test.
 */
#pragma once

#include "mail/dsn.h"
#include "mail_test.h"

enum { MOST = 3000 };

extern const char plain_original[];
extern struct verdict verdicts[4];
extern struct envelope envelope;
extern struct dsn_recipient failed[MOST];
extern struct dsn dsn;
extern struct buf out; /* what write_checked() wrote */

int sample_setup(void **state);
int sample_teardown(void **state);
void set_remote(struct verdict *v, unsigned code, const char *status, const char *text);
/* The first count recipients, with the first two verdicts in turn. */
void fill_recipients(size_t count, const char *addr);
/* What holds for every notification: CRLF lines of at most 998 bytes, no NUL, no bare CR, within DSN_MAX, 8-bit bytes told. */
struct dsn_written write_checked(void);
void expect(const char *text);
void expect_not(const char *text);
size_t count_of(const char *text);

/* Of one message: failed, delayed, and passed on, with all that its sender asked for. */
void make_mixed(void);
/* An internationalized message: recipient and header are, and the sender's address too if asked for. */
void make_internationalized(bool is_sender_too);

#define TEST_FRESH(name) cmocka_unit_test_setup_teardown(name, sample_setup, sample_teardown)
