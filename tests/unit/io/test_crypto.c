/* Hashes and key derivation against the vectors of their RFCs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "io/crypto.h"

static void assert_hex(const uint8_t *bytes, const char *hex)
{
    AUTO_BUF struct buf text = {0};
    for (size_t i = 0; i < strlen(hex) / 2; i++)
        buf_printf(&text, "%02x", bytes[i]);
    assert_true(span_equal(buf_span(&text), span_of(hex)));
}

static void sha256_of_nothing_and_abc(void **s UNUSED)
{
    uint8_t digest[SHA256_BYTES];
    crypto_sha256((struct span){0}, digest);
    assert_hex(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    crypto_sha256(SPAN("abc"), digest);
    assert_hex(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void hmac_of_rfc_4231(void **s UNUSED)
{
    uint8_t mac[SHA256_BYTES];
    crypto_hmac(SPAN("Jefe"), SPAN("what do ya want for nothing?"), mac);
    assert_hex(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    crypto_hmac((struct span){0}, (struct span){0}, mac);
    assert_hex(mac, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* RFC 5869 A.3: no salt, no info. */
static void hkdf_of_rfc_5869(void **s UNUSED)
{
    uint8_t key[42];
    crypto_hkdf(
        SPAN("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"),
        SPAN(""), key, sizeof key);
    assert_hex(key, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

static void pbkdf2_of_rfc_7914(void **s UNUSED)
{
    uint8_t key[SHA256_BYTES];
    crypto_pbkdf2(SPAN("passwd"), SPAN("salt"), 1, key);
    assert_hex(key, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
    crypto_pbkdf2(SPAN("Password"), SPAN("NaCl"), 80000, key);
    assert_hex(key, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
}

static void scrypt_of_rfc_7914(void **s UNUSED)
{
    uint8_t key[64];
    assert_int_equal(crypto_scrypt(SPAN(""), SPAN(""), 4, 1, 1, 1 << 20, key, sizeof key), 0);
    assert_hex(key, "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442");
    assert_int_equal(crypto_scrypt(SPAN("password"), SPAN("NaCl"), 10, 8, 16, 32 << 20, key, sizeof key), 0);
    assert_hex(key, "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
                    "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640");
}

static void scrypt_refuses_what_it_cannot_do(void **s UNUSED)
{
    uint8_t key[32];
    assert_int_equal(crypto_scrypt(SPAN("p"), SPAN("s"), 0, 8, 1, 1 << 20, key, sizeof key), -EINVAL);
    assert_int_equal(crypto_scrypt(SPAN("p"), SPAN("s"), 64, 8, 1, 1 << 20, key, sizeof key), -EINVAL);
    assert_int_equal(crypto_scrypt(SPAN("p"), SPAN("s"), 10, 0, 1, 1 << 20, key, sizeof key), -EINVAL);
    assert_int_equal(crypto_scrypt(SPAN("p"), SPAN("s"), 20, 8, 1, 1 << 20, key, sizeof key), -EINVAL);
    assert_int_equal(
        crypto_scrypt(SPAN("p"), SPAN("s"), 10, UINT32_MAX, UINT32_MAX, UINT64_MAX / 2, key, sizeof key),
        -EINVAL);
}

static void comparison(void **s UNUSED)
{
    assert_true(crypto_is_equal(SPAN(""), (struct span){0}));
    assert_true(crypto_is_equal(SPAN("abc"), SPAN("abc")));
    assert_false(crypto_is_equal(SPAN("abc"), SPAN("abd")));
    assert_false(crypto_is_equal(SPAN("abc"), SPAN("ab")));
}

static void random_is_not_twice_the_same(void **s UNUSED)
{
    uint8_t a[32] = {0}, b[32] = {0};
    crypto_random(a, sizeof a);
    crypto_random(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_of_nothing_and_abc),
        cmocka_unit_test(hmac_of_rfc_4231),
        cmocka_unit_test(hkdf_of_rfc_5869),
        cmocka_unit_test(pbkdf2_of_rfc_7914),
        cmocka_unit_test(scrypt_of_rfc_7914),
        cmocka_unit_test(scrypt_refuses_what_it_cannot_do),
        cmocka_unit_test(comparison),
        cmocka_unit_test(random_is_not_twice_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
