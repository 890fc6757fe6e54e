/*
 * Sessions that clients may resume. OpenSSL marks a session of its own as it sees fit, from any thread that uses it: so what is kept here is a
 * copy, and what is given out is another one.
 */
#include <pthread.h>
#include <time.h>

#include <openssl/ssl.h>

#include "base/list.h"
#include "base/mem.h"
#include "io/tls_private.h"

struct kept {
    struct list place;
    char *key;
    SSL_SESSION *session;
};

struct tls_sessions {
    pthread_mutex_t lock;
    size_t max;
    struct map by_key;
    struct list latest_first;
};

struct tls_sessions *tls_sessions_new(size_t max)
{
    struct tls_sessions *s = NEW(struct tls_sessions);
    must(pthread_mutex_init(&s->lock, NULL) == 0);
    s->max = max;
    list_init(&s->latest_first);
    return s;
}

static void drop(struct tls_sessions *s, struct kept *k)
{
    if (!k)
        return;
    must(map_remove(&s->by_key, span_of(k->key)) == k);
    list_remove(&k->place);
    SSL_SESSION_free(k->session);
    mem_free(k->key);
    mem_free(k);
}

struct tls_sessions *tls_sessions_free(struct tls_sessions *s)
{
    if (!s)
        return NULL;
    LIST_EACH(&s->latest_first, it, save)
        drop(s, LIST_ENTRY(it, struct kept, place));
    map_done(&s->by_key);
    must(pthread_mutex_destroy(&s->lock) == 0);
    return mem_free(s);
}

static bool is_over(const SSL_SESSION *session)
{
    return SSL_SESSION_get_time(session) + SSL_SESSION_get_timeout(session) <= (long) time(NULL) ||
           SSL_SESSION_is_resumable(session) != 1;
}

SSL_SESSION *tls_sessions_get(struct tls_sessions *s, const char *key)
{
    SSL_SESSION *session = NULL;
    must(pthread_mutex_lock(&s->lock) == 0);
    struct kept *k = map_get(&s->by_key, span_of(key));
    if (k && is_over(k->session)) {
        drop(s, k);
    } else if (k) {
        list_remove(&k->place);
        list_prepend(&s->latest_first, &k->place);
        session = SSL_SESSION_dup(k->session);
        must(session);
    }
    must(pthread_mutex_unlock(&s->lock) == 0);
    return session;
}

void tls_sessions_put(struct tls_sessions *s, const char *key, const SSL_SESSION *session)
{
    must(pthread_mutex_lock(&s->lock) == 0);
    drop(s, map_get(&s->by_key, span_of(key)));
    if (s->by_key.count >= s->max)
        drop(s, LIST_ENTRY(s->latest_first.prev, struct kept, place));
    struct kept *k = NEW(struct kept);
    k->key = mem_string(key);
    k->session = SSL_SESSION_dup(session);
    must(k->session);
    (void) map_set(&s->by_key, span_of(key), k); /* nothing before */
    list_prepend(&s->latest_first, &k->place);
    must(pthread_mutex_unlock(&s->lock) == 0);
}

void tls_sessions_drop(struct tls_sessions *s, const char *key)
{
    must(pthread_mutex_lock(&s->lock) == 0);
    drop(s, map_get(&s->by_key, span_of(key)));
    must(pthread_mutex_unlock(&s->lock) == 0);
}
