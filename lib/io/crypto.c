/* Hashes, key derivation and random bytes of libcrypto. What cannot fail but for lack of memory is a must(). */
#include "io/crypto.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/mem.h"

enum { SCRYPT_LOG2_N_MAX = 30 };

/* libcrypto wants a place to read from, even for no bytes. */
static const void *at_of(struct span s)
{
    return s.len > 0 ? s.at : "";
}

void crypto_sha256(struct span s, uint8_t ret_digest[static SHA256_BYTES])
{
    must(SHA256(at_of(s), s.len, ret_digest) != NULL);
}

void crypto_hmac(struct span key, struct span s, uint8_t ret_mac[static SHA256_BYTES])
{
    unsigned len = SHA256_BYTES;
    must(key.len <= INT_MAX);
    must(HMAC(EVP_sha256(), at_of(key), (int) key.len, at_of(s), s.len, ret_mac, &len) != NULL);
}

void crypto_hkdf(struct span secret, struct span info, uint8_t *ret_key, size_t key_len)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
    must(kdf != NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *) "SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *) (uintptr_t) at_of(secret), secret.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *) (uintptr_t) at_of(info), info.len),
        OSSL_PARAM_construct_end(),
    };
    must(context != NULL && EVP_KDF_derive(context, ret_key, key_len, params) > 0);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
}

void crypto_pbkdf2(struct span password, struct span salt, uint32_t iterations,
                   uint8_t ret_key[static SHA256_BYTES])
{
    must(password.len <= INT_MAX && salt.len <= INT_MAX && iterations > 0 && iterations <= INT_MAX);
    must(PKCS5_PBKDF2_HMAC(at_of(password), (int) password.len, at_of(salt), (int) salt.len, (int) iterations,
                           EVP_sha256(), SHA256_BYTES, ret_key) == 1);
}

int crypto_scrypt(struct span password, struct span salt, unsigned log2_n, uint32_t r, uint32_t p,
                  uint64_t max_memory, uint8_t *ret_key, size_t key_len)
{
    if (log2_n < 1 || log2_n > SCRYPT_LOG2_N_MAX || r == 0 || p == 0)
        return -EINVAL;
    ERR_clear_error();
    if (EVP_PBE_scrypt(at_of(password), password.len, at_of(salt), salt.len, UINT64_C(1) << log2_n, r, p,
                       max_memory, ret_key, key_len) == 1)
        return 0;
    ERR_clear_error();
    return -EINVAL;
}

void crypto_random(void *ret_bytes, size_t len)
{
    must(len <= INT_MAX && RAND_bytes(ret_bytes, (int) len) == 1);
}

bool crypto_is_equal(struct span a, struct span b)
{
    return a.len == b.len && CRYPTO_memcmp(at_of(a), at_of(b), a.len) == 0;
}
