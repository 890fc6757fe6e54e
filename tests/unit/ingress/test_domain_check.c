/* Is there mail for a domain? With a resolver that answers what each test says, when it says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/conf.h"
#include "base/mem.h"
#include "ingress/domain_check.h"
#include "io/dns.h"

/* ---- the resolver: up to three questions under way */

struct dns_question {
    bool is_asked, is_cancelled;
    char name[DOMAIN_MAX + 1];
    dns_on_answer *on_answer;
    void *context;
};

enum { MX, A, AAAA, KINDS };
static struct dns_question asked[KINDS];
static bool is_refused; /* it cannot be opened */
static unsigned opened, closed;

int dns_open(struct loop *l UNUSED, const struct dns_settings *settings UNUSED, struct dns **ret_dns)
{
    if (is_refused)
        return -1;
    opened++;
    *ret_dns = (struct dns *) (uintptr_t) &opened;
    return 0;
}

struct dns *dns_close(struct dns *d)
{
    closed += d != NULL;
    return NULL;
}

struct dns_question *dns_ask(struct dns *d, const char *name, enum dns_type type, dns_on_answer *on_answer,
                             void *context)
{
    struct dns_question *q = &asked[type == DNS_MX ? MX : type == DNS_A ? A : AAAA];

    assert_ptr_equal(d, &opened);
    assert_false(q->is_asked);
    *q = (struct dns_question){.is_asked = true, .on_answer = on_answer, .context = context};
    (void) snprintf(q->name, sizeof q->name, "%s", name);
    return q;
}

void dns_cancel(struct dns_question *q)
{
    assert_true(q->is_asked && !q->is_cancelled);
    q->is_cancelled = true;
}

static void give(unsigned kind, enum dns_result result, size_t count, const char *name)
{
    struct dns_record records[2] = {{.preference = 0}};
    const struct dns_answer answer = {.result = result, .records = records, .count = count};

    assert_true(asked[kind].is_asked && !asked[kind].is_cancelled);
    (void) snprintf(records[0].name, sizeof records[0].name, "%s", name);
    (void) snprintf(records[1].name, sizeof records[1].name, "%s", "mx.example");
    asked[kind].is_asked = false;
    asked[kind].on_answer(asked[kind].context, &answer);
}

/* ---- the question */

static struct loop *loop;
static struct domain_check *check;
static struct domain_answer got;
static unsigned answers;

static void on_answer(void *owner, const struct domain_answer *a)
{
    assert_ptr_equal(owner, &got);
    got = *a;
    answers++;
    loop_stop(loop);
}

static struct domain_question *ask(enum domain_use use)
{
    answers = 0;
    memset(asked, 0, sizeof asked);
    return domain_ask(check, "x.example", use, on_answer, &got);
}

static void is_answered(unsigned code, const char *status)
{
    assert_int_equal(answers, 1);
    assert_int_equal(got.code, code);
    assert_string_equal(got.status, status);
}

static void load_settings(void)
{
    struct conf *conf = NULL;
    AUTO_FREE char *error = NULL;

    assert_int_equal(conf_load(NULL, NULL, &conf, &error), 0);
    conf_set(conf);
}

static int set_up(void **state UNUSED)
{
    is_refused = false;
    opened = closed = 0;
    load_settings();
    loop = loop_new();
    check = domain_check_new(loop);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    check = domain_check_free(check);
    loop = loop_free(loop);
    (void) unsetenv("BARID_INGRESS_DNS_UNKNOWN"); /* they may not be set */
    (void) unsetenv("BARID_COURIER_ROUTES");
    return 0;
}

/* ---- rules */

static void nothing_is_opened_before_the_first_question(void **state UNUSED)
{
    assert_int_equal(opened, 0);
    (void) ask(DOMAIN_OF_SENDER);
    assert_int_equal(opened, 1);
    give(MX, DNS_OK, 1, "mx.example");
    (void) ask(DOMAIN_OF_SENDER);
    assert_int_equal(opened, 1);
    give(MX, DNS_OK, 1, "mx.example");
    check = domain_check_free(check);
    assert_int_equal(closed, 1);
}

static void a_domain_with_an_mx_is_fine(void **state UNUSED)
{
    (void) ask(DOMAIN_OF_SENDER);
    assert_string_equal(asked[MX].name, "x.example");
    give(MX, DNS_OK, 1, "mx.example");
    is_answered(250, "2.1.0");
    (void) ask(DOMAIN_OF_RECIPIENT);
    give(MX, DNS_OK, 1, "mx.example");
    is_answered(250, "2.1.5");
}

/* proves: E09 */
static void a_domain_that_does_not_exist_is_refused(void **state UNUSED)
{
    (void) ask(DOMAIN_OF_SENDER);
    give(MX, DNS_NO_NAME, 0, "");
    is_answered(550, "5.1.8");
    (void) ask(DOMAIN_OF_RECIPIENT);
    give(MX, DNS_NO_NAME, 0, "");
    is_answered(550, "5.1.2");
}

/* proves: E09 E10 */
static void a_null_mx_is_refused(void **state UNUSED)
{
    (void) ask(DOMAIN_OF_SENDER);
    give(MX, DNS_OK, 1, "");
    is_answered(550, "5.7.27");
    (void) ask(DOMAIN_OF_RECIPIENT);
    give(MX, DNS_OK, 1, "");
    is_answered(556, "5.1.10");
}

static void a_root_among_other_hosts_is_no_null_mx(void **state UNUSED)
{
    (void) ask(DOMAIN_OF_SENDER);
    give(MX, DNS_OK, 2, "");
    is_answered(250, "2.1.0");
}

/* proves: E09 */
static void without_an_mx_an_address_will_do(void **state UNUSED)
{
    for (unsigned kind = A; kind <= AAAA; kind++) {
        (void) ask(DOMAIN_OF_SENDER);
        give(MX, DNS_NO_DATA, 0, "");
        assert_int_equal(answers, 0);
        give(kind, DNS_OK, 1, "");
        is_answered(250, "2.1.0");
        assert_true(asked[A + AAAA - kind].is_cancelled);
    }
    (void) ask(DOMAIN_OF_SENDER);
    give(MX, DNS_NO_DATA, 0, "");
    give(A, DNS_AWAY, 0, "");
    give(AAAA, DNS_OK, 1, "");
    is_answered(250, "2.1.0");
    (void) ask(DOMAIN_OF_SENDER);
    give(MX, DNS_NO_DATA, 0, "");
    give(AAAA, DNS_NO_DATA, 0, "");
    assert_int_equal(answers, 0);
    give(A, DNS_NO_DATA, 0, "");
    is_answered(550, "5.1.8");
}

/* proves: E09 E11 */
static void a_resolver_that_is_away_is_a_temporary_failure(void **state UNUSED)
{
    (void) ask(DOMAIN_OF_SENDER);
    give(MX, DNS_AWAY, 0, "");
    is_answered(451, "4.1.8");
    (void) ask(DOMAIN_OF_RECIPIENT);
    give(MX, DNS_AWAY, 0, "");
    is_answered(451, "4.4.3");
    (void) ask(DOMAIN_OF_SENDER);
    give(MX, DNS_NO_DATA, 0, "");
    give(A, DNS_NO_DATA, 0, "");
    give(AAAA, DNS_AWAY, 0, "");
    is_answered(451, "4.1.8");
}

/* proves: E11 */
static void or_passes_if_it_is_set_so(void **state UNUSED)
{
    assert_int_equal(setenv("BARID_INGRESS_DNS_UNKNOWN", "pass", 1), 0);
    load_settings();
    (void) ask(DOMAIN_OF_SENDER);
    give(MX, DNS_AWAY, 0, "");
    is_answered(250, "2.1.0");
    (void) ask(DOMAIN_OF_SENDER);
    give(MX, DNS_NO_NAME, 0, "");
    is_answered(550, "5.1.8");
}

static void a_resolver_that_cannot_be_opened_is_away(void **state UNUSED)
{
    is_refused = true;
    (void) ask(DOMAIN_OF_SENDER);
    assert_int_equal(answers, 0);
    loop_run(loop);
    is_answered(451, "4.1.8");
}

static void a_domain_with_a_route_is_not_asked_for(void **state UNUSED)
{
    assert_int_equal(setenv("BARID_COURIER_ROUTES", "x.example=10.0.0.1:25", 1), 0);
    load_settings();
    (void) ask(DOMAIN_OF_RECIPIENT);
    assert_false(asked[MX].is_asked);
    loop_run(loop);
    is_answered(250, "2.1.5");
    (void) ask(DOMAIN_OF_SENDER);
    assert_true(asked[MX].is_asked);
    give(MX, DNS_OK, 1, "mx.example");
}

static void a_question_can_be_cancelled(void **state UNUSED)
{
    struct domain_question *q = ask(DOMAIN_OF_SENDER);

    assert_null(domain_cancel(q));
    assert_true(asked[MX].is_cancelled);
    q = ask(DOMAIN_OF_SENDER);
    give(MX, DNS_NO_DATA, 0, "");
    assert_null(domain_cancel(q));
    assert_true(asked[A].is_cancelled && asked[AAAA].is_cancelled);
    is_refused = true;
    check = domain_check_free(check);
    check = domain_check_new(loop);
    assert_null(domain_cancel(ask(DOMAIN_OF_SENDER)));
    assert_null(domain_cancel(NULL));
    assert_int_equal(answers, 0);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_opened_before_the_first_question),
        TEST(a_domain_with_an_mx_is_fine),
        TEST(a_domain_that_does_not_exist_is_refused),
        TEST(a_null_mx_is_refused),
        TEST(a_root_among_other_hosts_is_no_null_mx),
        TEST(without_an_mx_an_address_will_do),
        TEST(a_resolver_that_is_away_is_a_temporary_failure),
        TEST(or_passes_if_it_is_set_so),
        TEST(a_resolver_that_cannot_be_opened_is_away),
        TEST(a_domain_with_a_route_is_not_asked_for),
        TEST(a_question_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
