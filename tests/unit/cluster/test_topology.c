/* What a Redis Cluster and Sentinels say, read from the bytes they say it in. */
#include "cluster_test.h"

#include <errno.h>

#include "cluster/shard.h"
#include "cluster/topology.h"
#include "io/redis_reply.h"

static struct reply_reader *reader;

/* The reply that these bytes are; valid until the next one. */
static struct redis_value reply(const char *bytes)
{
    struct redis_value v;

    reader = reply_reader_free(reader);
    reader = reply_reader_new();
    reply_reader_feed(reader, span_of(bytes));
    must(reply_reader_next(reader, &v) == 1);
    return v;
}

static int read_map(const char *bytes, struct slot_map *ret_map)
{
    const struct redis_value v = reply(bytes);

    return slot_map_read(&v, "10.9.9.9:7000", ret_map);
}

static void slots_are_those_that_redis_computes(void **state)
{
    (void) state;
    /* CLUSTER KEYSLOT of a Redis 7 */
    assert_int_equal(key_slot(SPAN("123456789")), 12739);
    assert_int_equal(key_slot(SPAN("foo")), 12182);
    assert_int_equal(key_slot(SPAN("bar")), 5061);
    assert_int_equal(key_slot(SPAN("")), 0);
    assert_int_equal(key_slot(SPAN("{user1000}.following")), key_slot(SPAN("user1000")));
    assert_int_equal(key_slot(SPAN("foo{}{bar}")),
                     8363); /* nothing between the first braces: the whole key */
    assert_int_equal(key_slot(SPAN("foo{{bar}}zap")), key_slot(SPAN("{bar")));
    assert_int_equal(key_slot(SPAN("foo{bar}{zap}")), 5061);
    assert_int_equal(key_slot(SPAN("foo{bar")), key_slot(SPAN("foo{bar")));
    assert_int_equal(key_slot(SPAN("barid:{c}:nodes")), common_slot());
    assert_int_equal(common_slot(), 7365);
    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++) {
        AUTO_BUF struct buf key = {.data = NULL};
        key_format(&key, KEY_OF_QUEUE, partition, SPAN("example.com"), 0);
        assert_int_equal(partition_slot(partition), key_slot(buf_span(&key)));
        assert_int_equal(partition_slot(partition) / 64, partition);
    }
}

static void commands_go_where_their_first_key_is(void **state)
{
    (void) state;
    assert_int_equal(commands_slot(SPAN("*2\r\n$3\r\nGET\r\n$5\r\n{bar}\r\n")), 5061);
    assert_int_equal(
        commands_slot(SPAN(
            "*4\r\n$7\r\nEVALSHA\r\n$2\r\nab\r\n$1\r\n1\r\n$7\r\nq:{foo}\r\n*2\r\n$3\r\nGET\r\n$3\r\n{a}\r\n")),
        12182);
    assert_int_equal(commands_slot(SPAN("*1\r\n$4\r\nTIME\r\n")), common_slot());
    assert_int_equal(commands_slot(SPAN("*2\r\n$4\r\nECHO\r\n$1\r\n{\r\n")), common_slot());
}

static void each_command_goes_behind_asking(void **state)
{
    AUTO_BUF struct buf out = {.data = NULL};

    (void) state;
    assert_int_equal(commands_ask(SPAN("*2\r\n$3\r\nGET\r\n$3\r\n*1\n\r\n*1\r\n$4\r\nPING\r\n"), &out), 4);
    assert_true(span_equal(
        buf_span(&out),
        SPAN(
            "*1\r\n$6\r\nASKING\r\n*2\r\n$3\r\nGET\r\n$3\r\n*1\n\r\n*1\r\n$6\r\nASKING\r\n*1\r\n$4\r\nPING\r\n")));
}

#define NODE(host, port) "*3\r\n$" host "\r\n:" port "\r\n$2\r\nid\r\n"

static void a_map_says_who_has_which_slot(void **state)
{
    struct slot_map m;

    (void) state;
    assert_int_equal(
        read_map(
            "*4\r\n"
            "*4\r\n:0\r\n:100\r\n" NODE("8\r\n10.0.0.1", "6379")
                NODE("8\r\n10.0.0.9", "6379") "*3\r\n:102\r\n:102\r\n" NODE(
                    "4\r\nnode", "7002") "*3\r\n:103\r\n:16383\r\n" NODE("8\r\n10.0.0.1",
                                                                         "6379") "*2\r\n:101\r\n:101\r\n",
            &m),
        0);
    assert_int_equal(m.count, 2);
    assert_string_equal(m.addresses[0], "10.0.0.1:6379");
    assert_string_equal(m.addresses[1], "node:7002");
    assert_int_equal(m.successors[0], 1);
    assert_int_equal(m.successors[1], 0);
    assert_int_equal(m.owner[0], 0);
    assert_int_equal(m.owner[100], 0);
    assert_int_equal(m.owner[101], SLOT_NOBODY);
    assert_int_equal(m.owner[102], 1);
    assert_int_equal(m.owner[16383], 0);
    slot_map_done(&m);
}

static void a_node_without_a_name_is_the_one_that_was_asked(void **state)
{
    struct slot_map m;

    (void) state;
    assert_int_equal(
        read_map("*3\r\n*3\r\n:0\r\n:0\r\n" NODE("0\r\n", "7001") "*3\r\n:1\r\n:1\r\n*2\r\n$-1\r\n:7002\r\n"
                                                                  "*3\r\n:2\r\n:2\r\n" NODE("1\r\n?", "7003"),
                 &m),
        0);
    assert_string_equal(m.addresses[m.owner[0]], "10.9.9.9:7001");
    assert_string_equal(m.addresses[m.owner[1]], "10.9.9.9:7002");
    assert_int_equal(m.owner[2], SLOT_NOBODY);
    slot_map_done(&m);
    assert_int_equal(read_map("*1\r\n*3\r\n:0\r\n:0\r\n" NODE("3\r\n::1", "7001"), &m), 0);
    assert_string_equal(m.addresses[0], "[::1]:7001");
    slot_map_done(&m);
    assert_int_equal(read_map("*0\r\n", &m), 0);
    assert_int_equal(m.count, 0);
    slot_map_done(&m);
}

static void a_map_with_a_wrong_line_is_none(void **state)
{
    static const char *const bad[] = {
        "+OK\r\n",
        "$-1\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*1\r\n:0\r\n",
        "*1\r\n*3\r\n:-1\r\n:5\r\n" NODE("8\r\n10.0.0.1", "6379"),
        "*1\r\n*3\r\n:6\r\n:5\r\n" NODE("8\r\n10.0.0.1", "6379"),
        "*1\r\n*3\r\n:0\r\n:16384\r\n" NODE("8\r\n10.0.0.1", "6379"),
        "*1\r\n*3\r\n:0\r\n:9223372036854775807\r\n" NODE("8\r\n10.0.0.1", "6379"),
        "*1\r\n*3\r\n$1\r\n0\r\n:5\r\n" NODE("8\r\n10.0.0.1", "6379"),
        "*1\r\n*3\r\n:0\r\n:5\r\n" NODE("8\r\n10.0.0.1", "0"),
        "*1\r\n*3\r\n:0\r\n:5\r\n" NODE("8\r\n10.0.0.1", "65536"),
        "*1\r\n*3\r\n:0\r\n:5\r\n" NODE("8\r\n10.0.0.1", "-1"),
        "*1\r\n*3\r\n:0\r\n:5\r\n" NODE("7\r\nno host", "6379"),
        "*1\r\n*3\r\n:0\r\n:5\r\n" NODE("5\r\nab\r\nc", "6379"),
        "*1\r\n*3\r\n:0\r\n:5\r\n" NODE("6\r\nhost:1", "6379"),
        "*1\r\n*3\r\n:0\r\n:5\r\n*1\r\n$8\r\n10.0.0.1\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n$8\r\n10.0.0.1\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n*0\r\n:6379\r\n",
        "*2\r\n*3\r\n:0\r\n:5\r\n" NODE("8\r\n10.0.0.1", "6379") "*3\r\n:5\r\n:6\r\n" NODE("8\r\n10.0.0.2",
                                                                                           "6379"),
    };
    struct slot_map m;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(read_map(bad[i], &m), -EBADMSG);
}

/* As a bulk string. */
static struct redis_value said(const char *text)
{
    AUTO_FREE char *bytes = mem_format("$%zu\r\n%s\r\n", strlen(text), text);

    return reply(bytes);
}

static void the_state_of_a_cluster_is_told_with_its_epoch(void **state)
{
    struct cluster_state s;
    struct redis_value v = said("cluster_state:ok\r\ncluster_slots_ok:16384\r\ncluster_current_epoch:17\r\n");

    (void) state;
    assert_int_equal(cluster_state_read(&v, &s), 0);
    assert_true(s.is_ok);
    assert_int_equal(s.epoch, 17);
    v = said("cluster_current_epoch:3\ncluster_state:fail\nx:1\n");
    assert_int_equal(cluster_state_read(&v, &s), 0);
    assert_false(s.is_ok);
    v = said("cluster_state:ok");
    assert_int_equal(cluster_state_read(&v, &s), -EBADMSG);
    v = said("cluster_state:ok\ncluster_current_epoch:-1\n");
    assert_int_equal(cluster_state_read(&v, &s), -EBADMSG);
    v = reply("-ERR This instance has cluster support disabled\r\n");
    assert_int_equal(cluster_state_read(&v, &s), -EBADMSG);
}

static void redirections_name_slot_and_server(void **state)
{
    struct redirection r;

    (void) state;
    assert_true(redirection_read(SPAN("MOVED 3999 127.0.0.1:6381"), "10.9.9.9:1", &r));
    assert_false(r.is_ask);
    assert_int_equal(r.slot, 3999);
    assert_string_equal(r.address, "127.0.0.1:6381");
    assert_true(redirection_read(SPAN("ASK 16383 Node.Example:1"), "10.9.9.9:1", &r));
    assert_true(r.is_ask);
    assert_string_equal(r.address, "node.example:1");
    assert_true(redirection_read(SPAN("MOVED 0 :6381"), "10.9.9.9:1", &r));
    assert_string_equal(r.address, "10.9.9.9:6381");
    assert_true(redirection_read(SPAN("MOVED 0 ::1:6381"), "10.9.9.9:1", &r));
    assert_string_equal(r.address, "[::1]:6381");
    assert_true(redirection_read(SPAN("MOVED 0 [::1]:6381"), "10.9.9.9:1", &r));
}

static void a_redirection_to_nowhere_is_none(void **state)
{
    static const char *const bad[] = {
        "",
        "MOVED",
        "MOVED ",
        "MOVED 1",
        "MOVED 1 ",
        "MOVED 1 host",
        "MOVED 1 host:",
        "MOVED 1 host:0",
        "MOVED 1 host:65536",
        "MOVED 1 host:-1",
        "MOVED 1 host:12x",
        "MOVED 16384 host:1",
        "MOVED -1 host:1",
        "MOVED x host:1",
        "MOVED  1 host:1",
        "MOVED 1 ho st:1",
        "MOVED 1 ho\nst:1",
        "MOVED 1 :1",
        "moved 1 host:1",
        "ASKED 1 host:1",
        "TRYAGAIN Multiple keys request during rehashing of slot",
    };
    struct redirection r;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(redirection_read(span_of(bad[i]), "unix:/x", &r));
}

static void a_sentinel_names_a_primary(void **state)
{
    char address[SHARD_ADDRESS_MAX];
    struct redis_value v = reply("*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n");

    (void) state;
    assert_int_equal(sentinel_primary_read(&v, address), 0);
    assert_string_equal(address, "127.0.0.1:6379");
    v = reply("*2\r\n$11\r\nredis.local\r\n$4\r\n6379\r\n");
    assert_int_equal(sentinel_primary_read(&v, address), 0);
    assert_string_equal(address, "redis.local:6379");
    v = reply("*-1\r\n");
    assert_int_equal(sentinel_primary_read(&v, address), -ENOENT);
}

static void a_sentinel_tells_how_new_its_knowledge_is(void **state)
{
    static const char *const without[] = {
        "-ERR No such master with that name\r\n", "*0\r\n",
        "*1\r\n$12\r\nconfig-epoch\r\n",          "*2\r\n$12\r\nconfig-epoch\r\n$2\r\n-1\r\n",
        "*2\r\n$12\r\nconfig-epoch\r\n*0\r\n",    "*2\r\n:1\r\n:2\r\n"};
    struct redis_value v = reply("*4\r\n$4\r\nname\r\n$5\r\nbarid\r\n$12\r\nconfig-epoch\r\n$2\r\n17\r\n");

    (void) state;
    assert_int_equal(sentinel_number_read(&v, "config-epoch"), 17);
    for (size_t i = 0; i < ARRAY_LEN(without); i++) {
        v = reply(without[i]);
        assert_int_equal(sentinel_number_read(&v, "config-epoch"), 0);
    }
}

#define FIELD(name, value) "$" name "\r\n$" value "\r\n"
#define REPLICA(flags, role, info, priority, down)                                \
    "*10\r\n" FIELD("5\r\nflags", flags) FIELD("13\r\nrole-reported", role)       \
        FIELD("12\r\ninfo-refresh", info) FIELD("14\r\nslave-priority", priority) \
            FIELD("21\r\nmaster-link-down-time", down)

static void a_sentinel_tells_whom_it_may_promote(void **state)
{
    static const struct {
        const char *answer;
        unsigned successors;
    } answers[] = {
        {"*0\r\n", 0},
        {"*2\r\n" REPLICA("5\r\nslave", "5\r\nslave", "2\r\n42", "3\r\n100", "1\r\n0")
             REPLICA("5\r\nslave", "5\r\nslave", "2\r\n42", "3\r\n100", "5\r\n60000"),
         2},
        {"*2\r\n" REPLICA("5\r\nslave", "5\r\nslave", "2\r\n42", "3\r\n100", "1\r\n0")
             REPLICA("5\r\nslave", "5\r\nslave", "2\r\n42", "3\r\n100", "5\r\n60001"),
         1},
        {"*1\r\n" REPLICA("17\r\nslave,reconf_sent", "5\r\nslave", "2\r\n42", "3\r\n100", "1\r\n0"), 1},
        {"*1\r\n" REPLICA("14\r\nslave,promoted", "5\r\nslave", "2\r\n42", "3\r\n100", "1\r\n0"), 0},
        {"*1\r\n" REPLICA("12\r\ns_down,slave", "5\r\nslave", "2\r\n42", "3\r\n100", "1\r\n0"), 0},
        {"*1\r\n" REPLICA("18\r\nslave,disconnected", "5\r\nslave", "2\r\n42", "3\r\n100", "1\r\n0"), 0},
        {"*1\r\n" REPLICA("5\r\nslave", "6\r\nmaster", "2\r\n42", "3\r\n100", "1\r\n0"), 0},
        {"*1\r\n" REPLICA("5\r\nslave", "5\r\nslave", "1\r\n0", "3\r\n100", "1\r\n0"), 0},
        {"*1\r\n" REPLICA("5\r\nslave", "5\r\nslave", "2\r\n42", "1\r\n0", "1\r\n0"), 0},
        {"-ERR No such master with that name\r\n", 0},
        {"*2\r\n:1\r\n*1\r\n$5\r\nflags\r\n", 0},
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        const struct redis_value v = reply(answers[i].answer);
        assert_int_equal(sentinel_successors_read(&v, 60000), answers[i].successors);
    }
}

static void a_sentinel_that_talks_nonsense_names_nobody(void **state)
{
    static const char *const bad[] = {
        "+PONG\r\n",
        "-ERR unknown command\r\n",
        "*0\r\n",
        "*1\r\n$9\r\n127.0.0.1\r\n",
        "*3\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n$1\r\nx\r\n",
        "*2\r\n$0\r\n\r\n$4\r\n6379\r\n",
        "*2\r\n$9\r\n127.0.0.1\r\n$1\r\n0\r\n",
        "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n65536\r\n",
        "*2\r\n$9\r\n127.0.0.1\r\n$2\r\n-1\r\n",
        "*2\r\n$9\r\n127.0.0.1\r\n$20\r\n18446744073709551617\r\n",
        "*2\r\n$9\r\n127.0.0.1\r\n$4\r\nport\r\n",
        "*2\r\n$9\r\n127.0 0.1\r\n$4\r\n6379\r\n",
        "*2\r\n$-1\r\n$4\r\n6379\r\n",
        "*2\r\n:1\r\n:2\r\n",
    };
    char address[SHARD_ADDRESS_MAX] = "as before";

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct redis_value v = reply(bad[i]);
        assert_int_equal(sentinel_primary_read(&v, address), -EBADMSG);
        assert_string_equal(address, "as before");
    }
    reader = reply_reader_free(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_those_that_redis_computes),
        cmocka_unit_test(commands_go_where_their_first_key_is),
        cmocka_unit_test(each_command_goes_behind_asking),
        cmocka_unit_test(a_map_says_who_has_which_slot),
        cmocka_unit_test(a_node_without_a_name_is_the_one_that_was_asked),
        cmocka_unit_test(a_map_with_a_wrong_line_is_none),
        cmocka_unit_test(the_state_of_a_cluster_is_told_with_its_epoch),
        cmocka_unit_test(redirections_name_slot_and_server),
        cmocka_unit_test(a_redirection_to_nowhere_is_none),
        cmocka_unit_test(a_sentinel_names_a_primary),
        cmocka_unit_test(a_sentinel_tells_how_new_its_knowledge_is),
        cmocka_unit_test(a_sentinel_tells_whom_it_may_promote),
        cmocka_unit_test(a_sentinel_that_talks_nonsense_names_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
