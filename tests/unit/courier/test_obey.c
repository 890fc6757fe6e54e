/* What the operator's rules do to a courier's works. The loop does not run: only what is noted at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "cluster/rule.h"
#include "cluster/wire.h"
#include "courier/obey.h"
#include "io/loop.h"

/* main.c, which has it, is not here. */
void courier_check_drained(struct courier *c UNUSED)
{
}

static struct courier courier;
static struct rule items[3];
static struct rules rules;

static int set_defaults(void **state UNUSED)
{
    struct conf *conf = NULL;
    char *error = NULL;

    assert_int_equal(conf_load(NULL, NULL, &conf, &error), 0);
    conf_set(conf);
    return 0;
}

static int setup(void **state UNUSED)
{
    static const struct store_events none;
    char *error = NULL;

    courier = (struct courier){.loop = loop_new(), .awaits_rules = true};
    list_init(&courier.idle);
    list_init(&courier.open_claims);
    list_init(&courier.short_of_jobs);
    list_init(&courier.short_of_connections);
    list_init(&courier.content_waiting);
    assert_int_equal(store_open(courier.loop, &none, &courier.store, &error), 0);
    rules = (struct rules){.items = items};
    return 0;
}

static int teardown(void **state UNUSED)
{
    size_t cursor = 0;
    struct span key;
    void *value;

    tail_remove(&courier.report_tail);
    while (map_next(&courier.works, &cursor, &key, &value)) {
        struct work *w = value;

        w->is_report_due = false;
        w->until_ms = 0;
        assert_true(work_check_over(w));
    }
    map_done(&courier.works);
    courier.store = store_close(courier.store);
    courier.loop = loop_free(courier.loop);
    return 0;
}

static struct work *grant(const char *queue, uint32_t serial, uint32_t connections)
{
    AUTO_FREE char *key = mem_format("7:%s", queue);

    work_grant(&courier,
               &(struct grant){.partition = 7,
                               .queue = span_of(queue),
                               .token = 10,
                               .serial = serial,
                               .connections = connections},
               clock_ms() + 5000);
    return map_get(&courier.works, span_of(key));
}

static struct rule *give(enum rule_action action, const char *queue, const char *to)
{
    static char none[1];
    struct rule *r = &items[rules.count++];

    *r = (struct rule){.number = rules.count,
                       .action = action,
                       .filter = {.queue = (char *) (uintptr_t) queue},
                       .to = (char *) (uintptr_t) to,
                       .is_standing = true,
                       .by = none,
                       .because = none};
    rules.actions |= UINT64_C(1) << action;
    return r;
}

static void obey(void)
{
    obey_begin(&courier, &rules);
}

static void no_rules_are_no_rules(void **state UNUSED)
{
    assert_true(courier.awaits_rules);
    obey();
    assert_false(courier.awaits_rules);
    assert_null(courier.rules);
}

static void a_suspended_work_gives_its_grant_back_at_once(void **state UNUSED)
{
    struct work *w = grant("example.com", 1, 5), *other = grant("example.net", 1, 5);

    w->is_report_due = false;
    give(RULE_SUSPEND, "example.com", "");
    obey();
    assert_true(w->is_suspended && w->is_report_due && !work_is_granted(w));
    assert_true(!other->is_suspended && work_is_granted(other));
    w->is_report_due = false;
    grant("example.com", 2, 5); /* of one who does not know of the rule yet */
    assert_true(w->is_report_due && !work_is_granted(w));
    assert_int_equal(w->serial, 2);
    rules = (struct rules){.items = items};
    obey();
    assert_false(w->is_suspended);
    grant("example.com", 3, 5);
    assert_true(work_is_granted(w));
}

static void a_work_that_comes_later_is_judged_too(void **state UNUSED)
{
    give(RULE_SUSPEND, "*", "");
    obey();
    assert_true(grant("example.com", 1, 5)->is_suspended);
    assert_false(grant(QUEUE_FANOUT, 1, 5)->is_suspended);
}

static void a_redirect_is_another_way_and_its_end_is_one_too(void **state UNUSED)
{
    struct work *w = grant("example.com", 1, 5);

    assert_int_equal(w->kind, TRANSPORT_MX);
    give(RULE_REDIRECT, ".example.net", "mx");
    give(RULE_REDIRECT, "example.com", "192.0.2.1:25");
    obey();
    assert_int_equal(w->redirect, 2);
    assert_string_equal(w->redirect_to, "192.0.2.1:25");
    assert_int_equal(w->kind, TRANSPORT_HOSTS);
    rules = (struct rules){.items = items};
    obey();
    assert_true(w->redirect == 0 && !w->redirect_to && w->kind == TRANSPORT_MX);
}

static void what_travels_apart_goes_where_its_rule_says(void **state UNUSED)
{
    struct work *w = grant("example.com/~r1", 1, 5), *plain = grant("example.com", 1, 5);
    struct rule *r = give(RULE_REDIRECT, "example.com", "192.0.2.1:25");

    r->filter.sender = (char[]){"@shop.example"};
    obey();
    assert_true(w->is_apart && w->redirect == 1);
    assert_true(!plain->is_apart && plain->redirect == 0);
    give(RULE_SUSPEND, "example.com", "");
    obey();
    assert_true(w->is_suspended && plain->is_suspended);
}

static void who_is_redirected_by_its_sender_travels_apart(void **state UNUSED)
{
    struct work *w = grant("example.com", 1, 5);
    struct job j = {.work = w, .name = "01JDFZ0000000000000000000A.0"};
    struct rule *r = give(RULE_REDIRECT, "example.com", "192.0.2.1:25");

    r->filter.sender = (char[]){"@shop.example"};
    obey();
    j.envelope.sender = (char[]){"a@shop.example"};
    assert_int_equal(obey_apart(&j), 1);
    j.envelope.sender = (char[]){"a@other.example"};
    assert_int_equal(obey_apart(&j), 0);
}

static void sites_with_a_rule_are_limited(void **state UNUSED)
{
    give(RULE_LIMIT, "site:.example.net", "connections");
    give(RULE_LIMIT, "mx.example.com", "connections");
    obey();
    assert_true(obey_limits_site(&courier, "mx.example.net"));
    assert_false(obey_limits_site(&courier, "mx.example.com"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_rules_are_no_rules),
        TEST(a_suspended_work_gives_its_grant_back_at_once),
        TEST(a_work_that_comes_later_is_judged_too),
        TEST(a_redirect_is_another_way_and_its_end_is_one_too),
        TEST(what_travels_apart_goes_where_its_rule_says),
        TEST(who_is_redirected_by_its_sender_travels_apart),
        TEST(sites_with_a_rule_are_limited),
    };
    return cmocka_run_group_tests(tests, set_defaults, NULL);
}
