/* Users: what they may send as, and their records. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cluster/user.h"
#include "cluster/wire.h"

/* senders: separated by spaces. */
static struct user *user_with(const char *name, const char *senders)
{
    struct user *u = user_new(span_of(name));
    struct span rest = span_of(senders);
    char sender[USER_SENDER_MAX + 1];
    while (rest.len > 0) {
        assert_int_equal(user_sender_check(span_cut(&rest, ' '), sender), 0);
        user_add_sender(u, sender);
    }
    return u;
}

static bool may(const struct user *u, const char *path)
{
    struct addr addr;
    assert_true(addr_parse_path(span_of(path), &addr) > 0);
    return user_may_send(u, &addr);
}

/* proves: D09 */
static void a_user_sends_as_its_own_name(void **s UNUSED)
{
    struct user *u = user_with("Anna@Example.com", "");
    assert_true(may(u, "<Anna@Example.com>"));
    assert_true(may(u, "<anna@EXAMPLE.COM>"));
    assert_false(may(u, "<bert@example.com>"));
    assert_false(may(u, "<anna@example.org>"));
    assert_false(may(u, "<anna@sub.example.com>"));
    assert_false(may(u, "<anna+x@example.com>"));
    assert_true(may(u, "<>"));
    user_unref(u);
    u = user_with("anna", "");
    assert_false(may(u, "<anna@example.com>"));
    user_unref(u);
    u = user_with("@example.com", ""); /* a name is no pattern */
    assert_false(may(u, "<anna@example.com>"));
    user_unref(u);
    u = user_with("*", "");
    assert_false(may(u, "<anna@example.com>"));
    user_unref(u);
}

/* proves: D09 */
static void senders_are_what_they_say(void **s UNUSED)
{
    struct user *u = user_with("anna", "Boss@One.test @two.test @.three.test");
    assert_true(may(u, "<boss@one.test>"));
    assert_false(may(u, "<boss2@one.test>"));
    assert_true(may(u, "<anybody@Two.Test>"));
    assert_false(may(u, "<x@sub.two.test>"));
    assert_false(may(u, "<x@xtwo.test>"));
    assert_true(may(u, "<x@a.three.test>"));
    assert_true(may(u, "<x@a.b.three.test>"));
    assert_false(may(u, "<x@three.test>"));
    assert_false(may(u, "<x@athree.test>"));
    assert_false(may(u, "<x@[192.0.2.1]>"));
    assert_false(may(u, "<\"boss\"@one.test>"));
    user_unref(u);
    u = user_with("anna", "*");
    assert_true(may(u, "<x@[192.0.2.1]>"));
    assert_true(may(u, "<anybody@anywhere.test>"));
    user_unref(u);
}

/* proves: D09 */
static void domains_are_compared_as_a_labels(void **s UNUSED)
{
    struct user *u = user_with("anna", "@b\xc3\xbc"
                                       "cher.example");
    assert_string_equal(u->senders[0], "@xn--bcher-kva.example");
    assert_true(may(u, "<x@xn--bcher-kva.example>"));
    assert_true(may(u, "<x@XN--BCHER-KVA.example>"));
    user_unref(u);
}

static void senders_that_are_none(void **s UNUSED)
{
    static const char *const wrong[] = {"",
                                        "anna",
                                        "@",
                                        "@.",
                                        "anna@",
                                        "a b@x.test",
                                        "a@b@c.test",
                                        "@x..test",
                                        "@-.t",
                                        "**",
                                        "*@x.test\n",
                                        "@*.test",
                                        "@[192.0.2.1]",
                                        "<a@x.test>",
                                        "a@x.test,b@x.test",
                                        "\xff@x.test"};
    char sender[USER_SENDER_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(user_sender_check(span_of(wrong[i]), sender), -EINVAL);
}

/* proves: D07 */
static void names_are_any_text(void **s UNUSED)
{
    static const char *const right[] = {"a'b", "*", "a)(uid=*", "{tag}", " ", "\xc3\xa4@b", "%s%n"};
    for (size_t i = 0; i < ARRAY_LEN(right); i++)
        assert_int_equal(user_name_check(span_of(right[i])), 0);
    assert_int_equal(user_name_check(SPAN("")), -EINVAL);
    assert_int_equal(user_name_check(SPAN("a\r\nSET x")), -EINVAL);
    assert_int_equal(user_name_check(SPAN("a\0b")), -EINVAL);
    assert_int_equal(user_name_check(SPAN("a\xed\xa0\x80")), -EINVAL);
    char longest[USER_NAME_MAX + 1];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(user_name_check((struct span){.at = longest, .len = USER_NAME_MAX}), 0);
    assert_int_equal(user_name_check((struct span){.at = longest, .len = USER_NAME_MAX + 1}), -EINVAL);
}

static void a_record_comes_back_whole(void **s UNUSED)
{
    AUTO_BUF struct buf record = {0}, again = {0};
    struct user *u = user_with("anna@example.com", "@example.com *"), *read = NULL;
    u->tenant = mem_string("shop");
    u->is_disabled = true;
    u->messages_per_hour = 1;
    u->messages_per_day = 2;
    u->recipients_per_hour = 3;
    u->recipients_per_day = UINT64_C(1) << 40;
    u->changed_ms = 1700000000000;
    verifier_make(SPAN("secret"), &u->verifier);
    wire_put_user(u, &record);
    assert_int_equal(wire_get_user(buf_span(&record), &read), 0);
    assert_string_equal(read->name, u->name);
    assert_string_equal(read->tenant, "shop");
    assert_int_equal(read->sender_count, 2);
    assert_string_equal(read->senders[1], "*");
    assert_true(read->is_disabled && verifier_equal(&read->verifier, &u->verifier));
    assert_int_equal(read->recipients_per_day, UINT64_C(1) << 40);
    wire_put_user(read, &again);
    assert_true(span_equal(buf_span(&record), buf_span(&again)));
    user_unref(read);
    user_unref(u);
}

static void every_bent_record_is_refused(void **s UNUSED)
{
    AUTO_BUF struct buf record = {0};
    struct user *u = user_with("anna", "@example.com"), *read = NULL;
    verifier_make(SPAN("secret"), &u->verifier);
    wire_put_user(u, &record);
    for (size_t i = 0; i < record.len; i++) {
        assert_int_equal(wire_get_user((struct span){.at = record.data, .len = i}, &read), -EBADMSG);
        record.data[i] ^= 1;
        assert_int_not_equal(wire_get_user(buf_span(&record), &read), 0);
        record.data[i] ^= 1;
    }
    u->verifier.iterations = 1;
    buf_clear(&record);
    wire_put_user(u, &record);
    assert_int_equal(wire_get_user(buf_span(&record), &read), -EBADMSG);
    assert_null(read);
    user_unref(u);
}

static void sessions_end_with_what_let_them_in(void **s UNUSED)
{
    struct user *was = user_with("anna", ""), *now = user_with("anna", "@x.test");
    verifier_make(SPAN("secret"), &was->verifier);
    now->verifier = was->verifier;
    assert_true(user_may_go_on(was, USER_FOUND, now));
    assert_true(user_may_go_on(was, USER_AWAY, NULL));
    assert_true(user_may_go_on(was, USER_BROKEN, NULL));
    assert_false(user_may_go_on(was, USER_NONE, NULL));
    now->is_disabled = true;
    assert_false(user_may_go_on(was, USER_FOUND, now));
    now->is_disabled = false;
    verifier_make(SPAN("secret"), &now->verifier);
    assert_false(user_may_go_on(was, USER_FOUND, now));
    was->is_foreign = true;
    assert_true(user_may_go_on(was, USER_NONE, NULL));
    assert_true(user_may_go_on(was, USER_FOUND, now));
    user_unref(was);
    user_unref(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_sends_as_its_own_name),
        cmocka_unit_test(senders_are_what_they_say),
        cmocka_unit_test(domains_are_compared_as_a_labels),
        cmocka_unit_test(senders_that_are_none),
        cmocka_unit_test(names_are_any_text),
        cmocka_unit_test(a_record_comes_back_whole),
        cmocka_unit_test(every_bent_record_is_refused),
        cmocka_unit_test(sessions_end_with_what_let_them_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
