/* Counts by name: who was busy lately is shown, others take a place only from who is half as busy. */
#include "base/busiest.h"

#include "base/mem.h"

struct busy {
    int64_t counts[BUSIEST_WORDS]; /* since it is shown */
    uint64_t recent;               /* halved with each election */
    bool is_shown;
};

static const struct span other = {.at = "other", .len = 5};

static void show(struct busiest *b, struct busy *one, bool is_shown)
{
    one->is_shown = is_shown;
    b->shown += is_shown ? 1 : (size_t) -1;
    for (size_t i = 0; i < BUSIEST_WORDS; i++)
        one->counts[i] = 0;
}

/* The busiest that is not shown, and the least busy that is; NULL: none. */
static void find_rivals(const struct busiest *b, struct busy **ret_outsider, struct busy **ret_least)
{
    size_t cursor = 0;
    struct span name;
    void *value;

    *ret_outsider = *ret_least = NULL;
    while (map_next(&b->names, &cursor, &name, &value)) {
        struct busy *one = value;
        if (!one->is_shown && (!*ret_outsider || one->recent > (*ret_outsider)->recent))
            *ret_outsider = one;
        if (one->is_shown && (!*ret_least || one->recent < (*ret_least)->recent))
            *ret_least = one;
    }
}

static void elect(struct busiest *b)
{
    struct busy *outsider, *least;
    size_t cursor = 0;
    struct span name;
    void *value;

    for (find_rivals(b, &outsider, &least); outsider && least && outsider->recent / 2 > least->recent;
         find_rivals(b, &outsider, &least)) {
        show(b, least, false);
        show(b, outsider, true);
    }
    while (map_next(&b->names, &cursor, &name, &value)) {
        struct busy *one = value;
        one->recent /= 2;
        if (!one->recent && !one->is_shown)
            mem_free(map_remove(&b->names, name));
    }
}

void busiest_add(struct busiest *b, struct span name, size_t word, int64_t n, uint64_t now_ms)
{
    struct busy *one = NULL;

    must(word < BUSIEST_WORDS && pthread_mutex_lock(&b->lock) == 0);
    if (now_ms >= b->elect_ms) {
        elect(b);
        b->elect_ms = now_ms + BUSIEST_ELECT_MS;
    }
    if (!span_equal(name, other)) {
        one = map_get(&b->names, name);
        if (!one && b->names.count < BUSIEST_KNOWN) {
            one = NEW(struct busy);
            must(!map_set(&b->names, name, one));
        }
    }
    if (one) {
        one->recent += (uint64_t) n;
        if (!one->is_shown && b->shown < BUSIEST_SHOWN)
            show(b, one, true);
    }
    *(one && one->is_shown ? &one->counts[word] : &b->other[word]) += n;
    must(pthread_mutex_unlock(&b->lock) == 0);
}

void busiest_each(struct busiest *b, busiest_on_name *on_name, void *context)
{
    size_t cursor = 0;
    struct span name;
    void *value;

    must(pthread_mutex_lock(&b->lock) == 0);
    while (map_next(&b->names, &cursor, &name, &value)) {
        const struct busy *one = value;
        if (one->is_shown)
            on_name(context, name, one->counts);
    }
    on_name(context, other, b->other);
    must(pthread_mutex_unlock(&b->lock) == 0);
}

void busiest_done(struct busiest *b)
{
    size_t cursor = 0;
    struct span name;
    void *value;

    while (map_next(&b->names, &cursor, &name, &value))
        mem_free(map_remove(&b->names, name));
    map_done(&b->names);
}
