/* A dispatcher's schedule in a test: two couriers, a clock that the test moves, frames caught where the bus would be. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/schedule.h"

enum { X = 1001, Y = 1002, TOKEN = 5000, SENT_MAX = 64 };
#define Q SPAN("example.com")

struct sent {
    uint64_t to;
    struct grant grant;
    char queue[64];
};

extern struct world {
    struct partitions partitions;
    struct couriers couriers;
    struct schedule schedule;
    struct limits *limits, *site_limits;
    uint32_t loan_serial;
    struct node_peer peers[2];
    struct node_view view;
    struct sent sent[SENT_MAX];
    size_t sent_count;
    uint64_t now;
    unsigned p; /* of example.com */
    unsigned paused, resumed;
    char why[64];
} w;

int set_up(void **state);
int tear_down(void **state);
/* What the end of a round does. The grants sent are in w.sent. */
size_t run(void);
/* A courier's frame: its clock is ours less 100000. */
void hear(uint64_t incarnation, const struct report *reports, size_t count, uint32_t free_jobs);
void hello(uint64_t incarnation);
/* Of example.com, under our token, if it does not say otherwise. */
void report(uint64_t incarnation, struct report r);
void ring(struct span queue);
void set_limits(uint64_t rate_per_minute);
void hold_partitions(uint64_t acquired_ms);
void keep_partitions(void);
void on_gone(void *context, struct courier *gone);
/* So many of X and Y are in the view. */
void see_couriers(size_t count);
/* Time passes in steps of 500 ms: leases are kept, and those couriers say hello. */
void pass(uint64_t ms, bool hears_x, bool hears_y);
/* It knows what it was granted last. */
struct report knows(struct report r);
/* Connections, in the last round; UINT64_MAX: nothing was sent to it. */
uint64_t granted_to(uint64_t incarnation);
/* Both couriers are there; one of them, the one returned, holds Q. */
uint64_t begin_with_two(void);

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
