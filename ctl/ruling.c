/* Rules in force, in the words of those who ask why nothing moves. */
#include "ctl/ruling.h"

#include "base/mem.h"
#include "ctl/health.h"
#include "ctl/print.h"
#include "ctl/rulebook.h"

enum { WORDS_MAX = 300, SUSPENSIONS_MAX = 5 };

int ruling_read(struct ask *k, struct ruling *ret_ruling)
{
    return rulebook_read(k, &ret_ruling->rules, &ret_ruling->now_ms);
}

void ruling_done(struct ruling *r)
{
    rules_done(&r->rules);
}

const struct rule *ruling_suspends(const struct ruling *r, const char *queue)
{
    return rules_suspending(&r->rules, queue, r->now_ms);
}

static const struct rule *redirects(const struct ruling *r, const char *queue)
{
    return rules_find(&r->rules, RULE_REDIRECT, &(struct rule_subject){.queue = queue}, r->now_ms);
}

static void add_reason(struct buf *out, const struct rule *rule)
{
    AUTO_BUF struct buf reason = {.data = NULL};

    rule_reason_add(rule, &reason);
    buf_add_printable(out, buf_span(&reason), WORDS_MAX);
}

void add_ruling(struct buf *out, const struct ruling *r, const char *queue)
{
    const struct rule *rest = ruling_suspends(r, queue), *way = redirects(r, queue);

    if (rest) {
        add_cause(out, "the queue is suspended by ");
        add_reason(out, rest);
        if (rest->until_ms) {
            buf_add_text(out, ", for another ");
            add_duration(out, later_by(rest->until_ms, r->now_ms));
        }
        buf_add_text(out, " (`baridctl queue resume` ends that)");
    }
    if (way) {
        add_cause(out, "its mail goes to %s by ", way->to);
        add_reason(out, way);
    }
}

void add_job_ruling(struct buf *out, const struct ruling *r, const struct rule_subject *job)
{
    static const struct {
        enum rule_action action;
        const char *does;
    } standing[] = {
        {RULE_HOLD, "puts it aside"}, {RULE_BOUNCE, "returns it to its sender"}, {RULE_DELETE, "drops it"}};
    size_t first = ARRAY_LEN(standing);
    const struct rule *rule = NULL;

    for (size_t i = 0; i < ARRAY_LEN(standing); i++) {
        const struct rule *found = rules_find(&r->rules, standing[i].action, job, r->now_ms);
        if (found && (!rule || found->number < rule->number)) {
            rule = found;
            first = i;
        }
    }
    if (!rule || (rule->action == RULE_HOLD && job->state && rule->number <= job->state->past_rule))
        return;
    add_cause(out, "the courier that takes it %s, by ", standing[first].does);
    add_reason(out, rule);
}

static void put_id(struct json *json, const char *name, const struct rule *rule)
{
    AUTO_FREE char *id = rule ? rule_id_text(rule) : mem_string("");

    json_put_text(json, name, span_of(id));
}

void put_ruling(struct json *json, const struct ruling *r, const char *queue)
{
    const struct rule *rest = ruling_suspends(r, queue), *way = redirects(r, queue);

    json_put_flag(json, "suspended", rest != NULL);
    put_id(json, "suspended_by", rest);
    json_put_text(json, "redirected_to", span_of(way ? way->to : ""));
}

/* ---- of the whole cluster ---- */

void add_suspensions(struct buf *out, const struct ruling *r)
{
    size_t count = 0;

    for (size_t i = 0; i < r->rules.count; i++) {
        const struct rule *rule = &r->rules.items[i];
        if (rule->action != RULE_SUSPEND || !rule_is_in_force(rule, r->now_ms))
            continue;
        if (count++ >= SUSPENSIONS_MAX)
            continue;
        buf_add_text(out, count > 1 ? ", " : "");
        buf_add_printable(out, span_of(rule->filter.queue), WORDS_MAX);
        buf_add_text(out, " by ");
        add_reason(out, rule);
    }
    if (count > SUSPENSIONS_MAX)
        buf_printf(out, " and %zu more", count - SUSPENSIONS_MAX);
}

struct json *ruling_json(const struct ruling *r)
{
    struct json *json = json_new_object(), *list = json_new_array();
    int64_t in_force = 0;

    for (size_t i = 0; i < r->rules.count; i++) {
        const struct rule *rule = &r->rules.items[i];
        if (!rule_is_in_force(rule, r->now_ms))
            continue;
        in_force++;
        if (rule->action == RULE_SUSPEND)
            json_put(list, NULL, rule_json(rule, r->now_ms));
    }
    json_put_number(json, "in_force", in_force);
    json_put(json, "suspend", list);
    return json;
}
