/*
 * Does: SHA-256, HMAC, HKDF, PBKDF2, scrypt, random bytes, comparison in constant time.
 * Does not: know passwords' records (cluster/user.h) or TLS (io/tls.h).
 * Owns: nothing; thread-safe.
 * Fails: never, but for crypto_scrypt() with parameters that are none: -EINVAL.
 * Calls: OpenSSL's libcrypto, named here and in tls.c only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { SHA256_BYTES = 32 };

void crypto_sha256(struct span s, uint8_t ret_digest[static SHA256_BYTES]);
void crypto_hmac(struct span key, struct span s, uint8_t ret_mac[static SHA256_BYTES]); /* HMAC-SHA-256 */
/* HKDF-SHA-256 (RFC 5869) without a salt; info says what the key is for. */
void crypto_hkdf(struct span secret, struct span info, uint8_t *ret_key, size_t key_len);
/* PBKDF2-HMAC-SHA-256. Takes its time: not on a loop (loop_work()). */
void crypto_pbkdf2(struct span password, struct span salt, uint32_t iterations,
                   uint8_t ret_key[static SHA256_BYTES]);
/* N = 2^log2_n. Takes its time and 128 r N bytes: not on a loop. -EINVAL: not allowed, or more than max_memory. */
int crypto_scrypt(struct span password, struct span salt, unsigned log2_n, uint32_t r, uint32_t p,
                  uint64_t max_memory, uint8_t *ret_key, size_t key_len);
void crypto_random(void *ret_bytes, size_t len);
/* Takes the same time whatever the bytes are. Spans of different lengths are not equal. */
bool crypto_is_equal(struct span a, struct span b);
