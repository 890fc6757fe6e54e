/* Verifiers of passwords: made, checked, imported. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/mem.h"
#include "cluster/verifier.h"

/* "pencil" with the salt of RFC 7677 section 3. */
#define STORED "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
#define SERVER "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define SCRYPT_KEY "/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWI"

static void a_password_fits_its_own_verifier_only(void **s UNUSED)
{
    struct verifier v, other;
    verifier_make(SPAN("correct horse"), &v);
    verifier_make(SPAN("correct horse"), &other);
    assert_int_equal(v.kind, VERIFIER_SCRAM);
    assert_int_equal(v.iterations, SCRAM_ITERATIONS);
    assert_true(verifier_is_sound(&v));
    assert_false(verifier_equal(&v, &other)); /* another salt */
    assert_true(verifier_check(&v, SPAN("correct horse")));
    assert_false(verifier_check(&v, SPAN("Correct horse")));
    assert_false(verifier_check(&v, SPAN("correct horse ")));
    v = (struct verifier){.kind = VERIFIER_NONE};
    assert_false(verifier_check(&v, SPAN("")));
}

/* proves: D11 */
static void keys_agree_with_rfc_7677(void **s UNUSED)
{
    AUTO_BUF struct buf salt = {0}, text = {0};
    struct verifier v;
    assert_int_equal(base64_decode(SPAN(SALT), &salt), 0);
    verifier_make_with(SPAN("pencil"), buf_span(&salt), 4096, &v);
    base64_encode((struct span){.at = (char *) v.stored_key, .len = 32}, &text);
    buf_add_char(&text, ':');
    base64_encode((struct span){.at = (char *) v.server_key, .len = 32}, &text);
    assert_true(span_equal(buf_span(&text), SPAN(STORED ":" SERVER)));
}

static void forms_of_others_are_read(void **s UNUSED)
{
    struct verifier dovecot, postgres, scrypt;
    assert_int_equal(verifier_parse(SPAN("{SCRAM-SHA-256}4096," SALT "," STORED "," SERVER), &dovecot), 0);
    assert_int_equal(verifier_parse(SPAN("SCRAM-SHA-256$4096:" SALT "$" STORED ":" SERVER), &postgres), 0);
    assert_true(verifier_equal(&dovecot, &postgres));
    assert_true(verifier_check(&dovecot, SPAN("pencil")));
    /* RFC 7914: password, NaCl, N 1024, r 8, p 16; its first 32 bytes */
    assert_int_equal(verifier_parse(SPAN("$scrypt$ln=10,r=8,p=16$TmFDbA$" SCRYPT_KEY), &scrypt), 0);
    assert_int_equal(scrypt.kind, VERIFIER_SCRYPT);
    assert_true(verifier_check(&scrypt, SPAN("password")));
    assert_false(verifier_check(&scrypt, SPAN("passwore")));
}

static void what_is_none_is_refused(void **s UNUSED)
{
    static const char *const wrong[] = {
        "",
        "pencil",
        "{SCRAM-SHA-256}",
        "{SCRAM-SHA-1}4096," SALT "," STORED "," SERVER,
        "{SCRAM-SHA-256}4095," SALT "," STORED "," SERVER,
        "{SCRAM-SHA-256}99999999," SALT "," STORED "," SERVER,
        "{SCRAM-SHA-256}4096,," STORED "," SERVER,
        "{SCRAM-SHA-256}4096," SALT "," STORED,
        "{SCRAM-SHA-256}4096," SALT "," SALT "," SERVER,
        "{SCRAM-SHA-256}4096," SALT "," STORED "," SERVER ",",
        "{SCRAM-SHA-256}-1," SALT "," STORED "," SERVER,
        "SCRAM-SHA-256$4096:" SALT "$" STORED "," SERVER,
        "$scrypt$ln=10,r=8,p=16$TmFDbA$",
        "$scrypt$ln=30,r=8,p=1$TmFDbA$" SCRYPT_KEY, /* 1 GiB */
        "$scrypt$ln=20,r=64,p=1$TmFDbA$" SCRYPT_KEY,
        "$scrypt$ln=10,r=0,p=1$TmFDbA$" SCRYPT_KEY,
        "$scrypt$ln=10,p=1,r=8$TmFDbA$" SCRYPT_KEY,
        "$scrypt$ln=10,r=8,p=99999999999$TmFDbA$" SCRYPT_KEY,
        "$2b$12$abcdefghijklmnopqrstuv",
    };
    struct verifier v = {.kind = VERIFIER_NONE};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(verifier_parse(span_of(wrong[i]), &v), -EINVAL);
    assert_int_equal(v.kind, VERIFIER_NONE);
}

/* proves: D05 */
static void passwords_are_text(void **s UNUSED)
{
    char longest[PASSWORD_MAX + 1];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(password_check((struct span){.at = longest, .len = PASSWORD_MAX}), 0);
    assert_int_equal(password_check((struct span){.at = longest, .len = PASSWORD_MAX + 1}), -EINVAL);
    assert_int_equal(password_check(SPAN(" a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 ")), 0);
    assert_int_equal(password_check(SPAN("")), -EINVAL);
    assert_int_equal(password_check(SPAN("a\tb")), -EINVAL);
    assert_int_equal(password_check(SPAN("a\0b")), -EINVAL);
    assert_int_equal(password_check(SPAN("a\xff")), -EINVAL);
    assert_int_equal(password_check(SPAN("a\xc3")), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_password_fits_its_own_verifier_only),
        cmocka_unit_test(keys_agree_with_rfc_7677),
        cmocka_unit_test(forms_of_others_are_read),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(passwords_are_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
