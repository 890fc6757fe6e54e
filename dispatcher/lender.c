/* Loans of sites' limits: shares, as those of a queue among its couriers. */
#include "dispatcher/lender.h"

#include "base/mem.h"
#include "dispatcher/share.h"

struct borrower {
    struct share share; /* link: in lending.shares */
    uint64_t incarnation;
    uint64_t token; /* of the lease under which we lent; 0: we did not */
    uint64_t heard_ms;
    uint64_t count; /* of the hello */
    uint32_t wanted;
};

struct lending {
    struct list shares;
    size_t count;
    uint32_t serial;
};

static struct borrower *borrower_of(struct list *link)
{
    return LIST_ENTRY(link, struct borrower, share.link);
}

static struct borrower *find_borrower(struct lending *site, uint64_t incarnation)
{
    for (struct list *it = site->shares.next; it != &site->shares; it = it->next)
        if (borrower_of(it)->incarnation == incarnation)
            return borrower_of(it);
    if (site->count == BORROWERS_MAX)
        return NULL;
    struct borrower *b = NEW(struct borrower);
    b->incarnation = incarnation;
    list_append(&site->shares, &b->share.link);
    site->count++;
    return b;
}

static void hear(struct lending *site, struct borrower *who, const struct borrow *b, uint64_t now_ms)
{
    bool knows = b->token == who->token && b->serial == who->share.serial;

    who->heard_ms = now_ms;
    who->wanted = b->wanted;
    if (!who->token || b->token > who->token) { /* lent by the owner before us, as far as it is used */
        who->token = 0;
        share_adopt(&who->share, b->connections, b->connections, 0, b->serial, now_ms);
        if (site->serial < b->serial)
            site->serial = b->serial;
        return;
    }
    share_hear(&who->share, knows, b->connections, now_ms);
}

/* What all have together when nobody has more than it wants, nor more than level. */
static uint64_t sum_at(const struct lending *site, uint32_t level)
{
    uint64_t sum = 0;

    for (struct list *it = site->shares.next; it != &site->shares; it = it->next) {
        uint32_t wanted = borrower_of(it)->wanted;
        sum += wanted < level ? wanted : level;
    }
    return sum;
}

/* What this one is to have: as much as it wants while that is not more than the others can have too. */
static uint32_t part_of(const struct lending *site, const struct borrower *who, uint32_t most)
{
    uint32_t level = 0, above = most + 1; /* the highest level at which there is enough for all */

    while (above - level > 1) {
        uint32_t middle = level + (above - level) / 2;
        if (sum_at(site, middle) <= most)
            level = middle;
        else
            above = middle;
    }
    level += sum_at(site, level) < most; /* what cannot be divided: who asks first */
    return who->wanted < level ? who->wanted : level;
}

static struct lending *find_lending(struct lender *l, struct span name)
{
    struct lending *site = map_get(&l->sites, name);

    if (site || l->sites.count >= LENDINGS_MAX)
        return site;
    site = NEW(struct lending);
    list_init(&site->shares);
    must(!map_set(&l->sites, name, site));
    return site;
}

bool lender_hear(struct lender *l, const struct hello *from, const struct borrow *b, uint64_t now_ms,
                 struct loan *ret_loan)
{
    const struct partition *p = &l->partitions->of[partition_of(b->site)];
    struct limit limit;

    if (!l->limits || !limits_find(l->limits, b->site, &limit))
        return false;
    partitions_see_token(l->partitions, partition_of(b->site), b->token, from->incarnation);
    struct lending *site = find_lending(l, b->site);
    struct borrower *who = site ? find_borrower(site, from->incarnation) : NULL;
    if (!who || (from->count && from->count <= who->count)) /* too many; or overtaken, or said again */
        return false;
    who->count = from->count;
    hear(site, who, b, now_ms);
    if (!partition_is_usable(p, now_ms))
        return false;
    uint32_t others = shares_connections(&site->shares, &who->share, now_ms);
    uint32_t part = part_of(site, who, limit.connections);
    if (part > (limit.connections > others ? limit.connections - others : 0))
        part = limit.connections > others ? limit.connections - others : 0;
    if (now_ms < p->acquired_ms + LEASE_ALONE_MS && part > b->connections)
        part = b->connections; /* what the owner before us lent may not all be known yet */
    share_grant(&who->share, part, 0, ++site->serial, now_ms, now_ms);
    who->token = p->token;
    *ret_loan = (struct loan){
        .site = b->site,
        .token = p->token,
        .connections = part,
        .rate_micro = limit.rate_micro / limit.connections * part,
        .answers_ms = from->clock_ms,
        .serial = who->share.serial,
    };
    return true;
}

static void lending_free(struct lending *site)
{
    LIST_EACH(&site->shares, it, save)
        mem_free(borrower_of(it));
    mem_free(site);
}

void lender_check(struct lender *l, uint64_t now_ms)
{
    size_t cursor = 0;
    struct span name;
    void *value;

    while (map_next(&l->sites, &cursor, &name, &value)) {
        struct lending *site = value;
        LIST_EACH(&site->shares, it, save) {
            struct borrower *b = borrower_of(it);
            if (now_ms < b->heard_ms + SHARE_MS || share_connections(&b->share, now_ms))
                continue;
            list_remove(it);
            site->count--;
            mem_free(b);
        }
        if (list_is_empty(&site->shares)) {
            map_remove(&l->sites, name);
            lending_free(site);
        }
    }
}

void lender_done(struct lender *l)
{
    size_t cursor = 0;
    struct span name;
    void *site;

    while (map_next(&l->sites, &cursor, &name, &site))
        lending_free(site);
    map_done(&l->sites);
}
