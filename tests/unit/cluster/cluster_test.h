/* What the tests of cluster/ share: a loop with a guard, a server, a store behind a proxy. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "cluster/store.h"
#include "redis_server.h"

extern struct loop *loop;
extern struct redis_server server;
extern struct store *store; /* of the test */
extern struct proxy *proxy; /* between them */

/* For groups: one server for all tests. */
int server_setup(void **state);
int server_teardown(void **state);
/* For tests: an empty server with the settings it was started with, a loop, a ready store; store_teardown closes what is open. */
int store_setup(void **state);
int store_teardown(void **state);
/* The same without the store. */
int loop_setup(void **state);

/* Settings of the next store_open(): environment overrides, e.g. "BARID_STORE_DURABILITY", "none"; NULL takes one back. */
void set(const char *name, const char *value);
void open_store(void); /* does not wait */
extern unsigned ready_count, lost_count;

void loop_go(void); /* until loop_stop(); a test that hangs ends after 20 s with a failure */
/* Runs the loop until it holds; looked at every 2 ms. */
#define WAIT_FOR(condition) \
    while (!(condition))    \
    loop_pass()
void loop_pass(void);
void loop_patience(void); /* of a loop of the test's own: WAIT_FOR begins to count */
