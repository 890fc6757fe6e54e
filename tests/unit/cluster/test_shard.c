/* The store on real Sentinels and a real Redis Cluster: who is primary, who has which slot, and what becomes of calls when that changes. */
#include "cluster_test.h"

#include "base/log.h"
#include "base/metric.h"
#include "cluster/keys.h"
#include "cluster/shard.h"
#include "fleet.h"

enum { NODES = 5, LONG_MS = 60000 };

static struct fleet_server nodes[NODES];
static struct fleet_server sentinel;

/* ---- calls */

struct one {
    struct store_call call;
    bool is_done;
    enum store_result result;
    char text[64]; /* of the last value */
};

static void on_done(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct one *one = CONTAINER_OF(c, struct one, call);

    one->is_done = true;
    one->result = result;
    one->text[0] = '\0';
    if (result == STORE_OK) {
        const struct redis_value *last = &values[c->request.reply_count - 1];
        struct span text = last->text;
        (void) snprintf(one->text, sizeof one->text, "%.*s", SPAN_ARG(text));
    }
}

static void one_begin(struct one *one, uint64_t time_ms)
{
    *one = (struct one){.is_done = false};
    one->call.on_done = on_done;
    one->call.give_up_ms = clock_ms() + time_ms;
}

static void one_end(struct one *one)
{
    WAIT_FOR(one->is_done);
    store_call_done(&one->call);
}

static void send_words(struct one *one, const char *const *words)
{
    size_t count = 0;

    while (words[count])
        count++;
    call_begin(&one->call, count);
    for (size_t i = 0; i < count; i++)
        resp_arg_text(&one->call.request.bytes, words[i]);
}

#define SEND(one, ...)                                               \
    do {                                                             \
        one_begin((one), LONG_MS);                                   \
        send_words((one), (const char *const[]){__VA_ARGS__, NULL}); \
        store_send(store, &(one)->call);                             \
    } while (0)

static void key_in(char ret_key[static 64], unsigned partition, const char *name)
{
    (void) snprintf(ret_key, 64, "x:{%s}:%s", partition_tag(partition), name);
}

/* Writes to each of some partitions in every shard, and reads it back. */
static void check_all(void)
{
    struct one one;
    char key[64];

    for (unsigned partition = 5; partition < PARTITION_COUNT; partition += 50) {
        key_in(key, partition, "all");
        SEND(&one, "SET", key, "here");
        one_end(&one);
        assert_int_equal(one.result, STORE_OK);
        SEND(&one, "GET", key);
        one_end(&one);
        assert_string_equal(one.text, "here");
    }
}

/* ---- scenes */

static size_t shard_count(void)
{
    return (size_t) metric_get(METRIC_STORE_SHARDS);
}

static void scene_begin(const char *kind, const char *addresses)
{
    loop = loop_new();
    set("BARID_STORE_KIND", kind);
    set("BARID_STORE_ADDRESS", addresses);
    set("BARID_STORE_CONNECTIONS", "2");
    set("BARID_STORE_DURABILITY", "none");
    set("BARID_STORE_TIMEOUT", "1s");
    log_setup("test", LOG_ERROR, false);
    loop_patience();
}

static int scene_end(void **state)
{
    static const char *const names[] = {"BARID_STORE_KIND", "BARID_STORE_MASTER", "BARID_STORE_REPLICAS",
                                        "BARID_STORE_DURABILITY", "BARID_STORE_TIMEOUT"};

    (void) state;
    store = store_close(store);
    loop = loop_free(loop);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        set(names[i], NULL);
    return 0;
}

static int servers_end(void **state)
{
    (void) state;
    fleet_end(&sentinel);
    for (size_t i = 0; i < NODES; i++)
        fleet_end(&nodes[i]);
    return 0;
}

static int pair_end(void **state)
{
    return scene_end(state) + servers_end(state);
}

static int pair_setup(void **state)
{
    (void) state;
    fleet_start(&nodes[0], (const char *const[]){NULL});
    fleet_start_replica(&nodes[1], &nodes[0]);
    fleet_start_sentinel(&sentinel, &nodes[0], "barid");
    scene_begin("sentinel", sentinel.address);
    return 0;
}

/* One cluster for all tests of it: each moves slots of its own. */
static int trio_start(void **state)
{
    (void) state;
    for (size_t i = 0; i < 3; i++)
        fleet_start_node(&nodes[i]);
    fleet_make_cluster(nodes, 3);
    return 0;
}

static int trio_setup(void **state)
{
    (void) state;
    scene_begin("cluster", nodes[1].address);
    return 0;
}

/* ---- Sentinels */

static void a_primary_is_found_behind_sentinels_that_are_no_use(void **state)
{
    static const struct lie nonsense[] = {{"SENTINEL", "*2\r\n$3\r\nno!\r\n$1\r\n0\r\n"}, {NULL, NULL}};
    static const struct lie silence[] = {{"SENTINEL", NULL}, {NULL, NULL}};
    static const struct lie elsewhere[] = {{"SENTINEL", "*2\r\n$9\r\n127.0.0.1\r\n$1\r\n1\r\n"},
                                           {NULL, NULL}};
    static const struct lie endless[] = {{"SENTINEL", "$100000000000\r\n"}, {NULL, NULL}};
    const struct lie *const lies[] = {nonsense, silence, elsewhere, endless};
    struct liar liars[ARRAY_LEN(lies)];
    char addresses[512] = "127.0.0.1:1"; /* nobody listens there */

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        liar_start(&liars[i], lies[i]);
        (void) snprintf(addresses + strlen(addresses), sizeof addresses - strlen(addresses), ",%s",
                        liars[i].address);
    }
    (void) snprintf(addresses + strlen(addresses), sizeof addresses - strlen(addresses), ",%s",
                    sentinel.address);
    set("BARID_STORE_ADDRESS", addresses);
    open_store();
    WAIT_FOR(store_is_ready(store));
    check_all();
    store = store_close(store);
    for (size_t i = 0; i < ARRAY_LEN(lies); i++)
        liar_end(&liars[i]);
}

static unsigned commands_of(struct liar *l)
{
    return __atomic_load_n(&l->commands, __ATOMIC_SEQ_CST);
}

/* Each failover has an epoch: who knows of none after the first is behind, and its primary may go on answering. */
static void a_sentinel_that_is_behind_is_not_followed(void **state)
{
    char named[2][64];
    static char epochs[2][64] = {"*2\r\n$12\r\nconfig-epoch\r\n$1\r\n7\r\n",
                                 "*2\r\n$12\r\nconfig-epoch\r\n$1\r\n6\r\n"};
    struct liar liars[2];
    struct one one;
    struct lie lies[2][3];

    (void) state;
    fleet_tell(&nodes[1], "REPLICAOF NO ONE"); /* two primaries: the second one was cut off */
    for (size_t i = 0; i < 2; i++) {
        (void) snprintf(named[i], sizeof named[i], "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n%05u\r\n", nodes[i].port);
        lies[i][0] = (struct lie){"SENTINEL MASTER", epochs[i]};
        lies[i][1] = (struct lie){"SENTINEL", named[i]};
        lies[i][2] = (struct lie){NULL, NULL};
        liar_start(&liars[i], lies[i]);
    }
    AUTO_FREE char *addresses = mem_format("%s,%s", liars[1].address, liars[0].address);
    set("BARID_STORE_ADDRESS", addresses);
    do { /* whom it asks first is by lot: it has to hear of the newer epoch */
        store = store_close(store);
        for (size_t i = 0; i < 2; i++)
            __atomic_store_n(&liars[i].commands, 0, __ATOMIC_SEQ_CST);
        open_store();
        WAIT_FOR(commands_of(&liars[0]) + commands_of(&liars[1]) > 0);
    } while (commands_of(&liars[0]) == 0);
    int64_t moved = metric_get(METRIC_STORE_MOVED_TOTAL);
    WAIT_FOR(commands_of(&liars[1]) >= 2 && commands_of(&liars[0]) >= 4); /* the other one was no help */
    assert_int_equal(metric_get(METRIC_STORE_MOVED_TOTAL), moved);
    SEND(&one, "SET", "x:{c}:epoch", "yes");
    one_end(&one);
    assert_int_equal(one.result, STORE_OK);
    assert_true(fleet_says(&nodes[0], "yes", "GET x:{c}:epoch"));
    assert_false(fleet_says(&nodes[1], "yes", "GET x:{c}:epoch"));
    unsigned asked = commands_of(&liars[1]);
    fleet_tell(&nodes[0], "CLIENT KILL TYPE normal SKIPME yes"); /* something is amiss: both are asked anew */
    WAIT_FOR(commands_of(&liars[1]) > asked || store_is_ready(store));
    SEND(&one, "SET", "x:{c}:epoch", "again");
    one_end(&one);
    assert_true(fleet_says(&nodes[0], "again", "GET x:{c}:epoch"));
    assert_false(fleet_says(&nodes[1], "again", "GET x:{c}:epoch"));
    store = store_close(store);
    for (size_t i = 0; i < 2; i++)
        liar_end(&liars[i]);
}

static void sentinels_without_our_master_say_what_to_set(void **state)
{
    (void) state;
    set("BARID_STORE_MASTER", "another");
    open_store();
    WAIT_FOR(strstr(store_trouble(store), "set store.master"));
    assert_false(store_is_ready(store));
    store = store_close(store);
    set("BARID_STORE_MASTER", NULL);
    set("BARID_STORE_ADDRESS", nodes[0].address); /* no Sentinel */
    open_store();
    WAIT_FOR(strstr(store_trouble(store), "does not answer as a Sentinel does"));
}

/* What is owed by the old primary is done by the new one, though nobody can say whether the old one did it. */
static void a_call_survives_its_primary(void **state)
{
    struct one one, parked;

    (void) state;
    open_store();
    WAIT_FOR(store_is_ready(store));
    check_all();
    int64_t moved = metric_get(METRIC_STORE_MOVED_TOTAL); /* in the tests before */
    fleet_freeze(&nodes[0]);                              /* it takes what is sent, and says nothing */
    SEND(&one, "SET", "x:{c}:survives", "yes");
    WAIT_FOR(!store_is_ready(store));
    SEND(&parked, "SET", "x:{c}:parked", "yes");
    one_end(&one);
    assert_int_equal(one.result, STORE_OK);
    assert_true(one.call.sends > 1);
    one_end(&parked);
    assert_int_equal(parked.result, STORE_OK);
    assert_int_equal(parked.call.sends, 1);
    SEND(&one, "GET", "x:{c}:survives");
    one_end(&one);
    assert_string_equal(one.text, "yes");
    assert_true(fleet_says(&nodes[1], "role:master", "INFO replication"));
    WAIT_FOR(shard_count() == 1); /* the old one is let go */
    assert_int_equal(metric_get(METRIC_STORE_MOVED_TOTAL) - moved, 1);
    /* Back from its sleep it is a replica soon, and is not asked any more. */
    fleet_thaw(&nodes[0]);
    check_all();
}

static void what_no_replica_holds_is_not_confirmed(void **state)
{
    struct one one;

    (void) state;
    set("BARID_STORE_REPLICAS", "1");
    open_store();
    WAIT_FOR(store_is_ready(store));
    check_all();
    fleet_freeze(&nodes[1]);
    SEND(&one, "SET", "x:{c}:short", "yes");
    WAIT_FOR(!store_is_ready(store));
    assert_false(one.is_done);
    WAIT_FOR(strstr(store_trouble(store), "0 of 1 replicas hold what is written"));
    assert_true(fleet_says(&nodes[0], "yes", "GET x:{c}:short")); /* done, but not held */
    fleet_thaw(&nodes[1]);
    one_end(&one);
    assert_int_equal(one.result, STORE_OK);
    assert_true(store_is_ready(store));
    /* A read too: what a primary that is cut off says may be old. */
    fleet_freeze(&nodes[1]);
    SEND(&one, "GET", "x:{c}:short");
    WAIT_FOR(!store_is_ready(store));
    assert_false(one.is_done);
    fleet_thaw(&nodes[1]);
    one_end(&one);
    assert_string_equal(one.text, "yes");
    /* Unless nobody minds. */
    fleet_freeze(&nodes[1]);
    one_begin(&one, LONG_MS);
    one.call.is_unheld = true;
    send_words(&one, (const char *const[]){"GET", "x:{c}:short", NULL});
    store_send(store, &one.call);
    one_end(&one);
    assert_string_equal(one.text, "yes");
    fleet_thaw(&nodes[1]);
}

static void a_failover_without_replicas_that_confirm_is_not_durable(void **state)
{
    (void) state;
    set("BARID_STORE_DURABILITY", "fsync");
    open_store();
    WAIT_FOR(strstr(store_trouble(store), "store.replicas"));
    assert_false(store_is_ready(store));
}

/* ---- a Redis Cluster */

static void move_all(unsigned slot, const struct fleet_server *from, const struct fleet_server *to,
                     bool is_whole)
{
    char from_id[41], to_id[41];

    fleet_node_id(from, from_id);
    fleet_node_id(to, to_id);
    fleet_tell(to, "CLUSTER SETSLOT %u IMPORTING %s", slot, from_id);
    fleet_tell(from, "CLUSTER SETSLOT %u MIGRATING %s", slot, to_id);
    redisReply *keys = fleet_ask(from, "CLUSTER GETKEYSINSLOT %u 100", slot);
    for (size_t i = 0; i < keys->elements; i++)
        fleet_tell(from, "MIGRATE 127.0.0.1 %u %s 0 5000", to->port, keys->element[i]->str);
    freeReplyObject(keys);
    if (!is_whole)
        return;
    fleet_tell(to, "CLUSTER SETSLOT %u NODE %s", slot, to_id);
    /* Who has none left may have become a replica meanwhile, and refuses. */
    freeReplyObject(fleet_ask(from, "CLUSTER SETSLOT %u NODE %s", slot, to_id));
}

/* Whoever moves slots faster than nodes tell one another makes them quarrel. */
static void wait_for_epoch(size_t count)
{
    redisReply *reply = fleet_ask(&nodes[3], "CLUSTER INFO");
    const char *line = strstr(reply->str, "cluster_current_epoch:");
    AUTO_FREE char *epoch = mem_text(line, strcspn(line, "\r"));

    freeReplyObject(reply);
    for (size_t i = 0; i < count; i++)
        WAIT_FOR(fleet_says(&nodes[i], epoch, "CLUSTER INFO"));
}

/* The second half of a move. */
static void finish_move(unsigned slot, const struct fleet_server *to)
{
    char id[41];

    fleet_node_id(to, id);
    for (size_t i = 3; i-- > 0;)
        fleet_tell(&nodes[i], "CLUSTER SETSLOT %u NODE %s", slot, id);
}

static bool are_all_ready(void)
{
    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++)
        if (!store_partition_is_ready(store, partition))
            return false;
    return store_is_ready(store);
}

static void calls_find_the_shard_of_their_keys(void **state)
{
    (void) state;
    open_store();
    WAIT_FOR(are_all_ready());
    assert_int_equal(shard_count(), 3);
    check_all();
    assert_true(store_partitions_share(store, 0, 1));
    assert_false(store_partitions_share(store, 0, 255));
    assert_int_equal(store_partition_healthy(store, 77), 77);
    assert_in_range(store_partition_ms(store, 200) + 1000 - clock_wall_ms(), 0, 2000);
}

static void a_slot_that_has_moved_is_followed(void **state)
{
    struct one one;
    char key[64];

    (void) state;
    open_store();
    WAIT_FOR(are_all_ready());
    key_in(key, 3, "moves");
    SEND(&one, "SET", key, "here");
    one_end(&one);
    move_all(partition_slot(3), &nodes[0], &nodes[2], true);
    SEND(&one, "GET", key);
    one_end(&one);
    assert_string_equal(one.text, "here");
    assert_int_equal(one.call.sends, 2); /* MOVED, once */
    SEND(&one, "GET", key);
    one_end(&one);
    assert_int_equal(one.call.sends, 1);
    assert_false(store_partitions_share(store, 3, 2));
}

static void a_slot_that_moves_is_asked_at_both_ends(void **state)
{
    struct one one, two;
    char gone[64], both[64];

    (void) state;
    open_store();
    WAIT_FOR(are_all_ready());
    key_in(gone, 4, "gone");
    key_in(both, 4, "new");
    SEND(&one, "SET", gone, "there");
    one_end(&one);
    move_all(partition_slot(4), &nodes[0], &nodes[2], false);
    SEND(&one, "GET", gone); /* ASK */
    one_end(&one);
    assert_string_equal(one.text, "there");
    one_begin(&one, LONG_MS);
    one.call.is_once = true; /* who was told to ask elsewhere has done nothing */
    send_words(&one, (const char *const[]){"GET", gone, NULL});
    store_send(store, &one.call);
    one_end(&one);
    assert_string_equal(one.text, "there");
    /* Of several keys, some not there: TRYAGAIN, until all are. */
    SEND(&two, "MGET", gone, both);
    SEND(&one, "SET", both, "there too");
    one_end(&one);
    assert_int_equal(one.result, STORE_OK);
    one_end(&two);
    assert_int_equal(two.result, STORE_OK);
    finish_move(partition_slot(4), &nodes[2]);
    SEND(&one, "GET", both);
    one_end(&one);
    assert_string_equal(one.text, "there too");
}

static void a_script_pauses_while_its_slot_moves(void **state)
{
    struct one one;

    (void) state;
    open_store();
    WAIT_FOR(are_all_ready());
    move_all(partition_slot(5), &nodes[0], &nodes[2], false);
    one_begin(&one, LONG_MS);
    script_begin(&one.call, SCRIPT_chunk, 2, 2);
    key_arg(&one.call.request.bytes, KEY_OF_CHUNK, 5, SPAN("m"), 0);
    key_arg(&one.call.request.bytes, KEY_OF_NEVER, 5, (struct span){.at = NULL}, 0);
    resp_arg(&one.call.request.bytes, SPAN("bytes"));
    resp_arg_number(&one.call.request.bytes, 60);
    store_send(store, &one.call);
    WAIT_FOR(one.call.sends > 3);
    assert_false(one.is_done);
    assert_true(are_all_ready()); /* nothing else pauses */
    finish_move(partition_slot(5), &nodes[2]);
    one_end(&one);
    assert_int_equal(one.result, STORE_OK);
}

static void meet(const struct fleet_server *s)
{
    char bus[16];
    redisReply *port = fleet_ask(s, "CONFIG GET cluster-port");

    (void) snprintf(bus, sizeof bus, "%s", port->element[1]->str);
    freeReplyObject(port);
    fleet_tell(&nodes[0], "CLUSTER MEET 127.0.0.1 %u %s", s->port, bus);
}

static void a_new_primary_is_found_and_one_without_slots_let_go(void **state)
{
    struct one one;
    char key[64];

    (void) state;
    open_store();
    WAIT_FOR(are_all_ready());
    fleet_start_node(&nodes[3]);
    meet(&nodes[3]);
    for (size_t i = 0; i < 4; i++)
        WAIT_FOR(fleet_says(&nodes[i], "cluster_known_nodes:4", "CLUSTER INFO"));
    WAIT_FOR(fleet_says(&nodes[3], "cluster_slots_assigned:16384", "CLUSTER INFO") &&
             fleet_says(&nodes[3], "cluster_state:ok", "CLUSTER INFO"));
    move_all(partition_slot(255), &nodes[2], &nodes[3], true);
    key_in(key, 255, "x");
    SEND(&one, "SET", key, "there");
    one_end(&one);
    assert_int_equal(one.result, STORE_OK);
    WAIT_FOR(shard_count() == 4 && are_all_ready());
    assert_false(store_partitions_share(store, 255, 254));
    wait_for_epoch(4);
    move_all(partition_slot(255), &nodes[3], &nodes[2], true);
    loop_patience();
    SEND(&one, "GET", key);
    one_end(&one);
    assert_string_equal(one.text, "there");
    WAIT_FOR(shard_count() == 3);
    assert_true(are_all_ready());
    assert_true(store_partitions_share(store, 255, 254));
}

static void one_lost_primary_stops_only_its_own(void **state)
{
    struct one one;
    char key[64];

    (void) state;
    fleet_start_node(&nodes[4]);
    char id[41];
    meet(&nodes[4]);
    fleet_node_id(&nodes[0], id);
    AUTO_FREE char *replicate = mem_format("CLUSTER REPLICATE %s", id);
    open_store();
    WAIT_FOR(fleet_says(&nodes[4], "cluster_slots_assigned:16384", "CLUSTER INFO"));
    WAIT_FOR(fleet_says(&nodes[4], "OK", replicate)); /* as soon as it has heard of it */
    WAIT_FOR(fleet_says(&nodes[4], "master_link_status:up", "INFO replication"));
    WAIT_FOR(are_all_ready());
    loop_patience();
    fleet_kill(&nodes[0]);
    WAIT_FOR(!store_partition_is_ready(store, 0));
    WAIT_FOR(store_is_ready(store) &&
             store_partition_is_ready(store, 255)); /* at once, unless the machine is too busy */
    assert_false(store_partition_is_ready(store, 0));
    assert_true(store_has_ready(store));
    assert_int_not_equal(store_partition_healthy(store, 0), 0);
    key_in(key, 255, "x");
    SEND(&one, "SET", key, "1");
    one_end(&one);
    assert_int_equal(one.result, STORE_OK);
    key_in(key, 0, "x");
    SEND(&one, "SET", key, "1"); /* waits for who takes over */
    one_end(&one);
    assert_int_equal(one.result, STORE_OK);
    assert_true(fleet_says(&nodes[4], "role:master", "INFO replication"));
    WAIT_FOR(are_all_ready() && shard_count() == 3);
}

/* ---- what is wrong */

static void a_node_that_lies_about_its_slots_is_passed_over(void **state)
{
    static const struct lie none[] = {
        {"CLUSTER SLOTS", "*1\r\n*3\r\n:0\r\n:99999\r\n*2\r\n$1\r\nx\r\n:1\r\n"}, {NULL, NULL}};
    static const struct lie failed[] = {
        {"CLUSTER INFO", "$45\r\ncluster_state:fail\r\ncluster_current_epoch:1\r\n\r\n"}, {NULL, NULL}};
    struct liar liars[2];
    char addresses[128];

    (void) state;
    liar_start(&liars[0], none);
    liar_start(&liars[1], failed);
    (void) snprintf(addresses, sizeof addresses, "%s,%s", liars[0].address, liars[1].address);
    set("BARID_STORE_ADDRESS", addresses);
    open_store();
    WAIT_FOR(strstr(store_trouble(store), "does not answer as a node of a Redis Cluster does"));
    WAIT_FOR(strstr(store_trouble(store), "cluster_state:fail"));
    assert_false(store_is_ready(store));
    assert_int_equal(shard_count(), 0);
    store = store_close(store);
    (void) snprintf(addresses + strlen(addresses), sizeof addresses - strlen(addresses), ",%s",
                    nodes[2].address);
    set("BARID_STORE_ADDRESS", addresses);
    open_store();
    WAIT_FOR(are_all_ready());
    check_all();
    store = store_close(store);
    liar_end(&liars[0]);
    liar_end(&liars[1]);
}

static int liar_setup(void **state)
{
    (void) state;
    scene_begin("cluster", "127.0.0.1:1");
    return 0;
}

/* Whatever it says, the call ends in time, nothing is sent in circles, and nothing piles up. */
static void redirections_to_nowhere_end_in_time(void **state)
{
    static const char *const answers[] = {
        "-MOVED 99999 127.0.0.1:1\r\n",
        "-MOVED 7365 127.0.0.1:99999\r\n",
        "-MOVED 7365\r\n",
        "-MOVED 1 127.0.0.1:1\r\n",
        "-MOVED 7365 :0\r\n",
        "-MOVED 7365 127.0.0.1:1\r\n",
        "-MOVED 7365 itself\r\n",
        "-ASK 7365 127.0.0.1:1\r\n",
        "-ASK 7365 itself\r\n",
        "-ASK 7365 \r\n",
        "-TRYAGAIN never\r\n",
        "-CLUSTERDOWN always\r\n",
        "-READONLY me\r\n",
    };

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        char itself[64];
        struct lie lies[] = {{"GET", answers[i]}, {NULL, NULL}};
        struct liar liar;
        struct one one;
        liar_start(&liar, lies);
        if (strstr(answers[i], "itself")) {
            (void) snprintf(itself, sizeof itself, "-%s 7365 %s\r\n", answers[i][1] == 'A' ? "ASK" : "MOVED",
                            liar.address);
            lies[0].reply = itself;
        }
        set("BARID_STORE_ADDRESS", liar.address);
        open_store();
        WAIT_FOR(store_is_ready(store));
        one_begin(&one, 700);
        send_words(&one, (const char *const[]){"GET", "x:{c}", NULL});
        store_send(store, &one.call);
        one_end(&one);
        assert_int_equal(one.result, STORE_UNKNOWN);
        assert_true(one.call.sends < 60 && liar.commands < 60);
        assert_true(shard_count() <= 2);
        store = store_close(store);
        liar_end(&liar);
    }
}

/* Each redirection names another server: no more are opened than a map may err by. */
static void redirections_do_not_open_servers_without_end(void **state)
{
    static char answer[] = "-ASK 7365 127.0.0.1:10000\r\n";
    static const struct lie lies[] = {{"GET", answer}, {NULL, NULL}};
    struct liar liar;

    (void) state;
    liar_start(&liar, lies);
    set("BARID_STORE_ADDRESS", liar.address);
    open_store();
    WAIT_FOR(store_is_ready(store));
    for (unsigned i = 0; i < 60; i++) {
        struct one one;
        (void) snprintf(answer, sizeof answer, "-ASK 7365 127.0.0.1:1%04u\r\n", i);
        one_begin(&one, 30);
        send_words(&one, (const char *const[]){"GET", "x:{c}", NULL});
        store_send(store, &one.call);
        one_end(&one);
        assert_true(shard_count() <= 20);
    }
    store = store_close(store);
    liar_end(&liar);
}

/* Whoever waits for an event waits for ever where a shard gets slots that was ready all the time. */
static void slots_that_come_back_to_a_ready_shard_are_news(void **state)
{
    struct lie lies[] = {{"nothing", "*0\r\n"}, {"GET", "-CLUSTERDOWN look again\r\n"}, {NULL, NULL}};
    struct liar liar;
    struct one one;

    (void) state;
    liar_start(&liar, lies);
    set("BARID_STORE_ADDRESS", liar.address);
    open_store();
    WAIT_FOR(store_is_ready(store));
    unsigned before = ready_count;
    lies[0].words = "CLUSTER SLOTS";
    one_begin(&one, 100);
    send_words(&one, (const char *const[]){"GET", "x:{c}", NULL});
    store_send(store, &one.call);
    one_end(&one);
    WAIT_FOR(!store_is_ready(store));
    lies[0].words = "nothing";
    WAIT_FOR(store_is_ready(store));
    assert_true(ready_count > before);
    store = store_close(store);
    liar_end(&liar);
}

/* What INFO says of one replica that follows, and of another as told. */
static char *replication(const char *second)
{
    AUTO_FREE char *info = mem_format(
        "run_id:1234567890\r\nredis_version:7.0.15\r\nrole:master\r\ncluster_enabled:1\r\nconnected_slaves:%d\r\n"
        "slave0:ip=127.0.0.1,port=1,state=online,offset=1,lag=0\r\n%s",
        1 + (*second != '\0'), second);

    return mem_format("$%zu\r\n%s\r\n", strlen(info), info);
}

static void a_primary_that_takes_no_writes_is_not_ready(void **state)
{
    static const char *const refusals[] = {
        "-CLUSTERDOWN The cluster is down\r\n",
        "-NOREPLICAS Not enough good replicas to write.\r\n",
        "-MISCONF Errors writing to the AOF file\r\n",
        "-NOPERM this user has no permissions\r\n",
    };
    AUTO_FREE char *replicated = replication("slave1:ip=127.0.0.1,port=2,state=online,offset=1,lag=0\r\n");
    struct lie lies[] = {{"INFO", replicated}, {"WAIT", ":2\r\n"}, {"nothing", NULL}, {NULL, NULL}};
    struct liar liar;

    (void) state;
    liar_start(&liar, lies);
    set("BARID_STORE_ADDRESS", liar.address);
    set("BARID_STORE_REPLICAS", "1");
    open_store();
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        WAIT_FOR(store_is_ready(store));
        lies[2].reply = refusals[i];
        lies[2].words = "EVALSHA";
        WAIT_FOR(!store_is_ready(store));
        WAIT_FOR(strstr(store_trouble(store), "0 of 2 replicas hold what is written"));
        lies[2].words = "nothing";
    }
    WAIT_FOR(store_is_ready(store));
    store = store_close(store);
    liar_end(&liar);
}

/* Any that follows may be promoted, so one that is lost, lags or still copies all is waited for: as long as who promotes may take it for a good one. */
static void a_replica_that_follows_no_more_is_left_behind_in_time(void **state)
{
    enum { KEPT_MS = 3000, LOOK_MS = 1000 }; /* the latest look that saw both may be that old */
    static const char *const seconds[] = {"", "slave1:ip=127.0.0.1,port=2,state=online,offset=1,lag=2\r\n",
                                          "slave1:ip=127.0.0.1,port=2,state=wait_bgsave,offset=0,lag=0\r\n"};
    AUTO_FREE char *both = replication("slave1:ip=127.0.0.1,port=2,state=online,offset=1,lag=1\r\n");
    struct lie lies[] = {{"INFO", both}, {"WAIT", ":2\r\n"}, {NULL, NULL}};
    struct liar liar;

    (void) state;
    liar_start(&liar, lies);
    set("BARID_STORE_ADDRESS", liar.address);
    set("BARID_STORE_REPLICAS", "1");
    open_store();
    for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
        AUTO_FREE char *one_left = replication(seconds[i]);
        WAIT_FOR(store_is_ready(store));
        lies[1].reply = ":1\r\n";
        WAIT_FOR(strstr(store_trouble(store), "1 of 2 replicas hold what is written (all that follow"));
        lies[0].reply = one_left;
        uint64_t since_ms = clock_ms();
        WAIT_FOR(store_is_ready(store));
        assert_true(clock_ms() - since_ms >= KEPT_MS - LOOK_MS);
        lies[0].reply = both; /* and back, with all it missed */
        WAIT_FOR(!store_is_ready(store));
        lies[1].reply = ":2\r\n";
        WAIT_FOR(store_is_ready(store));
    }
    store = store_close(store);
    liar_end(&liar);
}

/* The map names two replicas: one that does not follow may be promoted all the same. */
static void who_may_be_promoted_is_waited_for_longer(void **state)
{
    enum { KEPT_MS = 12000, LOOK_MS = 1000, GATHER_MS = 5000 };
    static const char wanted[] = "1 of the 2 replicas that may be promoted have what it writes";
    static char slots[256];
    AUTO_FREE char *both = replication(
        "slave1:ip=127.0.0.1,port=2,state=online,offset=1,lag=0\r\nmaster_replid:a\r\n");
    AUTO_FREE char *one = replication("master_replid:a\r\n"), *anew = replication("master_replid:b\r\n");
    struct lie lies[] = {{"CLUSTER SLOTS", slots}, {"INFO", one}, {"WAIT", ":1\r\n"}, {NULL, NULL}};
    struct liar liar;

    (void) state;
    liar_start(&liar, lies);
    (void) snprintf(slots, sizeof slots,
                    "*1\r\n*5\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%u\r\n"
                    "*2\r\n$9\r\n127.0.0.1\r\n:1\r\n*2\r\n$9\r\n127.0.0.1\r\n:2\r\n",
                    liar.port);
    set("BARID_STORE_ADDRESS", liar.address);
    set("BARID_STORE_REPLICAS", "1");
    open_store();
    WAIT_FOR(strstr(store_trouble(store), wanted)); /* it has not come yet */
    lies[1].reply = both;
    lies[2].reply = ":2\r\n";
    WAIT_FOR(store_is_ready(store));
    uint64_t since_ms = clock_ms();
    WAIT_FOR(clock_ms() >= since_ms + GATHER_MS + LOOK_MS);
    assert_true(store_is_ready(store));
    since_ms = clock_ms();
    lies[1].reply = one; /* it has come, and is gone */
    lies[2].reply = ":1\r\n";
    WAIT_FOR(!store_is_ready(store));
    WAIT_FOR(store_is_ready(store));
    assert_true(clock_ms() - since_ms >= KEPT_MS - LOOK_MS);
    lies[1].reply = anew; /* and has no copy of a stream that begins anew, behind connections that stand */
    WAIT_FOR(strstr(store_trouble(store), wanted));
    assert_false(store_is_ready(store));
    store = store_close(store);
    liar_end(&liar);
}

/* Without replicas there are no fences: what names no key is answered all the same. */
static void a_cluster_that_is_down_is_not_ready(void **state)
{
    struct lie lies[] = {{"nothing", "-CLUSTERDOWN The cluster is down\r\n"}, {NULL, NULL}};
    struct liar liar;

    (void) state;
    liar_start(&liar, lies);
    set("BARID_STORE_ADDRESS", liar.address);
    open_store();
    WAIT_FOR(store_is_ready(store));
    lies[0].words = "UNLINK";
    WAIT_FOR(!store_is_ready(store));
    assert_non_null(strstr(store_trouble(store), "takes nothing (CLUSTERDOWN The cluster is down)"));
    lies[0].words = "nothing";
    WAIT_FOR(store_is_ready(store));
    /* One slot that nobody has stops no other (cluster-require-full-coverage no). */
    lies[0].reply = "-CLUSTERDOWN Hash slot not served\r\n";
    lies[0].words = "UNLINK";
    unsigned asked = __atomic_load_n(&liar.commands, __ATOMIC_SEQ_CST);
    WAIT_FOR(__atomic_load_n(&liar.commands, __ATOMIC_SEQ_CST) >= asked + 3);
    assert_true(store_is_ready(store));
    store = store_close(store);
    liar_end(&liar);
}

/* Who is asked by a slot that nobody has any more, though the map says otherwise, still has its others (cluster-require-full-coverage no). */
static void a_slot_that_nobody_has_keeps_no_connection_away(void **state)
{
    static char slots[512], ask[128];
    struct lie lies[] = {
        {"CLUSTER SLOTS", slots}, {ask, "-CLUSTERDOWN Hash slot not served\r\n"}, {NULL, NULL}};
    struct liar liars[2]; /* the second has the common slot, and no other */

    (void) state;
    (void) snprintf(ask, sizeof ask, "UNLINK probe:{%s}:store", partition_tag(0));
    for (size_t i = 0; i < ARRAY_LEN(liars); i++)
        liar_start(&liars[i], lies);
    (void) snprintf(slots, sizeof slots,
                    "*3\r\n*3\r\n:0\r\n:7364\r\n*2\r\n$9\r\n127.0.0.1\r\n:%u\r\n"
                    "*3\r\n:7365\r\n:7365\r\n*2\r\n$9\r\n127.0.0.1\r\n:%u\r\n"
                    "*3\r\n:7366\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%u\r\n",
                    liars[0].port, liars[1].port, liars[0].port);
    set("BARID_STORE_ADDRESS", liars[0].address);
    open_store();
    WAIT_FOR(are_all_ready());
    store = store_close(store);
    /* All of them is another matter. */
    lies[1] = (struct lie){"UNLINK", "-CLUSTERDOWN The cluster is down\r\n"};
    open_store();
    WAIT_FOR(strstr(store_trouble(store), "CLUSTERDOWN The cluster is down"));
    assert_false(are_all_ready());
    store = store_close(store);
    for (size_t i = 0; i < ARRAY_LEN(liars); i++)
        liar_end(&liars[i]);
}

static void a_single_redis_has_one_address(void **state)
{
    static const struct store_events events = {.on_ready = NULL};
    struct conf *conf;
    char *error = NULL;
    struct store *s = NULL;

    (void) state;
    set("BARID_STORE_KIND", NULL);
    set("BARID_STORE_ADDRESS", "127.0.0.1:1,127.0.0.1:2");
    assert_int_equal(conf_load(NULL, NULL, &conf, &error), 0);
    conf_set(conf);
    assert_true(store_open(loop, &events, &s, &error) < 0);
    assert_non_null(strstr(error, "store.address names 2 servers"));
    error = mem_free(error);
    set("BARID_STORE_KIND", "sentinel");
    set("BARID_STORE_ADDRESS", "127.0.0.1:1,no host");
    assert_int_equal(conf_load(NULL, NULL, &conf, &error), 0);
    conf_set(conf);
    assert_true(store_open(loop, &events, &s, &error) < 0);
    assert_non_null(strstr(error, "\"no host\" is not host:port"));
    mem_free(error);
    assert_null(s);
}

#define PAIR(test) cmocka_unit_test_setup_teardown(test, pair_setup, pair_end)
#define TRIO(test) cmocka_unit_test_setup_teardown(test, trio_setup, scene_end)
#define ALONE(test) cmocka_unit_test_setup_teardown(test, liar_setup, scene_end)

/* With an argument: only tests of that name. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PAIR(a_primary_is_found_behind_sentinels_that_are_no_use),
        PAIR(a_sentinel_that_is_behind_is_not_followed),
        PAIR(sentinels_without_our_master_say_what_to_set),
        PAIR(a_call_survives_its_primary),
        PAIR(what_no_replica_holds_is_not_confirmed),
        PAIR(a_failover_without_replicas_that_confirm_is_not_durable),
        ALONE(redirections_to_nowhere_end_in_time),
        ALONE(redirections_do_not_open_servers_without_end),
        ALONE(slots_that_come_back_to_a_ready_shard_are_news),
        ALONE(a_primary_that_takes_no_writes_is_not_ready),
        ALONE(a_replica_that_follows_no_more_is_left_behind_in_time),
        ALONE(who_may_be_promoted_is_waited_for_longer),
        ALONE(a_cluster_that_is_down_is_not_ready),
        ALONE(a_slot_that_nobody_has_keeps_no_connection_away),
        ALONE(a_single_redis_has_one_address),
    };
    const struct CMUnitTest tests_of_a_cluster[] = {
        TRIO(calls_find_the_shard_of_their_keys),
        TRIO(a_slot_that_has_moved_is_followed),
        TRIO(a_slot_that_moves_is_asked_at_both_ends),
        TRIO(a_script_pauses_while_its_slot_moves),
        TRIO(a_node_that_lies_about_its_slots_is_passed_over),
        TRIO(a_new_primary_is_found_and_one_without_slots_let_go),
        TRIO(one_lost_primary_stops_only_its_own),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    return failed + cmocka_run_group_tests(tests_of_a_cluster, trio_start, servers_end);
}
