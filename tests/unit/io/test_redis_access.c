/* Who may speak with Redis, and who it is: TLS and AUTH, against a real server with both. */
#include "redis_test.h"

#include <stdio.h>

#include "tls_test.h"

static struct redis_server server, open_server; /* the second one speaks no TLS, and wants no password */
static char tls_port[16], tls_address[32], other_address[48];
static struct redis *redis;
static struct told told;

static struct tls_client *client_of(const char *ca, const char *certificate)
{
    const struct tls_client_settings settings = {
        .min_version = TLS_1_2, .ca = certificate_path(ca), .certificate = certificate};
    struct tls_client *c = NULL;
    char *error = NULL;
    must(tls_client_new(&settings, &c, &error) == 0);
    return c;
}

static int group_setup(void **state)
{
    (void) state;
    certificate_make(&(struct certificate_spec){.file = "ca", .names = NULL, .is_ca = true});
    certificate_make(&(struct certificate_spec){.file = "foreign", .names = NULL, .is_ca = true});
    certificate_make(
        &(struct certificate_spec){.file = "redis", .names = "redis.test localhost", .issuer = "ca"});
    certificate_make(&(struct certificate_spec){.file = "node", .names = "node.test", .issuer = "ca"});
    (void) snprintf(tls_port, sizeof(tls_port), "%u", free_port());
    (void) snprintf(tls_address, sizeof(tls_address), "127.0.0.1:%s", tls_port);
    (void) snprintf(other_address, sizeof(other_address), "localhost:%s", tls_port);
    server = (struct redis_server){.options = {"--tls-port",
                                               tls_port,
                                               "--tls-cert-file",
                                               certificate_path("redis.pem"),
                                               "--tls-key-file",
                                               certificate_path("redis.key"),
                                               "--tls-ca-cert-file",
                                               certificate_path("ca.pem"),
                                               "--tls-auth-clients",
                                               "optional",
                                               "--user",
                                               "default",
                                               "off",
                                               "--user",
                                               "courier",
                                               "on",
                                               ">secret",
                                               "~*",
                                               "&*",
                                               "+@all",
                                               "--user",
                                               "poor",
                                               "on",
                                               ">secret",
                                               "~*",
                                               "-@all",
                                               "+ping"}};
    redis_server_start(&server);
    redis_server_start(&open_server);
    return 0;
}

static int group_teardown(void **state)
{
    (void) state;
    redis_server_end(&server);
    redis_server_end(&open_server);
    certificates_end();
    return 0;
}

static int setup(void **state)
{
    told = (struct told){0};
    return loop_setup(state);
}

static int teardown(void **state)
{
    redis = redis_close(redis);
    return loop_teardown(state);
}

struct way {
    const char *address, *ca, *certificate, *name, *user, *password;
};

static void open_by(const struct way *w, bool stops_up, bool stops_refused)
{
    struct redis_settings settings = told_settings(&told, w->address);
    struct tls_client *client = w->ca ? client_of(w->ca, w->certificate) : NULL;
    told.stops_up = stops_up;
    told.stops_refused = stops_refused;
    settings.tls = client;
    settings.tls_name = w->name;
    settings.timeout_ms = 1000;
    settings.user = w->user;
    settings.password = w->password;
    assert_int_equal(redis_open(loop, &settings, &redis), 0);
    (void) tls_client_release(client); /* redis holds it */
}

static void comes_in(const struct way *w)
{
    open_by(w, true, true);
    loop_go();
    if (told.refusals)
        print_error("%s\n", told.refusal);
    assert_int_equal(told.ups, 1);
    assert_int_equal(told.refusals, 0);
}

static void is_refused(const struct way *w, const char *why)
{
    open_by(w, true, true);
    loop_go();
    if (!strstr(told.refusal, why))
        print_error("\"%s\" is not in \"%s\"\n", why, told.refusal);
    assert_non_null(strstr(told.refusal, why));
    assert_null(strstr(told.refusal, "secret"));
    assert_int_equal(told.ups, 0);
    assert_int_equal(told.downs, 0);
}

/* proves: M05 */
static void speaks_tls_and_logs_in(void **state)
{
    (void) state;
    comes_in(&(struct way){tls_address, "ca.pem", NULL, "redis.test", "courier", "secret"});
    assert_string_equal(redis_said(redis, "ACL WHOAMI"), "courier");
    assert_string_equal(redis_said(redis, "SET k v"), "OK");
}

static void the_host_of_the_address_is_the_name_asked_for(void **state)
{
    (void) state;
    comes_in(&(struct way){other_address, "ca.pem", NULL, NULL, "courier", "secret"});
}

static void shows_its_own_certificate(void **state)
{
    (void) state;
    comes_in(&(struct way){.address = server.address, .user = "courier", .password = "secret"});
    assert_string_equal(redis_said(redis, "CONFIG SET tls-auth-clients yes"), "OK");
    redis = redis_close(redis);
    told = (struct told){0};
    AUTO_FREE char *item = mem_string(certificate_item("node"));
    comes_in(&(struct way){tls_address, "ca.pem", item, "redis.test", "courier", "secret"});
    redis = redis_close(redis);
    told = (struct told){0};
    is_refused(&(struct way){tls_address, "ca.pem", NULL, "redis.test", "courier", "secret"},
               "store.tls_certificate");
    redis = redis_close(redis);
    told = (struct told){0};
    comes_in(&(struct way){.address = server.address, .user = "courier", .password = "secret"});
    assert_string_equal(redis_said(redis, "CONFIG SET tls-auth-clients optional"), "OK");
}

/* proves: M05 */
static void refuses_whom_nobody_vouches_for(void **state)
{
    (void) state;
    is_refused(&(struct way){tls_address, "foreign.pem", NULL, "redis.test", "courier", "secret"},
               "store.tls_ca_file");
}

static void refuses_another_name(void **state)
{
    (void) state;
    is_refused(&(struct way){tls_address, "ca.pem", NULL, "other.test", "courier", "secret"},
               "store.tls_name");
}

static void refuses_another_address(void **state)
{
    (void) state;
    is_refused(&(struct way){tls_address, "ca.pem", NULL, NULL, "courier", "secret"}, "is not for 127.0.0.1");
}

static void tls_on_a_plain_port_is_told(void **state)
{
    (void) state;
    is_refused(&(struct way){open_server.address, "ca.pem", NULL, "redis.test", NULL, NULL},
               "does not speak TLS there");
}

static void plain_on_a_tls_port_is_told(void **state)
{
    (void) state;
    is_refused(&(struct way){.address = tls_address, .user = "courier", .password = "secret"},
               "set store.tls yes");
    while (!redis_refuses(redis)) /* not at once: a server that ends does the same */
        loop_go();
    assert_in_range(told.refusals, 2, 10);
}

static void a_certificate_that_comes_later_is_shown(void **state)
{
    (void) state;
    comes_in(&(struct way){.address = server.address, .user = "courier", .password = "secret"});
    assert_string_equal(redis_said(redis, "CONFIG SET tls-auth-clients yes"), "OK");
    redis = redis_close(redis);
    told = (struct told){0};
    is_refused(&(struct way){tls_address, "ca.pem", NULL, "redis.test", "courier", "secret"},
               "store.tls_certificate");
    told.stops_refused = false;
    AUTO_FREE char *item = mem_string(certificate_item("node"));
    struct tls_client *client = client_of("ca.pem", item);
    redis_use_tls(redis, client);
    (void) tls_client_release(client); /* redis holds it */
    while (!told.ups)
        loop_go();
    assert_string_equal(redis_said(redis, "CONFIG SET tls-auth-clients optional"), "OK");
}

static void a_wrong_password_is_told(void **state)
{
    (void) state;
    is_refused(&(struct way){.address = server.address, .user = "courier", .password = "secretive"},
               "refuses the password of user courier");
}

static void no_password_is_told(void **state)
{
    (void) state;
    is_refused(&(struct way){.address = server.address}, "it wants a password");
}

static void a_password_that_nobody_wants_is_told(void **state)
{
    (void) state;
    is_refused(&(struct way){.address = open_server.address, .password = "secret"},
               "it has no password for its default user");
}

static void a_user_without_rights_is_told(void **state)
{
    (void) state;
    is_refused(&(struct way){.address = server.address, .user = "poor", .password = "secret"},
               "user poor may not use");
}

static void nobody_there_is_told(void **state)
{
    (void) state;
    is_refused(&(struct way){.address = "127.0.0.1:1"}, "Connection refused");
}

static void comes_in_as_soon_as_it_may(void **state)
{
    (void) state;
    is_refused(&(struct way){.address = open_server.address, .user = "late", .password = "secret"},
               "refuses the password of user late");
    struct redis *other = NULL;
    struct told others = {.stops_up = true};
    struct redis_settings settings = told_settings(&others, open_server.unix_address);
    assert_int_equal(redis_open(loop, &settings, &other), 0);
    told.stops_refused = false;
    while (!others.ups)
        loop_go();
    assert_string_equal(redis_said(other, "ACL SETUSER late on >secret ~* &* +@all"), "OK");
    while (!told.ups)
        loop_go();
    assert_string_equal(redis_said(redis, "ACL WHOAMI"), "late");
    other = redis_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(speaks_tls_and_logs_in, setup, teardown),
        cmocka_unit_test_setup_teardown(the_host_of_the_address_is_the_name_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(shows_its_own_certificate, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_whom_nobody_vouches_for, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_another_name, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_another_address, setup, teardown),
        cmocka_unit_test_setup_teardown(tls_on_a_plain_port_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(plain_on_a_tls_port_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_certificate_that_comes_later_is_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_password_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(no_password_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_password_that_nobody_wants_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_user_without_rights_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_there_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(comes_in_as_soon_as_it_may, setup, teardown),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
