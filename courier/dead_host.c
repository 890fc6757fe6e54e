/* Hosts that could not be connected to a moment ago. */
#include "courier/dead_host.h"

#include <string.h>

/* What tells two places apart; made in place, so that asking costs no memory. */
struct place {
    uint8_t to[16], from[16];
    uint8_t port[2];
};

/* A unix socket has no place here: asking it costs nothing. */
static bool place_of(const struct target *t, const struct ip *source, struct place *ret_place)
{
    if (t->path)
        return false;
    memset(ret_place, 0, sizeof(*ret_place));
    memcpy(ret_place->to, t->ip.bytes, sizeof(ret_place->to));
    if (source)
        memcpy(ret_place->from, source->bytes, sizeof(ret_place->from));
    ret_place->port[0] = (uint8_t) (t->port >> 8);
    ret_place->port[1] = (uint8_t) t->port;
    return true;
}

static struct span place_key(const struct place *p)
{
    return (struct span){(const char *) p, sizeof(*p)};
}

static void forget_old(struct dead_hosts *d, uint64_t now_ms)
{
    size_t cursor = 0;
    struct span key;
    void *value;

    while (map_next(&d->until, &cursor, &key, &value)) {
        if ((uintptr_t) value <= now_ms)
            map_remove(&d->until, key);
    }
}

void dead_hosts_add(struct dead_hosts *d, const struct target *t, const struct ip *source, uint64_t now_ms)
{
    struct place p;

    if (!place_of(t, source, &p))
        return;
    if (d->until.count >= DEAD_HOSTS_MAX)
        forget_old(d, now_ms);
    if (d->until.count < DEAD_HOSTS_MAX)
        map_set(&d->until, place_key(&p), (void *) (uintptr_t) (now_ms + DEAD_HOST_MS));
}

void dead_hosts_remove(struct dead_hosts *d, const struct target *t, const struct ip *source)
{
    struct place p;

    if (d->until.count > 0 && place_of(t, source, &p))
        map_remove(&d->until, place_key(&p));
}

bool dead_hosts_has(const struct dead_hosts *d, const struct target *t, const struct ip *source,
                    uint64_t now_ms)
{
    struct place p;

    return d->until.count > 0 && place_of(t, source, &p) &&
           (uintptr_t) map_get(&d->until, place_key(&p)) > now_ms;
}

void dead_hosts_done(struct dead_hosts *d)
{
    map_done(&d->until);
}
