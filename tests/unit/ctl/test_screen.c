/* Keys, as terminals send them. */
#include "ctl/screen.h"
#include "tests/unit/ctl/ctl_test.h"

static void assert_key(const char *bytes, size_t takes, int wanted)
{
    int key = -1;

    assert_int_equal(screen_key(span_of(bytes), &key), takes);
    assert_int_equal(key, wanted);
}

static void characters_are_themselves(void **state UNUSED)
{
    assert_key("q", 1, 'q');
    assert_key("12", 1, '1');
    assert_key("\t", 1, '\t');
}

static void arrows_are_known_in_both_modes(void **state UNUSED)
{
    assert_key("\x1b[A", 3, STROKE_UP);
    assert_key("\x1bOB", 3, STROKE_DOWN);
    assert_key("\x1b[5~q", 4, STROKE_PAGE_UP);
    assert_key("\x1b[4~", 4, STROKE_END);
}

static void a_key_that_comes_in_pieces_waits_for_its_end(void **state UNUSED)
{
    assert_key("", 0, 0);
    assert_key("\x1b", 0, 0);
    assert_key("\x1b[", 0, 0);
    assert_key("\x1b[5", 0, 0);
    assert_key("\x1bO", 0, 0);
}

static void what_has_no_meaning_is_left_out_whole(void **state UNUSED)
{
    assert_key("\x1b[1;5Cq", 6, 0);
    assert_key("\x1b[200~q", 6, 0);
    assert_key("\x1bOPq", 3, 0);
    assert_key("\x1bq", 1, 0); /* Escape, then q */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_themselves),
        cmocka_unit_test(arrows_are_known_in_both_modes),
        cmocka_unit_test(a_key_that_comes_in_pieces_waits_for_its_end),
        cmocka_unit_test(what_has_no_meaning_is_left_out_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
