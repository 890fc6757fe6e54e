/* Keys of SCRAM (RFC 5802 section 3, SaltedPassword), known by a keyed hash of what they were made from. */
#include "courier/login_key.h"

#include <string.h>

#include "io/crypto.h"

struct login_key {
    uint8_t name[SHA256_BYTES];
    uint8_t key[CLIENT_KEY_BYTES];
    uint64_t used; /* 0: free */
};

struct login_keys {
    struct loop *loop;
    uint8_t secret[32];
    uint64_t uses;
    struct login_key kept[LOGIN_KEYS_MAX];
};

struct login_ask {
    struct login_keys *keys;
    login_on_key *on_key; /* NULL: nobody waits any more */
    void *context;
    struct tail tail; /* when the key is known already */
    struct buf password, salt;
    uint32_t iterations;
    uint8_t name[SHA256_BYTES];
    uint8_t key[CLIENT_KEY_BYTES];
};

_Static_assert((int) CLIENT_KEY_BYTES == (int) SHA256_BYTES, "a key is one hash");

struct login_keys *login_keys_new(struct loop *l)
{
    struct login_keys *k = NEW(struct login_keys);

    k->loop = l;
    crypto_random(k->secret, sizeof(k->secret));
    return k;
}

struct login_keys *login_keys_free(struct login_keys *k)
{
    if (!k)
        return NULL;
    explicit_bzero(k, sizeof(*k));
    return mem_free(k);
}

static void wipe(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->len);
    buf_done(b);
}

static void name_key(struct login_ask *a)
{
    struct span secret = {(const char *) a->keys->secret, sizeof(a->keys->secret)};
    struct buf all = {0};

    buf_printf(&all, "%zu %zu %u ", a->password.len, a->salt.len, a->iterations);
    buf_add_span(&all, buf_span(&a->password));
    buf_add_span(&all, buf_span(&a->salt));
    crypto_hmac(secret, buf_span(&all), a->name);
    wipe(&all);
}

/* The one of this name, else the one to give up for it. */
static struct login_key *place_of(struct login_keys *k, const uint8_t name[static SHA256_BYTES])
{
    struct login_key *oldest = &k->kept[0];

    for (size_t i = 0; i < LOGIN_KEYS_MAX; i++) {
        if (k->kept[i].used > 0 && memcmp(k->kept[i].name, name, SHA256_BYTES) == 0)
            return &k->kept[i];
        if (k->kept[i].used < oldest->used)
            oldest = &k->kept[i];
    }
    return oldest;
}

static void answer(struct login_ask *a)
{
    if (a->on_key)
        a->on_key(a->context, a->key);
    wipe(&a->password);
    buf_done(&a->salt);
    explicit_bzero(a->key, sizeof(a->key));
    mem_free(a);
}

static void on_tail(struct tail *t)
{
    answer(CONTAINER_OF(t, struct login_ask, tail));
}

/* On another thread. */
static void derive(void *context)
{
    struct login_ask *a = context;

    crypto_pbkdf2(buf_span(&a->password), buf_span(&a->salt), a->iterations, a->key);
}

static void on_derived(void *context)
{
    struct login_ask *a = context;
    struct login_key *place = place_of(a->keys, a->name);

    memcpy(place->name, a->name, sizeof(place->name));
    memcpy(place->key, a->key, sizeof(place->key));
    place->used = ++a->keys->uses;
    answer(a);
}

struct login_ask *login_key_ask(struct login_keys *k, struct span password, struct span salt,
                                uint32_t iterations, login_on_key *on_key, void *context)
{
    struct login_ask *a = NEW(struct login_ask);
    struct login_key *known;

    a->keys = k;
    a->on_key = on_key;
    a->context = context;
    a->iterations = iterations;
    buf_add_span(&a->password, password);
    buf_add_span(&a->salt, salt);
    name_key(a);
    known = place_of(k, a->name);
    if (known->used > 0 && memcmp(known->name, a->name, sizeof(a->name)) == 0) {
        known->used = ++k->uses;
        memcpy(a->key, known->key, sizeof(a->key));
        tail_add(k->loop, &a->tail, on_tail);
    } else {
        loop_work(k->loop, derive, on_derived, a);
    }
    return a;
}

void login_key_cancel(struct login_ask *a)
{
    a->on_key = NULL;
}
