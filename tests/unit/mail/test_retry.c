/* The retry schedule. */
#include "mail/retry.h"
#include "mail_test.h"

static const struct retry defaults = {
    .first_ms = 300000, .longest_ms = 4000000, .lifetime_ms = 432000000, .bounce_lifetime_ms = 86400000};

static uint64_t random_state = 1;
static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

/* proves: J01 */
static void waits_as_long_as_the_message_is_old_within_bounds(void **state)
{
    (void) state;
    static const struct {
        uint64_t age, middle;
    } rows[] = {{0, 300000},        {1000, 300000},       {300000, 300000},     {1000000, 1000000},
                {4000000, 4000000}, {400000000, 4000000}, {UINT64_MAX, 4000000}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (int n = 0; n < 1000; n++) {
            uint64_t delay = retry_delay_ms(&defaults, rows[i].age, next_random());
            assert_in_range(delay, rows[i].middle * 85 / 100, rows[i].middle * 115 / 100);
        }
        assert_int_equal(retry_delay_ms(&defaults, rows[i].age, 0), rows[i].middle * 85 / 100);
    }
}

/* proves: J04 */
static void spreads_jobs_of_the_same_age_evenly(void **state)
{
    (void) state;
    enum { TENTHS = 10, TRIES = 20000 };
    unsigned seen[TENTHS] = {0};
    for (int n = 0; n < TRIES; n++) {
        uint64_t delay = retry_delay_ms(&defaults, 1000000, next_random());
        uint64_t tenth = (delay - 850000) * TENTHS / 300001;
        assert_true(tenth < TENTHS);
        seen[tenth]++;
    }
    for (int i = 0; i < TENTHS; i++)
        assert_in_range(seen[i], TRIES / TENTHS * 8 / 10, TRIES / TENTHS * 12 / 10);
}

/* A destination that was away for six hours, and got 10,000 messages in the first minute: when it is back, when does each try? */
/* proves: J04 */
static void comes_back_spread_out_after_an_outage(void **state)
{
    (void) state;
    enum { JOBS = 10000, BINS = 23 };
    const uint64_t outage_ms = 6 * 3600 * 1000, bin_ms = defaults.longest_ms / 20;
    unsigned bins[BINS] = {0}, most = 0;
    for (unsigned n = 0; n < JOBS; n++) {
        uint64_t arrival = n * 6, now = arrival;
        while (now < outage_ms)
            now += retry_delay_ms(&defaults, now - arrival, next_random());
        assert_true((now - outage_ms) / bin_ms <
                    BINS); /* nobody waits longer than the longest wait and its jitter */
        bins[(now - outage_ms) / bin_ms]++;
    }
    for (unsigned i = 0; i < BINS; i++) {
        print_message("%5u s %5u\n", (unsigned) (i * bin_ms / 1000), bins[i]);
        most = bins[i] > most ? bins[i] : most;
    }
    assert_true(most < JOBS * 15 / 100); /* without jitter: all in one bin */
}

static void stands_tiny_and_turned_round_bounds(void **state)
{
    (void) state;
    struct retry tiny = {.first_ms = 1, .longest_ms = 1};
    assert_int_equal(retry_delay_ms(&tiny, 5, UINT64_MAX), 1);
    struct retry turned = {.first_ms = 1000, .longest_ms = 10};
    assert_in_range(retry_delay_ms(&turned, 5, 77), 850, 1150);
}

/* proves: J03 J08 */
static void expires_by_age_with_its_own_life_for_bounces(void **state)
{
    (void) state;
    assert_false(retry_is_expired(&defaults, 431999999, false));
    assert_true(retry_is_expired(&defaults, 432000000, false));
    assert_false(retry_is_expired(&defaults, 86399999, true));
    assert_true(retry_is_expired(&defaults, 86400000, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(waits_as_long_as_the_message_is_old_within_bounds),
        TEST(spreads_jobs_of_the_same_age_evenly),
        TEST(comes_back_spread_out_after_an_outage),
        TEST(stands_tiny_and_turned_round_bounds),
        TEST(expires_by_age_with_its_own_life_for_bounces),
    };
    return cmocka_run_group_tests_name("mail/retry", tests, NULL, NULL);
}
