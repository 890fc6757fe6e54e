/* The durability audit: what it says of settings, roles and replicas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cluster/audit.h"

enum { ITEMS_MAX = 40 };

/* A Redis as it should be; a test changes what it is about. */
static struct redis_value items[ITEMS_MAX];
static struct redis_value config, info, replay;
static char info_text[4096];
static struct audit_demand demand;

static struct redis_value text_of(const char *text)
{
    return (struct redis_value){.type = REDIS_STRING, .text = span_of(text)};
}

static void set(const char *name, const char *value)
{
    size_t i = 0;
    while (i < config.count && !redis_is_text(&items[i], name))
        i += 2;
    assert_true(i + 1 < ITEMS_MAX);
    items[i] = text_of(name);
    items[i + 1] = text_of(value);
    config.count = config.count > i + 2 ? config.count : i + 2;
}

static void tell(const char *text)
{
    (void) snprintf(info_text, sizeof(info_text), "%s", text);
    info = text_of(info_text);
}

static int setup(void **state)
{
    (void) state;
    config = (struct redis_value){.type = REDIS_ARRAY, .items = items};
    demand = (struct audit_demand){.kind = STORE_STANDALONE};
    replay = (struct redis_value){.type = REDIS_STATUS, .text = SPAN("OK")};
    set("appendonly", "yes");
    set("appendfsync", "always");
    set("no-appendfsync-on-rewrite", "no");
    set("maxmemory-policy", "noeviction");
    set("min-replicas-to-write", "0");
    set("cluster-require-full-coverage", "no");
    set("cluster-allow-reads-when-down", "no");
    set("cluster-node-timeout", "2000");
    set("maxmemory", "1000000000");
    set("repl-backlog-size", "268435456");
    set("client-output-buffer-limit", "normal 0 0 0 slave 1073741824 536870912 60 pubsub 0 0 0");
    set("auto-aof-rewrite-min-size", "536870912");
    set("latency-tracking", "no");
    tell("redis_version:7.0.15\r\nrole:master\r\nloading:0\r\nmaxmemory:1000000000\r\nused_memory:1000\r\n");
    return 0;
}

static const char *online(unsigned replicas, const char *more)
{
    static char text[2048];
    int n = snprintf(
        text, sizeof(text),
        "redis_version:7.0.15\r\nrole:master\r\nloading:0\r\n%smaster_repl_offset:100\r\nconnected_slaves:%u\r\n",
        more, replicas);
    for (unsigned i = 0; i < replicas; i++)
        n += snprintf(text + n, sizeof(text) - (size_t) n,
                      "slave%u:ip=10.0.0.%u,port=6379,state=online,offset=90,lag=1\r\n", i, i + 1);
    return text;
}

static const struct redis_value *answers(void)
{
    static struct redis_value all[AUDIT_ANSWERS];

    all[AUDIT_CONFIG] = config;
    all[AUDIT_INFO] = info;
    all[AUDIT_REPLAY] = replay;
    return all;
}

static void says(enum audit want, const char *words)
{
    struct buf sentence = {.data = NULL};
    enum audit audit = audit_judge("a:1", &demand, answers(), &sentence);
    AUTO_FREE char *text = buf_steal_text(&sentence);

    if (!strstr(text, words))
        print_error("\"%s\" is not in \"%s\"\n", words, text);
    assert_non_null(strstr(text, words));
    assert_int_equal(audit, want);
    assert_int_equal(audit == AUDIT_GOOD, *text == '\0');
}

static void a_good_one_needs_no_words(void **state)
{
    (void) state;
    says(AUDIT_GOOD, "");
}

/* proves: A02 */
static void what_would_lose_a_250_is_unsafe(void **state)
{
    (void) state;
    set("appendfsync", "everysec");
    says(AUDIT_UNSAFE, "Redis at a:1 has appendfsync everysec: set appendfsync always");
    set("appendonly", "no");
    says(AUDIT_UNSAFE, "has appendonly no: set appendonly yes; appendfsync everysec: set appendfsync always");
}

/* proves: A04 */
static void eviction_is_unsafe_where_memory_has_a_limit(void **state)
{
    (void) state;
    set("maxmemory-policy", "allkeys-lru");
    says(AUDIT_UNSAFE, "set maxmemory-policy noeviction");
    tell("redis_version:7.0.15\r\nrole:master\r\nmaxmemory:0\r\n");
    says(AUDIT_GOOD, "");
}

static void who_cannot_be_used_is_unfit(void **state)
{
    (void) state;
    tell("redis_version:6.2.1\r\nrole:master\r\n");
    says(AUDIT_UNFIT, "is version 6.2.1: install 7.0 or later");
    tell("redis_version:7.0.15\r\nrole:slave\r\n");
    says(AUDIT_UNFIT, "is a replica: set store.address to its master");
    tell("redis_version:7.0.15\r\nrole:master\r\nloading:1\r\n");
    says(AUDIT_BUSY, "is loading its data");
    config = (struct redis_value){.type = REDIS_ERROR_REPLY, .text = SPAN("NOPERM no")};
    says(AUDIT_UNFIT, "allow CONFIG GET and INFO to this user (it answered: NOPERM no)");
}

static void another_kind_than_said_is_unfit(void **state)
{
    (void) state;
    tell("redis_version:7.0.15\r\nrole:master\r\ncluster_enabled:1\r\n");
    says(AUDIT_UNFIT, "set store.kind cluster");
    demand.kind = STORE_CLUSTER;
    says(AUDIT_GOOD, "");
    tell("redis_version:7.0.15\r\nrole:master\r\ncluster_enabled:0\r\n");
    says(AUDIT_UNFIT, "set store.kind standalone or sentinel");
}

/* proves: A18 */
static void a_failover_by_itself_needs_replicas_that_hold_each_write(void **state)
{
    (void) state;
    demand.kind = STORE_SENTINEL;
    tell(online(2, ""));
    says(AUDIT_UNSAFE, "set store.replicas to 1 at least, 1 at most");
    tell(online(0, ""));
    says(AUDIT_UNSAFE, "add replicas until there are 2 (it has 0)");
    demand.kind = STORE_CLUSTER;
    tell(online(0, "cluster_enabled:1\r\n"));
    says(AUDIT_GOOD, ""); /* nobody to fail over to */
    tell(online(3, "cluster_enabled:1\r\n"));
    says(AUDIT_UNSAFE, "set store.replicas to 1 at least, 2 at most");
    demand.replicas = 1;
    says(AUDIT_GOOD, "");
}

/* proves: A18 */
static void too_few_replicas_are_told(void **state)
{
    (void) state;
    demand = (struct audit_demand){.kind = STORE_SENTINEL, .replicas = 2};
    tell(online(3, ""));
    says(AUDIT_GOOD, "");
    tell(online(2, ""));
    says(AUDIT_WEAK, "after losing one nothing is confirmed: add a replica, or set store.replicas lower");
    tell(online(1, ""));
    says(AUDIT_UNFIT, "has 1 of the 2 replicas that store.replicas wants");
}

static void a_replica_that_is_no_more_online_does_not_count(void **state)
{
    (void) state;
    struct audit_replica replicas[AUDIT_REPLICAS_MAX];
    demand = (struct audit_demand){.kind = STORE_STANDALONE, .replicas = 1};
    tell("redis_version:7.0.15\r\nrole:master\r\nmaster_repl_offset:500\r\nconnected_slaves:2\r\n"
         "slave0:ip=10.0.0.1,port=6379,state=send_bulk,offset=0,lag=0\r\n"
         "slave1:ip=fd00::1,port=6380,state=online,offset=420,lag=7\r\n");
    says(AUDIT_WEAK, "has 1 replica, and store.replicas 1");
    assert_int_equal(audit_replicas(&info, replicas), 2);
    assert_string_equal(replicas[0].address, "10.0.0.1:6379");
    assert_false(replicas[0].is_online);
    assert_string_equal(replicas[1].address, "[fd00::1]:6380");
    assert_true(replicas[1].is_online);
    assert_int_equal(replicas[1].lag_s, 7);
    assert_int_equal(replicas[1].behind_bytes, 80);
    /* As many as it says are not looked for one by one. */
    tell("redis_version:7.0.15\r\nrole:master\r\nconnected_slaves:18446744073709551615\r\n");
    assert_int_equal(audit_replicas(&info, replicas), 0);
}

/* proves: A02 */
static void a_default_user_that_may_not_write_is_unsafe(void **state)
{
    (void) state;
    replay = text_of("This user has no permissions to run the 'hset' command");
    says(AUDIT_UNSAFE, "set \"user default off ~* &* +@all\" in its ACL");
    replay = (struct redis_value){.type = REDIS_ERROR_REPLY, .text = SPAN("NOPERM no")};
    says(AUDIT_UNFIT, "allow ACL DRYRUN to this user");
}

static void what_would_stop_it_is_weak(void **state)
{
    (void) state;
    set("min-replicas-to-write", "1");
    says(AUDIT_WEAK, "set min-replicas-to-write 0");
    set("cluster-require-full-coverage", "yes");
    says(AUDIT_WEAK, "min-replicas-to-write");
    demand.kind = STORE_CLUSTER;
    tell("redis_version:7.0.15\r\nrole:master\r\ncluster_enabled:1\r\n");
    says(AUDIT_WEAK, "cluster-require-full-coverage yes: set cluster-require-full-coverage no");
}

static char findings[4096];

static void on_finding(void *context, enum audit level, const char *text, const char *why)
{
    size_t len = strlen(findings);
    (void) context;
    (void) why;
    (void) snprintf(findings + len, sizeof(findings) - len, "%d %s\n", level, text);
}

static void a_look_tells_advice_too(void **state)
{
    (void) state;
    findings[0] = '\0';
    set("maxmemory", "0");
    set("repl-backlog-size", "1048576");
    set("client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 0 0 0");
    set("latency-tracking", "yes");
    tell(online(2, ""));
    says(AUDIT_GOOD, "");
    audit_look(&demand, answers(), on_finding, NULL);
    assert_non_null(strstr(findings, "has maxmemory 0: set maxmemory to what this machine can spare"));
    assert_non_null(strstr(findings, "set repl-backlog-size 67108864 or more"));
    assert_non_null(strstr(findings, "set client-output-buffer-limit \"replica 536870912 0 0\""));
    assert_non_null(strstr(findings, "set latency-tracking no"));
}

static void patience_with_a_lost_primary_is_advised_about(void **state)
{
    (void) state;
    findings[0] = '\0';
    set("cluster-node-timeout", "15000");
    audit_look(&demand, answers(), on_finding, NULL);
    assert_string_equal(findings, ""); /* no cluster */
    demand.kind = STORE_CLUSTER;
    tell("redis_version:7.0.15\r\nrole:master\r\ncluster_enabled:1\r\n");
    audit_look(&demand, answers(), on_finding, NULL);
    assert_non_null(
        strstr(findings, "has cluster-node-timeout 15000: set cluster-node-timeout 5000 or less"));
}

static void a_replica_is_looked_at_as_one(void **state)
{
    (void) state;
    demand.is_replica = true;
    tell("redis_version:7.0.15\r\nrole:slave\r\nmaster_link_status:up\r\n");
    says(AUDIT_GOOD, "");
    tell("redis_version:7.0.15\r\nrole:slave\r\nmaster_link_status:down\r\n");
    says(AUDIT_WEAK, "is not connected to its primary");
    tell("redis_version:7.0.15\r\nrole:master\r\n");
    says(AUDIT_UNFIT, "is no replica any more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_good_one_needs_no_words, setup),
        cmocka_unit_test_setup(what_would_lose_a_250_is_unsafe, setup),
        cmocka_unit_test_setup(eviction_is_unsafe_where_memory_has_a_limit, setup),
        cmocka_unit_test_setup(who_cannot_be_used_is_unfit, setup),
        cmocka_unit_test_setup(another_kind_than_said_is_unfit, setup),
        cmocka_unit_test_setup(a_failover_by_itself_needs_replicas_that_hold_each_write, setup),
        cmocka_unit_test_setup(too_few_replicas_are_told, setup),
        cmocka_unit_test_setup(a_replica_that_is_no_more_online_does_not_count, setup),
        cmocka_unit_test_setup(a_default_user_that_may_not_write_is_unsafe, setup),
        cmocka_unit_test_setup(what_would_stop_it_is_weak, setup),
        cmocka_unit_test_setup(a_look_tells_advice_too, setup),
        cmocka_unit_test_setup(patience_with_a_lost_primary_is_advised_about, setup),
        cmocka_unit_test_setup(a_replica_is_looked_at_as_one, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
