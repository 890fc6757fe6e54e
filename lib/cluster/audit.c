/* The durability audit: which settings of Redis, and which replicas, a 250 relies on. */
#include "cluster/audit.h"

#include <stdio.h>
#include <string.h>

#include "base/conf.h"
#include "base/mem.h"

enum { VERSION_LEAST = 7 };

enum relation { IS, AT_LEAST, AT_MOST, GIVEN, BUFFER };
enum place { ALWAYS, EVICTION, CLUSTER, COPIES };

static const struct row {
    const char *name, *value, *why;
    enum relation relation;
    enum audit level;
    enum place place;
} rows[] = {
#define AUDIT(name, relation, value, level, on, why) {name, value, why, relation, AUDIT_##level, on},
#include "cluster/audit.def"
#undef AUDIT
};

struct look {
    const struct audit_demand *demand;
    const struct redis_value *config, *info, *replay;
    audit_on_finding *on_finding;
    void *context;
};

struct audit_demand audit_demand(void)
{
    const struct conf_store *conf = &conf_get()->store;

    return (struct audit_demand){.kind = (enum store_kind) conf->kind, .replicas = (unsigned) conf->replicas};
}

void audit_ask(struct buf *commands)
{
    static const char *const replay[] = {"ACL", "DRYRUN", "default", "HSET", KEY_NODES, "field", "value"};
    static const char *const sections[] = {"server", "replication", "memory", "persistence", "cluster"};

    resp_command(commands, 2 + ARRAY_LEN(rows));
    resp_arg(commands, SPAN("CONFIG"));
    resp_arg(commands, SPAN("GET"));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        resp_arg_text(commands, rows[i].name);
    resp_command(commands, 1 + ARRAY_LEN(sections));
    resp_arg(commands, SPAN("INFO"));
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        resp_arg_text(commands, sections[i]);
    resp_command(commands, ARRAY_LEN(replay));
    for (size_t i = 0; i < ARRAY_LEN(replay); i++)
        resp_arg_text(commands, replay[i]);
}

/* ---- what was answered */

struct span audit_field(const struct redis_value *info, const char *name)
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

static uint64_t number_of(struct span text)
{
    uint64_t value = 0;

    (void) span_number(text, UINT64_MAX, &value); /* missing, or none: 0 */
    return value;
}

static uint64_t info_number(const struct redis_value *info, const char *name)
{
    return number_of(audit_field(info, name));
}

/* No text at all when Redis does not know the setting, or was not asked. */
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

/* "ip=10.0.0.5,port=6379,state=online,offset=1234,lag=0" */
static struct audit_replica replica_of(struct span line, uint64_t offset)
{
    struct audit_replica r = {.is_online = false};
    struct span ip = {.at = NULL}, port = {.at = NULL};

    while (line.len) {
        struct span value = span_cut(&line, ','), name = span_cut(&value, '=');
        if (span_equal(name, SPAN("ip")))
            ip = value;
        else if (span_equal(name, SPAN("port")))
            port = value;
        else if (span_equal(name, SPAN("state")))
            r.is_online = span_equal(value, SPAN("online"));
        else if (span_equal(name, SPAN("lag")))
            r.lag_s = number_of(value);
        else if (span_equal(name, SPAN("offset")))
            r.behind_bytes = offset > number_of(value) ? offset - number_of(value) : 0;
    }
    bool is_ip6 = memchr(ip.len ? ip.at : "", ':', ip.len) != NULL;
    /* A host of any length that Redis could announce fits. */
    (void) snprintf(r.address, sizeof(r.address), is_ip6 ? "[%.*s]:%.*s" : "%.*s:%.*s", SPAN_ARG(ip),
                    SPAN_ARG(port));
    return r;
}

size_t audit_replicas(const struct redis_value *info,
                      struct audit_replica ret_replicas[static AUDIT_REPLICAS_MAX])
{
    uint64_t count = info_number(info, "connected_slaves"), offset = info_number(info, "master_repl_offset");
    size_t n = 0;

    for (uint64_t i = 0; i < count && i < AUDIT_REPLICAS_MAX; i++) {
        char name[32];
        (void) snprintf(name, sizeof(name), "slave%llu", (unsigned long long) i); /* it fits */
        struct span line = audit_field(info, name);
        if (line.len)
            ret_replicas[n++] = replica_of(line, offset);
    }
    return n;
}

static unsigned online_count(const struct redis_value *info)
{
    struct audit_replica replicas[AUDIT_REPLICAS_MAX];
    size_t count = audit_replicas(info, replicas);
    unsigned online = 0;

    for (size_t i = 0; i < count; i++)
        online += replicas[i].is_online;
    return online;
}

/* ---- findings: text goes on after "Redis at A" */

static void tell(const struct look *l, enum audit level, const char *why, char *text)
{
    l->on_finding(l->context, level, text, why);
    mem_free(text);
}

static enum audit look_at_role(const struct look *l)
{
    bool is_primary = span_equal(audit_field(l->info, "role"), SPAN("master"));

    if (l->demand->is_replica && is_primary) {
        tell(l, AUDIT_UNFIT, "", mem_string("is no replica any more"));
        return AUDIT_UNFIT;
    }
    if (!l->demand->is_replica && !is_primary) {
        tell(l, AUDIT_UNFIT, "",
             mem_string(l->demand->kind == STORE_STANDALONE
                            ? "is a replica: set store.address to its master"
                            : "is a replica: wait until who took over is known"));
        return AUDIT_UNFIT;
    }
    if (l->demand->is_replica && !span_equal(audit_field(l->info, "master_link_status"), SPAN("up")))
        tell(l, AUDIT_WEAK, "", mem_string("is not connected to its primary: see its log"));
    return AUDIT_GOOD;
}

static enum audit look_at_kind(const struct look *l)
{
    bool is_cluster = info_number(l->info, "cluster_enabled") == 1;

    if (is_cluster == (l->demand->kind == STORE_CLUSTER))
        return AUDIT_GOOD;
    tell(l, AUDIT_UNFIT, "",
         mem_string(is_cluster ? "is a node of a Redis Cluster: set store.kind cluster"
                               : "is no node of a Redis Cluster: set store.kind standalone or sentinel"));
    return AUDIT_UNFIT;
}

/* Can it be looked at, is it new enough, and in the place it should be? */
static enum audit look_at_fitness(const struct look *l)
{
    struct span version = audit_field(l->info, "redis_version"), rest = version;
    uint64_t major = 0;

    if (l->config->type != REDIS_ARRAY || !version.len) {
        struct span answer = l->config->type == REDIS_ERROR_REPLY ? l->config->text : l->info->text;
        tell(l, AUDIT_UNFIT, "",
             mem_format("cannot be audited: allow CONFIG GET and INFO to this user (it answered: %.*s)",
                        SPAN_ARG(answer)));
        return AUDIT_UNFIT;
    }
    if (span_number(span_cut(&rest, '.'), UINT64_MAX, &major) < 0 || major < VERSION_LEAST) {
        tell(l, AUDIT_UNFIT, "", mem_format("is version %.*s: install 7.0 or later", SPAN_ARG(version)));
        return AUDIT_UNFIT;
    }
    if (look_at_role(l) != AUDIT_GOOD || look_at_kind(l) != AUDIT_GOOD)
        return AUDIT_UNFIT;
    if (info_number(l->info, "loading")) {
        tell(l, AUDIT_BUSY, "", mem_string("is loading its data: wait"));
        return AUDIT_BUSY;
    }
    return AUDIT_GOOD;
}

static bool concerns(const struct look *l, const struct row *row)
{
    switch (row->place) {
    case EVICTION: return audit_memory(l->info).most_bytes > 0; /* without it nothing is ever evicted */
    case CLUSTER: return l->demand->kind == STORE_CLUSTER;
    case COPIES: return l->demand->replicas > 0 || l->demand->is_replica || online_count(l->info) > 0;
    case ALWAYS: break;
    }
    return true;
}

/* "normal 0 0 0 slave 268435456 67108864 60 pubsub ...": what is behind slave, or replica. */
static struct span replica_limits(struct span limits)
{
    while (limits.len) {
        struct span word = span_cut(&limits, ' ');
        if (!span_equal(word, SPAN("slave")) && !span_equal(word, SPAN("replica")))
            continue;
        size_t len = 0;
        for (unsigned spaces = 0; len < limits.len; len++)
            if (limits.at[len] == ' ' && ++spaces == 3)
                break;
        return (struct span){.at = limits.at, .len = len};
    }
    return (struct span){.at = NULL};
}

/* What to set, or NULL: it is as it should be. */
static char *wish(const struct row *row, struct span has)
{
    struct span hard;

    switch (row->relation) {
    case IS:
        if (!span_equal(has, span_of(row->value)))
            return mem_string(row->value);
        break;
    case AT_LEAST:
        if (number_of(has) < number_of(span_of(row->value)))
            return mem_format("%s or more", row->value);
        break;
    case AT_MOST:
        if (number_of(has) > number_of(span_of(row->value)))
            return mem_format("%s or less", row->value);
        break;
    case GIVEN:
        if (number_of(has) == 0)
            return mem_string("to what this machine can spare");
        break;
    case BUFFER:
        hard = span_cut(&has, ' ');
        if (number_of(hard) > 0 && number_of(hard) < number_of(span_of(row->value)))
            return mem_format("\"replica %s 0 0\"", row->value);
        break;
    }
    return NULL;
}

static void look_at_settings(const struct look *l)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        struct span has = config_value(l->config, row->name);
        if (!concerns(l, row) || (!has.at && row->level < AUDIT_UNSAFE))
            continue;
        if (row->relation == BUFFER)
            has = replica_limits(has);
        AUTO_FREE char *value = wish(row, has);
        if (value)
            tell(l, row->level, row->why,
                 mem_format("has %s %.*s: set %s %s", row->name, SPAN_ARG(has), row->name, value));
    }
}

/*
 * Which n is safe: a failover takes any that followed, and all of them held what was confirmed (store_probe.c). With n of them at least, the
 * primary and n - 1 replicas may be lost at once; and n of those that are left must still be there to confirm the next write, so there must be n + 1.
 */
static void look_at_replicas(const struct look *l)
{
    unsigned wanted = l->demand->replicas, online = online_count(l->info);
    bool fails_over = l->demand->kind == STORE_SENTINEL ||
                      (l->demand->kind == STORE_CLUSTER && info_number(l->info, "connected_slaves") > 0);

    if (l->demand->is_replica)
        return;
    if (fails_over && wanted == 0)
        tell(
            l, AUDIT_UNSAFE, "a failover by itself forgets what no replica has",
            online > 1
                ? mem_format(
                      "may fail over to a replica that lacks confirmed writes: set store.replicas to 1 at least, %u at most",
                      online - 1)
                : mem_format(
                      "may fail over to a replica that lacks confirmed writes: add replicas until there are 2 (it has %u), and set store.replicas 1",
                      online));
    else if (online < wanted)
        tell(l, AUDIT_UNFIT, "",
             mem_format("has %u of the %u replicas that store.replicas wants for each write: connect them",
                        online, wanted));
    else if (wanted > 0 && online < wanted + 1)
        tell(
            l, AUDIT_WEAK, "",
            mem_format(
                "has %u replica%s, and store.replicas %u: after losing one nothing is confirmed: add a replica%s",
                online, online == 1 ? "" : "s", wanted, online > 1 ? ", or set store.replicas lower" : ""));
}

static void look_at_replay(const struct look *l)
{
    if (redis_is_text(l->replay, "OK"))
        return;
    if (l->replay->type == REDIS_ERROR_REPLY)
        tell(
            l, AUDIT_UNFIT, "",
            mem_format(
                "cannot be audited: allow ACL DRYRUN to this user, as baridctl store acl does (it answered: %.*s)",
                SPAN_ARG(l->replay->text)));
    else
        tell(
            l, AUDIT_UNSAFE,
            "Redis reads its append-only file in the name of that user, and leaves out what it may not write",
            mem_string(
                "would forget at its next start what scripts wrote: set \"user default off ~* &* +@all\" in its ACL"));
}

void audit_look(const struct audit_demand *demand, const struct redis_value *answers,
                audit_on_finding *on_finding, void *context)
{
    const struct look l = {
        demand, &answers[AUDIT_CONFIG], &answers[AUDIT_INFO], &answers[AUDIT_REPLAY], on_finding, context};

    if (look_at_fitness(&l) != AUDIT_GOOD)
        return;
    look_at_settings(&l);
    look_at_replay(&l);
    look_at_replicas(&l);
}

/* ---- all in one sentence: "Redis at A has x yes: set x no; y 1: set y 2" */

struct verdict_of {
    const char *address;
    struct buf *sentence;
    enum audit worst;
};

static void on_each(void *context, enum audit level, const char *text, const char *why UNUSED)
{
    struct verdict_of *v = context;

    if (level == AUDIT_ADVICE)
        return;
    if (v->worst == AUDIT_GOOD)
        buf_printf(v->sentence, "Redis at %s %s", v->address, text);
    else
        buf_printf(v->sentence, "; %s", strncmp(text, "has ", 4) == 0 ? text + 4 : text);
    v->worst = level > v->worst ? level : v->worst;
}

enum audit audit_judge(const char *address, const struct audit_demand *demand,
                       const struct redis_value *answers, struct buf *sentence)
{
    struct verdict_of v = {.address = address, .sentence = sentence, .worst = AUDIT_GOOD};

    audit_look(demand, answers, on_each, &v);
    return v.worst;
}
