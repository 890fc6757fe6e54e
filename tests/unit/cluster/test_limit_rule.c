/* Limits as they are written in settings. */
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cluster/limit.h"

static void rates_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t count, per_ms, burst;
    } rows[] = {
        {"600/1h", 600, 3600000, 600},
        {"600/1h burst=100", 600, 3600000, 100},
        {"  60/1min   burst=1 ", 60, 60000, 1},
        {"10GiB/1d", UINT64_C(10) << 30, 86400000, UINT64_C(10) << 30},
        {"1MiB/1s burst=20MiB", 1 << 20, 1000, 20 << 20},
        {"5/1ms", 5, 1, 5},
        {"1/366d burst=10", 1, LIMIT_SPAN_MAX_MS, 10},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct limit_rule rule;
        const char *why;
        assert_int_equal(limit_parse(span_of(rows[i].text), false, &rule, &why), 0);
        assert_true(rule.count == rows[i].count && rule.per_ms == rows[i].per_ms &&
                    rule.burst == rows[i].burst);
    }
}

/* What is wrong, and a word of what is said about it. */
static void anything_else_is_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "600/1h"},
        {"600", "600/1h"},
        {"600/", "600/1h"},
        {"600/hour", "600/1h"},
        {"600/1", "600/1h"},
        {"600/0s", "from 1ms"},
        {"600/367d", "366d"},
        {"/1h", "number"},
        {"0/1h", "number"},
        {"-1/1h", "number"},
        {"1e3/1h", "number"},
        {"99999999999999999999/1h", "number"},
        {"10XB/1h", "number"},
        {"2000TiB/1h", "number"},
        {"1/1h burst=", "number"},
        {"1/1h burst=0", "number"},
        {"1/1h burst", "number"},
        {"1/1h bust=5", "burst"},
        {"1/1h burst=5 more", "number"},
        {"1/366d burst=11", "ten years"},
        {"1/1h 5", "burst"},
    };
    struct limit_rule rule = {.count = 77};
    const char *why;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_not_equal(limit_parse(span_of(rows[i].text), false, &rule, &why), 0);
        assert_non_null(strstr(why, rows[i].why));
        assert_int_equal(rule.count, 77);
    }
}

static void slots_are_a_plain_number(void **state)
{
    static const char *const wrong[] = {"", "0", "5/1h", "5 burst=1", "five", "-1"};
    struct limit_rule rule;
    const char *why;

    (void) state;
    assert_int_equal(limit_parse(SPAN("200"), true, &rule, &why), 0);
    assert_true(rule.count == 200 && rule.per_ms == 0);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_not_equal(limit_parse(span_of(wrong[i]), true, &rule, &why), 0);
        assert_non_null(strstr(why, "sessions"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_read),
        cmocka_unit_test(anything_else_is_refused_with_a_reason),
        cmocka_unit_test(slots_are_a_plain_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
