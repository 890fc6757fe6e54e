/* How a courier's room is shared: the pure part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "courier/room.h"

/* main.c, which has it, is not here. */
void courier_check_drained(struct courier *c UNUSED)
{
}

static void the_first_half_is_anybodys(void **state UNUSED)
{
    assert_int_equal(room_left(500, 0, 0), 250);
    assert_int_equal(room_left(500, 100, 100), 150);
    assert_int_equal(room_left(500, 249, 249), 1);
    assert_int_equal(room_left(500, 249, 0), 62);
}

static void then_a_quarter_of_what_is_free_is_the_most(void **state UNUSED)
{
    assert_int_equal(room_left(500, 250, 0), 62);
    assert_int_equal(room_left(500, 250, 60), 2);
    assert_int_equal(room_left(500, 250, 62), 0);
    assert_int_equal(room_left(500, 499, 0), 1);
    assert_int_equal(room_left(500, 499, 1), 0);
}

static void nothing_is_left_of_what_is_taken(void **state UNUSED)
{
    assert_int_equal(room_left(500, 500, 0), 0);
    assert_int_equal(room_left(100, 500, 0), 0); /* the setting was lowered */
    assert_int_equal(room_left(1, 0, 0), 1);
    assert_int_equal(room_left(1, 1, 0), 0);
}

static void everybody_has_a_part(void **state UNUSED)
{
    assert_int_equal(room_part(500, 10), 50);
    assert_int_equal(room_part(500, 500), 1);
    assert_int_equal(room_part(500, 1000), 1);
    assert_int_equal(room_part(500, 1), 500);
    assert_int_equal(room_part(500, 0), 1);
}

/* Takes as much as it may and could use, one at a time; returns how much. */
static size_t greedy(size_t most, size_t *used, size_t wanted)
{
    size_t has = 0;

    while (has < wanted && room_left(most, *used, has) > 0) {
        has++;
        (*used)++;
    }
    return has;
}

/* proves: J09 */
static void whoever_comes_late_finds_some(void **state UNUSED)
{
    /* Queues come one by one, take all they may, and give nothing back. */
    for (size_t wanted = 1; wanted <= 500; wanted = 2 * wanted + 1) {
        size_t used = 0;

        for (size_t users = 1; users <= 20; users++)
            assert_true(greedy(500, &used, wanted) > 0);
        assert_true(used <= 500);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_half_is_anybodys),
        cmocka_unit_test(then_a_quarter_of_what_is_free_is_the_most),
        cmocka_unit_test(nothing_is_left_of_what_is_taken),
        cmocka_unit_test(everybody_has_a_part),
        cmocka_unit_test(whoever_comes_late_finds_some),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
