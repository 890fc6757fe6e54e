/* The digest says in which section two programs differ, and only where that matters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cluster/settings_digest.h"
#include "io/yaml.h"

/* The caller's. With one variable of the environment, or NULL. */
static char *digest_with(const char *variable, const char *value)
{
    struct buf out = {.data = NULL};
    AUTO_FREE char *error = NULL;
    struct conf *conf;

    if (variable)
        assert_int_equal(setenv(variable, value, 1), 0);
    assert_int_equal(conf_load(NULL, yaml_read_settings, &conf, &error), 0);
    if (variable)
        assert_int_equal(unsetenv(variable), 0);
    settings_digest(conf, &out);
    conf_release(conf);
    return buf_steal_text(&out);
}

/* How many sections differ; name: the last of them. */
static size_t differences(const char *variable, const char *value, struct span *ret_name)
{
    static char *before, *after;
    size_t count = 0;

    mem_free(before);
    mem_free(after);
    before = digest_with(NULL, NULL);
    after = digest_with(variable, value);
    struct span a = span_of(before), b = span_of(after);
    while (a.len && b.len) {
        struct span one = span_cut(&a, ' '), other = span_cut(&b, ' ');
        if (span_equal(one, other))
            continue;
        count++;
        *ret_name = span_cut(&one, '=');
    }
    assert_int_equal(a.len + b.len, 0);
    if (!variable) {
        before = mem_free(before);
        after = mem_free(after);
    }
    return count;
}

static void equal_settings_have_equal_digests(void **state UNUSED)
{
    struct span name;

    assert_int_equal(differences(NULL, NULL, &name), 0);
}

static void a_difference_is_in_its_section(void **state UNUSED)
{
    struct span name;

    assert_int_equal(differences("BARID_COURIER_MAX_CLAIMED", "7", &name), 1);
    assert_true(span_equal(name, SPAN("courier")));
    assert_int_equal(differences("BARID_RETRY_FIRST", "77s", &name), 1);
    assert_true(span_equal(name, SPAN("retry")));
}

static void what_is_a_nodes_own_makes_no_difference(void **state UNUSED)
{
    struct span name;

    assert_int_equal(differences("BARID_NODE_NAME", "other.example.com", &name), 0);
    assert_int_equal(differences("BARID_NODE_HTTP_LISTEN", "127.0.0.1:9999", &name), 0);
    assert_int_equal(differences("BARID_BUS_LISTEN", "127.0.0.1:9998", &name), 0);
    assert_int_equal(differences("BARID_STORE_USER", "courier", &name), 0);
    (void) differences(NULL, NULL, &name); /* frees */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_settings_have_equal_digests),
        cmocka_unit_test(a_difference_is_in_its_section),
        cmocka_unit_test(what_is_a_nodes_own_makes_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
