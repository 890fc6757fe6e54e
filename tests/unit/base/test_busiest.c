/* Unit tests of base/busiest. */
#include "base/busiest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct busiest b;
static size_t shown;
static int64_t total, others;

static int begin(void **state)
{
    (void) state;
    busiest_done(&b);
    b = (struct busiest){.shown = 0};
    return 0;
}

static void on_name(void *context, struct span name, const int64_t counts[static BUSIEST_WORDS])
{
    struct span wanted = span_of(context);
    shown++;
    if (span_equal(name, SPAN("other")))
        others = counts[0] + counts[1];
    if (span_equal(name, wanted))
        total = counts[0] + counts[1];
}

/* What is told of a name; -1: it is not shown. */
static int64_t told_of(const char *name)
{
    char text[32];
    (void) snprintf(text, sizeof(text), "%s", name); /* fits */
    shown = 0;
    total = -1;
    busiest_each(&b, on_name, text);
    return total;
}

static void add(unsigned i, int64_t n, uint64_t now_ms)
{
    char name[32];
    (void) snprintf(name, sizeof(name), "mx%u.example", i); /* fits */
    busiest_add(&b, span_of(name), i % 2, n, now_ms);
}

static void few_are_all_shown(void **state)
{
    (void) state;
    add(1, 3, 1);
    add(2, 4, 1);
    add(1, 5, 1);
    assert_int_equal(told_of("mx1.example"), 8);
    assert_int_equal(told_of("mx2.example"), 4);
    assert_int_equal(shown, 3);
    assert_int_equal(others, 0);
}

static void those_without_a_place_are_counted_together(void **state)
{
    (void) state;
    for (unsigned i = 0; i < 2 * BUSIEST_SHOWN; i++)
        add(i, 1, 1);
    assert_int_equal(told_of("mx0.example"), 1);
    assert_int_equal(shown, BUSIEST_SHOWN + 1);
    assert_int_equal(told_of("mx63.example"), -1);
    assert_int_equal(others, BUSIEST_SHOWN);
}

static void the_busier_take_the_places_of_the_idle(void **state)
{
    (void) state;
    for (unsigned i = 0; i < BUSIEST_SHOWN; i++)
        add(i, 10, 1);
    add(40, 1000, 1);
    add(41, 11, 1);
    assert_int_equal(told_of("mx40.example"), -1);
    add(0, 1, 1 + BUSIEST_ELECT_MS);
    assert_int_equal(told_of("mx40.example"), 0); /* it begins anew, and the others keep what they had */
    assert_int_equal(others, 1011);
    assert_int_equal(told_of("mx41.example"), -1); /* not twice as busy as any */
    add(40, 5, 1 + BUSIEST_ELECT_MS);
    assert_int_equal(told_of("mx40.example"), 5);
    assert_int_equal(told_of("other"), 1011);
    assert_int_equal(shown, BUSIEST_SHOWN + 1);
}

static void names_without_end_take_memory_with_an_end(void **state)
{
    (void) state;
    for (unsigned i = 0; i < 5 * BUSIEST_KNOWN; i++)
        add(i, 1, 1);
    assert_int_equal(b.names.count, BUSIEST_KNOWN);
    add(0, 1, 1 + BUSIEST_ELECT_MS);
    assert_int_equal(b.names.count, BUSIEST_SHOWN);
    (void) told_of("");
    assert_int_equal(others, 5 * BUSIEST_KNOWN - BUSIEST_SHOWN);
}

static void a_host_called_other_is_no_second_other(void **state)
{
    (void) state;
    busiest_add(&b, SPAN("other"), 0, 7, 1);
    assert_int_equal(told_of("other"), 7);
    assert_int_equal(shown, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(few_are_all_shown, begin),
        cmocka_unit_test_setup(those_without_a_place_are_counted_together, begin),
        cmocka_unit_test_setup(the_busier_take_the_places_of_the_idle, begin),
        cmocka_unit_test_setup(names_without_end_take_memory_with_an_end, begin),
        cmocka_unit_test_setup_teardown(a_host_called_other_is_no_second_other, begin, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
