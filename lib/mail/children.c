/* Two lists of what is missing, by the number of the child: its queue's index + 1. All else up to state.reached is made. */
#include "mail/children.h"

#include <string.h>

#include "base/mem.h"

/* Where it stands, or belongs. */
static size_t place_of(const uint32_t *list, size_t count, uint32_t child)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list[middle] < child)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has(const uint32_t *list, size_t count, uint32_t child)
{
    size_t at = place_of(list, count, child);

    return at < count && list[at] == child;
}

static void take_out(uint32_t *list, size_t *count, uint32_t child)
{
    size_t at = place_of(list, *count, child);

    if (at == *count || list[at] != child)
        return;
    memmove(list + at, list + at + 1, (*count - at - 1) * sizeof(*list));
    --*count;
}

static void put_in(uint32_t **list, size_t *count, uint32_t child)
{
    size_t at = place_of(*list, *count, child);

    *list = mem_resize(*list, (*count + 1) * sizeof(**list));
    memmove(*list + at + 1, *list + at, (*count - at) * sizeof(**list));
    (*list)[at] = child;
    ++*count;
}

/* Before the first that is missing: what an older version, which knows no lists, goes on from. */
static void set_cursor(struct job_state *s)
{
    uint32_t missing = s->reached + 1;

    if (s->left_count > 0 && s->left[0] < missing)
        missing = s->left[0];
    if (s->unknown_count > 0 && s->unknown[0] < missing)
        missing = s->unknown[0];
    s->cursor = missing - 1;
}

enum child_state children_find(const struct job_state *s, size_t queue)
{
    uint32_t child = (uint32_t) queue + 1;

    must(queue < s->reached);
    if (has(s->left, s->left_count, child))
        return CHILD_LEFT;
    return has(s->unknown, s->unknown_count, child) ? CHILD_UNKNOWN : CHILD_MADE;
}

void children_mark(struct job_state *s, size_t queue, enum child_state what)
{
    uint32_t child = (uint32_t) queue + 1;

    must(queue <= s->reached);
    if (queue == s->reached)
        s->reached++;
    take_out(s->left, &s->left_count, child);
    take_out(s->unknown, &s->unknown_count, child);
    if (what == CHILD_LEFT)
        put_in(&s->left, &s->left_count, child);
    else if (what == CHILD_UNKNOWN)
        put_in(&s->unknown, &s->unknown_count, child);
    set_cursor(s);
}

void children_mark_all(struct job_state *s, size_t count)
{
    s->left_count = s->unknown_count = 0;
    s->reached = (uint32_t) count;
    set_cursor(s);
}

bool children_are_told(const struct job_state *s, const struct envelope *e, size_t queue)
{
    for (size_t i = 0; i < s->recipient_count; i++)
        if (s->recipients[i].is_done && e->recipients[i].queue == queue)
            return true;
    return false;
}

void children_doubt(struct job_state *s, const struct envelope *e, size_t most)
{
    size_t count = e->queue_count, end = count - s->reached < most ? count : s->reached + most;

    for (size_t i = 0; i < s->left_count;) {
        if (children_are_told(s, e, s->left[i] - 1))
            i++;
        else
            children_mark(s, s->left[i] - 1, CHILD_UNKNOWN);
    }
    while (s->reached < end)
        children_mark(s, s->reached, CHILD_UNKNOWN);
}

void children_give_up(struct job_state *s)
{
    while (s->unknown_count > 0)
        children_mark(s, s->unknown[0] - 1, CHILD_LEFT);
}
