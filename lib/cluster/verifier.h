/*
 * Does: what is kept of a password: makes it, checks a password against it, reads the forms that other software writes.
 * Does not: keep a password. See user.h for whose it is, ingress/sasl_scram.c for SCRAM on the wire.
 * Owns: nothing. Thread-safe: the slow ones run on loop_work().
 * Fails: -EINVAL.
 * See: RFC 5802, 5803, 7677, 7914.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum {
    PASSWORD_MAX = 1024,
    VERIFIER_SALT_MAX = 64,
    VERIFIER_KEY_BYTES = 32,
    SCRAM_ITERATIONS = 20000,      /* of new verifiers: some milliseconds */
    SCRAM_ITERATIONS_LEAST = 4096, /* RFC 7677 section 4 */
    SCRAM_ITERATIONS_MOST = 1000000,
    SCRYPT_LOG2_N_MOST = 20,
    SCRYPT_RP_MOST = 64, /* each of r and p */
    SCRYPT_MEMORY_MAX = 80 << 20,
};

enum verifier_kind {
    VERIFIER_NONE,   /* no password is right */
    VERIFIER_SCRAM,  /* SCRAM-SHA-256: serves all mechanisms */
    VERIFIER_SCRYPT, /* for imports: the client must send the password itself (PLAIN, LOGIN) */
    VERIFIER_KIND_COUNT
};
struct verifier {
    enum verifier_kind kind;
    uint32_t salt_len;
    uint8_t salt[VERIFIER_SALT_MAX];
    uint32_t iterations;                    /* SCRAM */
    uint8_t stored_key[VERIFIER_KEY_BYTES]; /* SCRAM's StoredKey; scrypt: the derived key */
    uint8_t server_key[VERIFIER_KEY_BYTES]; /* SCRAM */
    uint32_t log2_n, r, p;                  /* scrypt */
};

/* -EINVAL: empty, longer than PASSWORD_MAX, not UTF-8, or with control bytes. Else its bytes are what they are: no SASLprep. */
int password_check(struct span password);

/* SCRAM with a random salt. Takes its time. */
void verifier_make(struct span password, struct verifier *ret_verifier);
/* The same with everything given. */
void verifier_make_with(struct span password, struct span salt, uint32_t iterations,
                        struct verifier *ret_verifier);
/* Takes its time, whether the password is right or not. */
bool verifier_check(const struct verifier *v, struct span password);
bool verifier_is_sound(const struct verifier *v); /* all numbers in range */
bool verifier_equal(const struct verifier *a, const struct verifier *b);

/*
 * "{SCRAM-SHA-256}iterations,salt,stored,server" as Dovecot writes it, "SCRAM-SHA-256$iterations:salt$stored:server" as PostgreSQL does, and
 * "$scrypt$ln=14,r=8,p=1$salt$key" as passlib does (base64 without padding).
 */
int verifier_parse(struct span text, struct verifier *ret_verifier);
