/* What baridctl is told on its command line. */
#include <errno.h>

#include "ctl/verb.h"
#include "ctl_test.h"

static struct arguments a;

static int parse(const char *const *words)
{
    char *argv[16] = {(char *) "baridctl"};
    int argc = 1;

    while (*words)
        argv[argc++] = (char *) *words++;
    return arguments_parse(&a, argc, argv);
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void finds_verbs_of_one_word_and_of_two(void **state)
{
    (void) state;
    assert_int_equal(PARSE("status"), EXIT_OK);
    assert_ptr_equal(a.verb, &verbs[VERB_status]);
    assert_int_equal(PARSE("queue", "show", "example.com"), EXIT_OK);
    assert_ptr_equal(a.verb, &verbs[VERB_queue_show]);
    assert_int_equal(a.operand_count, 1);
    assert_string_equal(a.operands[0], "example.com");
}

static void options_may_stand_anywhere(void **state)
{
    (void) state;
    assert_int_equal(PARSE("--config", "a.yaml", "queue", "--json", "list", "--limit", "3"), EXIT_OK);
    assert_ptr_equal(a.verb, &verbs[VERB_queue_list]);
    assert_true(a.is_json);
    assert_string_equal(a.config_file, "a.yaml");
    assert_string_equal(argument_text(&a, "limit", "30"), "3");
    assert_int_equal(PARSE("trace", "--follow", "--timeout=5", "X"), EXIT_OK);
    assert_true(argument_is_given(&a, "follow"));
    assert_string_equal(argument_text(&a, "timeout", NULL), "5");
    assert_string_equal(a.operands[0], "X");
}

static void an_option_given_many_times_keeps_its_order(void **state)
{
    size_t cursor = 0;

    (void) state;
    assert_int_equal(PARSE("send", "--to", "a@x", "--from", "", "--to", "b@x"), EXIT_OK);
    assert_string_equal(argument_next(&a, "to", &cursor), "a@x");
    assert_string_equal(argument_next(&a, "to", &cursor), "b@x");
    assert_null(argument_next(&a, "to", &cursor));
    assert_string_equal(argument_text(&a, "from", "x"), "");
}

static void refuses_what_it_does_not_know(void **state)
{
    (void) state;
    assert_int_equal(PARSE("stattus"), EXIT_BAD_USAGE);
    assert_int_equal(PARSE("queue"), EXIT_BAD_USAGE);
    assert_int_equal(PARSE("queue", "sho"), EXIT_BAD_USAGE);
    assert_int_equal(PARSE("status", "--limit", "3"), EXIT_BAD_USAGE);
    assert_int_equal(PARSE("status", "-j"), EXIT_BAD_USAGE);
    assert_int_equal(PARSE("status", "extra"), EXIT_BAD_USAGE);
    assert_int_equal(PARSE("queue", "show"), EXIT_BAD_USAGE);
    assert_int_equal(PARSE("queue", "list", "--limit"), EXIT_BAD_USAGE);
    assert_int_equal(PARSE("trace", "X", "--follow=yes"), EXIT_BAD_USAGE);
}

static void numbers_have_bounds(void **state)
{
    uint64_t n = 0;

    (void) state;
    assert_int_equal(PARSE("queue", "list", "--limit", "7"), EXIT_OK);
    assert_int_equal(argument_number(&a, "limit", 1, 7, 3, &n), 0);
    assert_int_equal(n, 7);
    assert_int_equal(argument_number(&a, "limit", 1, 6, 3, &n), -EINVAL);
    assert_int_equal(argument_number(&a, "limit", 8, 9, 3, &n), -EINVAL);
    assert_int_equal(PARSE("queue", "list", "--limit", "many"), EXIT_OK);
    assert_int_equal(argument_number(&a, "limit", 0, 9, 3, &n), -EINVAL);
    assert_int_equal(PARSE("queue", "list"), EXIT_OK);
    assert_int_equal(argument_number(&a, "limit", 0, 9, 3, &n), 0);
    assert_int_equal(n, 3);
}

static void every_verb_says_what_it_does(void **state)
{
    (void) state;
    for (size_t i = 0; i < VERB_COUNT; i++) {
        assert_non_null(verbs[i].run);
        assert_true(*verbs[i].does);
        assert_int_equal(strncmp(verbs[i].example, "baridctl ", 9), 0);
        assert_true(verbs[i].least <= verbs[i].most && verbs[i].most <= OPERANDS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_verbs_of_one_word_and_of_two),
        cmocka_unit_test(options_may_stand_anywhere),
        cmocka_unit_test(an_option_given_many_times_keeps_its_order),
        cmocka_unit_test(refuses_what_it_does_not_know),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(every_verb_says_what_it_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
