/* Verdicts, and the rows of status.def behind them. */
#include "mail/verdict.h"
#include "mail_test.h"

/* proves: K07 */
static void every_row_has_a_status_of_its_class(void **state)
{
    (void) state;
    for (int i = 0; i < STATUS_COUNT; i++) {
        struct verdict v = {0};
        verdict_set(&v, (enum status) i, NULL);
        char want = v.class == VERDICT_DELIVERED ? '2' : v.class == VERDICT_DEFERRED ? '4' : '5';
        assert_int_equal(v.status[0], want);
        assert_true(strlen(v.text) > 0);
        assert_string_equal(v.remote, "");
        assert_false(v.from_remote);
        assert_int_equal(v.in_doubt, i == STATUS_REPLY_LOST);
        verdict_done(&v);
        assert_null(v.text);
        assert_int_equal(v.class, VERDICT_NONE);
    }
}

/* proves: M09 */
static void adds_a_printable_bounded_detail(void **state)
{
    (void) state;
    struct verdict v = {0};
    verdict_set(&v, STATUS_NO_CONNECTION, "refused\r\nX: y");
    assert_string_equal(v.text, "no connection to the mail host: refused\\x0d\\x0aX: y");
    verdict_set(&v, STATUS_NO_CONNECTION, v.text); /* its own text is a fine detail */
    assert_non_null(strstr(v.text, "host: no connection to the mail host: refused"));
    char *detail = mem_text("", 0);
    detail = mem_resize(detail, 5001);
    memset(detail, 'x', 5000);
    detail[5000] = '\0';
    verdict_set(&v, STATUS_DNS_AWAY, detail);
    assert_int_equal(strlen(v.text), VERDICT_TEXT_MAX);
    mem_free(detail);
    verdict_done(&v);
}

static void copies_all_of_it(void **state)
{
    (void) state;
    struct verdict a = {0}, b = {0}, none = {0};
    verdict_set(&a, STATUS_REPLY_LOST, "mx");
    verdict_set(&b, STATUS_EXPIRED, "old text goes");
    verdict_copy(&b, &a);
    assert_string_equal(b.text, a.text);
    assert_ptr_not_equal(b.text, a.text);
    assert_string_equal(b.status, "4.4.2");
    assert_true(b.in_doubt);
    verdict_copy(&b, &b);
    assert_string_equal(b.text, a.text);
    verdict_copy(&b, &none);
    assert_int_equal(b.class, VERDICT_NONE);
    assert_null(b.text);
    verdict_done(&a);
    verdict_done(&b);
}

static void names_the_classes(void **state)
{
    (void) state;
    assert_string_equal(verdict_class_name(VERDICT_NONE), "none");
    assert_string_equal(verdict_class_name(VERDICT_DELIVERED), "delivered");
    assert_string_equal(verdict_class_name(VERDICT_DEFERRED), "deferred");
    assert_string_equal(verdict_class_name(VERDICT_FAILED), "failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_row_has_a_status_of_its_class),
        TEST(adds_a_printable_bounded_detail),
        TEST(copies_all_of_it),
        TEST(names_the_classes),
    };
    return cmocka_run_group_tests_name("mail/verdict", tests, NULL, NULL);
}
