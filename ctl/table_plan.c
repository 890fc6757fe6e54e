/*
 * Changes of a table. Addresses are written before the rows of their domains, and taken out after them: a domain is never said to be listed
 * while addresses of it are still missing.
 */
#include "ctl/table_plan.h"

#include "base/mem.h"
#include "ctl/order.h"
#include "ctl/print.h"

enum { SAMPLE_MAX = 20 };

void plan_add(struct table_plan *p, struct span field, struct span before, struct span after)
{
    if ((before.at != NULL) == (after.at != NULL) && span_equal(before, after)) {
        p->same++;
        return;
    }
    if (p->count == p->room) {
        p->room = p->room ? 2 * p->room : 16;
        p->changes = mem_resize(p->changes, p->room * sizeof p->changes[0]);
    }
    p->changes[p->count++] = (struct table_change){.field = field, .before = before, .after = after};
}

bool plan_has(const struct table_plan *p, struct span field)
{
    for (size_t i = 0; i < p->count; i++)
        if (span_equal(p->changes[i].field, field))
            return true;
    return false;
}

void plan_done(struct table_plan *p)
{
    mem_free(p->changes);
    *p = (struct table_plan){.changes = NULL};
}

/* ---- showing it */

static void print_sample(const struct table_plan *p)
{
    struct grid grid;

    grid_init(&grid, "address|before|after");
    for (size_t i = 0; i < p->count && i < SAMPLE_MAX; i++) {
        const struct table_change *c = &p->changes[i];
        grid_cell_safe(&grid, c->field);
        grid_cell_safe(&grid, c->before.at ? c->before : SPAN("-"));
        grid_cell_safe(&grid, c->after.at ? c->after : SPAN("-"));
    }
    if (p->count > 0)
        grid_print(&grid);
    if (p->count > SAMPLE_MAX)
        printf("and %zu more\n", p->count - SAMPLE_MAX);
    grid_done(&grid);
}

static void print_counts(const struct table_plan *p, const uint64_t *tally, bool is_dry)
{
    uint64_t done = tally[TABLE_OK] + tally[TABLE_NONE], others = tally[TABLE_CHANGED] + tally[TABLE_EXISTS];

    if (is_dry)
        printf("dry run, nothing was done: %zu would change", p->count);
    else
        printf("%llu changed", (unsigned long long) done);
    if (p->same)
        printf("; %llu are so already", (unsigned long long) p->same);
    if (others)
        printf("; %llu left alone: somebody else changed them meanwhile", (unsigned long long) others);
    if (tally[TABLE_UNKNOWN])
        printf("; %llu without an answer: it may have happened", (unsigned long long) tally[TABLE_UNKNOWN]);
    printf("\n");
}

static void put_span(struct json *json, const char *key, struct span s)
{
    if (s.at)
        json_put_text(json, key, s);
    else
        json_put_null(json, key);
}

static void print_outcome_json(const struct table_plan *p, const uint64_t *tally, bool is_dry)
{
    struct json *json = json_new_object(), *changes = json_new_array();

    for (size_t i = 0; i < p->count && i < SAMPLE_MAX; i++) {
        struct json *change = json_new_object();
        put_span(change, "address", p->changes[i].field);
        put_span(change, "before", p->changes[i].before);
        put_span(change, "after", p->changes[i].after);
        json_put(changes, NULL, change);
    }
    json_put_text(json, "table", span_of(table_name(p->table)));
    json_put_flag(json, "dry_run", is_dry);
    json_put_number(json, "changes", (int64_t) p->count);
    json_put_number(json, "same", (int64_t) p->same);
    json_put_number(json, "done", (int64_t) (tally[TABLE_OK] + tally[TABLE_NONE]));
    json_put_number(json, "left_alone", (int64_t) (tally[TABLE_CHANGED] + tally[TABLE_EXISTS]));
    json_put_number(json, "unknown", (int64_t) tally[TABLE_UNKNOWN]);
    json_put(json, "sample", changes);
    print_json(json);
}

/* ---- doing it */

static bool is_of_domain(const struct table_change *c)
{
    return c->field.len > 0 && c->field.at[0] == '@';
}

unsigned change_phase(const struct table_change *c)
{
    if (c->after.at)
        return is_of_domain(c) ? 1 : 0;
    return is_of_domain(c) ? 2 : 3;
}

static void apply(struct table_link *l, const struct table_plan *p, uint64_t *tally)
{
    static const struct span nothing = {.at = "", .len = 0};

    for (unsigned phase = 0; phase < CHANGE_PHASES && tally[TABLE_UNKNOWN] == 0; phase++) {
        for (size_t i = 0; i < p->count; i++) {
            const struct table_change *c = &p->changes[i];
            if (change_phase(c) == phase)
                table_link_write(l, p->table, c->field, c->after.at ? &c->after : NULL,
                                 c->before.len  ? &c->before
                                 : c->before.at ? NULL
                                                : &nothing,
                                 tally);
        }
        table_link_wait(l);
    }
}

static int finish(const struct table_plan *p, const uint64_t *tally, bool is_dry, bool is_json)
{
    if (is_json) {
        print_outcome_json(p, tally, is_dry);
    } else {
        if (is_dry)
            print_sample(p);
        print_counts(p, tally, is_dry);
    }
    return tally[TABLE_UNKNOWN] + tally[TABLE_CHANGED] + tally[TABLE_EXISTS] ? EXIT_ASKED_FAILED : EXIT_OK;
}

int plan_run(const struct arguments *a, struct table_link *l, struct table_plan *p)
{
    uint64_t tally[TABLE_UNKNOWN + 1] = {0};
    bool is_dry = argument_is_given(a, "dry-run");

    if (p->count && !is_dry && !argument_is_given(a, "yes")) {
        print_sample(p);
        int status = order_confirm(p->count == 1 ? "change this row?" : "change these rows?");
        if (status != EXIT_OK)
            return status;
    }
    if (!is_dry)
        apply(l, p, tally);
    return finish(p, tally, is_dry, a->is_json);
}
