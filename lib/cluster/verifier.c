/* Verifiers. SCRAM's keys come from one PBKDF2; scrypt's first 32 bytes do not depend on how many there are. */
#include "cluster/verifier.h"

#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "io/crypto.h"

enum { SALT_BYTES = 16 };

static struct span span_at(const uint8_t *bytes, size_t len)
{
    return (struct span){.at = (const char *) bytes, .len = len};
}

int password_check(struct span password)
{
    if (password.len == 0 || password.len > PASSWORD_MAX)
        return -EINVAL;
    return span_is_text(password) ? 0 : -EINVAL;
}

void verifier_make_with(struct span password, struct span salt, uint32_t iterations,
                        struct verifier *ret_verifier)
{
    uint8_t salted[SHA256_BYTES], client_key[SHA256_BYTES];
    must(salt.len > 0 && salt.len <= VERIFIER_SALT_MAX);
    crypto_pbkdf2(password, salt, iterations, salted);
    crypto_hmac(span_at(salted, sizeof salted), SPAN("Client Key"), client_key);
    *ret_verifier = (struct verifier){
        .kind = VERIFIER_SCRAM, .salt_len = (uint32_t) salt.len, .iterations = iterations};
    memcpy(ret_verifier->salt, salt.at, salt.len);
    crypto_sha256(span_at(client_key, sizeof client_key), ret_verifier->stored_key);
    crypto_hmac(span_at(salted, sizeof salted), SPAN("Server Key"), ret_verifier->server_key);
    explicit_bzero(salted, sizeof salted);
    explicit_bzero(client_key, sizeof client_key);
}

void verifier_make(struct span password, struct verifier *ret_verifier)
{
    uint8_t salt[SALT_BYTES];
    crypto_random(salt, sizeof salt);
    verifier_make_with(password, span_at(salt, sizeof salt), SCRAM_ITERATIONS, ret_verifier);
}

static bool scrypt_check(const struct verifier *v, struct span password)
{
    uint8_t key[VERIFIER_KEY_BYTES];
    if (crypto_scrypt(password, span_at(v->salt, v->salt_len), v->log2_n, v->r, v->p, SCRYPT_MEMORY_MAX, key,
                      sizeof key) < 0)
        return false;
    bool is_right = crypto_is_equal(span_at(key, sizeof key), span_at(v->stored_key, sizeof v->stored_key));
    explicit_bzero(key, sizeof key);
    return is_right;
}

bool verifier_check(const struct verifier *v, struct span password)
{
    struct verifier made;
    if (v->kind == VERIFIER_NONE)
        return false;
    if (v->kind == VERIFIER_SCRYPT)
        return scrypt_check(v, password);
    verifier_make_with(password, span_at(v->salt, v->salt_len), v->iterations, &made);
    bool is_right = crypto_is_equal(span_at(made.stored_key, sizeof made.stored_key),
                                    span_at(v->stored_key, sizeof v->stored_key));
    explicit_bzero(&made, sizeof made);
    return is_right;
}

bool verifier_is_sound(const struct verifier *v)
{
    if (v->kind == VERIFIER_NONE)
        return true;
    if (v->salt_len == 0 || v->salt_len > VERIFIER_SALT_MAX)
        return false;
    if (v->kind == VERIFIER_SCRAM)
        return v->iterations >= SCRAM_ITERATIONS_LEAST && v->iterations <= SCRAM_ITERATIONS_MOST;
    return v->kind == VERIFIER_SCRYPT && v->log2_n >= 1 && v->log2_n <= SCRYPT_LOG2_N_MOST && v->r >= 1 &&
           v->r <= SCRYPT_RP_MOST && v->p >= 1 && v->p <= SCRYPT_RP_MOST &&
           (UINT64_C(128) * v->r << v->log2_n) + UINT64_C(128) * v->r * v->p <= SCRYPT_MEMORY_MAX;
}

bool verifier_equal(const struct verifier *a, const struct verifier *b)
{
    return a->kind == b->kind && a->salt_len == b->salt_len && a->iterations == b->iterations &&
           a->log2_n == b->log2_n && a->r == b->r && a->p == b->p &&
           memcmp(a->salt, b->salt, sizeof a->salt) == 0 &&
           memcmp(a->stored_key, b->stored_key, sizeof a->stored_key) == 0 &&
           memcmp(a->server_key, b->server_key, sizeof a->server_key) == 0;
}

/* ---- forms of others */

/* least to most bytes of base64, padded or not; what is above `most` is cut when cuts. */
static int read_bytes(struct span text, size_t least, size_t most, uint8_t *ret_bytes, size_t *ret_len)
{
    AUTO_BUF struct buf padded = {0}, bytes = {0};
    buf_add_span(&padded, text);
    while (text.len % 4 != 0 && padded.len % 4 != 0)
        buf_add_char(&padded, '=');
    if (base64_decode(buf_span(&padded), &bytes) < 0 || bytes.len < least || bytes.len > most)
        return -EINVAL;
    memcpy(ret_bytes, bytes.data, bytes.len);
    *ret_len = bytes.len;
    return 0;
}

static int read_number(struct span text, uint32_t *ret_number)
{
    uint64_t number;
    int r = span_number(text, UINT32_MAX, &number);
    if (r >= 0)
        *ret_number = (uint32_t) number;
    return r;
}

static int read_salt(struct span text, struct verifier *v)
{
    size_t len = 0;
    int r = read_bytes(text, 1, VERIFIER_SALT_MAX, v->salt, &len);
    v->salt_len = (uint32_t) len;
    return r;
}

static int read_scram(struct span rest, const char *separators, struct verifier *v)
{
    size_t len;
    v->kind = VERIFIER_SCRAM;
    if (read_number(span_cut(&rest, separators[0]), &v->iterations) < 0 ||
        read_salt(span_cut(&rest, separators[1]), v) < 0 ||
        read_bytes(span_cut(&rest, separators[2]), VERIFIER_KEY_BYTES, VERIFIER_KEY_BYTES, v->stored_key,
                   &len) < 0)
        return -EINVAL;
    return read_bytes(rest, VERIFIER_KEY_BYTES, VERIFIER_KEY_BYTES, v->server_key, &len);
}

static int read_parameter(struct span text, struct span name, uint32_t *ret_number)
{
    if (!span_starts_nocase(text, name))
        return -EINVAL;
    return read_number((struct span){.at = text.at + name.len, .len = text.len - name.len}, ret_number);
}

static int read_scrypt(struct span rest, struct verifier *v)
{
    uint8_t key[2 * VERIFIER_KEY_BYTES];
    size_t len;
    struct span parameters = span_cut(&rest, '$');
    v->kind = VERIFIER_SCRYPT;
    if (read_parameter(span_cut(&parameters, ','), SPAN("ln="), &v->log2_n) < 0 ||
        read_parameter(span_cut(&parameters, ','), SPAN("r="), &v->r) < 0 ||
        read_parameter(parameters, SPAN("p="), &v->p) < 0 || read_salt(span_cut(&rest, '$'), v) < 0 ||
        read_bytes(rest, VERIFIER_KEY_BYTES, sizeof key, key, &len) < 0)
        return -EINVAL;
    memcpy(v->stored_key, key, sizeof v->stored_key);
    return 0;
}

static bool cut_prefix(struct span *text, struct span prefix)
{
    if (!span_starts_nocase(*text, prefix))
        return false;
    *text = (struct span){.at = text->at + prefix.len, .len = text->len - prefix.len};
    return true;
}

int verifier_parse(struct span text, struct verifier *ret_verifier)
{
    struct verifier v = {0};
    int r = -EINVAL;
    if (cut_prefix(&text, SPAN("{SCRAM-SHA-256}")))
        r = read_scram(text, ",,,", &v);
    else if (cut_prefix(&text, SPAN("SCRAM-SHA-256$")))
        r = read_scram(text, ":$:", &v);
    else if (cut_prefix(&text, SPAN("$scrypt$")))
        r = read_scrypt(text, &v);
    if (r < 0 || !verifier_is_sound(&v))
        return -EINVAL;
    *ret_verifier = v;
    return 0;
}
