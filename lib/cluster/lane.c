/* Lanes and pools as the settings have them. Where there are none, nothing is looked at. */
#include "cluster/lane.h"

#include <errno.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "io/idn.h"
#include "mail/ascii.h"

/* ---- who travels where ---- */

/* A row with an address: in any case, its domain as it is or in A-labels. */
static bool is_address(const char *row, const char *sender, const char *domain)
{
    const char *at = strrchr(row, '@'), *sender_at = strrchr(sender, '@');

    return at && sender_at &&
           span_equal_nocase((struct span){row, (size_t) (at - row)},
                             (struct span){sender, (size_t) (sender_at - sender)}) &&
           (strcasecmp(at, sender_at) == 0 || strcasecmp(at + 1, domain) == 0);
}

/*
 * How exactly a row means a sender: SIZE_MAX its address, else so many bytes of its domain, a whole one above each of its suffixes; 0: not at all.
 * domain: in A-labels, "" for the null sender.
 */
static size_t fit_of(const char *row, const char *sender, const char *domain)
{
    if (strcmp(row, "<>") == 0)
        return *sender ? 0 : SIZE_MAX;
    if (row[0] != '@')
        return is_address(row, sender, domain) ? SIZE_MAX : 0;
    if (!*domain || !domain_matches(domain, row + 1))
        return 0;
    return strlen(row) + (row[1] != '.'); /* the name itself beats a suffix that is as long */
}

static bool list_has(const struct conf_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

const char *lane_of(const struct conf *conf, const char *sender, const char *tenant)
{
    const char *best = "", *at_sign = strrchr(sender, '@');
    char domain[DOMAIN_MAX + 1] = "";
    size_t best_fit = 0;

    if (conf->lane_count == 0)
        return best;
    if (at_sign && idn_domain(span_of(at_sign + 1), domain) < 0)
        domain[0] = '\0'; /* a literal: its address, or its tenant */
    for (size_t i = 0; i < conf->lane_count; i++) {
        const struct conf_lane *lane = &conf->lanes[i];
        size_t fit = tenant && list_has(&lane->tenants, tenant);
        for (size_t k = 0; k < lane->senders.count; k++) {
            size_t this = fit_of(lane->senders.items[k], sender, domain);
            fit = this > fit ? this : fit;
        }
        if (fit > best_fit) {
            best = lane->name;
            best_fit = fit;
        }
    }
    return best;
}

/* ---- names of queues ---- */

void queue_name(struct span domain, const char *lane, struct buf *out)
{
    buf_add_span(out, domain);
    if (!*lane)
        return;
    buf_add_char(out, '/');
    buf_add_text(out, lane);
}

void queue_name_apart(struct span domain, const char *lane, uint64_t apart, struct buf *out)
{
    buf_add_span(out, domain);
    buf_add_char(out, '/');
    buf_add_text(out, lane);
    buf_add_text(out, "~r");
    buf_add_number(out, apart);
}

struct span queue_apart(struct span queue)
{
    (void) span_cut(&queue, '~'); /* no domain and no lane has such a character */
    return queue;
}

void queue_split(struct span queue, struct span *ret_domain, struct span *ret_lane)
{
    struct span rest = queue;

    *ret_domain = span_cut(&rest, '/');
    *ret_lane = span_cut(&rest, '~');
}

/* How exactly a row means a queue: its domain decides, then the lane; 0: not at all. A slash without a lane means none: never all of them. */
static size_t row_fit(const char *row, const char *domain, struct span lane)
{
    struct span pattern, row_lane;
    size_t fit;

    queue_split(span_of(row), &pattern, &row_lane);
    if (pattern.len < strlen(row) && (row_lane.len == 0 || !span_equal(row_lane, lane)))
        return 0;
    AUTO_FREE char *cut = pattern.len < strlen(row) ? mem_text(pattern.at, pattern.len) : NULL;
    const char *text = cut ? cut : row;
    if (!domain_matches(domain, text))
        return 0;
    fit = strcmp(text, "*") == 0 ? 1 : pattern.len + 1 + (text[0] != '.'); /* itself beats its suffix */
    return 2 * fit + (row_lane.len > 0);
}

bool queue_fits(const char *row, const char *queue)
{
    struct span domain, lane;

    queue_split(span_of(queue), &domain, &lane);
    AUTO_FREE char *text = mem_text(domain.at, domain.len);
    return row_fit(row, text, lane) > 0;
}

const char *queue_row(const struct conf_map *rows, const char *queue)
{
    struct span domain, lane;
    const char *best = NULL;
    size_t best_fit = 0;

    if (rows->count == 0)
        return NULL;
    queue_split(span_of(queue), &domain, &lane);
    AUTO_FREE char *text = mem_text(domain.at, domain.len);
    for (size_t i = 0; i < rows->count; i++) {
        size_t fit = row_fit(rows->keys[i], text, lane);
        if (fit > best_fit) {
            best = rows->values[i];
            best_fit = fit;
        }
    }
    return best;
}

/* ---- the groups' rows ---- */

const struct conf_lane *lane_find(const struct conf *conf, struct span lane)
{
    for (size_t i = 0; lane.len > 0 && i < conf->lane_count; i++)
        if (span_equal(span_of(conf->lanes[i].name), lane))
            return &conf->lanes[i];
    return NULL;
}

static const struct conf_pool *pool_find(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->pool_count; i++)
        if (strcmp(conf->pools[i].name, name) == 0)
            return &conf->pools[i];
    return NULL;
}

const struct conf_pool *pool_of(const struct conf *conf, struct span queue)
{
    struct span domain, name;

    if (conf->pool_count == 0 || span_equal(queue, SPAN(QUEUE_FANOUT)))
        return NULL;
    queue_split(queue, &domain, &name);
    const struct conf_lane *lane = lane_find(conf, name);
    return pool_find(conf, lane && *lane->pool ? lane->pool : "default");
}

/* ---- are they in order? ---- */

static int fault(const struct conf *conf, const struct conf_member *m, const char *group, const char *name,
                 char **ret_error, struct buf *what)
{
    AUTO_FREE char *path = conf_member_path(m, group, name);
    struct buf text = {.data = NULL};

    conf_place(conf, path, NULL, &text);
    buf_add_text(&text, ": ");
    buf_add_span(&text, buf_span(what));
    *ret_error = buf_steal_text(&text);
    return -EINVAL;
}

/* An address, @domain, @.domain or <>. */
static bool is_sender(const char *row)
{
    struct addr addr;
    char domain[DOMAIN_MAX + 1];

    if (strcmp(row, "<>") == 0)
        return true;
    if (row[0] != '@')
        return addr_parse_utf8(span_of(row), &addr) == 0;
    return domain_normalise(span_of(row + 1 + (row[1] == '.')), domain) == 0;
}

/* A row that is in two lanes means neither. seen: row -> lane. */
static int check_row(const struct conf *conf, const struct conf_lane *lane, const char *setting,
                     const char *row, struct map *seen, char **ret_error)
{
    AUTO_BUF struct buf what = {.data = NULL}, key = {.data = NULL};
    bool is_tenant = strcmp(setting, "tenants") == 0;

    buf_add_char(&key, is_tenant ? 't' : 's');
    for (const char *at = row; *at; at++)
        buf_add_char(&key, is_tenant ? *at : to_lower(*at));
    const struct conf_lane *other = map_set(seen, buf_span(&key), (void *) (uintptr_t) lane);
    if (!is_tenant && !is_sender(row))
        buf_printf(&what, "\"%s\" is no sender; write an address, @domain, @.domain (A-labels), or <>", row);
    else if (other)
        buf_printf(&what, "%s is in lane %s already; leave it in one of them", row, other->name);
    return what.len ? fault(conf, &lane->as_member, "lanes", setting, ret_error, &what) : 0;
}

static int check_list(const struct conf *conf, const struct conf_lane *lane, const char *setting,
                      const struct conf_list *list, struct map *seen, char **ret_error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < list->count; i++)
        r = check_row(conf, lane, setting, list->items[i], seen, ret_error);
    return r;
}

static int check_lanes(const struct conf *conf, char **ret_error)
{
    struct map seen = {0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < conf->lane_count; i++) {
        const struct conf_lane *lane = &conf->lanes[i];
        AUTO_BUF struct buf what = {.data = NULL};
        r = check_list(conf, lane, "senders", &lane->senders, &seen, ret_error);
        if (r == 0)
            r = check_list(conf, lane, "tenants", &lane->tenants, &seen, ret_error);
        if (r < 0 || !*lane->pool || pool_find(conf, lane->pool))
            continue;
        buf_printf(&what, "there is no pool named %s; add it to pools, or take the name out", lane->pool);
        r = fault(conf, &lane->as_member, "lanes", "pool", ret_error, &what);
    }
    map_done(&seen);
    return r;
}

static int check_pools(const struct conf *conf, char **ret_error)
{
    for (size_t i = 0; i < conf->pool_count; i++) {
        const struct conf_pool *pool = &conf->pools[i];
        AUTO_BUF struct buf what = {.data = NULL};
        struct ip ip;
        if (pool->addresses.count == 0) {
            buf_add_text(
                &what, "a pool needs addresses; name those of the couriers' hosts that mail is to come from");
            return fault(conf, &pool->as_member, "pools", "addresses", ret_error, &what);
        }
        for (size_t k = 0; k < pool->addresses.count; k++) {
            if (ip_parse(span_of(pool->addresses.items[k]), &ip) == 0 && ip_kind(&ip) != IP_UNSPECIFIED &&
                ip_kind(&ip) != IP_MULTICAST)
                continue;
            buf_printf(&what, "\"%s\" is no address to come from; write it as 192.0.2.1 or 2001:db8::1",
                       pool->addresses.items[k]);
            return fault(conf, &pool->as_member, "pools", "addresses", ret_error, &what);
        }
        if (*pool->helo_name && domain_check(span_of(pool->helo_name)) < 0) {
            buf_printf(&what, "\"%s\" is no host name", pool->helo_name);
            return fault(conf, &pool->as_member, "pools", "helo_name", ret_error, &what);
        }
    }
    return 0;
}

int lanes_check(const struct conf *conf, char **ret_error)
{
    int r = check_pools(conf, ret_error);

    return r < 0 ? r : check_lanes(conf, ret_error);
}
