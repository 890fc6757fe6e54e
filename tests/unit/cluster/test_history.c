/* Entries of the event streams, also such as nobody of ours wrote. */
#include "cluster/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static char told[1000];

static void on_line(void *context, const struct history_line *line)
{
    size_t used = strlen(told);

    (void) context;
    (void) snprintf(told + used, sizeof(told) - used, "%llu-%llu %.*s %.*s (%.*s)\n",
                    (unsigned long long) line->ms, (unsigned long long) line->seq, SPAN_ARG(line->event),
                    SPAN_ARG(line->job), SPAN_ARG(line->detail));
}

/* The lines of an entry with that id and those fields. */
static const char *read(const char *id, const char *const *fields, size_t count)
{
    struct redis_value texts[16], parts[2];
    const struct redis_value entry = {.type = REDIS_ARRAY, .items = parts, .count = 2};

    assert_true(count <= ARRAY_LEN(texts));
    for (size_t i = 0; i < count; i++)
        texts[i] = (struct redis_value){.type = REDIS_STRING, .text = span_of(fields[i])};
    parts[0] = (struct redis_value){.type = REDIS_STRING, .text = span_of(id)};
    parts[1] = (struct redis_value){.type = REDIS_ARRAY, .items = texts, .count = count};
    *told = '\0';
    history_read(&entry, on_line, NULL);
    return told;
}
#define READ(id, ...) \
    read(id, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void an_entry_tells_of_each_of_its_jobs(void **state)
{
    (void) state;
    assert_string_equal(READ("17-3", "e", "claimed", "j", "A.0", "x", "5.1", "j", "B.0", "x", "5.1"),
                        "17-3 claimed A.0 (5.1)\n17-3 claimed B.0 (5.1)\n");
}

static void a_job_without_detail_is_told(void **state)
{
    (void) state;
    assert_string_equal(READ("1-0", "e", "held", "j", "A.0"), "1-0 held A.0 ()\n");
    assert_string_equal(READ("1-0", "e", "held", "j", "A.0", "j", "B.0", "x", "why"),
                        "1-0 held A.0 ()\n1-0 held B.0 (why)\n");
}

static void what_is_no_entry_of_ours_has_no_lines(void **state)
{
    static const struct redis_value number = {.type = REDIS_INTEGER, .integer = 5};

    (void) state;
    assert_string_equal(READ("now-0", "e", "held", "j", "A.0", "x", "y"), "");
    assert_string_equal(READ("1", "e", "held", "j", "A.0", "x", "y"), "");
    assert_string_equal(READ("1-0", "e"), "");
    assert_string_equal(READ("1-0", "a", "b", "c", "d"), "");
    *told = '\0';
    history_read(&number, on_line, NULL);
    assert_string_equal(told, "");
    assert_int_equal(history_entry_id(&number).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_tells_of_each_of_its_jobs),
        cmocka_unit_test(a_job_without_detail_is_told),
        cmocka_unit_test(what_is_no_entry_of_ours_has_no_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
