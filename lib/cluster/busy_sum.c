/* What couriers do, added up. There are few: a courier tells of its busiest queues only. */
#include "cluster/busy_sum.h"

#include "base/mem.h"

struct busy_sum *busy_sums_find(const struct busy_sums *sums, struct span name)
{
    for (size_t i = 0; i < sums->count; i++)
        if (span_equal(span_of(sums->all[i].name), name))
            return &sums->all[i];
    return NULL;
}

static struct busy_sum *sum_of(struct busy_sums *sums, const char *name)
{
    struct busy_sum *known = busy_sums_find(sums, span_of(name));

    if (known)
        return known;
    sums->all = mem_resize(sums->all, (sums->count + 1) * sizeof(*sums->all));
    sums->all[sums->count] = (struct busy_sum){.name = mem_string(name), .has_rate_limit = true};
    return &sums->all[sums->count++];
}

void busy_sums_read(const struct node_view *view, uint64_t now_ms, bool by_site, struct busy_sums *ret_sums)
{
    struct busy_sums sums = {.all = NULL};

    for (size_t i = 0; i < view->count; i++) {
        const struct node_peer *p = &view->peers[i];
        for (size_t j = 0; j < p->stats.busy_count && node_is_beating(p, now_ms); j++) {
            const struct node_busy *b = &p->stats.busy[j];
            if (by_site && !*b->site)
                continue;
            struct busy_sum *sum = sum_of(&sums, by_site ? b->site : b->queue);
            sum->connections += b->connections;
            sum->granted += b->granted;
            sum->rate += b->rate;
            sum->has_rate_limit &= b->rate > 0;
            sum->jobs += b->jobs;
            sum->queues++;
            sum->couriers += sum->courier != p->incarnation;
            sum->courier = p->incarnation;
        }
    }
    *ret_sums = sums;
}

void busy_sums_done(struct busy_sums *sums)
{
    for (size_t i = 0; i < sums->count; i++)
        mem_free(sums->all[i].name);
    mem_free(sums->all);
    *sums = (struct busy_sums){.all = NULL};
}
