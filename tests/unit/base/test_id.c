/* Unit tests of base/id. */
#include "base/id.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"

static void text_form_is_that_of_a_ulid(void **state)
{
    (void) state;
    struct id zero = {.bytes = {0}}, full;
    char text[ID_TEXT_LEN + 1];
    id_format(&zero, text);
    assert_string_equal(text, "00000000000000000000000000");
    memset(&full, 0xff, sizeof(full));
    id_format(&full, text);
    assert_string_equal(text, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    struct id one = {.bytes = {[15] = 1}};
    id_format(&one, text);
    assert_string_equal(text, "00000000000000000000000001");
}

static void parse_undoes_format(void **state)
{
    (void) state;
    for (unsigned i = 0; i < 1000; i++) {
        struct id id = id_new(UINT64_C(1795331745123) + i, i % 256), back;
        char text[ID_TEXT_LEN + 1];
        id_format(&id, text);
        assert_int_equal(id_parse(span_of(text), &back), 0);
        assert_true(id_equal(&id, &back));
        assert_int_equal(id_home(&back), i % 256);
        assert_true(id_time_ms(&back) == UINT64_C(1795331745123) + i);
    }
}

static void either_case_is_read(void **state)
{
    (void) state;
    struct id upper, lower;
    assert_int_equal(id_parse(SPAN("01JDABCDEFGHJKMNPQRSTVWXYZ"), &upper), 0);
    assert_int_equal(id_parse(SPAN("01jdabcdefghjkmnpqrstvwxyz"), &lower), 0);
    assert_true(id_equal(&upper, &lower));
}

static void rejects_what_is_no_id(void **state)
{
    (void) state;
    static const char *const wrong[] = {"",
                                        "0",
                                        "0000000000000000000000000",
                                        "000000000000000000000000000",
                                        "80000000000000000000000000",
                                        "0000000000000000000000000I",
                                        "0000000000000000000000000L",
                                        "0000000000000000000000000O",
                                        "0000000000000000000000000U",
                                        "0000000000000000000000000-",
                                        "0000000000000 000000000000"};
    struct id id;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(id_parse(span_of(wrong[i]), &id), -EINVAL);
    assert_int_equal(id_parse((struct span){.at = "0000000000000\0000000000000", .len = 26}, &id), -EINVAL);
}

/* proves: G11 */
static void ids_are_unique_and_random(void **state)
{
    (void) state;
    struct map seen = {.buckets = NULL};
    unsigned ones[72] = {0};
    for (unsigned i = 0; i < 20000; i++) {
        struct id id = id_new(1, 2);
        assert_null(
            map_set(&seen, (struct span){.at = (const char *) id.bytes, .len = sizeof(id.bytes)}, &seen));
        for (unsigned bit = 0; bit < 72; bit++)
            ones[bit] += id.bytes[6 + bit / 8] >> (bit % 8) & 1;
    }
    for (unsigned bit = 0; bit < 72; bit++)
        assert_in_range(ones[bit], 9000, 11000); /* 14 standard deviations */
    map_done(&seen);
}

static void later_ids_sort_later(void **state)
{
    (void) state;
    struct id first = id_new(1000, 255), second = id_new(1001, 0);
    char a[ID_TEXT_LEN + 1], b[ID_TEXT_LEN + 1];
    id_format(&first, a);
    id_format(&second, b);
    assert_true(strcmp(a, b) < 0);
}

static void job_names_go_both_ways(void **state)
{
    (void) state;
    struct id id = id_new(5, 7), back;
    uint32_t index = 1;
    char text[JOB_TEXT_MAX + 1];
    job_format(&id, UINT32_MAX, text);
    assert_int_equal(strlen(text), JOB_TEXT_MAX);
    assert_int_equal(job_parse(span_of(text), &back, &index), 0);
    assert_true(id_equal(&id, &back));
    assert_true(index == UINT32_MAX);
    job_format(&id, 0, text);
    assert_int_equal(job_parse(span_of(text), &back, &index), 0);
    assert_int_equal(index, 0);
}

static void rejects_other_spellings_of_a_job(void **state)
{
    (void) state;
    static const char *const wrong[] = {"01JDABCDEFGHJKMNPQRSTVWXYZ",
                                        "01JDABCDEFGHJKMNPQRSTVWXYZ.",
                                        "01JDABCDEFGHJKMNPQRSTVWXYZ.01",
                                        "01JDABCDEFGHJKMNPQRSTVWXYZ.-1",
                                        "01JDABCDEFGHJKMNPQRSTVWXYZ.1 ",
                                        "01JDABCDEFGHJKMNPQRSTVWXYZ.4294967296",
                                        "01JDABCDEFGHJKMNPQRSTVWXYZ,1",
                                        "01JDABCDEFGHJKMNPQRSTVWXYU.1",
                                        "1.1"};
    struct id id;
    uint32_t index;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(job_parse(span_of(wrong[i]), &id, &index), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_form_is_that_of_a_ulid), cmocka_unit_test(parse_undoes_format),
        cmocka_unit_test(either_case_is_read),         cmocka_unit_test(rejects_what_is_no_id),
        cmocka_unit_test(ids_are_unique_and_random),   cmocka_unit_test(later_ids_sort_later),
        cmocka_unit_test(job_names_go_both_ways),      cmocka_unit_test(rejects_other_spellings_of_a_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
