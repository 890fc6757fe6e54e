/* queue suspend, resume, redirect; limit set, show: rules that nodes obey, and no job is touched. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/conf.h"
#include "base/mem.h"
#include "cluster/transport.h"
#include "ctl/order.h"
#include "ctl/print.h"
#include "ctl/reach.h"
#include "ctl/rulebook.h"
#include "ctl/selection.h"
#include "ctl/settings.h"
#include "ctl/survey.h"
#include "ctl/verb_rule.h"

enum { LIMITS_MAX = 2, CONNECTIONS_MOST = 10000, RATE_MOST = 100000000 };

/* Queues are named in lower case: another spelling would mean none of them. */
int rule_pattern_check(const char *pattern)
{
    int status = queue_name_check(pattern);

    for (const char *c = pattern; status == EXIT_OK && *c; c++)
        if (isupper((unsigned char) *c))
            return say_usage("\"%s\": queues are named in lower case", pattern);
    return status;
}

/* What the pattern means now: how many queues with jobs, and how many of these wait. */
static int count_now(struct ask *k, const char *pattern, uint64_t *ret_queues, uint64_t *ret_jobs)
{
    struct survey survey;
    int status = survey_take(k, &survey);

    if (status != EXIT_OK)
        return status;
    *ret_queues = *ret_jobs = 0;
    for (size_t i = 0; i < survey.queue_count; i++) {
        const struct survey_queue *q = &survey.queues[i];
        if (q->waiting == 0 || !rule_queue_fits(pattern, q->name) ||
            (is_queue_pattern(pattern) &&
             strcmp(q->name, QUEUE_FANOUT) == 0)) /* a pattern means destinations */
            continue;
        ++*ret_queues;
        *ret_jobs += q->waiting;
    }
    survey_done(&survey);
    return EXIT_OK;
}

/* Some rules of one order: shown, asked about, given. */
static int give(const struct arguments *a, struct ask *k, struct rule *rules, size_t count, uint64_t for_ms)
{
    AUTO_BUF struct buf now = {.data = NULL}, words = {.data = NULL};
    uint64_t queues, jobs;
    struct store *store = NULL;
    struct telling telling;
    bool is_site = strncmp(rules[0].filter.queue, "site:", 5) == 0;

    telling_begin(&telling, a);
    int status = is_site ? EXIT_OK : count_now(k, rules[0].filter.queue, &queues, &jobs);
    if (status == EXIT_OK && !is_site)
        buf_printf(&now, "; now %llu jobs wait in %llu such queues", (unsigned long long) jobs,
                   (unsigned long long) queues);
    for (size_t i = 0; status == EXIT_OK && i < count; i++) {
        buf_add_text(&words, i > 0 ? ", " : "");
        add_rule_words(&words, &rules[i]);
    }
    AUTO_FREE char *question = mem_format("%.*s%.*s: do it?", SPAN_ARG(buf_span(&words)),
                                          SPAN_ARG(buf_span(&now)));
    bool is_dry = argument_is_given(a, "dry-run");
    if (status == EXIT_OK && !is_dry && !argument_is_given(a, "yes"))
        status = order_confirm(question);
    if (status == EXIT_OK && !is_dry)
        status = store_reach(k, REACH_FOR_ORDERS, &store);
    for (size_t i = 0; status == EXIT_OK && i < count; i++) {
        if (!is_dry)
            status = rulebook_add(k, store, &rules[i], for_ms);
        AUTO_FREE char *id = rule_id_text(&rules[i]);
        AUTO_FREE char *given = mem_format(
            ": rule %s, in force everywhere in about a second%.*s; `baridctl undo %s` ends it", id,
            SPAN_ARG(buf_span(&now)), id);
        AUTO_FREE char *would = mem_format("%.*s", SPAN_ARG(buf_span(&now)));
        if (status == EXIT_OK)
            rule_tell(&telling, &rules[i], rules[i].since_ms, is_dry ? would : given);
    }
    if (store)
        store_close(store);
    telling_end(&telling, status);
    return status;
}

/* The one rule of a verb that has a pattern and nothing else to read. */
static int give_one(const struct arguments *a, enum rule_action action, const char *to)
{
    struct rule r = {
        .action = action, .filter = {.queue = a->operands[0], .message = ""}, .to = to, .by = ""};
    struct filter filter = {.sender = NULL};
    uint64_t for_ms;
    struct ask *k;

    int status = rule_pattern_check(a->operands[0]);
    if (status == EXIT_OK && action == RULE_REDIRECT) { /* jobs have ways, queues rest as a whole */
        status = filter_parse(a, &filter);
        r.filter = filter_as_rule(&filter);
        r.filter.queue = a->operands[0];
        r.filter.message = "";
    }
    if (status == EXIT_OK)
        status = rule_options(a, &r, &for_ms);
    if (status == EXIT_OK)
        status = order_check_consent(a);
    if (status == EXIT_OK)
        status = ask_open_partly(a, &k);
    if (status != EXIT_OK)
        return status;
    status = give(a, k, &r, 1, for_ms);
    ask_close(k);
    return status;
}

int verb_queue_suspend(const struct arguments *a)
{
    return give_one(a, RULE_SUSPEND, "");
}

int verb_queue_redirect(const struct arguments *a)
{
    const char *to = argument_text(a, "to", "");
    AUTO_FREE char *error = NULL;

    if (!*to)
        return say_usage("--to says where: a transport of the settings, mx, or host:port[, host:port]");
    int status = settings_use(a); /* transports have names there */
    if (status != EXIT_OK)
        return status;
    if (route_value_check(conf_get(), to, &error) < 0)
        return say_usage("--to: %s", error);
    return give_one(a, RULE_REDIRECT, to);
}

/* ---- resume */

/* Those of exactly this pattern end. A wider one is named: who resumes a queue means no others. */
static int resume(const struct arguments *a, struct ask *k, const struct rules *rules, uint64_t now_ms)
{
    const char *pattern = a->operands[0];
    const struct rule *wider = NULL;
    struct telling telling;
    int status = EXIT_OK;
    size_t ended = 0;

    telling_begin(&telling, a);
    for (size_t i = 0; status == EXIT_OK && i < rules->count; i++) {
        const struct rule *r = &rules->items[i];
        if (r->action != RULE_SUSPEND || !rule_is_in_force(r, now_ms))
            continue;
        if (strcmp(r->filter.queue, pattern) == 0) {
            status = rule_end(a, &telling, k, r, now_ms);
            ended++;
        } else if (rule_queue_fits(r->filter.queue, pattern)) {
            wider = r;
        }
    }
    telling_end(&telling, status == EXIT_OK && ended == 0 ? EXIT_ASKED_FAILED : status);
    if (status != EXIT_OK)
        return status;
    if (wider)
        return say_failed("%s%s is suspended by rule r%llu, which means %s: `baridctl undo r%llu` ends that",
                          pattern, ended ? " still" : "", (unsigned long long) wider->number,
                          wider->filter.queue, (unsigned long long) wider->number);
    return ended ? EXIT_OK
                 : say_failed(
                       "no rule suspends %s; a queue that paused by itself goes on by `baridctl queue retry`",
                       pattern);
}

int verb_queue_resume(const struct arguments *a)
{
    struct rules rules;
    uint64_t now_ms;
    struct ask *k;

    int status = rule_pattern_check(a->operands[0]);
    if (status == EXIT_OK)
        status = order_check_consent(a);
    if (status == EXIT_OK)
        status = ask_open(a, &k);
    if (status != EXIT_OK)
        return status;
    status = rulebook_read(k, &rules, &now_ms);
    if (status == EXIT_OK) {
        status = resume(a, k, &rules, now_ms);
        rules_done(&rules);
    }
    ask_close(k);
    return status;
}

/* ---- limits */

static int limit_read(const char *text, struct rule *r)
{
    struct span value = span_of(text), name = span_cut(&value, '=');
    bool is_rate = span_equal(name, SPAN("rate"));

    if (!is_rate && !span_equal(name, SPAN("connections")))
        return say_usage("%s: expected connections=N or rate=MESSAGES_A_MINUTE", text);
    r->to = is_rate ? "rate" : "connections";
    if (!value.at || span_number(value, is_rate ? RATE_MOST : CONNECTIONS_MOST, &r->value) < 0 ||
        (!is_rate && r->value == 0))
        return say_usage(is_rate ? "%s: expected a number of messages a minute; 0: no limit"
                                 : "%s: expected a number of connections from 1 on",
                         text);
    return EXIT_OK;
}

int verb_limit_set(const struct arguments *a)
{
    const char *subject = a->operands[0];
    struct rule rules[LIMITS_MAX];
    size_t count = a->operand_count - 1;
    uint64_t for_ms = 0;
    struct ask *k;

    bool is_site = strncmp(subject, "site:", 5) == 0;
    int status = is_site && !subject[5] ? say_usage("site: names a host, as in site:mx.example.com")
                                        : rule_pattern_check(is_site ? subject + 5 : subject);
    for (size_t i = 0; status == EXIT_OK && i < count; i++) {
        rules[i] = (struct rule){.action = RULE_LIMIT, .filter = {.queue = subject, .message = ""}, .by = ""};
        status = limit_read(a->operands[i + 1], &rules[i]);
        if (status == EXIT_OK)
            status = rule_options(a, &rules[i], &for_ms);
    }
    if (status == EXIT_OK)
        status = order_check_consent(a);
    if (status == EXIT_OK)
        status = ask_open_partly(a, &k);
    if (status != EXIT_OK)
        return status;
    status = give(a, k, rules, count, for_ms);
    ask_close(k);
    return status;
}

struct limit_list {
    struct json *json;
    struct grid grid;
    const char *subject; /* NULL: all */
};

static void add_limit(struct limit_list *l, const char *subject, const char *limit, const char *from)
{
    if (l->subject && strcmp(l->subject, subject) != 0)
        return;
    struct json *json = json_new_object();
    json_put_text(json, "subject", span_of(subject));
    json_put_text(json, "limit", span_of(limit));
    json_put_text(json, "from", span_of(from));
    json_put(l->json, NULL, json);
    grid_cell_safe(&l->grid, span_of(subject));
    grid_cell_safe(&l->grid, span_of(limit));
    grid_cell_safe(&l->grid, span_of(from));
}

static void add_settings(struct limit_list *l, const struct conf *conf)
{
    const struct conf_map *queues = &conf->dispatcher.limits, *sites = &conf->dispatcher.site_limits;
    AUTO_FREE char *general = mem_format("connections=%llu rate=%llu",
                                         (unsigned long long) conf->dispatcher.queue_connections,
                                         (unsigned long long) conf->dispatcher.queue_rate);

    for (size_t i = 0; i < queues->count; i++)
        add_limit(l, queues->keys[i], queues->values[i], "dispatcher.limits");
    for (size_t i = 0; i < sites->count; i++) {
        AUTO_FREE char *site = mem_format("site:%s", sites->keys[i]);
        add_limit(l, site, sites->values[i], "dispatcher.site_limits");
    }
    add_limit(l, "any queue", general, "dispatcher.queue_connections, queue_rate");
}

int verb_limit_show(const struct arguments *a)
{
    struct limit_list l = {.subject = a->operand_count > 0 ? a->operands[0] : NULL};
    struct rules rules;
    uint64_t now_ms;
    struct ask *k;

    int status = ask_open_partly(a, &k);
    if (status != EXIT_OK)
        return status;
    status = rulebook_read(k, &rules, &now_ms);
    ask_close(k);
    if (status != EXIT_OK)
        return status;
    l.json = json_new_array();
    grid_init(&l.grid, "subject|limit|by");
    for (size_t i = 0; i < rules.count; i++) {
        const struct rule *r = &rules.items[i];
        AUTO_FREE char *limit = mem_format("%s=%llu", r->to, (unsigned long long) r->value);
        AUTO_FREE char *id = rule_id_text(r);
        AUTO_FREE char *from = mem_format("rule %s", id);
        if (r->action == RULE_LIMIT && rule_is_in_force(r, now_ms))
            add_limit(&l, r->filter.queue, limit, from);
    }
    add_settings(&l, conf_get());
    struct json *json = json_new_object();
    json_put(json, "limits", l.json);
    if (a->is_json)
        print_json(STEAL(json));
    else if (l.grid.rows > 0)
        grid_print(&l.grid);
    else
        printf("no limit is named for %s; `baridctl limit show` shows all\n", l.subject);
    json_free(json);
    grid_done(&l.grid);
    rules_done(&rules);
    return EXIT_OK;
}
