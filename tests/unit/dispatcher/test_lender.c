/* Loans of a site's limit among dispatchers. */
#include "dispatcher/lender.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "dispatcher/share.h"

enum { A = 101, B = 102, C = 103, TOKEN = 5000 };
#define SITE SPAN("mx.example.net")

static struct world {
    struct partitions partitions;
    struct lender lender;
    struct limits *limits;
    struct loan last;
    uint64_t now;
} w;

static int set_up(void **state)
{
    static char *names[] = {".example.net"}, *values[] = {"connections=10 rate=600"};
    const struct conf c = {.dispatcher = {.queue_connections = 20,
                                          .site_limits = {.keys = names, .values = values, .count = 1}}};
    char *error;

    (void) state;
    w = (struct world){.now = 1000000};
    assert_int_equal(limits_new_sites(&c, &w.limits, &error), 0);
    w.lender.limits = w.limits;
    w.lender.partitions = &w.partitions;
    w.partitions.of[partition_of(SITE)] = (struct partition){
        .is_held = true, .is_named = true, .token = TOKEN, .sent_ms = w.now, .acquired_ms = w.now - 10000};
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    lender_done(&w.lender);
    limits_free(w.limits);
    return 0;
}

/* What it is lent; it knows the last loan when told so. */
static uint32_t borrow(uint64_t incarnation, uint32_t used, uint32_t wanted, const struct loan *knows)
{
    const struct hello hello = {.incarnation = incarnation, .clock_ms = w.now - 5};
    const struct borrow b = {.site = SITE,
                             .token = knows ? knows->token : 0,
                             .serial = knows ? knows->serial : 0,
                             .connections = used,
                             .wanted = wanted};

    w.partitions.of[partition_of(SITE)].sent_ms = w.now;
    assert_true(lender_hear(&w.lender, &hello, &b, w.now, &w.last));
    assert_int_equal(w.last.answers_ms, w.now - 5);
    assert_int_equal(w.last.token, TOKEN);
    return w.last.connections;
}

/* proves: M05 */
static void a_borrow_said_again_or_overtaken_changes_nothing(void **state)
{
    (void) state;
    struct hello hello = {.incarnation = A, .clock_ms = w.now - 5, .count = 7};
    struct borrow b = {.site = SITE, .connections = 0, .wanted = 3};

    w.partitions.of[partition_of(SITE)].sent_ms = w.now;
    assert_true(lender_hear(&w.lender, &hello, &b, w.now, &w.last));
    const struct loan first = w.last;
    b.wanted = 9;
    assert_false(lender_hear(&w.lender, &hello, &b, w.now, &w.last));
    hello.count = 6;
    assert_false(lender_hear(&w.lender, &hello, &b, w.now, &w.last));
    assert_memory_equal(&first, &w.last, sizeof(first));
    hello.count = 8;
    assert_true(lender_hear(&w.lender, &hello, &b, w.now, &w.last));
    assert_int_equal(w.last.serial, first.serial + 1);
}

/* proves: H16 */
static void one_gets_what_it_wants_within_the_limit(void **state)
{
    (void) state;
    assert_int_equal(borrow(A, 0, 4, NULL), 4);
    assert_int_equal(w.last.rate_micro, 4000000); /* each connection carries its part of the rate */
    struct loan knows = w.last;
    assert_int_equal(borrow(A, 4, 40, &knows), 10);
    assert_int_equal(w.last.rate_micro, 10000000);
}

/* proves: H16 */
static void another_gets_what_the_first_is_known_to_have_given_back(void **state)
{
    (void) state;
    assert_int_equal(borrow(A, 0, 20, NULL), 10);
    struct loan a = w.last;
    assert_int_equal(borrow(B, 0, 20, NULL), 0);
    struct loan b = w.last;
    assert_int_equal(borrow(A, 10, 20, &a), 5);
    a = w.last;
    assert_int_equal(borrow(B, 0, 20, &b), 0); /* A may not have heard yet */
    b = w.last;
    borrow(A, 7, 20, &a); /* it has, and still uses seven */
    a = w.last;
    assert_int_equal(borrow(B, 0, 20, &b), 3);
    b = w.last;
    borrow(A, 5, 20, &a);
    assert_int_equal(borrow(B, 3, 20, &b), 5);
}

/* proves: H16 */
static void what_one_does_not_want_the_others_have(void **state)
{
    (void) state;
    assert_int_equal(borrow(A, 0, 2, NULL), 2);
    struct loan a = w.last;
    assert_int_equal(borrow(B, 0, 30, NULL), 8);
    struct loan b = w.last;
    assert_int_equal(borrow(C, 0, 30, NULL), 0);
    struct loan c = w.last;
    borrow(B, 8, 30, &b);
    b = w.last;
    borrow(B, 4, 30, &b);
    borrow(A, 2, 2, &a);
    assert_int_equal(borrow(C, 0, 30, &c), 4);
}

static void a_borrower_that_is_silent_for_5_s_has_nothing(void **state)
{
    (void) state;
    assert_int_equal(borrow(A, 0, 20, NULL), 10);
    w.now += SHARE_MS - 1;
    assert_int_equal(borrow(B, 0, 20, NULL), 0);
    w.now += 1;
    lender_check(&w.lender, w.now);
    assert_int_equal(borrow(B, 0, 20, NULL), 10);
}

/* proves: H16 */
static void a_new_owner_lends_no_more_than_is_used_until_all_loans_before_it_are_over(void **state)
{
    (void) state;
    const struct loan before = {.token = TOKEN - 1, .serial = 77};
    w.partitions.of[partition_of(SITE)].acquired_ms = w.now;
    assert_int_equal(borrow(A, 3, 20, &before), 3);
    assert_true(w.last.serial > 77);
    assert_int_equal(borrow(B, 0, 20, NULL), 0);
    w.now += LEASE_ALONE_MS;
    assert_int_equal(borrow(B, 0, 20, NULL), 5);
}

static void who_does_not_own_the_site_lends_nothing(void **state)
{
    (void) state;
    const struct hello hello = {.incarnation = A, .clock_ms = 1};
    const struct borrow b = {.site = SITE, .wanted = 5},
                        unlimited = {.site = SPAN("mx.other.org"), .wanted = 5};
    assert_false(lender_hear(&w.lender, &hello, &unlimited, w.now, &w.last));
    w.partitions.of[partition_of(SITE)].is_held = false;
    assert_false(lender_hear(&w.lender, &hello, &b, w.now, &w.last));
    w.lender.limits = NULL;
    assert_false(lender_hear(&w.lender, &hello, &b, w.now, &w.last));
}

/* ---- a random walk: frames are lost and late, leases move between two owners ---- */

enum { BORROWERS = 3, OWNERS = 2, MESSAGES_MAX = 256, WALK_MS = 200000, STEP_MS = 20, MOST = 10 };

struct message {
    uint64_t at_ms;
    unsigned borrower, owner;
    bool is_loan;
    struct hello hello;
    struct borrow borrow;
    struct loan loan;
};

static struct walk {
    uint64_t random, now, token, sent_ms;
    unsigned owner; /* OWNERS: nobody */
    struct partitions partitions[OWNERS];
    struct lender lenders[OWNERS];
    struct {
        uint64_t token, until_ms, said_ms;
        uint32_t serial, lent, used, wanted;
    } b[BORROWERS];
    struct message messages[MESSAGES_MAX];
    size_t message_count;
    uint64_t late_max_ms;
    unsigned lost_percent;
} k;

static uint64_t draw(uint64_t below)
{
    k.random = k.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (k.random >> 33) % below;
}

static void post(struct message m)
{
    if (k.message_count == MESSAGES_MAX || draw(100) < k.lost_percent)
        return;
    m.at_ms = k.now + draw(k.late_max_ms + 1);
    k.messages[k.message_count++] = m;
}

static void deliver(struct message m)
{
    if (!m.is_loan) {
        m.is_loan = lender_hear(&k.lenders[m.owner], &m.hello, &m.borrow, k.now, &m.loan);
        if (m.is_loan)
            post(m);
        return;
    }
    if (m.loan.token < k.b[m.borrower].token ||
        (m.loan.token == k.b[m.borrower].token && m.loan.serial < k.b[m.borrower].serial))
        return;
    k.b[m.borrower].token = m.loan.token;
    k.b[m.borrower].serial = m.loan.serial;
    k.b[m.borrower].lent = m.loan.connections;
    k.b[m.borrower].until_ms = m.loan.answers_ms + SHARE_MS;
}

static void deliver_all(void)
{
    size_t count = k.message_count, kept = 0;
    struct message due[MESSAGES_MAX];

    memcpy(due, k.messages, count * sizeof(due[0]));
    for (size_t i = 0; i < count; i++)
        if (due[i].at_ms > k.now)
            k.messages[kept++] = due[i];
    k.message_count = kept;
    for (size_t i = 0; i < count; i++)
        if (due[i].at_ms <= k.now)
            deliver(due[i]);
}

static void move_lease(void)
{
    if (k.owner < OWNERS) {
        k.partitions[k.owner].of[partition_of(SITE)].sent_ms = k.sent_ms = k.now;
        if (draw(500) != 0)
            return;
        k.partitions[k.owner].of[partition_of(SITE)].is_held = false;
        k.owner = OWNERS;
    } else if (k.now >= k.sent_ms + 3000) {
        k.owner = (unsigned) draw(OWNERS);
        k.partitions[k.owner].of[partition_of(SITE)] = (struct partition){
            .is_held = true, .is_named = true, .token = ++k.token, .sent_ms = k.now, .acquired_ms = k.now};
    }
}

static void borrower_step(unsigned i)
{
    uint32_t lent = k.now < k.b[i].until_ms ? k.b[i].lent : 0;

    if (k.b[i].used < lent)
        k.b[i].used += (uint32_t) draw(lent - k.b[i].used + 1);
    else if (k.b[i].used && draw(10) == 0)
        k.b[i].used--;
    if (draw(200) == 0)
        k.b[i].wanted = (uint32_t) draw(2 * MOST);
    if (k.now < k.b[i].said_ms + 1000 && draw(30) != 0)
        return;
    k.b[i].said_ms = k.now;
    for (unsigned owner = 0; owner < OWNERS; owner++)
        post((struct message){.borrower = i,
                              .owner = owner,
                              .hello = {.incarnation = 100 + i, .clock_ms = k.now},
                              .borrow = {.site = SITE,
                                         .token = k.b[i].token,
                                         .serial = k.b[i].serial,
                                         .connections = k.b[i].used,
                                         .wanted = k.b[i].wanted}});
}

static void walk(uint64_t seed)
{
    uint64_t end = 1000000 + WALK_MS;
    uint32_t most = 0;

    k = (struct walk){.random = seed, .now = 1000000, .token = TOKEN, .owner = OWNERS};
    k.late_max_ms = draw(500);
    k.lost_percent = (unsigned) draw(30);
    for (unsigned i = 0; i < OWNERS; i++)
        k.lenders[i] = (struct lender){.limits = w.limits, .partitions = &k.partitions[i]};
    while (k.now < end) {
        uint32_t used = 0;
        k.now += STEP_MS;
        move_lease();
        deliver_all();
        for (unsigned i = 0; i < BORROWERS; i++)
            borrower_step(i);
        for (unsigned i = 0; i < OWNERS; i++)
            lender_check(&k.lenders[i], k.now);
        for (unsigned i = 0; i < BORROWERS; i++)
            if (k.now < k.b[i].until_ms)
                used += k.b[i].used > k.b[i].lent ? k.b[i].used : k.b[i].lent;
        if (used > MOST)
            fail_msg("seed %llu: %u connections at %llu ms", (unsigned long long) seed, used,
                     (unsigned long long) k.now);
        most = used > most ? used : most;
    }
    assert_int_equal(most, MOST);
    for (unsigned i = 0; i < OWNERS; i++)
        lender_done(&k.lenders[i]);
}

/* proves: H16 */
static void never_is_more_lent_than_the_limit_whoever_owns_it_and_whatever_is_lost(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 40; seed++)
        walk(seed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_borrow_said_again_or_overtaken_changes_nothing),
        TEST(one_gets_what_it_wants_within_the_limit),
        TEST(another_gets_what_the_first_is_known_to_have_given_back),
        TEST(what_one_does_not_want_the_others_have),
        TEST(a_borrower_that_is_silent_for_5_s_has_nothing),
        TEST(a_new_owner_lends_no_more_than_is_used_until_all_loans_before_it_are_over),
        TEST(who_does_not_own_the_site_lends_nothing),
        TEST(never_is_more_lent_than_the_limit_whoever_owns_it_and_whatever_is_lost),
    };
    return cmocka_run_group_tests_name("dispatcher/lender", tests, NULL, NULL);
}
