/* Hosts that could not be connected to are remembered for a moment, each as seen from one address of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "courier/dead_host.h"

enum { NOW = 1000000 };

static struct target target_at(const char *ip, uint16_t port)
{
    struct target t = {.port = port};

    assert_int_equal(ip_parse(span_of(ip), &t.ip), 0);
    return t;
}

/* proves: I14 */
static void a_dead_host_is_known_until_its_time_is_over(void **state UNUSED)
{
    struct dead_hosts d = {0};
    struct target t = target_at("192.0.2.1", 25);

    assert_false(dead_hosts_has(&d, &t, NULL, NOW));
    dead_hosts_add(&d, &t, NULL, NOW);
    assert_true(dead_hosts_has(&d, &t, NULL, NOW));
    assert_true(dead_hosts_has(&d, &t, NULL, NOW + DEAD_HOST_MS - 1));
    assert_false(dead_hosts_has(&d, &t, NULL, NOW + DEAD_HOST_MS));
    dead_hosts_done(&d);
}

/* proves: I14 */
static void a_host_that_answers_is_dead_no_more(void **state UNUSED)
{
    struct dead_hosts d = {0};
    struct target t = target_at("2001:db8::1", 25);

    dead_hosts_remove(&d, &t, NULL);
    dead_hosts_add(&d, &t, NULL, NOW);
    dead_hosts_remove(&d, &t, NULL);
    assert_false(dead_hosts_has(&d, &t, NULL, NOW));
    dead_hosts_done(&d);
}

/* proves: I14 H21 */
static void what_is_dead_from_one_address_may_live_for_another(void **state UNUSED)
{
    struct dead_hosts d = {0};
    struct target t = target_at("192.0.2.1", 25), port = target_at("192.0.2.1", 587),
                  other = target_at("192.0.2.2", 25), source = target_at("198.51.100.1", 0);

    dead_hosts_add(&d, &t, &source.ip, NOW);
    assert_true(dead_hosts_has(&d, &t, &source.ip, NOW));
    assert_false(dead_hosts_has(&d, &t, NULL, NOW));
    assert_false(dead_hosts_has(&d, &t, &other.ip, NOW));
    assert_false(dead_hosts_has(&d, &port, &source.ip, NOW));
    assert_false(dead_hosts_has(&d, &other, &source.ip, NOW));
    dead_hosts_done(&d);
}

static void a_socket_of_this_host_is_never_dead(void **state UNUSED)
{
    struct dead_hosts d = {0};
    struct target t = {.path = (char[]){"/run/lmtp"}};

    dead_hosts_add(&d, &t, NULL, NOW);
    assert_false(dead_hosts_has(&d, &t, NULL, NOW));
    assert_int_equal(d.until.count, 0);
    dead_hosts_done(&d);
}

static void so_many_are_known_and_no_more_until_some_have_run_out(void **state UNUSED)
{
    struct dead_hosts d = {0};
    struct target t = target_at("10.0.0.0", 25);

    for (unsigned i = 0; i < DEAD_HOSTS_MAX + 100; i++) {
        t.ip.bytes[14] = (uint8_t) (i >> 8);
        t.ip.bytes[15] = (uint8_t) i;
        dead_hosts_add(&d, &t, NULL, NOW);
    }
    assert_int_equal(d.until.count, DEAD_HOSTS_MAX);
    assert_false(dead_hosts_has(&d, &t, NULL, NOW));
    dead_hosts_add(&d, &t, NULL, NOW + DEAD_HOST_MS);
    assert_true(dead_hosts_has(&d, &t, NULL, NOW + DEAD_HOST_MS));
    assert_int_equal(d.until.count, 1);
    dead_hosts_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_host_is_known_until_its_time_is_over),
        cmocka_unit_test(a_host_that_answers_is_dead_no_more),
        cmocka_unit_test(what_is_dead_from_one_address_may_live_for_another),
        cmocka_unit_test(a_socket_of_this_host_is_never_dead),
        cmocka_unit_test(so_many_are_known_and_no_more_until_some_have_run_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
