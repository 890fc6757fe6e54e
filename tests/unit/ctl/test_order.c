/* Which jobs an order concerns, and what it is foretold to do: what a dry run counts. */
#include "ctl/order.h"
#include "ctl_test.h"

enum { NOW = 1000, DUE = NOW, NOT_DUE = NOW + 1 };

static const struct record whole = {.is_there = true, .is_readable = true};
static const struct record broken = {.is_there = true};
static const struct record newer = {.is_there = true, .is_newer = true};
static const struct record none = {.is_there = false};

static void expect(enum order order, enum place place, uint64_t due_ms, const struct record *r,
                   enum effect effect)
{
    assert_int_equal(order_foresee(order, place, due_ms, NOW, r), effect);
}

static struct record with_fate(enum fate fate)
{
    struct record r = whole;

    r.fate = fate;
    return r;
}

static void retry_concerns_what_waits_and_is_not_due(void **state)
{
    (void) state;
    expect(ORDER_RETRY, PLACE_WAITING, NOT_DUE, &whole, EFFECT_DONE);
    expect(ORDER_RETRY, PLACE_WAITING, DUE, &whole, EFFECT_NONE);
    expect(ORDER_RETRY, PLACE_CLAIMED, NOT_DUE, &whole, EFFECT_NONE);
    expect(ORDER_RETRY, PLACE_HELD, NOT_DUE, &whole, EFFECT_NONE);
}

static void hold_of_a_claimed_job_is_later_and_only_once(void **state)
{
    struct record held = with_fate(FATE_HOLD), bounced = with_fate(FATE_BOUNCE);

    (void) state;
    expect(ORDER_HOLD, PLACE_WAITING, DUE, &whole, EFFECT_DONE);
    expect(ORDER_HOLD, PLACE_WAITING, DUE, &broken, EFFECT_DONE);
    expect(ORDER_HOLD, PLACE_CLAIMED, 0, &whole, EFFECT_LATER);
    expect(ORDER_HOLD, PLACE_CLAIMED, 0, &held, EFFECT_NONE);
    expect(ORDER_HOLD, PLACE_CLAIMED, 0, &bounced, EFFECT_LATER);
    expect(ORDER_HOLD, PLACE_HELD, 0, &whole, EFFECT_NONE);
}

static void release_concerns_what_is_held_or_will_be(void **state)
{
    struct record held = with_fate(FATE_HOLD);

    (void) state;
    expect(ORDER_RELEASE, PLACE_HELD, 0, &whole, EFFECT_DONE);
    expect(ORDER_RELEASE, PLACE_HELD, 0, &newer, EFFECT_DONE);
    expect(ORDER_RELEASE, PLACE_CLAIMED, 0, &held, EFFECT_DONE);
    expect(ORDER_RELEASE, PLACE_CLAIMED, 0, &whole, EFFECT_NONE);
    expect(ORDER_RELEASE, PLACE_WAITING, 0, &whole, EFFECT_NONE);
}

/* A courier would only put it aside again. */
static void what_cannot_be_read_is_neither_released_nor_returned(void **state)
{
    (void) state;
    expect(ORDER_RELEASE, PLACE_HELD, 0, &broken, EFFECT_UNREADABLE);
    expect(ORDER_BOUNCE, PLACE_HELD, 0, &broken, EFFECT_UNREADABLE);
    expect(ORDER_BOUNCE, PLACE_WAITING, 0, &broken, EFFECT_UNREADABLE);
    expect(ORDER_RELEASE, PLACE_HELD, 0, &none, EFFECT_UNREADABLE);
    expect(ORDER_DELETE, PLACE_HELD, 0, &broken, EFFECT_DONE);
}

static void delete_says_later_while_content_is_read(void **state)
{
    struct record parent = whole, deleted = with_fate(FATE_DELETE);

    (void) state;
    parent.keeps_content = true;
    expect(ORDER_DELETE, PLACE_WAITING, 0, &parent, EFFECT_DONE); /* never claimed: it has no children */
    parent.exact_ms = 5;
    expect(ORDER_DELETE, PLACE_WAITING, 0, &parent, EFFECT_LATER);
    expect(ORDER_DELETE, PLACE_WAITING, 0, &whole, EFFECT_DONE);
    expect(ORDER_DELETE, PLACE_CLAIMED, 0, &whole, EFFECT_LATER);
    expect(ORDER_DELETE, PLACE_CLAIMED, 0, &deleted, EFFECT_NONE);
    expect(ORDER_DELETE, PLACE_HELD, 0, &none, EFFECT_GONE);
}

static void bounce_is_counted_once(void **state)
{
    struct record bounced = with_fate(FATE_BOUNCE);

    (void) state;
    expect(ORDER_BOUNCE, PLACE_WAITING, NOT_DUE, &whole, EFFECT_DONE);
    expect(ORDER_BOUNCE, PLACE_HELD, 0, &whole, EFFECT_DONE);
    expect(ORDER_BOUNCE, PLACE_HELD, 0, &newer, EFFECT_DONE);
    expect(ORDER_BOUNCE, PLACE_CLAIMED, 0, &whole, EFFECT_LATER);
    expect(ORDER_BOUNCE, PLACE_WAITING, DUE, &bounced, EFFECT_NONE);
    expect(ORDER_BOUNCE, PLACE_CLAIMED, 0, &bounced, EFFECT_NONE);
}

static void undo_concerns_what_is_where_its_rule_put_it(void **state)
{
    static char held[] = "r7 q h 5", retried[] = "r7 q q 5", later[] = "r7 c h 0", damaged[] = "r7";
    struct record r = whole;

    (void) state;
    r.ruled = held;
    expect(ORDER_UNDO, PLACE_HELD, 0, &r, EFFECT_DONE);
    expect(ORDER_UNDO, PLACE_WAITING, DUE, &r, EFFECT_NONE);
    expect(ORDER_UNDO, PLACE_CLAIMED, 0, &r, EFFECT_NONE);
    assert_true(order_is_of(&r, "r7"));
    assert_false(order_is_of(&r, "r") || order_is_of(&r, "r70"));
    r.is_readable = false; /* a courier would only put it aside again */
    expect(ORDER_UNDO, PLACE_HELD, 0, &r, EFFECT_UNREADABLE);
    r = whole;
    r.ruled = retried;
    expect(ORDER_UNDO, PLACE_WAITING, DUE, &r, EFFECT_DONE);
    expect(ORDER_UNDO, PLACE_HELD, 0, &r, EFFECT_NONE);
    r.ruled = later;
    expect(ORDER_UNDO, PLACE_CLAIMED, 0, &r, EFFECT_DONE);
    r.ruled = damaged;
    expect(ORDER_UNDO, PLACE_HELD, 0, &r, EFFECT_NONE);
}

static void nothing_is_done_to_what_is_gone(void **state)
{
    (void) state;
    for (enum order order = ORDER_RETRY; order <= ORDER_UNDO; order++)
        expect(order, PLACE_GONE, 0, &none, EFFECT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_concerns_what_waits_and_is_not_due),
        cmocka_unit_test(hold_of_a_claimed_job_is_later_and_only_once),
        cmocka_unit_test(release_concerns_what_is_held_or_will_be),
        cmocka_unit_test(what_cannot_be_read_is_neither_released_nor_returned),
        cmocka_unit_test(delete_says_later_while_content_is_read),
        cmocka_unit_test(bounce_is_counted_once),
        cmocka_unit_test(undo_concerns_what_is_where_its_rule_put_it),
        cmocka_unit_test(nothing_is_done_to_what_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
