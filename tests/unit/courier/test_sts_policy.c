/* MTA-STS: what a TXT record and a policy say, whoever wrote them, and which hosts a policy allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "courier/sts.h"

/* ---- the TXT record ---- */

static const char *id_of(const char *const *texts, size_t count)
{
    static char id[STS_ID_MAX + 1];
    struct span records[8];

    assert_true(count <= ARRAY_LEN(records));
    for (size_t i = 0; i < count; i++)
        records[i] = span_of(texts[i]);
    return sts_record_parse(records, count, id) ? id : NULL;
}

static void assert_id(const char *text, const char *id)
{
    const char *got = id_of(&text, 1);

    if (id && got)
        assert_string_equal(got, id);
    else
        assert_true(got == id);
}

/* proves: L09 */
static void reads_the_id_of_a_record(void **state UNUSED)
{
    assert_id("v=STSv1; id=20160831085700Z;", "20160831085700Z");
    assert_id("v=STSv1; id=20160831085700Z", "20160831085700Z");
    assert_id("v=STSv1;id=1", "1");
    assert_id("v=STSv1 ; \t id=a1B2 ; ", "a1B2");
    assert_id("v=STSv1; id=12345678901234567890123456789012;", "12345678901234567890123456789012");
    assert_id("v=STSv1; new-thing=1.2/3; id=7;", "7");
    assert_id("v=STSv1; id=first; id=second;", "first");
}

/* proves: L09 */
static void refuses_records_that_are_not_well_formed(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "v=STSv1",
        "v=STSv1;",
        "v=STSv1; ",
        "v=STSv1; id=;",
        "v=STSv1; id",
        "v=STSv1; ID=1;",
        "v=STSv1; id=1 2;",
        "v=STSv1; id=1-2;",
        "v=STSv1; id=\xc3\xbc;",
        "v=STSv1; id=123456789012345678901234567890123;",
        "v=STSv1;; id=1;",
        "v=STSv1; id=1; ;",
        "v=STSv1; id=1; =2;",
        "v=STSv1; id=1; x=;",
        "v=STSv1; id=1; x=a=b;",
        "v=STSv1; id=1; x=a b;",
        "v=STSv1; id=1; x y=1;",
        "v=STSv1; id=1; a-name-that-is-longer-than-it-may-be=1",
        "v=stsv1; id=1;",
        "v=STSv2; id=1;",
        "v=STSv11; id=1;",
        " v=STSv1; id=1;",
        "id=1; v=STSv1;",
        "v = STSv1; id=1;",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_id(bad[i], NULL);
}

/* proves: L09 */
static void takes_exactly_one_record_among_others(void **state UNUSED)
{
    static const char *const others[] = {"v=spf1 -all", "v=STSv1; id=1;", "something else"};
    static const char *const two[] = {"v=STSv1; id=1;", "v=STSv1; id=1;"};
    static const char *const one_is_bad[] = {"v=STSv1; id=1;", "v=STSv1; id=!;"};
    static const char *const other_version[] = {"v=STSv2; id=2;", "v=STSv1; id=1;"};

    assert_string_equal(id_of(others, 3), "1");
    assert_string_equal(id_of(other_version, 2), "1");
    assert_null(id_of(two, 2));
    assert_null(id_of(one_is_bad, 2));
    assert_null(id_of(NULL, 0));
}

/* ---- a policy ---- */

/* From memory of exactly that size, so that a sanitizer sees a byte too many being read. */
static struct sts_policy *parse_span(struct span text, const char **ret_why)
{
    char *exact = malloc(text.len ? text.len : 1);
    struct sts_policy *p;

    assert_non_null(exact);
    memcpy(exact, text.at, text.len);
    p = sts_policy_parse((struct span){.at = exact, .len = text.len}, ret_why);
    free(exact);
    return p;
}

static struct sts_policy *parse(const char *text)
{
    const char *why = NULL;
    struct sts_policy *p = parse_span(span_of(text), &why);

    assert_true(!p == (why != NULL));
    return p;
}

static void assert_refused(const char *text, const char *expected)
{
    const char *why = NULL;

    assert_null(parse_span(span_of(text), &why));
    assert_string_equal(why, expected);
}

#define VERSION "version: STSv1\n"
#define REST "mode: enforce\nmx: mail.example.com\nmax_age: 86400\n"

/* proves: L09 */
static void reads_a_policy_with_either_line_end(void **state UNUSED)
{
    static const char *const texts[] = {
        "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.Example.NET\r\nmax_age: 604800\r\n",
        "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800",
        "mx:mail.example.com\nmx:*.example.net.\nmax_age:604800\nmode:enforce\nversion:STSv1\n\n",
        "version:  STSv1 \t\r\nmode :\tenforce\n\n mx: mail.example.com \r\nmx: *.example.net\nmax_age: 604800\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct sts_policy *p = parse(texts[i]);

        assert_non_null(p);
        assert_int_equal(p->users, 1);
        assert_int_equal(p->mode, STS_ENFORCE);
        assert_int_equal(p->max_age_s, 604800);
        assert_int_equal(p->mx_count, 2);
        assert_string_equal(p->mx[0], "mail.example.com");
        assert_string_equal(p->mx[1], "*.example.net");
        assert_string_equal(p->text, texts[i]);
        sts_policy_release(p);
    }
}

/* proves: L09 */
static void the_first_of_fields_that_come_twice_counts_and_unknown_ones_do_not(void **state UNUSED)
{
    struct sts_policy *p = parse(VERSION
                                 "mode: testing\nmode: enforce\nmax_age: 10\nmax_age: nonsense\n"
                                 "version: STSv9\nfuture.thing-1: \xe2\x82\xac 5\nMX: no.example.com\n"
                                 "mx: a.example.com\nmx: b.example.com\n");

    assert_non_null(p);
    assert_int_equal(p->mode, STS_TESTING);
    assert_int_equal(p->max_age_s, 10);
    assert_int_equal(p->mx_count, 2);
    sts_policy_release(p);
}

/* proves: L09 */
static void no_age_is_above_a_year(void **state UNUSED)
{
    static const struct {
        const char *text;
        uint64_t age_s;
    } cases[] = {
        {"0", 0},
        {"31557600", 31557600},
        {"31557601", 31557600},
        {"9999999999", 31557600},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *text = mem_format(VERSION "mode: none\nmax_age: %s\n", cases[i].text);
        struct sts_policy *p = parse(text);

        assert_non_null(p);
        assert_int_equal(p->max_age_s, cases[i].age_s);
        sts_policy_release(p);
    }
}

/* proves: L09 */
static void refuses_policies_that_are_none(void **state UNUSED)
{
    const char *not_a_line = "a line is not \"name: value\"", *no_number = "max_age is no number of seconds";

    assert_refused("", "no version");
    assert_refused(REST, "no version");
    assert_refused("version: STSv2\n" REST, "not of version STSv1");
    assert_refused("version: stsv1\n" REST, "not of version STSv1");
    assert_refused(VERSION "mx: a.example.com\nmax_age: 1\n", "no mode");
    assert_refused(VERSION "mode: Enforce\nmx: a.example.com\nmax_age: 1\n", "an unknown mode");
    assert_refused(VERSION "mode: report\nmx: a.example.com\nmax_age: 1\n", "an unknown mode");
    assert_refused(VERSION "mode: enforce\nmx: a.example.com\n", "no max_age");
    assert_refused(VERSION "mode: enforce\nmax_age: 1\n", "no mx");
    assert_refused(VERSION "mode: testing\nmax_age: 1\n", "no mx");
    assert_refused(VERSION "mode: none\nmax_age: -1\n", no_number);
    assert_refused(VERSION "mode: none\nmax_age: 1d\n", no_number);
    assert_refused(VERSION "mode: none\nmax_age:\n", no_number);
    assert_refused(VERSION "mode: none\nmax_age: 00000000001\n", no_number);
    assert_refused(VERSION "mode: none\nmax_age: 99999999999999999999\n", no_number);
    assert_refused(VERSION REST "nonsense\n", not_a_line);
    assert_refused(VERSION REST ": x\n", not_a_line);
    assert_refused(VERSION REST "a b: x\n", not_a_line);
    assert_refused(VERSION REST "-a: x\n", not_a_line);
    assert_refused(VERSION REST "a-name-that-is-longer-than-it-may-be: x\n", not_a_line);
    assert_refused("\xef\xbb\xbf" VERSION REST, not_a_line);
    assert_refused("<html><body>It works!</body></html>\n", not_a_line);
    assert_refused(VERSION REST "x: a\rb\n", "a line is no text");
    assert_refused(VERSION REST "x: \x1b[31m\n", "a line is no text");
    assert_refused(VERSION REST "x: \xff\n", "a line is no text");
}

/* proves: L09 */
static void refuses_bytes_of_nul(void **state UNUSED)
{
    static const char text[] = VERSION "mode: enforce\nmx: mail.example.com\0.evil.test\nmax_age: 1\n",
                      line[] = VERSION REST "\0\n";
    const char *why = NULL;

    assert_null(parse_span((struct span){.at = text, .len = sizeof(text) - 1}, &why));
    assert_null(parse_span((struct span){.at = line, .len = sizeof(line) - 1}, &why));
}

/* proves: L09 L10 */
static void refuses_patterns_that_are_no_names(void **state UNUSED)
{
    static const char *const bad[] = {"*",
                                      "*.",
                                      "**.example.com",
                                      "mail.*.com",
                                      "*mail.example.com",
                                      ".example.com",
                                      "a..b.test",
                                      "192.0.2.1",
                                      "[192.0.2.1]",
                                      "a.test b.test",
                                      "a.test,b.test",
                                      "\xc3\xbc.test",
                                      "mail.example.com:25",
                                      "*.*.example.com",
                                      ""};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO_FREE char *text = mem_format(VERSION "mode: enforce\nmax_age: 1\nmx: %s\n", bad[i]);

        assert_refused(text, "an mx is no host name");
    }
}

static void refuses_more_patterns_than_anybody_needs(void **state UNUSED)
{
    AUTO_BUF struct buf text = {.data = NULL};
    const char *why = NULL;
    struct sts_policy *p;

    buf_add_text(&text, VERSION "mode: enforce\nmax_age: 1\n");
    for (unsigned i = 0; i < STS_MX_MAX; i++)
        buf_printf(&text, "mx: mx%u.example.com\n", i);
    p = parse_span(buf_span(&text), &why);
    assert_non_null(p);
    sts_policy_release(p);
    buf_add_text(&text, "mx: one.more.test\n");
    assert_null(parse_span(buf_span(&text), &why));
    assert_string_equal(why, "too many mx");
}

/* ---- hosts ---- */

/* proves: L10 */
static void a_star_is_exactly_one_label(void **state UNUSED)
{
    static const struct {
        const char *mx, *host;
        bool is_allowed;
    } cases[] = {
        {"mail.example.com", "mail.example.com", true},
        {"mail.example.com", "MAIL.Example.COM", true},
        {"mail.example.com", "mail.example.com.", true},
        {"mail.example.com", "example.com", false},
        {"mail.example.com", "xmail.example.com", false},
        {"mail.example.com", "a.mail.example.com", false},
        {"mail.example.com", "mail.example.com.evil.test", false},
        {"*.example.com", "mail.example.com", true},
        {"*.example.com", "MX1.EXAMPLE.com", true},
        {"*.example.com", "example.com", false},
        {"*.example.com", ".example.com", false},
        {"*.example.com", "a.b.example.com", false},
        {"*.example.com", "mail.example.community", false},
        {"*.example.com", "*.example.com", true},
        {"*.example.com", "", false},
        {"*.com", "example.com", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *text = mem_format(VERSION "mode: enforce\nmax_age: 1\nmx: other.test\nmx: %s\n",
                                          cases[i].mx);
        struct sts_policy *p = parse(text);

        assert_non_null(p);
        assert_int_equal(sts_allows(p, cases[i].host), cases[i].is_allowed);
        sts_policy_release(p);
    }
}

static void a_policy_stays_while_somebody_holds_it(void **state UNUSED)
{
    struct sts_policy *p = parse(VERSION REST), *same = sts_policy_hold(p);

    assert_null(sts_policy_release(p));
    assert_true(sts_allows(same, "mail.example.com"));
    assert_null(sts_policy_release(same));
    assert_null(sts_policy_release(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_id_of_a_record),
        cmocka_unit_test(refuses_records_that_are_not_well_formed),
        cmocka_unit_test(takes_exactly_one_record_among_others),
        cmocka_unit_test(reads_a_policy_with_either_line_end),
        cmocka_unit_test(the_first_of_fields_that_come_twice_counts_and_unknown_ones_do_not),
        cmocka_unit_test(no_age_is_above_a_year),
        cmocka_unit_test(refuses_policies_that_are_none),
        cmocka_unit_test(refuses_bytes_of_nul),
        cmocka_unit_test(refuses_patterns_that_are_no_names),
        cmocka_unit_test(refuses_more_patterns_than_anybody_needs),
        cmocka_unit_test(a_star_is_exactly_one_label),
        cmocka_unit_test(a_policy_stays_while_somebody_holds_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
