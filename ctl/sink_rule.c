/* What a sink was told to do wrong. */
#include "ctl/sink_rule.h"

#include <errno.h>

#include "base/mem.h"

static const char *const stage_names[STAGE_COUNT] = {"connect", "helo", "mail", "rcpt", "data", "dot"};

int sink_rule_add(struct sink_rules *r, enum sink_action action, const char *text)
{
    struct span domain = span_of(text), probability = span_cut(&domain, '@'),
                stage = span_cut(&probability, '=');
    struct sink_rule rule = {.action = action, .stage = STAGE_COUNT, .probability = 1};

    for (unsigned i = 0; i < STAGE_COUNT; i++)
        if (span_equal(stage, span_of(stage_names[i])))
            rule.stage = i;
    if (rule.stage == STAGE_COUNT)
        return -EINVAL;
    if (probability.at) {
        char *end;
        AUTO_FREE char *number = mem_text(probability.at, probability.len);
        rule.probability = strtod(number, &end);
        if (end == number || *end || !(rule.probability >= 0 && rule.probability <= 1))
            return -EINVAL;
    }
    if (domain.at && domain_normalise(domain, rule.domain) < 0)
        return -EINVAL;
    r->rules = mem_resize(r->rules, (r->count + 1) * sizeof(rule));
    r->rules[r->count++] = rule;
    return 0;
}

void sink_rules_done(struct sink_rules *r)
{
    r->rules = mem_free(r->rules);
    r->count = 0;
}

/* xorshift64*: even enough for tests. */
static double random_part(struct sink_rules *r)
{
    r->random ^= r->random >> 12;
    r->random ^= r->random << 25;
    r->random ^= r->random >> 27;
    return (double) ((r->random * UINT64_C(2685821657736338717)) >> 11) / 9007199254740992.0;
}

enum sink_action sink_rules_ask(struct sink_rules *r, enum sink_stage stage, struct span domain)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct sink_rule *rule = &r->rules[i];
        if (rule->stage != stage || (*rule->domain && !span_equal_nocase(domain, span_of(rule->domain))))
            continue;
        if (rule->probability >= 1 || random_part(r) < rule->probability)
            return rule->action;
    }
    return ACTION_NONE;
}
