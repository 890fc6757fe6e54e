/* Texts of TLS policies, and which one is for whom. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/tls_setting.h"

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define COLONS                                                                                      \
    "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:" \
    "FF"

/* proves: L17 */
static void takes_each_policy(void **state UNUSED)
{
    static const struct {
        const char *text;
        enum tls_wish wish;
        size_t count;
        const char *first;
    } rows[] = {
        {"auto", TLS_WISH_AUTO, 0, NULL},
        {" none ", TLS_WISH_NONE, 0, NULL},
        {"may", TLS_WISH_MAY, 0, NULL},
        {"encrypt", TLS_WISH_ENCRYPT, 0, NULL},
        {"verify", TLS_WISH_VERIFY, 0, NULL},
        {"verify  MX.Example.com.  b.test ", TLS_WISH_VERIFY, 2, "mx.example.com"},
        {"verify b\xc3\xbc"
         "cher.test",
         TLS_WISH_VERIFY, 1, "xn--bcher-kva.test"},
        {"fingerprint " DIGEST, TLS_WISH_FINGERPRINT, 1, DIGEST},
        {"fingerprint " COLONS " " DIGEST, TLS_WISH_FINGERPRINT, 2, DIGEST},
        {"dane", TLS_WISH_DANE, 0, NULL},
        {"sts", TLS_WISH_STS, 0, NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_setting s;
        char *why = NULL;

        if (tls_setting_parse(span_of(rows[i].text), &s, &why) < 0)
            fail_msg("%s: %s", rows[i].text, why);
        assert_int_equal(s.wish, rows[i].wish);
        assert_int_equal(s.count, rows[i].count);
        if (rows[i].first)
            assert_string_equal(s.words[0], rows[i].first);
        tls_setting_done(&s);
    }
}

static void assert_refused(const char *text, const char *wanted)
{
    struct tls_setting s;
    char *why = NULL;

    assert_int_equal(tls_setting_parse(span_of(text), &s, &why), -EINVAL);
    assert_non_null(strstr(why, wanted));
    mem_free(why);
}

static void says_what_is_wrong(void **state UNUSED)
{
    AUTO_BUF struct buf many = {0};

    assert_refused("", "\"\" is none of auto, none, may");
    assert_refused("Verify", "\"Verify\" is none of");
    assert_refused("dane-only", "is none of");
    assert_refused("encrypt mx.test", "nothing may follow encrypt");
    assert_refused("verify a..b", "\"a..b\" is not the name of a host");
    assert_refused("fingerprint", "needs the SHA-256");
    assert_refused("fingerprint 00:11", "\"00:11\" is not a SHA-256");
    assert_refused("fingerprint " DIGEST "0", "is not a SHA-256");
    assert_refused("fingerprint g" DIGEST, "is not a SHA-256");
    buf_add_text(&many, "verify");
    for (int i = 0; i <= TLS_SETTING_WORDS_MAX; i++)
        buf_printf(&many, " h%d.test", i);
    buf_add_char(&many, '\0');
    assert_refused(many.data, "at most 16 words");
}

/* proves: L17 N02 N12 */
static void the_most_exact_row_is_for_a_destination(void **state UNUSED)
{
    char *keys[] = {"*", ".example.com", "example.com", ".b.example.com", "B\303\274cher.test", "smart.test"};
    char *values[] = {"any", "suffix", "exact", "longer", "books", "smart"};
    struct conf conf = {.tls_out = {.policy = (char[]){"default"}}};

    assert_string_equal(tls_setting_find(&conf, "example.com", NULL), "default");
    conf.tls_out.policies = (struct conf_map){keys, values, ARRAY_LEN(keys)};
    assert_string_equal(tls_setting_find(&conf, "example.com", NULL), "exact");
    assert_string_equal(tls_setting_find(&conf, "EXAMPLE.com", NULL), "exact");
    assert_string_equal(tls_setting_find(&conf, "a.example.com", NULL), "suffix");
    assert_string_equal(tls_setting_find(&conf, "a.b.example.com", NULL), "longer");
    assert_string_equal(tls_setting_find(&conf, "xn--bcher-kva.test", NULL), "books");
    assert_string_equal(tls_setting_find(&conf, "other.test", NULL), "any");
    assert_string_equal(tls_setting_find(&conf, "example.com", "smart.test"), "smart");
    assert_string_equal(tls_setting_find(&conf, "example.com", "mx.test"), "exact");
    assert_string_equal(tls_setting_find(&conf, "other.test", "mx.test"), "any");
}

static void assert_conf_refused(const char *policy, char *key, char *value, const char *wanted)
{
    struct conf conf = {.tls_out = {.policy = (char *) (uintptr_t) policy, .policies = {&key, &value, 1}}};
    char *error = NULL;

    assert_int_equal(tls_settings_check(&conf, &error), -EINVAL);
    assert_string_equal(error, wanted);
    mem_free(error);
}

static void bad_rows_are_not_put_in_force(void **state UNUSED)
{
    char key[] = "example.com", bad_key[] = "a b", value[] = "may", bad_value[] = "must", *keys[] = {key};
    char *values[] = {value}, *error = NULL;
    struct conf conf = {.tls_out = {.policy = (char[]){"auto"}, .policies = {keys, values, 1}}};

    assert_int_equal(tls_settings_check(&conf, &error), 0);
    assert_conf_refused(
        "must", key, value,
        "tls_out.policy: \"must\" is none of auto, none, may, encrypt, verify, fingerprint, dane, sts");
    assert_conf_refused(
        "auto", key, bad_value,
        "tls_out.policies: example.com: \"must\" is none of auto, none, may, encrypt, verify, fingerprint, dane, sts");
    assert_conf_refused("auto", bad_key, value,
                        "tls_out.policies: a b: is neither a domain, nor .domain, nor *");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_each_policy),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(the_most_exact_row_is_for_a_destination),
        cmocka_unit_test(bad_rows_are_not_put_in_force),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
