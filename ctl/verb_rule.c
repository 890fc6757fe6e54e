/* rules list, show, undo; undo. */
#include "ctl/verb_rule.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ctl/order.h"
#include "ctl/print.h"
#include "ctl/reach.h"
#include "ctl/rulebook.h"

enum { LIST_LIMIT = 30, LIST_MAX = 100000 };

/* ---- list and show */

static void add_row(struct grid *t, const struct rule *r, uint64_t now_ms)
{
    AUTO_BUF struct buf words = {.data = NULL}, state = {.data = NULL}, age = {.data = NULL};
    AUTO_FREE char *id = rule_id_text(r);

    add_rule_words(&words, r);
    add_rule_state(&state, r, now_ms);
    add_duration(&age, later_by(now_ms, r->since_ms));
    grid_cell(t, "%s", id);
    grid_cell_safe(t, buf_span(&state));
    grid_cell_safe(t, buf_span(&age));
    grid_cell(t, "%llu", (unsigned long long) r->done);
    grid_cell_safe(t, buf_span(&words));
    grid_cell_safe(t, span_of(r->by));
    grid_cell_safe(t, span_of(r->because));
}

static void list(const struct arguments *a, const struct rules *rules, uint64_t now_ms, uint64_t limit)
{
    bool only_in_force = argument_is_given(a, "in-force");
    struct json *json = json_new_object(), *all = json_new_array();
    struct grid t;

    grid_init(&t, "rule|state|>age|>jobs|what|by|because");
    for (size_t i = rules->count; i-- > 0 && (limit == 0 || t.rows < limit);) {
        const struct rule *r = &rules->items[i];
        if (only_in_force && !rule_is_in_force(r, now_ms))
            continue;
        add_row(&t, r, now_ms);
        json_put(all, NULL, rule_json(r, now_ms));
    }
    json_put(json, "rules", all);
    json_put_number(json, "unreadable", (int64_t) rules->unreadable);
    if (a->is_json) {
        print_json(STEAL(json));
    } else if (t.rows > 0) {
        grid_print(&t);
    } else {
        printf(only_in_force ? "no rules are in force\n" : "no rules\n");
    }
    json_free(json);
    grid_done(&t);
}

/* Reads all; *ret_rules for EXIT_OK only. */
static int look(const struct arguments *a, struct rules *ret_rules, uint64_t *ret_now_ms)
{
    struct ask *k;
    int status = ask_open_partly(a, &k);

    if (status != EXIT_OK)
        return status;
    status = rulebook_read(k, ret_rules, ret_now_ms);
    ask_close(k);
    return status;
}

int verb_rules_list(const struct arguments *a)
{
    struct rules rules;
    uint64_t limit, now_ms;

    if (argument_number(a, "limit", 0, LIST_MAX, LIST_LIMIT, &limit) < 0)
        return EXIT_BAD_USAGE;
    int status = look(a, &rules, &now_ms);
    if (status != EXIT_OK)
        return status;
    list(a, &rules, now_ms, limit);
    if (rules.unreadable > 0)
        status = say_failed("%zu rules cannot be read by this baridctl", rules.unreadable);
    rules_done(&rules);
    return status;
}

static void print_stamp(const char *name, uint64_t ms)
{
    AUTO_BUF struct buf stamp = {.data = NULL};

    if (!ms)
        return;
    clock_add_stamp(&stamp, ms);
    printf("%s %.*s\n", name, SPAN_ARG(buf_span(&stamp)));
}

static void print_line(const char *name, const char *text)
{
    if (!*text)
        return;
    printf("%s ", name);
    print_safe(span_of(text));
    printf("\n");
}

static void print_rule(const struct rule *r, uint64_t now_ms)
{
    AUTO_BUF struct buf words = {.data = NULL}, state = {.data = NULL};
    AUTO_FREE char *id = rule_id_text(r);

    add_rule_words(&words, r);
    add_rule_state(&state, r, now_ms);
    printf("%s: %.*s\n%.*s\n", id, SPAN_ARG(buf_span(&words)), SPAN_ARG(buf_span(&state)));
    print_stamp("since", r->since_ms);
    print_stamp("until", r->until_ms);
    print_stamp("undone", r->undone_ms);
    print_line("by", r->by);
    print_line("because", r->because);
    if (r->done > 0 || !r->is_standing)
        printf("jobs it concerned when it was given: %llu\n", (unsigned long long) r->done);
}

int verb_rules_show(const struct arguments *a)
{
    struct rules rules;
    uint64_t now_ms;

    int status = look(a, &rules, &now_ms);
    if (status != EXIT_OK)
        return status;
    const struct rule *r = rulebook_find(&rules, a->operands[0]);
    if (r && a->is_json)
        print_json(rule_json(r, now_ms));
    else if (r)
        print_rule(r, now_ms);
    rules_done(&rules);
    return r ? EXIT_OK : EXIT_ASKED_FAILED;
}

/* ---- changes of rules alone */

void telling_begin(struct telling *t, const struct arguments *a)
{
    *t = (struct telling){
        .is_json = a->is_json, .is_dry = argument_is_given(a, "dry-run"), .rules = json_new_array()};
}

void telling_end(struct telling *t, int status)
{
    struct json *json = json_new_object();

    json_put_flag(json, "dry_run", t->is_dry);
    json_put(json, "rules", STEAL(t->rules));
    if (t->is_json && status == EXIT_OK)
        print_json(STEAL(json));
    json_free(json);
}

void rule_tell(struct telling *t, const struct rule *r, uint64_t now_ms, const char *said)
{
    AUTO_BUF struct buf words = {.data = NULL};

    if (t->is_json) {
        json_put(t->rules, NULL, rule_json(r, now_ms));
        return;
    }
    add_rule_words(&words, r);
    printf("%s%.*s%s\n", t->is_dry ? "dry run, nothing was done: " : "", SPAN_ARG(buf_span(&words)), said);
}

int rule_end(const struct arguments *a, struct telling *t, struct ask *k, const struct rule *r,
             uint64_t now_ms)
{
    AUTO_BUF struct buf words = {.data = NULL};
    AUTO_FREE char *id = rule_id_text(r);
    struct store *store = NULL;
    int status = EXIT_OK;

    add_rule_words(&words, r);
    AUTO_FREE char *question = mem_format("end rule %s: %.*s?", id, SPAN_ARG(buf_span(&words)));
    if (argument_is_given(a, "dry-run")) {
        rule_tell(t, r, now_ms, ": would end");
        return EXIT_OK;
    }
    if (!argument_is_given(a, "yes"))
        status = order_confirm(question);
    if (status == EXIT_OK)
        status = store_reach(k, REACH_FOR_ORDERS, &store);
    if (status == EXIT_OK)
        status = rulebook_mark(k, store, r->number, UINT64_MAX, true);
    if (status == EXIT_OK) {
        struct rule ended = *r;
        ended.undone_ms = now_ms;
        rule_tell(t, &ended, now_ms, ": ended; everywhere in about a second");
    }
    if (store)
        store_close(store);
    return status;
}

/* ---- undo */

static int undo_rule(const struct arguments *a, const struct rule *r, uint64_t now_ms)
{
    struct telling t;
    struct ask *k;
    int status;

    if (!rule_is_in_force(r, now_ms))
        return rule_undoes(r->action)
                   ? say_failed("rule %s is in force no more", a->operands[0])
                   : say_failed("rule %s deleted jobs, and nothing brings them back", a->operands[0]);
    status = order_check_consent(a);
    if (status == EXIT_OK)
        status = ask_open(a, &k);
    if (status != EXIT_OK)
        return status;
    telling_begin(&t, a);
    status = rule_end(a, &t, k, r, now_ms);
    telling_end(&t, status);
    ask_close(k);
    return status;
}

int verb_undo(const struct arguments *a)
{
    struct rules rules;
    uint64_t now_ms;

    int status = look(a, &rules, &now_ms);
    if (status != EXIT_OK)
        return status;
    const struct rule *r = rulebook_find(&rules, a->operands[0]);
    if (!r)
        status = EXIT_ASKED_FAILED;
    else if (rule_stands(r->action) || !rule_undoes(r->action))
        status = undo_rule(a, r, now_ms);
    else
        status = rule_undo_jobs(a, r);
    rules_done(&rules);
    return status;
}

int verb_rules_undo(const struct arguments *a)
{
    return verb_undo(a);
}
