/* The durability audit: which settings of Redis a 250 relies on. */
#include "cluster/audit.h"

#include <string.h>

#include "base/mem.h"

enum { VERSION_LEAST = 7 };

/* What must be set, and to what. */
struct wanted {
    const char *name, *value;
};
static const struct wanted settings[] = {
    {"appendonly", "yes"},
    {"appendfsync", "always"},
    {"no-appendfsync-on-rewrite", "no"}, /* yes: no fsync while a rewrite runs, and nobody is told */
};
static const struct wanted eviction = {"maxmemory-policy", "noeviction"};

void audit_ask(struct buf *commands)
{
    resp_command(commands, 2 + ARRAY_LEN(settings) + 1);
    resp_arg(commands, SPAN("CONFIG"));
    resp_arg(commands, SPAN("GET"));
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        resp_arg_text(commands, settings[i].name);
    resp_arg_text(commands, eviction.name);
    resp_command(commands, 5);
    resp_arg(commands, SPAN("INFO"));
    resp_arg(commands, SPAN("server"));
    resp_arg(commands, SPAN("replication"));
    resp_arg(commands, SPAN("memory"));
    resp_arg(commands, SPAN("persistence"));
}

/* The value of a line "name:value", empty if there is none. */
static struct span info_field(const struct redis_value *info, const char *name)
{
    struct span rest = redis_text(info), key = span_of(name);

    while (rest.len) {
        struct span line = span_cut(&rest, '\n');
        if (line.len > key.len && line.at[key.len] == ':' && memcmp(line.at, key.at, key.len) == 0) {
            struct span value = {.at = line.at + key.len + 1, .len = line.len - key.len - 1};
            if (value.len && value.at[value.len - 1] == '\r')
                value.len--;
            return value;
        }
    }
    return (struct span){.at = NULL};
}

static uint64_t info_number(const struct redis_value *info, const char *name)
{
    uint64_t value = 0;

    (void) span_number(info_field(info, name), UINT64_MAX, &value); /* missing: 0 */
    return value;
}

static struct span config_value(const struct redis_value *config, const char *name)
{
    for (size_t i = 0; i + 1 < config->count; i += 2)
        if (redis_is_text(&config->items[i], name))
            return redis_text(&config->items[i + 1]);
    return (struct span){.at = NULL};
}

struct audit_memory audit_memory(const struct redis_value *info)
{
    uint64_t used = info_number(info, "used_memory"), aside = info_number(info, "mem_not_counted_for_evict");

    return (struct audit_memory){
        .used_bytes = used > aside ? used - aside : 0,
        .most_bytes = info_number(info, "maxmemory"),
    };
}

/* Joins what is wrong into one sentence: "Redis at A has x yes: set x no; y 1: set y 2". */
static void complain(struct buf *sentence, const char *address, const struct wanted *want, struct span has)
{
    if (sentence->len)
        buf_printf(sentence, "; %s %.*s: set %s %s", want->name, SPAN_ARG(has), want->name, want->value);
    else
        buf_printf(sentence, "Redis at %s has %s %.*s: set %s %s", address, want->name, SPAN_ARG(has),
                   want->name, want->value);
}

static enum audit judge_fitness(const char *address, const struct redis_value *config,
                                const struct redis_value *info, struct buf *sentence)
{
    struct span version = info_field(info, "redis_version"), rest = version;
    uint64_t major = 0;

    if (config->type != REDIS_ARRAY || !version.len) {
        struct span answer = config->type == REDIS_ERROR_REPLY ? config->text : info->text;
        buf_printf(
            sentence,
            "Redis at %s cannot be audited: allow CONFIG GET and INFO to this user (it answered: %.*s)",
            address, SPAN_ARG(answer));
        return AUDIT_UNFIT;
    }
    if (span_number(span_cut(&rest, '.'), UINT64_MAX, &major) < 0 || major < VERSION_LEAST) {
        buf_printf(sentence, "Redis at %s is version %.*s: install 7.0 or later", address, SPAN_ARG(version));
        return AUDIT_UNFIT;
    }
    if (!span_equal(info_field(info, "role"), SPAN("master"))) {
        buf_printf(sentence, "Redis at %s is a replica: set store.address to its master", address);
        return AUDIT_UNFIT;
    }
    if (info_number(info, "loading")) {
        buf_printf(sentence, "Redis at %s is loading its data: wait", address);
        return AUDIT_BUSY;
    }
    return AUDIT_GOOD;
}

enum audit audit_judge(const char *address, const struct redis_value *config, const struct redis_value *info,
                       struct buf *sentence)
{
    enum audit fitness = judge_fitness(address, config, info, sentence);
    bool is_safe = true;

    if (fitness != AUDIT_GOOD)
        return fitness;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        struct span has = config_value(config, settings[i].name);
        if (!span_equal(has, span_of(settings[i].value))) {
            complain(sentence, address, &settings[i], has);
            is_safe = false;
        }
    }
    /* Without maxmemory nothing is ever evicted. */
    struct span policy = config_value(config, eviction.name);
    if (audit_memory(info).most_bytes && !span_equal(policy, span_of(eviction.value))) {
        complain(sentence, address, &eviction, policy);
        is_safe = false;
    }
    return is_safe ? AUDIT_GOOD : AUDIT_UNSAFE;
}
