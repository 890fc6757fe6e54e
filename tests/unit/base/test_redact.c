/* Unit tests of base/redact. */
#include "base/redact.h"

#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static char *shown(const char *text)
{
    struct buf out = {.data = NULL};
    redact_add(&out, span_of(text));
    return buf_steal_text(&out);
}

static void check(const char *text, const char *want)
{
    AUTO_FREE char *got = shown(text);
    assert_string_equal(got, want);
}

static int off(void **state)
{
    (void) state;
    redact_set(false);
    return 0;
}

static void nothing_is_changed_while_it_is_off(void **state)
{
    (void) state;
    check("MAIL FROM:<bob@example.com>", "MAIL FROM:<bob@example.com>");
}

static void local_parts_are_hidden_and_domains_shown(void **state)
{
    (void) state;
    redact_set(true);
    AUTO_FREE char *one = shown("bob@example.com");
    AUTO_FREE char *two = shown("from=<bob@example.com> to=<bob@other.example>, carol@x");
    assert_string_equal(one + 8, "@example.com");
    assert_memory_equal(one, "b~", 2);
    assert_memory_equal(two, "from=<b~", 8);
    assert_memory_equal(two + 6, one, 8); /* the same everywhere */
    assert_null(strstr(two, "bob"));
    assert_null(strstr(two, "arol"));
    assert_non_null(strstr(two, "@other.example>, c~"));
}

static void nothing_of_an_odd_local_part_is_left(void **state)
{
    static const char *const odd[] = {"\"secret name\"@x", "\"se\\\"cret\"@x",    "secret name\"@x",
                                      "a=secret@x",        "bounce+secret=y.z@x", "RCPT TO:<@a.b:secret@x>",
                                      "rfc822;secret@x",   "\xc3\xa4secret@x",    "550 5.1.1 <secret@x>: no",
                                      "secret%host@x",     "\"secret@secret\"@x", "secret@@x"};
    (void) state;
    redact_set(true);
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        AUTO_FREE char *got = shown(odd[i]);
        assert_null(strstr(got, "ecret"));
        assert_non_null(strstr(got, "@x"));
    }
}

static void text_without_a_local_part_stays(void **state)
{
    (void) state;
    redact_set(true);
    check("", "");
    check("no address", "no address");
    check("@example.com", "@example.com");
    check("a < @b @", "a < @b @");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_is_changed_while_it_is_off, off),
        cmocka_unit_test_teardown(local_parts_are_hidden_and_domains_shown, off),
        cmocka_unit_test_teardown(nothing_of_an_odd_local_part_is_left, off),
        cmocka_unit_test_teardown(text_without_a_local_part_stays, off),
    };
    return cmocka_run_group_tests_name("base/redact", tests, NULL, NULL);
}
