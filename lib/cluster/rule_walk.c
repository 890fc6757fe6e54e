/*
 * Which rules may mean a queue. Those that name one queue are found by its name; those that mean many, or any, are looked at one after the other:
 * a thousand rules for a thousand queues cost a job no more than a few.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/lane.h"
#include "cluster/rule.h"

static const char *queue_of(const struct rule *r)
{
    return r->filter.queue ? r->filter.queue : "";
}

static bool names_one(const struct rule *r)
{
    const char *queue = queue_of(r);

    return *queue && *queue != '*' && *queue != '.';
}

/* Names first, in order of the alphabet; then by number. */
static int compare(const void *left, const void *right)
{
    const struct rule *a = *(const struct rule *const *) left, *b = *(const struct rule *const *) right;

    if (names_one(a) != names_one(b))
        return names_one(a) ? -1 : 1;
    int order = names_one(a) ? strcmp(queue_of(a), queue_of(b)) : 0;
    return order ? order : (a->number > b->number) - (a->number < b->number);
}

void rules_index(struct rules *rules)
{
    if (rules->count == 0)
        return;
    rules->by_queue = mem_array(rules->count, sizeof(*rules->by_queue));
    rules->named = 0;
    for (size_t i = 0; i < rules->count; i++) {
        rules->by_queue[i] = &rules->items[i];
        rules->named += names_one(&rules->items[i]);
    }
    qsort(rules->by_queue, rules->count, sizeof(*rules->by_queue), compare);
}

/* The first that names this queue, or one behind it. */
static size_t find(const struct rules *rules, const char *queue)
{
    size_t low = 0, high = rules->named;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(queue_of(rules->by_queue[middle]), queue) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_run(struct rule_walk *w, size_t from, size_t end)
{
    if (from < end)
        w->runs[w->count++] = (struct rule_run){.next = from, .end = end};
}

static void add_named(struct rule_walk *w, const char *queue)
{
    size_t from = find(w->rules, queue), end = from;

    while (end < w->rules->named && strcmp(queue_of(w->rules->by_queue[end]), queue) == 0)
        end++;
    add_run(w, from, end);
}

void rule_walk_begin(struct rule_walk *w, const struct rules *rules, const char *queue)
{
    *w = (struct rule_walk){.rules = rules};
    if (!rules->by_queue) {
        add_run(w, 0, rules->count);
        return;
    }
    add_named(w, queue);
    if (queue_apart(span_of(queue)).len > 0) {
        AUTO_FREE char *from = rule_queue_origin(queue);
        add_named(w, from);
    }
    add_run(w, rules->named, rules->count);
}

static const struct rule *at(const struct rule_walk *w, size_t run)
{
    size_t next = w->runs[run].next;

    return w->rules->by_queue ? w->rules->by_queue[next] : &w->rules->items[next];
}

const struct rule *rule_walk_next(struct rule_walk *w)
{
    const struct rule *first = NULL;
    size_t of = 0;

    for (size_t i = 0; i < w->count; i++) {
        const struct rule_run *run = &w->runs[i];
        if (run->next < run->end && (!first || at(w, i)->number < first->number)) {
            first = at(w, i);
            of = i;
        }
    }
    if (first)
        w->runs[of].next++;
    return first;
}
