/* What was lent of sites' limits, and who uses it. */
#include "dispatcher/site.h"

#include <string.h>

#include "base/mem.h"
#include "dispatcher/schedule_private.h"

enum { SHORT_MS = 1000 }; /* somebody waits: for so long after it was last seen */

static struct work *work_of(struct list *link)
{
    return LIST_ENTRY(link, struct work, site_link);
}

struct span site_name(const struct site *site)
{
    return (struct span){.at = site->name, .len = site->name_len};
}

void site_forget(struct work *w)
{
    list_remove(&w->site_link);
    w->site = NULL;
}

bool site_hear(struct sites *all, struct work *w, struct span name)
{
    struct limit limit;

    if (!all->limits || !name.len || (w->site && span_equal(name, site_name(w->site))) ||
        !limits_find(all->limits, name, &limit))
        return false;
    struct site *site = map_get(&all->all, name);
    if (!site) {
        site = mem_alloc(sizeof(*site) + name.len);
        memcpy(site->name, name.at, name.len);
        site->name_len = name.len;
        list_init(&site->works);
        must(!map_set(&all->all, name, site));
    }
    site_forget(w);
    w->site = site;
    list_append(&site->works, &w->site_link);
    site->is_changed = true;
    return true;
}

void site_cut(const struct site *site, struct limit *part, uint32_t has, uint64_t now_ms)
{
    uint32_t lent = now_ms < site->lent_until_ms ? site->lent.connections : 0;
    uint32_t others = site->used > has ? site->used - has : 0;
    uint32_t most = lent > others ? lent - others : 0;

    if (part->connections > most)
        part->connections = most;
    if (!part->connections || !site->lent.rate_micro)
        return;
    /* Each connection carries its part of the rate: whoever has the connections has no more than their rate. */
    uint64_t rate = site->lent.rate_micro / site->lent.connections * part->connections;
    if (!part->rate_micro || part->rate_micro > rate)
        part->rate_micro = rate ? rate : 1;
}

void site_short(struct site *site, uint64_t now_ms)
{
    site->short_ms = now_ms;
}

bool site_is_short(const struct site *site, uint64_t now_ms)
{
    return site->short_ms && now_ms < site->short_ms + SHORT_MS;
}

static void sum(struct schedule *s, struct site *site, uint64_t now_ms)
{
    uint32_t used = 0, wanted = 0, active = 0;

    for (struct list *it = site->works.next; it != &site->works; it = it->next) {
        struct work *w = work_of(it);
        uint32_t has = shares_connections(&w->shares, NULL, now_ms);
        used += has;
        active += has > 0;
        if (w->wants)
            wanted += work_target(s, w);
    }
    site->is_changed |= wanted > site->wanted || (used < site->used && !site->wanted != !wanted);
    site->used = used;
    site->active = active;
    site->wanted = wanted;
}

void sites_sum(struct schedule *s, uint64_t now_ms)
{
    size_t cursor = 0;
    struct span name;
    void *value;

    if (now_ms < s->sites.sum_ms)
        return;
    s->sites.sum_ms = now_ms + SITE_SUM_MS;
    while (map_next(&s->sites.all, &cursor, &name, &value)) {
        struct site *site = value;
        struct limit limit;
        while ((!s->sites.limits || !limits_find(s->sites.limits, name, &limit)) &&
               !list_is_empty(&site->works))
            site_forget(work_of(site->works.next)); /* the settings have changed */
        sum(s, site, now_ms);
        if (list_is_empty(&site->works) && now_ms >= site->lent_until_ms) {
            map_remove(&s->sites.all, name);
            mem_free(site);
        }
    }
}

size_t sites_borrow(struct sites *all, struct borrow *borrows, uint64_t now_ms)
{
    size_t cursor = 0, count = 0;
    struct span name;
    void *value;

    while (count < FRAME_ENTRIES && map_next(&all->all, &cursor, &name, &value)) {
        struct site *site = value;
        if (now_ms < site->said_ms + (site->is_changed ? SITE_SOONER_MS : SITE_BORROW_MS))
            continue;
        site->said_ms = now_ms;
        site->is_changed = false;
        borrows[count++] = (struct borrow){
            .site = site_name(site),
            .token = site->token,
            .connections = site->used,
            .wanted = site->wanted,
            .finished = site->finished,
            .serial = site->serial,
        };
        site->finished = 0;
    }
    return count;
}

/* Those that waited for it may be granted now; when nobody waits, those that have some may have more. */
static void wake_works(struct schedule *s, struct site *site, uint64_t now_ms)
{
    for (struct list *it = site->works.next; it != &site->works; it = it->next) {
        struct work *w = work_of(it);
        if (!w->wants)
            continue;
        if (!work_active(w, now_ms, NULL))
            work_place(s, w, now_ms); /* it wants: it stays */
        else if (!site_is_short(site, now_ms) &&
                 shares_connections(&w->shares, NULL, now_ms) < work_target(s, w))
            work_share_out(s, w, now_ms);
    }
}

void sites_lend(struct schedule *s, const struct loan *loan, uint64_t now_ms)
{
    struct site *site = map_get(&s->sites.all, loan->site);
    uint64_t until_ms = loan->answers_ms + SHARE_MS;

    if (!site || loan->answers_ms > now_ms || loan->token < site->token ||
        (loan->token == site->token && loan->serial < site->serial))
        return; /* late, or of an earlier life */
    bool is_more = loan->connections > site->lent.connections || now_ms >= site->lent_until_ms;
    site->is_changed |= loan->connections < site->lent.connections; /* the owner waits to hear that we know */
    site->token = loan->token;
    site->serial = loan->serial;
    site->lent = (struct limit){.connections = loan->connections, .rate_micro = loan->rate_micro};
    site->lent_until_ms = until_ms;
    if (is_more)
        wake_works(s, site, now_ms);
}

void sites_done(struct sites *all)
{
    size_t cursor = 0;
    struct span name;
    void *site;

    while (map_next(&all->all, &cursor, &name, &site))
        mem_free(site);
    map_done(&all->all);
}
