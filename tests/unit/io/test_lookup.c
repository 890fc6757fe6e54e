/* Names of the settings by the system's resolver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "io/lookup.h"

struct answer {
    struct loop *loop;
    int error;
    struct ip ip;
    unsigned count;
};

static void on_found(void *context, int error, const struct ip *ip)
{
    struct answer *a = context;

    a->count++;
    a->error = error;
    if (ip)
        a->ip = *ip;
    loop_stop(a->loop);
}

static void finds_the_address_of_a_local_name(void **state UNUSED)
{
    struct answer a = {.loop = loop_new()};
    struct lookup *u;

    assert_int_equal(lookup_open(a.loop, "localhost", on_found, &a, &u), 0);
    loop_run(a.loop);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.error, 0);
    assert_int_equal(ip_kind(&a.ip), IP_LOOPBACK);
    loop_free(a.loop);
}

static void a_name_without_address_fails(void **state UNUSED)
{
    struct answer a = {.loop = loop_new()};
    struct lookup *u;

    assert_int_equal(lookup_open(a.loop, "no such name", on_found, &a, &u), 0);
    loop_run(a.loop);
    assert_int_equal(a.count, 1);
    assert_int_not_equal(a.error, 0);
    loop_free(a.loop);
}

static void a_cancelled_look_up_answers_nobody(void **state UNUSED)
{
    struct answer a = {.loop = loop_new()};
    struct lookup *u, *v;

    assert_int_equal(lookup_open(a.loop, "localhost", on_found, &a, &u), 0);
    assert_int_equal(lookup_open(a.loop, "localhost", on_found, &a, &v), 0);
    assert_null(lookup_cancel(u));
    loop_run(a.loop);
    assert_int_equal(a.count, 1);
    loop_free(a.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_address_of_a_local_name),
        cmocka_unit_test(a_name_without_address_fails),
        cmocka_unit_test(a_cancelled_look_up_answers_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
