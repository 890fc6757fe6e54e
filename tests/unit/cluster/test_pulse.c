/* Rates are differences of beats that were seen, of one life of a node. */
#include "cluster/pulse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static struct pulses pulses;
static struct node_peer peers[2];

static void see(size_t count, uint64_t beat_ms, uint64_t accepted, uint64_t delivered)
{
    peers[0].stats.role = ROLE_INGRESS;
    peers[1].stats.role = ROLE_COURIER;
    peers[0].stats.beat_ms = peers[1].stats.beat_ms = beat_ms;
    peers[0].stats.accepted = accepted;
    peers[1].stats.delivered = delivered;
    peers[1].stats.deferred_as[BOUNCE_OTHER] = delivered / 2;
    const struct node_view view = {.peers = peers, .count = count};
    pulses_note(&pulses, &view);
}

static int setup(void **state UNUSED)
{
    memset(peers, 0, sizeof(peers));
    peers[0].incarnation = 1;
    peers[1].incarnation = 2;
    return 0;
}

static int teardown(void **state UNUSED)
{
    pulses_done(&pulses);
    return 0;
}

static void assert_near(double rate, double wanted)
{
    assert_true(rate > wanted - 0.001 && rate < wanted + 0.001);
}

static void one_beat_is_no_rate(void **state UNUSED)
{
    see(2, 1000, 100, 50);
    assert_false(pulses_are_known(&pulses));
    assert_near(pulse_rate_of_all(&pulses, PULSE_ACCEPTED), 0);
}

static void rates_are_by_the_clock_of_the_beats(void **state UNUSED)
{
    see(2, 1000, 100, 50);
    see(2, 1000, 100, 50); /* the same beat again */
    assert_false(pulses_are_known(&pulses));
    see(2, 3000, 300, 60);
    assert_true(pulses_are_known(&pulses));
    assert_near(pulse_rate(&pulses, 1, PULSE_ACCEPTED), 100);
    assert_near(pulse_rate(&pulses, 2, PULSE_DELIVERED), 5);
    assert_near(pulse_rate_of_class(&pulses, BOUNCE_OTHER, false), 2.5);
    assert_near(pulse_rate_of_class(&pulses, BOUNCE_OTHER, true), 0);
    assert_near(pulse_rate(&pulses, 3, PULSE_DELIVERED), 0);
}

static void what_is_long_ago_counts_no_more(void **state UNUSED)
{
    for (uint64_t i = 0; i < 10; i++)
        see(2, 1000 + 1000 * i, i == 0 ? 0 : 1000, 0);
    assert_near(pulse_rate_of_all(&pulses, PULSE_ACCEPTED), 0);
}

static void a_new_life_begins_anew(void **state UNUSED)
{
    see(2, 1000, 500, 50);
    see(2, 2000, 600, 50);
    peers[0].incarnation = 9;
    see(2, 3000, 7, 50);
    assert_near(pulse_rate_of_all(&pulses, PULSE_ACCEPTED), 0);
    assert_near(pulse_rate(&pulses, 1, PULSE_ACCEPTED), 0); /* gone */
    see(2, 4000, 10, 50);
    assert_near(pulse_rate_of_all(&pulses, PULSE_ACCEPTED), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_beat_is_no_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(rates_are_by_the_clock_of_the_beats, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_long_ago_counts_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_life_begins_anew, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
