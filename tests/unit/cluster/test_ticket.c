/* Secrets of session tickets in a real Redis. What comes of them is seen by sessions in tests/unit/io/test_tls.c; here by keys and by tickets made or not. */
#include "cluster_test.h"

#include <signal.h>

#include "cluster/keys.h"
#include "cluster/ticket.h"
#include "io/tls_private.h"

static struct tls_tickets *here, *there;
static struct ticket *one, *two;

static int setup(void **state)
{
    set("BARID_TLS_TICKET_TIME", "1h");
    here = tls_tickets_new();
    there = tls_tickets_new();
    return store_setup(state);
}

static int teardown(void **state)
{
    one = ticket_close(one);
    two = ticket_close(two);
    int r = store_teardown(state);
    here = tls_tickets_free(here);
    there = tls_tickets_free(there);
    set("BARID_TLS_TICKET_TIME", NULL);
    return r;
}

static const char *key_now(uint64_t epoch_ms, unsigned back)
{
    static char key[64];
    (void) snprintf(key, sizeof key, KEY_TICKET,
                    (unsigned long long) (store_redis_ms(store) / epoch_ms - back));
    return key;
}

/* proves: C09 */
static void the_first_node_makes_the_secret_of_an_epoch(void **state)
{
    (void) state;
    char command[128];
    assert_false(tls_tickets_are_made(here));
    one = ticket_open(store, here);
    WAIT_FOR(tls_tickets_are_made(here));
    (void) snprintf(command, sizeof command, "STRLEN %s", key_now(3600000, 0));
    assert_int_equal(count_of(&server, command), 32);
    (void) snprintf(command, sizeof command, "PTTL %s", key_now(3600000, 0));
    assert_in_range(count_of(&server, command), 2 * 3600000, 3 * 3600000);
}

/* proves: C09 */
static void all_nodes_have_the_same(void **state)
{
    (void) state;
    struct tls_ticket_secret first[TLS_TICKET_SECRETS], second[TLS_TICKET_SECRETS];
    one = ticket_open(store, here);
    WAIT_FOR(tls_tickets_are_made(here));
    two = ticket_open(store, there);
    WAIT_FOR(tls_tickets_are_made(there));
    assert_int_equal(tls_tickets_get(here, first), 1);
    assert_int_equal(tls_tickets_get(there, second), 1);
    assert_memory_equal(first, second, sizeof first[0]);
}

/* proves: C09 */
static void the_secret_before_opens_tickets_too(void **state)
{
    (void) state;
    struct tls_ticket_secret secrets[TLS_TICKET_SECRETS];
    char command[192];
    (void) snprintf(command, sizeof command, "SET %s 0123456789abcdef0123456789abcdef", key_now(3600000, 1));
    assert_true(answers(&server, "OK", command));
    one = ticket_open(store, here);
    WAIT_FOR(tls_tickets_are_made(here));
    assert_int_equal(tls_tickets_get(here, secrets), 2);
    assert_memory_equal(secrets[1].bytes, "0123456789abcdef0123456789abcdef", 32);
}

static void two_seconds_an_epoch(void)
{
    struct conf *conf = NULL;
    AUTO_FREE char *error = NULL;
    set("BARID_TLS_TICKET_TIME", "2s");
    must(conf_load(NULL, NULL, &conf, &error) == 0);
    conf_set(conf);
}

/* proves: C09 */
static void without_redis_there_are_none(void **state)
{
    (void) state;
    two_seconds_an_epoch();
    one = ticket_open(store, here);
    WAIT_FOR(tls_tickets_are_made(here));
    must(kill(server.pid, SIGSTOP) == 0);
    WAIT_FOR(!tls_tickets_are_made(here));
    must(kill(server.pid, SIGCONT) == 0);
    WAIT_FOR(tls_tickets_are_made(here));
}

static void an_epoch_that_ends_brings_a_new_secret(void **state)
{
    (void) state;
    struct tls_ticket_secret first[TLS_TICKET_SECRETS], second[TLS_TICKET_SECRETS];
    two_seconds_an_epoch();
    one = ticket_open(store, here);
    WAIT_FOR(tls_tickets_are_made(here));
    (void) tls_tickets_get(here, first);
    WAIT_FOR(tls_tickets_get(here, second) == 2 && memcmp(first, second, sizeof first[0]) != 0);
}

static void what_is_no_secret_makes_no_tickets(void **state)
{
    (void) state;
    char command[192];
    (void) snprintf(command, sizeof command, "SET %s short", key_now(3600000, 0));
    assert_true(answers(&server, "OK", command));
    one = ticket_open(store, here);
    for (int i = 0; i < 50; i++)
        loop_pass();
    assert_false(tls_tickets_are_made(here));
}

static void it_may_end_while_it_asks(void **state)
{
    (void) state;
    one = ticket_open(store, here);
    loop_pass();
    one = ticket_close(one);
    loop_pass();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_node_makes_the_secret_of_an_epoch, setup, teardown),
        cmocka_unit_test_setup_teardown(all_nodes_have_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(the_secret_before_opens_tickets_too, setup, teardown),
        cmocka_unit_test_setup_teardown(without_redis_there_are_none, setup, teardown),
        cmocka_unit_test_setup_teardown(an_epoch_that_ends_brings_a_new_secret, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_secret_makes_no_tickets, setup, teardown),
        cmocka_unit_test_setup_teardown(it_may_end_while_it_asks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
