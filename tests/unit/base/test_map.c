/* Unit tests of base/map. */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static int values[20000];

static struct span key_of(char text[static 16], unsigned i)
{
    (void) snprintf(text, 16, "key %u", i); /* fits */
    return span_of(text);
}

static void fill(struct map *m, unsigned count)
{
    char text[16];
    for (unsigned i = 0; i < count; i++)
        assert_null(map_set(m, key_of(text, i), &values[i]));
}

static void zeroed_map_is_empty(void **state)
{
    (void) state;
    struct map m = {.buckets = NULL};
    size_t cursor = 0;
    struct span key;
    void *value;
    assert_null(map_get(&m, SPAN("a")));
    assert_null(map_remove(&m, SPAN("a")));
    assert_false(map_next(&m, &cursor, &key, &value));
    map_done(&m);
}

static void finds_what_was_set(void **state)
{
    (void) state;
    struct map m = {.buckets = NULL};
    char text[16];
    fill(&m, ARRAY_LEN(values));
    assert_int_equal(m.count, ARRAY_LEN(values));
    for (unsigned i = 0; i < ARRAY_LEN(values); i++)
        assert_ptr_equal(map_get(&m, key_of(text, i)), &values[i]);
    assert_null(map_get(&m, SPAN("key")));
    assert_null(map_get(&m, SPAN("key 20000")));
    map_done(&m);
    assert_int_equal(m.count, 0);
}

static void keys_are_bytes(void **state)
{
    (void) state;
    struct map m = {.buckets = NULL};
    struct span with_zero = {.at = "a\0b", .len = 3};
    assert_null(map_set(&m, with_zero, &values[0]));
    assert_null(map_set(&m, SPAN("a"), &values[1]));
    assert_null(map_set(&m, (struct span){.at = NULL}, &values[2]));
    assert_ptr_equal(map_get(&m, with_zero), &values[0]);
    assert_ptr_equal(map_get(&m, SPAN("a")), &values[1]);
    assert_ptr_equal(map_get(&m, SPAN("")), &values[2]);
    map_done(&m);
}

static void set_returns_what_it_replaced(void **state)
{
    (void) state;
    struct map m = {.buckets = NULL};
    assert_null(map_set(&m, SPAN("a"), &values[0]));
    assert_ptr_equal(map_set(&m, SPAN("a"), &values[1]), &values[0]);
    assert_int_equal(m.count, 1);
    assert_ptr_equal(map_remove(&m, SPAN("a")), &values[1]);
    assert_null(map_remove(&m, SPAN("a")));
    assert_int_equal(m.count, 0);
    map_done(&m);
}

static void walk_meets_each_once_even_when_it_removes(void **state)
{
    (void) state;
    for (int keep = 0; keep < 3; keep++) {
        struct map m = {.buckets = NULL};
        static unsigned char met[ARRAY_LEN(values)];
        size_t cursor = 0, count = 0;
        struct span key;
        void *value;
        memset(met, 0, sizeof(met));
        fill(&m, 5000);
        while (map_next(&m, &cursor, &key, &value)) {
            size_t index = (size_t) ((int *) value - values);
            assert_int_equal(met[index]++, 0);
            count++;
            if (keep == 0 || (keep == 1 && index % 2))
                assert_ptr_equal(map_remove(&m, key), value);
        }
        assert_int_equal(count, 5000);
        assert_int_equal(m.count, keep == 0 ? 0 : keep == 1 ? 2500 : 5000);
        assert_false(map_next(&m, &cursor, &key, &value));
        map_done(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_map_is_empty),
        cmocka_unit_test(finds_what_was_set),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(set_returns_what_it_replaced),
        cmocka_unit_test(walk_meets_each_once_even_when_it_removes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
