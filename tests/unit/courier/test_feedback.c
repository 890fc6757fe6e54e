/* What a message's verdicts say of its host's pace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "courier/feedback.h"

static struct verdict reply(unsigned code)
{
    return (struct verdict){.class = code < 300   ? VERDICT_DELIVERED
                                     : code < 500 ? VERDICT_DEFERRED
                                                  : VERDICT_FAILED,
                            .code = code};
}

/* proves: H17 */
static void replies_that_ask_for_less_are_told_apart(void **state UNUSED)
{
    static const unsigned slower[] = {421, 451, 452}, others[] = {250, 450, 455, 454, 550, 552, 554};

    for (size_t i = 0; i < ARRAY_LEN(slower); i++) {
        struct verdict v = reply(slower[i]);
        assert_true(feedback_is_throttling(&v));
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct verdict v = reply(others[i]);
        assert_false(feedback_is_throttling(&v));
    }
}

/* proves: H17 */
static void a_full_mailbox_is_no_wish_of_its_host(void **state UNUSED)
{
    const struct verdict full = {.class = VERDICT_DEFERRED, .code = 452, .status = "4.2.2"};
    const struct verdict short_of_room = {.class = VERDICT_DEFERRED, .code = 452, .status = "4.3.1"};

    assert_false(feedback_is_throttling(&full));
    assert_true(feedback_is_throttling(&short_of_room));
}

static void a_message_counts_once(void **state UNUSED)
{
    struct feedback f = {0};
    struct verdict all[] = {reply(250), reply(250), reply(451), reply(550)},
                   put_off[] = {reply(451), reply(452)}, refused[] = {reply(550)};

    feedback_add(&f, &(struct client_message){.verdicts = all, .count = 4}); /* it goes on taking mail */
    assert_int_equal(f.finished, 1);
    assert_int_equal(f.succeeded, 1);
    assert_int_equal(f.throttled, 0);
    feedback_add(&f, &(struct client_message){.verdicts = put_off, .count = 2});
    assert_int_equal(f.finished, 2);
    assert_int_equal(f.succeeded, 1);
    assert_int_equal(f.throttled, 1);
    feedback_add(&f, &(struct client_message){.verdicts = refused, .count = 1}); /* neither */
    assert_int_equal(f.finished, 3);
    assert_int_equal(f.succeeded + f.throttled, 2);
}

static void a_connection_that_closes_with_421_counts(void **state UNUSED)
{
    struct feedback f = {0};
    struct verdict none[] = {{0}};
    struct client_message m = {
        .verdicts = none, .count = 1, .fault = FAULT_CLOSING, .fault_verdict = reply(421)};

    feedback_add(&f, &m);
    assert_int_equal(f.throttled, 1);
    m.fault = FAULT_LOST;
    m.fault_verdict = (struct verdict){.class = VERDICT_DEFERRED};
    feedback_add(&f, &m); /* lost: nobody asked for less */
    assert_int_equal(f.throttled, 1);
    assert_int_equal(f.finished, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_that_ask_for_less_are_told_apart),
        cmocka_unit_test(a_full_mailbox_is_no_wish_of_its_host),
        cmocka_unit_test(a_message_counts_once),
        cmocka_unit_test(a_connection_that_closes_with_421_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
