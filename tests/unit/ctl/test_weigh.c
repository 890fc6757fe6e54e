/* Every key of barid's is of a kind, and no other is. */
#include "cluster/keys.h"
#include "ctl/weigh.h"
#include "tests/unit/ctl/ctl_test.h"

static void every_key_has_its_kind(void **state UNUSED)
{
    static const char *const formats[] = {
#define KEY(name, format, help) format,
#include "cluster/keys.def"
#undef KEY
    };

    for (enum key key = 0; key < KEY_COUNT; key++) {
        AUTO_BUF struct buf name = {.data = NULL};
        key_format(&name, key, 0, strstr(formats[key], "%s") ? SPAN("x") : SPAN(""), 0);
        assert_true(weight_of(buf_span(&name)) < WEIGHT_OTHERS);
    }
    assert_int_equal(weight_of(SPAN("j:{0}:01J.0")), WEIGHT_JOBS);
    assert_int_equal(weight_of(SPAN("b:{0}:01J.0:0")), WEIGHT_CONTENT);
    assert_int_equal(weight_of(SPAN("seen:{0}:01J.0")), WEIGHT_MARKS);
    assert_int_equal(weight_of(SPAN("s:{0}:a.test")), WEIGHT_LIMITS);
    assert_int_equal(weight_of(SPAN(KEY_STS "a.test")), WEIGHT_POLICIES);
    assert_int_equal(weight_of(SPAN(KEY_NODES)), WEIGHT_TABLES);
}

static void keys_of_strangers_are_told_as_such(void **state UNUSED)
{
    assert_int_equal(weight_of(SPAN("")), WEIGHT_OTHERS);
    assert_int_equal(weight_of(SPAN("j")), WEIGHT_OTHERS);
    assert_int_equal(weight_of(SPAN("session:1")), WEIGHT_OTHERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_has_its_kind),
        cmocka_unit_test(keys_of_strangers_are_told_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
