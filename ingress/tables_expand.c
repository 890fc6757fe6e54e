/*
 * Aliases of aliases, breadth first. An address that comes back to itself ends there and is mailed to (so "bob: bob, archive" is no loop);
 * one that was come to twice on different ways is mailed to once.
 */
#include <string.h>

#include "base/mem.h"
#include "cluster/address_text.h"
#include "ingress/tables_private.h"

static const struct tables_result too_deep = {
    .code = 554, .status = "5.4.6", .text = "The aliases of this address do not come to an end"};
const struct tables_result expansion_too_many = {
    .code = 554, .status = "5.5.3", .text = "The aliases of this address are too many"};
static const struct tables_result nothing = {
    .code = 554, .status = "5.3.5", .text = "The alias of this address leads to no address that can be used"};

void expansion_done(struct expansion *e)
{
    for (size_t i = 0; i < e->count; i++)
        mem_free(e->items[i]);
    mem_free(e->items);
    map_done(&e->seen);
}

static struct item *add(struct expansion *e, const struct item *parent, struct span local, struct span domain)
{
    struct item *item = mem_alloc(sizeof *item + local.len + 1 + domain.len + 1);

    item->parent = parent;
    item->depth = parent ? parent->depth + 1 : 0;
    item->local_len = local.len;
    item->len = local.len + 1 + domain.len;
    memcpy(item->text, local.at, local.len);
    item->text[local.len] = '@';
    memcpy(item->text + local.len + 1, domain.at, domain.len);
    if (e->count == e->room) {
        e->room = e->room ? 2 * e->room : 4;
        e->items = mem_resize(e->items, e->room * sizeof e->items[0]);
    }
    e->items[e->count++] = item;
    (void) map_set(&e->seen, (struct span){.at = item->text, .len = item->len}, item); /* it is new */
    return item;
}

struct item *expansion_begin(struct expansion *e, struct span local, struct span domain)
{
    return add(e, NULL, local, domain);
}

struct span item_local(const struct item *item)
{
    return (struct span){.at = item->text, .len = item->local_len};
}

struct span item_domain(const struct item *item)
{
    return (struct span){.at = item->text + item->local_len + 1, .len = item->len - item->local_len - 1};
}

void expansion_settle(struct expansion *e, struct item *item)
{
    e->final_count += !item->is_final;
    item->is_final = true;
}

static bool is_ancestor(const struct item *of, const struct item *item)
{
    while (of && of != item)
        of = of->parent;
    return of != NULL;
}

/* One address, or @domain, that stands for the item. False: it is no address that mail could go to. */
static bool add_one(struct expansion *e, const struct item *item, struct span one)
{
    AUTO_BUF struct buf text = {.data = NULL};
    struct addr addr;

    if (one.len && one.at[0] == '@')
        buf_add(&text, item->text, item->local_len);
    buf_add_span(&text, one);
    if (addr_parse_utf8(buf_span(&text), &addr) < 0 || addr.is_literal)
        return false;
    struct item *known = map_get(&e->seen, buf_span(&text));
    if (!known)
        (void) add(e, item, addr.local, addr.domain); /* found by its place */
    else if (is_ancestor(item, known))
        expansion_settle(e, known);
    return true;
}

const struct tables_result *expansion_add(struct expansion *e, const struct item *item, struct span value)
{
    struct span rest = value, one;
    bool is_any = false;

    if (item->depth == TABLES_DEPTH_MAX)
        return &too_deep;
    while (address_next(&rest, &one)) {
        is_any |= add_one(e, item, one);
        if (e->final_count > TABLES_RESULTS_MAX || e->count > 2 * TABLES_RESULTS_MAX)
            return &expansion_too_many;
    }
    return is_any ? NULL : &nothing;
}
