/* What the cache of DNS answers keeps of answers that strangers make as long as they like. */
#include "io_test.h"

#include <stdio.h>

#include "base/mem.h"
#include "io/dns_cache.h"

enum { MAX = 100, LONG_BYTES = 60000, NOW_MS = 1000, UNTIL_MS = 2000 };

static struct dns_cache cache;

static int setup(void **state)
{
    (void) state;
    cache = (struct dns_cache){.max = 0};
    dns_cache_init(&cache, MAX);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    dns_cache_done(&cache);
    return 0;
}

static void put(unsigned number, size_t bytes)
{
    char key[32];
    struct dns_answer a = {.result = DNS_OK, .records = mem_array(1, sizeof(struct dns_record)), .count = 1};
    a.records[0].data = (struct span){mem_array(bytes, 1), bytes};
    (void) snprintf(key, sizeof key, "%u", number);
    dns_cache_put(&cache, span_of(key), &a, UNTIL_MS);
    assert_int_equal(a.count, 0);
}

static bool has(unsigned number)
{
    char key[32];
    uint64_t left_ms;
    (void) snprintf(key, sizeof key, "%u", number);
    return dns_cache_get(&cache, span_of(key), NOW_MS, &left_ms) != NULL;
}

static void short_answers_are_counted(void **state)
{
    (void) state;
    for (unsigned i = 0; i < MAX + 1; i++)
        put(i, 10);
    assert_false(has(0));
    assert_true(has(1) && has(MAX));
    assert_int_equal(cache.entries.count, MAX);
}

static void long_answers_push_out_others_by_what_they_take(void **state)
{
    (void) state;
    for (unsigned i = 0; i < MAX; i++)
        put(i, 20000);
    assert_true(has(MAX - 1));
    assert_false(has(0));
    assert_true(cache.bytes <= MAX * DNS_CACHE_ENTRY_BYTES);
    for (unsigned i = 0; i < MAX; i++)
        put(i, 20000); /* again under the same names */
    assert_true(cache.bytes <= MAX * DNS_CACHE_ENTRY_BYTES);
}

static void one_answer_never_takes_it_all(void **state)
{
    (void) state;
    put(1, 10);
    put(2, LONG_BYTES);
    assert_true(has(1));
    assert_false(has(2));
    put(1, LONG_BYTES); /* what was known under this name is old now */
    assert_false(has(1));
    assert_int_equal(cache.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(short_answers_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(long_answers_push_out_others_by_what_they_take, setup, teardown),
        cmocka_unit_test_setup_teardown(one_answer_never_takes_it_all, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
