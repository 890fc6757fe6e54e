/* The frozen hashes: these figures must never change. */
#include "io_test.h"

#include "io/hash.h"

static void hashes_are_what_they_always_were(void **state)
{
    (void) state;
    char hex[33];
    assert_int_equal(hash64(SPAN("")), 0x2d06800538d394c2);
    assert_int_equal(hash64(SPAN("example.com")), 0x8b66107e8045bb73);
    assert_int_equal(hash64_seeded(SPAN("example.com"), 0), hash64(SPAN("example.com")));
    assert_int_equal(hash64_seeded(SPAN("example.com"), 7), 0x0662712c180b8a39);
    assert_int_equal(hash32(SPAN("")), 0x02cc5d05);
    assert_int_equal(hash32(SPAN("example.com")), 0x6f44087a);
    hash_digest(SPAN(""), hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
    hash_digest(SPAN("example.com"), hex);
    assert_string_equal(hex, "c481d7301ccf29bb4bfbb7c48c9c3712");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hashes_are_what_they_always_were)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
