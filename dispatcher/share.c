/* Parts of a limit. */
#include "dispatcher/share.h"

static bool is_over(const struct share *s, uint64_t now_ms)
{
    return now_ms >= s->until_ms;
}

static uint64_t rate_of(uint64_t rate_micro)
{
    return rate_micro ? rate_micro : UINT64_MAX;
}

uint32_t share_connections(const struct share *s, uint64_t now_ms)
{
    return is_over(s, now_ms) ? 0 : s->most;
}

uint32_t shares_connections(const struct list *shares, const struct share *but, uint64_t now_ms)
{
    uint32_t sum = 0;

    for (const struct list *it = shares->next; it != shares; it = it->next) {
        const struct share *s = (const struct share *) (const void *) it; /* link is its first member */
        if (s != but)
            sum += share_connections(s, now_ms);
    }
    return sum;
}

uint64_t shares_rate(const struct list *shares, const struct share *but, uint64_t now_ms)
{
    uint64_t sum = 0;

    for (const struct list *it = shares->next; it != shares; it = it->next) {
        const struct share *s = (const struct share *) (const void *) it;
        if (s == but || !share_connections(s, now_ms))
            continue;
        if (s->most_rate > UINT64_MAX - sum)
            return UINT64_MAX;
        sum += s->most_rate;
    }
    return sum;
}

void share_grant(struct share *s, uint32_t connections, uint64_t rate_micro, uint32_t serial,
                 uint64_t heard_ms, uint64_t now_ms)
{
    if (is_over(s, now_ms)) {
        s->most = 0;
        s->most_rate = 0;
    }
    s->connections = connections;
    s->rate_micro = rate_micro;
    s->serial = serial;
    s->is_known = false;
    if (!connections)
        return; /* what was granted before ends when it would have ended */
    if (s->most < connections)
        s->most = connections;
    if (s->most_rate < rate_of(rate_micro))
        s->most_rate = rate_of(rate_micro);
    if (s->until_ms < heard_ms + SHARE_MS)
        s->until_ms = heard_ms + SHARE_MS;
}

void share_hear(struct share *s, bool knows, uint32_t used, uint64_t now_ms)
{
    if (is_over(s, now_ms)) {
        share_return(s, used, now_ms);
        return;
    }
    if (knows) {
        s->is_known = true;
        s->most = s->connections;
        s->most_rate = rate_of(s->rate_micro);
    }
    if (s->most < used)
        s->most = used;
}

void share_adopt(struct share *s, uint32_t connections, uint32_t used, uint64_t rate_micro, uint32_t serial,
                 uint64_t now_ms)
{
    s->connections = connections;
    s->most = connections > used ? connections : used;
    s->rate_micro = rate_micro;
    s->most_rate = rate_of(rate_micro);
    s->until_ms = now_ms + SHARE_MS;
    s->serial = serial;
    s->is_known = true;
}

void share_return(struct share *s, uint32_t used, uint64_t now_ms)
{
    s->connections = 0;
    s->most = used;
    s->until_ms = used ? now_ms + SHARE_MS : now_ms;
}
