/* Tables of top: sorted by any column, cut to any rows, told to programs. */
#include "ctl/sheet.h"
#include "tests/unit/ctl/ctl_test.h"

static struct sheet sheet;

static void add(const char *queue, uint64_t waiting, uint64_t oldest_ms)
{
    sheet_text(&sheet, span_of(queue));
    sheet_count(&sheet, waiting);
    sheet_time(&sheet, oldest_ms, oldest_ms > 0);
}

static int setup(void **state UNUSED)
{
    sheet_init(&sheet, "queues", "queue|>waiting|>oldest at all");
    add("b.test", 3, 0);
    add("a.test", 3, 5000);
    add("c.test", 20, 90000);
    return 0;
}

static int teardown(void **state UNUSED)
{
    sheet_done(&sheet);
    return 0;
}

static void assert_rows(size_t first, size_t count, const char *rows)
{
    AUTO_BUF struct buf out = {.data = NULL};

    sheet_add_rows(&sheet, first, count, &out);
    assert_text(&out, rows);
}

static void numbers_are_sorted_largest_first_and_equal_ones_by_name(void **state UNUSED)
{
    sheet_sort(&sheet, 1, false);
    assert_rows(0, 9,
                "c.test        20            90 s\n"
                "a.test         3           5.0 s\n"
                "b.test         3\n");
    sheet_sort(&sheet, 1, true);
    assert_rows(0, 1, "a.test         3           5.0 s\n");
}

static void texts_are_sorted_from_a_to_z(void **state UNUSED)
{
    sheet_sort(&sheet, 0, false);
    assert_rows(0, 1, "a.test         3           5.0 s\n");
    sheet_sort(&sheet, 0, true);
    assert_rows(0, 1, "c.test        20            90 s\n");
}

static void a_time_that_is_not_known_comes_last(void **state UNUSED)
{
    sheet_sort(&sheet, 2, false);
    assert_rows(2, 1, "b.test         3\n");
}

static void rows_beyond_the_end_are_none(void **state UNUSED)
{
    assert_rows(3, 5, "");
    assert_rows(2, SIZE_MAX / 2, "c.test        20            90 s\n");
}

static void the_column_sorted_by_has_a_mark(void **state UNUSED)
{
    AUTO_BUF struct buf out = {.data = NULL};

    sheet_add_head(&sheet, 1, &out);
    assert_text(&out, "queue   waiting*   oldest at all\n");
}

static void text_of_others_cannot_steer_the_terminal(void **state UNUSED)
{
    AUTO_BUF struct buf out = {.data = NULL};

    add("\x1b[2Jx", 1, 0);
    sheet_add_rows(&sheet, 3, 1, &out);
    assert_null(memchr(out.data, '\x1b', out.len));
}

static void programs_get_numbers_and_null(void **state UNUSED)
{
    AUTO_BUF struct buf out = {.data = NULL};
    struct json *json = sheet_json(&sheet);

    json_print_line(json, &out);
    json_free(json);
    AUTO_FREE char *text = buf_steal_text(&out);
    assert_non_null(strstr(text, "\"queue\":\"b.test\""));
    assert_non_null(strstr(text, "\"waiting\":3"));
    assert_non_null(strstr(text, "\"oldest_at_all\":null"));
    assert_non_null(strstr(text, "\"oldest_at_all\":5000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_are_sorted_largest_first_and_equal_ones_by_name, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(texts_are_sorted_from_a_to_z, setup, teardown),
        cmocka_unit_test_setup_teardown(a_time_that_is_not_known_comes_last, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_beyond_the_end_are_none, setup, teardown),
        cmocka_unit_test_setup_teardown(the_column_sorted_by_has_a_mark, setup, teardown),
        cmocka_unit_test_setup_teardown(text_of_others_cannot_steer_the_terminal, setup, teardown),
        cmocka_unit_test_setup_teardown(programs_get_numbers_and_null, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
