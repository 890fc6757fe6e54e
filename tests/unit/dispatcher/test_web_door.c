/* Who may look at the status page: who knows the token, unless it comes from where somebody guesses. */
#include "dispatcher/web_door.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static const char token[] = "0123456789abcdef0123456789abcdef";
static struct web_door door;

static int begin(void **state UNUSED)
{
    memset(&door, 0, sizeof(door));
    return 0;
}

static enum door_verdict knock(const char *client, const char *authorization, uint64_t now_ms)
{
    struct ip ip;
    assert_int_equal(ip_parse(span_of(client), &ip), 0);
    return door_knock(&door, &ip, span_of(authorization), token, now_ms);
}

static void opens_to_the_token_alone(void **state UNUSED)
{
    assert_int_equal(knock("192.0.2.1", "Bearer 0123456789abcdef0123456789abcdef", 1000), DOOR_OPEN);
    assert_int_equal(knock("192.0.2.1", "bearer  0123456789abcdef0123456789abcdef ", 1000), DOOR_OPEN);
    assert_int_equal(knock("192.0.2.1", "", 1000), DOOR_WRONG);
    assert_int_equal(knock("192.0.2.1", "Bearer", 1000), DOOR_WRONG);
    assert_int_equal(knock("192.0.2.1", "Bearer ", 1000), DOOR_WRONG);
    assert_int_equal(knock("192.0.2.1", "Basic 0123456789abcdef0123456789abcdef", 1000), DOOR_WRONG);
    assert_int_equal(knock("192.0.2.1", "0123456789abcdef0123456789abcdef", 1000), DOOR_WRONG);
    assert_int_equal(knock("192.0.2.1", "Bearer 0123456789abcdef0123456789abcde", 1000), DOOR_WRONG);
    assert_int_equal(knock("192.0.2.1", "Bearer 0123456789abcdef0123456789abcdeff", 1000), DOOR_WRONG);
    assert_int_equal(knock("192.0.2.1", "Bearer 0123456789abcdef0123456789abcdeF", 1000), DOOR_WRONG);
}

static void shuts_out_who_guesses_for_a_minute(void **state UNUSED)
{
    for (unsigned i = 1; i < DOOR_TRIES; i++)
        assert_int_equal(knock("192.0.2.1", "Bearer guess", 1000 + i), DOOR_WRONG);
    assert_int_equal(knock("192.0.2.1", "Bearer guess", 2000), DOOR_SHUTS);
    assert_int_equal(knock("192.0.2.1", "Bearer guess", 2001), DOOR_SHUT);
    assert_int_equal(knock("192.0.2.1", "Bearer 0123456789abcdef0123456789abcdef", 2000 + DOOR_SHUT_MS - 1),
                     DOOR_SHUT);
    assert_int_equal(knock("192.0.2.1", "Bearer 0123456789abcdef0123456789abcdef", 2000 + DOOR_SHUT_MS),
                     DOOR_OPEN);
}

static void others_may_look_meanwhile(void **state UNUSED)
{
    for (unsigned i = 0; i < DOOR_TRIES; i++)
        (void) knock("192.0.2.1", "Bearer guess", 1000);
    assert_int_equal(knock("192.0.2.1", "Bearer guess", 1000), DOOR_SHUT);
    assert_int_equal(knock("192.0.2.2", "Bearer 0123456789abcdef0123456789abcdef", 1000), DOOR_OPEN);
}

static void a_network_of_ipv6_is_one_guest(void **state UNUSED)
{
    for (unsigned i = 0; i < DOOR_TRIES; i++)
        (void) knock(i % 2 ? "2001:db8::1" : "2001:db8::ffff:1", "Bearer guess", 1000);
    assert_int_equal(knock("2001:db8::2", "Bearer guess", 1000), DOOR_SHUT);
    assert_int_equal(knock("2001:db8:0:1::2", "Bearer guess", 1000), DOOR_WRONG);
}

static void wrong_tries_are_forgotten_in_time(void **state UNUSED)
{
    for (unsigned i = 1; i < DOOR_TRIES; i++)
        (void) knock("192.0.2.1", "Bearer guess", 1000);
    assert_int_equal(knock("192.0.2.1", "Bearer guess", 1000 + DOOR_SHUT_MS), DOOR_WRONG);
}

static void many_guests_take_no_more_room(void **state UNUSED)
{
    for (unsigned i = 0; i < 3 * DOOR_GUESTS; i++) {
        const struct ip ip = {
            .bytes = {[10] = 0xff, [11] = 0xff, [12] = 10, [14] = (uint8_t) (i >> 8), [15] = (uint8_t) i},
            .is_v4 = true};
        assert_int_equal(door_knock(&door, &ip, SPAN("Bearer guess"), token, 1000 + i), DOOR_WRONG);
    }
    assert_int_equal(knock("192.0.2.1", "Bearer 0123456789abcdef0123456789abcdef", 5000), DOOR_OPEN);
}

static void tokens_that_can_be_guessed_or_not_be_sent_are_none(void **state UNUSED)
{
    char most[DOOR_TOKEN_MOST + 2];
    memset(most, 'a', sizeof(most) - 1);
    most[sizeof(most) - 1] = '\0';
    assert_true(door_token_check(most) < 0);
    most[DOOR_TOKEN_MOST] = '\0';
    assert_int_equal(door_token_check(most), 0);
    assert_int_equal(door_token_check("abcDEF0123-._~+/="), 0);
    assert_true(door_token_check("fifteen-letters") < 0);
    assert_true(door_token_check("a secret of several words") < 0);
    assert_true(door_token_check("geheimnis-mit-\xc3\xbcmlaut") < 0);
    assert_true(door_token_check("two-lines-are-none\n") < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(opens_to_the_token_alone, begin),
        cmocka_unit_test_setup(shuts_out_who_guesses_for_a_minute, begin),
        cmocka_unit_test_setup(others_may_look_meanwhile, begin),
        cmocka_unit_test_setup(a_network_of_ipv6_is_one_guest, begin),
        cmocka_unit_test_setup(wrong_tries_are_forgotten_in_time, begin),
        cmocka_unit_test_setup(many_guests_take_no_more_room, begin),
        cmocka_unit_test(tokens_that_can_be_guessed_or_not_be_sent_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
