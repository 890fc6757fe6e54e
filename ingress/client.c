/* Sessions per client address. */
#include "ingress/client.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "base/mem.h"

enum { V6_PREFIX_BYTES = 8, TELL_EVERY_MS = 1000 };

static struct {
    pthread_mutex_t lock;
    struct map counts;     /* address -> how many, as a pointer that points nowhere */
    struct map handshakes; /* likewise */
    uint64_t sessions;
    uint64_t *listeners; /* sessions of each */
    size_t listener_count;
} clients = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Atomic uint64_t told_ms;

/* A host has a whole /64 of IPv6 to itself. */
static struct span key_of(const struct ip *ip)
{
    return (struct span){.at = (const char *) ip->bytes,
                         .len = ip->is_v4 ? sizeof ip->bytes : V6_PREFIX_BYTES};
}

static uintptr_t add_one(struct map *counts, struct span key)
{
    uintptr_t count = (uintptr_t) map_get(counts, key) + 1;
    (void) map_set(counts, key, (void *) count); /* the count before */
    return count;
}

static void take_one(struct map *counts, struct span key)
{
    uintptr_t count = (uintptr_t) map_get(counts, key);
    must(count > 0);
    if (count > 1)
        (void) map_set(counts, key, (void *) (count - 1)); /* the count before */
    else
        (void) map_remove(counts, key); /* that is 1 */
}

static uint64_t *listener_sessions(size_t listener)
{
    while (clients.listener_count <= listener) {
        clients.listeners = mem_resize(clients.listeners,
                                       (clients.listener_count + 1) * sizeof clients.listeners[0]);
        clients.listeners[clients.listener_count++] = 0;
    }
    return &clients.listeners[listener];
}

bool client_enter(const struct ip *ip, size_t listener, const struct client_limits *limits)
{
    must(pthread_mutex_lock(&clients.lock) == 0);
    uintptr_t count = add_one(&clients.counts, key_of(ip));
    uint64_t of_listener = ++*listener_sessions(listener);
    bool is_within = ++clients.sessions <= limits->node && of_listener <= limits->listener &&
                     count <= limits->client;
    must(pthread_mutex_unlock(&clients.lock) == 0);
    return is_within;
}

void client_leave(const struct ip *ip, size_t listener)
{
    must(pthread_mutex_lock(&clients.lock) == 0);
    must(clients.sessions > 0 && *listener_sessions(listener) > 0);
    clients.sessions--;
    clients.listeners[listener]--;
    take_one(&clients.counts, key_of(ip));
    must(pthread_mutex_unlock(&clients.lock) == 0);
}

void client_begin_handshake(const struct ip *ip)
{
    must(pthread_mutex_lock(&clients.lock) == 0);
    (void) add_one(&clients.handshakes, key_of(ip)); /* client_handshakes() is asked before */
    must(pthread_mutex_unlock(&clients.lock) == 0);
}

void client_end_handshake(const struct ip *ip)
{
    must(pthread_mutex_lock(&clients.lock) == 0);
    take_one(&clients.handshakes, key_of(ip));
    must(pthread_mutex_unlock(&clients.lock) == 0);
}

uint64_t client_handshakes(const struct ip *ip)
{
    must(pthread_mutex_lock(&clients.lock) == 0);
    uintptr_t count = (uintptr_t) map_get(&clients.handshakes, key_of(ip));
    must(pthread_mutex_unlock(&clients.lock) == 0);
    return count;
}

bool client_may_tell(uint64_t now_ms)
{
    uint64_t before = atomic_load(&told_ms);
    return (before == 0 || now_ms - before >= TELL_EVERY_MS) &&
           atomic_compare_exchange_strong(&told_ms, &before, now_ms);
}
