/*
 * Session tickets. Their keys come from a secret that all nodes share and from the trust of the server, so that a ticket is good at any node,
 * but nowhere where something else is asked of a client: there it cannot even be opened.
 */
#include <pthread.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "io/crypto.h"
#include "io/tls_private.h"

enum { NAME_BYTES = 16, KEY_BYTES = 32, IV_BYTES = 16 };

struct tls_tickets {
    pthread_mutex_t lock;
    struct tls_ticket_secret secrets[TLS_TICKET_SECRETS];
    size_t count;
    bool are_made;
};

/* As derived: what names the key in the ticket, and what the ticket is sealed with. */
struct ticket_key {
    unsigned char name[NAME_BYTES];
    unsigned char cipher[KEY_BYTES];
    unsigned char mac[KEY_BYTES];
};

struct tls_tickets *tls_tickets_new(void)
{
    struct tls_tickets *t = NEW(struct tls_tickets);
    must(pthread_mutex_init(&t->lock, NULL) == 0);
    return t;
}

struct tls_tickets *tls_tickets_free(struct tls_tickets *t)
{
    if (!t)
        return NULL;
    must(pthread_mutex_destroy(&t->lock) == 0);
    explicit_bzero(t, sizeof *t);
    return mem_free(t);
}

void tls_tickets_set(struct tls_tickets *t, const struct tls_ticket_secret *secrets, size_t count)
{
    must(count <= TLS_TICKET_SECRETS);
    must(pthread_mutex_lock(&t->lock) == 0);
    t->are_made = count > 0;
    if (count > 0) {
        memcpy(t->secrets, secrets, count * sizeof *secrets);
        t->count = count;
    }
    must(pthread_mutex_unlock(&t->lock) == 0);
}

bool tls_tickets_are_made(struct tls_tickets *t)
{
    must(pthread_mutex_lock(&t->lock) == 0);
    bool are_made = t->are_made;
    must(pthread_mutex_unlock(&t->lock) == 0);
    return are_made;
}

size_t tls_tickets_get(struct tls_tickets *t, struct tls_ticket_secret *secrets)
{
    must(pthread_mutex_lock(&t->lock) == 0);
    size_t count = t->count;
    memcpy(secrets, t->secrets, count * sizeof *secrets);
    must(pthread_mutex_unlock(&t->lock) == 0);
    return count;
}

static void derive(const struct tls_ticket_secret *secret, const char *trust, struct ticket_key *ret_key)
{
    AUTO_BUF struct buf info = {0};
    buf_add_text(&info, "barid session ticket ");
    buf_add_text(&info, trust);
    crypto_hkdf((struct span){.at = (const char *) secret->bytes, .len = sizeof secret->bytes},
                buf_span(&info), (uint8_t *) ret_key, sizeof *ret_key);
}

static int seal_with(struct ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, bool is_new)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, is_new) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 1: use it; 2: the same, and give out a new one; 0: not ours, so the handshake goes on in full; -1: it fails. */
int tls_on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                  int is_new)
{
    const struct tls_heard *heard = SSL_get_app_data(ssl);
    const struct tls_server *server = heard->server;
    struct tls_ticket_secret secrets[TLS_TICKET_SECRETS];
    struct ticket_key key = {0};
    size_t count = tls_tickets_get(server->tickets, secrets);
    int r = is_new ? -1 : 0;
    if (is_new && count > 0) {
        derive(&secrets[0], server->trust, &key);
        memcpy(name, key.name, sizeof key.name);
        crypto_random(iv, IV_BYTES);
        r = seal_with(&key, iv, cipher, mac, true) ? 1 : -1;
    }
    for (size_t i = 0; !is_new && r == 0 && i < count; i++) {
        derive(&secrets[i], server->trust, &key);
        if (memcmp(name, key.name, sizeof key.name) == 0)
            r = !seal_with(&key, iv, cipher, mac, false) ? -1 : i == 0 ? 1 : 2;
    }
    explicit_bzero(secrets, sizeof secrets);
    explicit_bzero(&key, sizeof key);
    return r;
}
