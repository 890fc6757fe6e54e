/* What routes are made of, without asking anybody. */
#include "courier/route.h"

#include <string.h>

bool route_site_is_limited(const char *site, const struct conf_map *limits)
{
    for (size_t i = 0; i < limits->count; i++) {
        if (domain_matches(site, limits->keys[i]))
            return true;
    }
    return false;
}

bool route_list_has(const struct conf_list *list, const struct ip *ip)
{
    for (size_t i = 0; i < list->count; i++) {
        struct network n;

        if (network_parse(span_of(list->items[i]), &n) == 0 && network_has(&n, ip))
            return true;
    }
    return false;
}

bool route_may_connect(const struct ip *ip, const struct conf_list *own_addresses,
                       const struct conf_list *allow_private, bool refuse_private)
{
    if (route_list_has(own_addresses, ip))
        return false;
    if (route_list_has(allow_private, ip))
        return true;
    switch (ip_kind(ip)) {
    case IP_PUBLIC: return true;
    case IP_PRIVATE: return !refuse_private;
    case IP_LOOPBACK:
    case IP_LINK_LOCAL:
    case IP_UNSPECIFIED:
    case IP_MULTICAST:
    case IP_RESERVED: break;
    }
    return false;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t route_cap(struct target *targets, size_t count, size_t most)
{
    size_t v4 = 0, v6, kept = 0, left_v4, left_v6;

    if (count <= most)
        return count;
    for (size_t i = 0; i < count; i++)
        v4 += targets[i].ip.is_v4;
    v6 = count - v4;
    left_v4 = most - smaller(v6, most / 2);
    left_v6 = most - smaller(v4, most / 2);
    for (size_t i = 0; i < count; i++) {
        size_t *left = targets[i].ip.is_v4 ? &left_v4 : &left_v6;

        if (kept == most || *left == 0) {
            target_done(&targets[i]);
            continue;
        }
        (*left)--;
        targets[kept++] = targets[i];
    }
    return kept;
}

void target_copy(struct target *to, const struct target *from)
{
    *to = *from;
    to->path = from->path ? mem_string(from->path) : NULL;
    tls_policy_hold(to->policy);
}

bool target_equal(const struct target *a, const struct target *b)
{
    bool is_same_place = a->path || b->path ? a->path && b->path && strcmp(a->path, b->path) == 0
                                            : a->port == b->port && ip_equal(&a->ip, &b->ip);

    return is_same_place && strcmp(a->host, b->host) == 0;
}

void target_done(struct target *t)
{
    t->path = mem_free(t->path);
    t->policy = tls_policy_release(t->policy);
}

struct route *route_free(struct route *r)
{
    if (!r)
        return NULL;
    for (size_t i = 0; i < r->count; i++)
        target_done(&r->targets[i]);
    verdict_done(&r->failure);
    mem_free(r->targets);
    transport_done(&r->transport);
    conf_release(r->conf);
    mem_free(r->how);
    mem_free(r->site);
    return mem_free(r);
}
