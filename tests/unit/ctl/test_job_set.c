/* Jobs that were met. */
#include "ctl/job_set.h"
#include "ctl_test.h"

static void what_is_added_is_there_and_nothing_else(void **state UNUSED)
{
    struct job_set s = {.keys = NULL};
    char job[JOB_TEXT_MAX + 1];
    enum { IDS = 3000 };
    struct id *ids = mem_array(IDS, sizeof(*ids));

    assert_false(job_set_has(&s, SPAN("01KATQ5S8Z4G5W0V0E3HJ2M9XK.0")));
    for (size_t i = 0; i < IDS; i++) {
        ids[i] = id_new(1700000000000, 3);
        for (uint32_t index = 0; index < 3; index += 2) {
            job_format(&ids[i], index, job);
            assert_true(job_set_add(&s, span_of(job)));
            assert_false(job_set_add(&s, span_of(job)));
        }
    }
    for (size_t i = 0; i < IDS; i++) {
        job_format(&ids[i], 0, job);
        assert_true(job_set_has(&s, span_of(job)));
        job_format(&ids[i], 1, job);
        assert_false(job_set_has(&s, span_of(job)));
    }
    assert_int_equal(s.count, 2 * IDS);
    assert_true(job_set_add(&s, SPAN("no job")));
    assert_true(job_set_add(&s, SPAN("no job")));
    assert_false(job_set_has(&s, SPAN("no job")));
    mem_free(ids);
    job_set_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_added_is_there_and_nothing_else)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
