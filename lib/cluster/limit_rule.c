/* Limits as they are written in settings. */
#include <errno.h>

#include "base/conf.h"
#include "base/mem.h"
#include "cluster/limit.h"

#define FILL_MAX_MS (UINT64_C(10) * LIMIT_SPAN_MAX_MS) /* a bucket's key lives so long at most */

static const char count_why[] = "a number from 1 to 2^50, which may have a unit such as MiB";

/* "600" or "10GiB" */
static int parse_count(struct span text, uint64_t *ret_count)
{
    uint64_t count;
    int r = span_number(text, LIMIT_COUNT_MAX, &count);

    if (r < 0)
        r = conf_parse_size(text, &count);
    if (r < 0 || count == 0 || count > LIMIT_COUNT_MAX)
        return -EINVAL;
    *ret_count = count;
    return 0;
}

static int parse_rate(struct span text, struct limit_rule *rule, const char **ret_why)
{
    struct span per = text, count = span_cut(&per, '/');

    *ret_why = "a count and a time, such as \"600/1h\"";
    if (!per.at || conf_parse_time(per, &rule->per_ms) < 0)
        return -EINVAL;
    *ret_why = "a time from 1ms to 366d behind the \"/\"";
    if (rule->per_ms == 0 || rule->per_ms > LIMIT_SPAN_MAX_MS)
        return -EINVAL;
    *ret_why = count_why;
    return parse_count(count, &rule->count);
}

static int parse_burst(struct span text, struct limit_rule *rule, const char **ret_why)
{
    struct span value = text;

    rule->burst = rule->count;
    if (text.len && !span_equal(span_cut(&value, '='), SPAN("burst"))) {
        *ret_why = "nothing but \"burst=<count>\" behind the rate";
        return -EINVAL;
    }
    *ret_why = count_why;
    if (text.len && parse_count(value, &rule->burst) < 0)
        return -EINVAL;
    *ret_why = "a burst that the rate fills again within ten years";
    return (double) rule->burst / (double) rule->count * (double) rule->per_ms > (double) FILL_MAX_MS
               ? -EINVAL
               : 0;
}

int limit_parse(struct span text, bool is_slots, struct limit_rule *ret_rule, const char **ret_why)
{
    struct limit_rule rule = {.count = 0};
    struct span rest = span_trim(text);
    struct span first = span_cut(&rest, ' ');

    if (is_slots) {
        *ret_why = "a number of sessions at once, from 1 to 2^50";
        if (rest.at || parse_count(first, &rule.count) < 0)
            return -EINVAL;
        rule.burst = rule.count;
    } else if (parse_rate(first, &rule, ret_why) < 0 || parse_burst(span_trim(rest), &rule, ret_why) < 0) {
        return -EINVAL;
    }
    *ret_rule = rule;
    return 0;
}
