/* Unit tests of base/conf: rows, values, ranges, environment, reload. The file is played by a reader that returns given items. */
#include "base/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/conf_row.h"
#include "base/mem.h"

/* The items that read_given() returns, copied. */
static const struct conf_item *given;
static size_t given_count;

static int read_given(const char *file, struct conf_item **ret_items, size_t *ret_count, char **ret_error)
{
    (void) file;
    (void) ret_error;
    *ret_items = mem_array(given_count, sizeof(**ret_items));
    for (size_t i = 0; i < given_count; i++) {
        (*ret_items)[i] = given[i];
        (*ret_items)[i].path = mem_string(given[i].path);
        (*ret_items)[i].key = given[i].key ? mem_string(given[i].key) : NULL;
        (*ret_items)[i].value = given[i].value ? mem_string(given[i].value) : NULL;
    }
    *ret_count = given_count;
    return 0;
}

static int load(const struct conf_item *items, size_t count, struct conf **ret_conf, char **ret_error)
{
    given = items;
    given_count = count;
    return conf_load("b.yaml", read_given, ret_conf, ret_error);
}

static struct conf *load_ok(const struct conf_item *items, size_t count)
{
    struct conf *c = NULL;
    char *error = NULL;
    int r = load(items, count, &c, &error);
    if (r < 0)
        fail_msg("%s", error);
    return c;
}

static void assert_refused(const struct conf_item *items, size_t count, const char *wanted)
{
    struct conf *c = NULL;
    char *error = NULL;
    assert_int_equal(load(items, count, &c, &error), -EINVAL);
    assert_null(c);
    assert_string_equal(error, wanted);
    mem_free(error);
}

static void assert_value_refused(const char *path, const char *value, const char *wanted)
{
    const struct conf_item item = {.path = (char *) path, .value = (char *) value, .line = 7};
    assert_refused(&item, 1, wanted);
}

static void defaults_are_those_of_the_rows(void **state)
{
    (void) state;
    struct conf *c = NULL;
    char *error = NULL;
    assert_int_equal(conf_load(NULL, NULL, &c, &error), 0);
    assert_string_equal(c->node.name, "");
    assert_int_equal(c->node.drain_time_ms, 30000);
    assert_int_equal(c->ingress.max_message_bytes, 50 << 20);
    assert_int_equal(c->ingress.max_line_bytes, 65536);
    assert_false(c->ingress.require_fqdn);
    assert_int_equal(c->log.level, 1);
    assert_int_equal(c->ingress.trusted_networks.count, 2);
    assert_string_equal(c->ingress.trusted_networks.items[1], "::1/128");
    assert_int_equal(c->courier.routes.count, 0);
    assert_int_equal(c->retry.longest_ms, 4000000);
    assert_null(conf_release(c));
}

static void a_file_overrides_defaults(void **state)
{
    (void) state;
    const struct conf_item items[] = {
        {.path = "ingress.max_message", .value = "1GiB", .line = 1},
        {.path = "retry.first", .value = "100ms", .line = 2},
        {.path = "log.level", .value = "warn", .line = 3},
        {.path = "ingress.require_fqdn", .value = "Yes", .line = 4},
        {.path = "ingress.trusted_networks", .value = "10.0.0.0/8", .line = 5, .is_list = true},
        {.path = "ingress.trusted_networks", .value = "::1", .line = 6, .is_list = true},
        {.path = "courier.routes", .key = "a.test", .value = "h:1, g:2", .line = 7, .is_map = true},
        {.path = "courier.routes", .key = "*", .value = "x", .line = 8, .is_map = true},
        {.path = "ingress.listen", .line = 9, .is_list = true},
        {.path = "node.drain_time", .value = "0", .line = 10},
    };
    struct conf *c = load_ok(items, ARRAY_LEN(items));
    assert_int_equal(c->ingress.max_message_bytes, 1 << 30);
    assert_int_equal(c->retry.first_ms, 100);
    assert_int_equal(c->log.level, 2);
    assert_true(c->ingress.require_fqdn);
    assert_int_equal(c->ingress.trusted_networks.count, 2);
    assert_string_equal(c->ingress.trusted_networks.items[0], "10.0.0.0/8");
    assert_int_equal(c->courier.routes.count, 2);
    assert_string_equal(c->courier.routes.keys[0], "a.test");
    assert_string_equal(c->courier.routes.values[0], "h:1, g:2");
    assert_int_equal(c->ingress.listen.count, 0);
    assert_int_equal(c->node.drain_time_ms, 0);
    conf_release(c);
}

static void faults_say_where_and_what_was_expected(void **state)
{
    (void) state;
    assert_value_refused(
        "ingress.max_message", "abc",
        "b.yaml:7: ingress.max_message: expected a size from 64KiB to 1GiB (units: B KiB MiB GiB TiB), got "
        "\"abc\"");
    assert_value_refused(
        "ingress.max_message", "65536",
        "b.yaml:7: ingress.max_message: expected a size from 64KiB to 1GiB (units: B KiB MiB GiB TiB), got "
        "\"65536\"");
    assert_value_refused(
        "ingress.max_message", "3GiB",
        "b.yaml:7: ingress.max_message: expected a size from 64KiB to 1GiB (units: B KiB MiB GiB TiB), got "
        "\"3GiB\"");
    assert_value_refused("retry.first", "99999999999999999999d",
                         "b.yaml:7: retry.first: expected a time from 10ms to 1d (units: ms s min h d), got "
                         "\"99999999999999999999d\"");
    assert_value_refused("retry.first", "300000000000000000d",
                         "b.yaml:7: retry.first: expected a time from 10ms to 1d (units: ms s min h d), got "
                         "\"300000000000000000d\"");
    assert_value_refused("courier.port", "0",
                         "b.yaml:7: courier.port: expected a number from 1 to 65535, got \"0\"");
    assert_value_refused("courier.port", "-1",
                         "b.yaml:7: courier.port: expected a number from 1 to 65535, got \"-1\"");
    assert_value_refused("ingress.require_fqdn", "2",
                         "b.yaml:7: ingress.require_fqdn: expected yes or no, got \"2\"");
    assert_value_refused("log.level", "loud",
                         "b.yaml:7: log.level: expected one of debug info warn error, got \"loud\"");
    assert_value_refused("node.name", "a\nb", "b.yaml:7: node.name: expected a text, got \"a\\x0ab\"");
    assert_value_refused("ingress.listen", "a,,b", "b.yaml:7: ingress.listen: expected a list, got \"a,,b\"");
    assert_value_refused("courier.routes", "x", "b.yaml:7: courier.routes: expected a map, got \"x\"");
    const struct conf_item list = {.path = "node.name", .value = "x", .line = 3, .is_list = true};
    assert_refused(&list, 1, "b.yaml:3: node.name: expected a text, got a list");
    const struct conf_item map = {
        .path = "ingress.listen", .key = "a", .value = "x", .line = 3, .is_map = true};
    assert_refused(&map, 1, "b.yaml:3: ingress.listen: expected a list, got a map");
}

static void unknown_settings_are_refused_with_a_hint(void **state)
{
    (void) state;
    assert_value_refused("ingress.max_mesage", "1",
                         "b.yaml:7: ingress.max_mesage: no such setting; did you mean ingress.max_message?");
    assert_value_refused("ingres.listen", "1",
                         "b.yaml:7: ingres.listen: no such setting; did you mean ingress.listen?");
    assert_value_refused("zebra.crossing", "1", "b.yaml:7: zebra.crossing: no such setting");
    assert_value_refused("node.name_file", "/x", "b.yaml:7: node.name_file: no such setting");
}

static void the_same_setting_twice_is_refused(void **state)
{
    (void) state;
    const struct conf_item items[] = {
        {.path = "node.name", .value = "a", .line = 1},
        {.path = "log.level", .value = "info", .line = 2},
        {.path = "node.name", .value = "b", .line = 3},
    };
    assert_refused(items, ARRAY_LEN(items), "b.yaml:3: node.name: is set twice");
}

static void the_environment_wins(void **state)
{
    (void) state;
    const struct conf_item item = {.path = "courier.port", .value = "26", .line = 1};
    (void) setenv("BARID_COURIER_PORT", "27", 1); /* fails only without memory */
    (void) setenv("BARID_INGRESS_TRUSTED_NETWORKS", " 10.0.0.0/8 , 192.0.2.1", 1);
    (void) setenv("BARID_COURIER_ROUTES", "a.test=h:1, g:2; b.test = i;", 1);
    (void) setenv("BARID_COURIER_OWN_NAMES", "", 1);
    struct conf *c = load_ok(&item, 1);
    assert_int_equal(c->courier.port, 27);
    assert_int_equal(c->ingress.trusted_networks.count, 2);
    assert_string_equal(c->ingress.trusted_networks.items[0], "10.0.0.0/8");
    assert_int_equal(c->courier.routes.count, 2);
    assert_string_equal(c->courier.routes.keys[1], "b.test");
    assert_string_equal(c->courier.routes.values[0], "h:1, g:2");
    assert_string_equal(c->courier.routes.values[1], "i");
    assert_int_equal(c->courier.own_names.count, 0);
    conf_release(c);
    (void) unsetenv("BARID_COURIER_PORT");
    (void) unsetenv("BARID_INGRESS_TRUSTED_NETWORKS");
    (void) unsetenv("BARID_COURIER_ROUTES");
    (void) unsetenv("BARID_COURIER_OWN_NAMES");
}

static void assert_variable_refused(const char *name, const char *value, const char *wanted)
{
    (void) setenv(name, value, 1); /* fails only without memory */
    assert_refused(NULL, 0, wanted);
    (void) unsetenv(name);
}

static void faults_of_the_environment_name_the_variable(void **state)
{
    (void) state;
    assert_variable_refused("BARID_COURIER_PORT", "x",
                            "BARID_COURIER_PORT: expected a number from 1 to 65535, got \"x\"");
    assert_variable_refused("BARID_COURIER_ROUTES", "a", "BARID_COURIER_ROUTES: expected a map, got \"a\"");
    assert_variable_refused("BARID_COURIER_ROUTES", "a=b;a=c",
                            "BARID_COURIER_ROUTES: expected a map, got \"a=b;a=c\"");
    assert_variable_refused("BARID_INGRESS_LISTEN", "a,,b",
                            "BARID_INGRESS_LISTEN: expected a list, got \"a,,b\"");
    assert_variable_refused("BARID_COURIER_PROT", "1",
                            "BARID_COURIER_PROT: no such setting; did you mean BARID_COURIER_PORT?");
    assert_variable_refused("BARID_NODE_NAME_FILE", "1",
                            "BARID_NODE_NAME_FILE: no such setting; did you mean BARID_NODE_NAME?");
#ifndef FAULTS
    assert_variable_refused("BARID_FAULT", "before_dot:crash:1", "BARID_FAULT: no such setting");
#endif
    (void) setenv("BARID_CONFIG", "x", 1);
    conf_release(load_ok(NULL, 0));
    (void) unsetenv("BARID_CONFIG");
}

static void printed_yaml_is_what_was_set(void **state)
{
    (void) state;
    AUTO_BUF struct buf out = {.data = NULL};
    const struct conf_item items[] = {
        {.path = "node.name", .value = "a \"b\" \\", .line = 1},
        {.path = "retry.first", .value = "90s", .line = 2},
        {.path = "courier.routes", .key = "a.test", .value = "h", .line = 7, .is_map = true},
    };
    struct conf *c = load_ok(items, ARRAY_LEN(items));
    conf_print_yaml(c, &out, false);
    AUTO_FREE char *text = buf_steal_text(&out);
    assert_non_null(strstr(text, "node:\n  name: \"a \\\"b\\\" \\\\\"\n"));
    assert_non_null(strstr(text, "  first: 90s\n  longest: 4000s\n  lifetime: 5d\n"));
    assert_non_null(strstr(text, "  max_line: 64KiB\n"));
    assert_non_null(strstr(text, "  routes: {\"a.test\": \"h\"}\n"));
    assert_non_null(strstr(text, "  trusted_networks: [\"127.0.0.0/8\", \"::1/128\"]\n"));
    assert_non_null(strstr(text, "  require_fqdn: no\n"));
    assert_non_null(strstr(text, "  level: info\n"));
    assert_null(strstr(text, "#"));
    conf_release(c);
}

static void reference_pages_have_every_row(void **state)
{
    (void) state;
    AUTO_BUF struct buf page = {.data = NULL}, file = {.data = NULL};
    conf_print_markdown(&page);
    conf_print_default_file(&file);
    AUTO_FREE char *markdown = buf_steal_text(&page), *yaml = buf_steal_text(&file);
    for (size_t i = 0; i < conf_row_count; i++) {
        AUTO_FREE char *path = conf_row_path(&conf_rows[i], "NAME");
        AUTO_FREE char *cell = mem_format("| `%s` | ", path);
        AUTO_FREE char *line = mem_format("\n%s#%s: ", conf_rows[i].section->member ? "    " : "  ",
                                          conf_rows[i].name);
        assert_non_null(strstr(markdown, cell));
        assert_non_null(strstr(yaml, line));
    }
    assert_non_null(strstr(yaml, "(size, 64KiB to 1GiB, live)\n  #max_message: 50MiB\n"));
    assert_non_null(strstr(yaml, "(choice of text json, live)\n  #format: text\n"));
}

static void reload_changes_only_what_is_live(void **state)
{
    (void) state;
    AUTO_BUF struct buf restart = {.data = NULL};
    conf_set(load_ok(NULL, 0));
    const struct conf *before = conf_get();
    struct conf *held = conf_hold((struct conf *) before);
    const struct conf_item items[] = {
        {.path = "node.name", .value = "new", .line = 1},
        {.path = "ingress.max_recipients", .value = "123", .line = 2},
        {.path = "ingress.listen", .value = "0.0.0.0:25", .line = 3, .is_list = true},
    };
    conf_reload(load_ok(items, ARRAY_LEN(items)), &restart);
    AUTO_FREE char *names = buf_steal_text(&restart);
    assert_string_equal(names, "node.name, ingress.listen");
    assert_ptr_not_equal(conf_get(), before);
    assert_int_equal(conf_get()->ingress.max_recipients, 123);
    assert_string_equal(conf_get()->node.name, "");
    assert_string_equal(conf_get()->ingress.listen.items[0], "127.0.0.1:2525");
    assert_int_equal(held->ingress.max_recipients, 1000);
    conf_release(held);
    conf_reload(load_ok(NULL, 0), &restart);
    assert_int_equal(restart.len, 0);
    assert_int_equal(conf_get()->ingress.max_recipients, 1000);
}

/* ---- groups */

static void assert_listed(const struct conf_list *list, const char *wanted)
{
    AUTO_BUF struct buf out = {.data = NULL};
    for (size_t i = 0; i < list->count; i++)
        buf_printf(&out, "%s%s", i ? " " : "", list->items[i]);
    AUTO_FREE char *got = buf_steal_text(&out);
    assert_string_equal(got, wanted);
}

static void without_listeners_ingress_listen_is_one(void **state)
{
    (void) state;
    const struct conf_item items[] = {
        {.path = "ingress.listen", .value = "[::]:25, 0.0.0.0:25", .line = 1},
        {.path = "ingress.max_message", .value = "1MiB", .line = 2},
    };
    struct conf *c = load_ok(NULL, 0);
    assert_int_equal(c->listener_count, 1);
    assert_string_equal(c->listeners[0].name, "relay");
    assert_listed(&c->listeners[0].address, "127.0.0.1:2525");
    conf_release(c);
    c = load_ok(items, ARRAY_LEN(items));
    assert_int_equal(c->listener_count, 1);
    assert_listed(&c->listeners[0].address, "[::]:25 0.0.0.0:25");
    assert_int_equal(c->listeners[0].max_message_bytes, 1 << 20);
    assert_listed(&c->listeners[0].trusted_networks, "127.0.0.0/8 ::1/128");
    conf_release(c);
    const struct conf_item none = {.path = "ingress.listen", .line = 1, .is_list = true};
    c = load_ok(&none, 1);
    assert_int_equal(c->listener_count, 0);
    conf_release(c);
}

static void a_listener_takes_its_own_then_its_roles_then_what_ingress_says(void **state)
{
    (void) state;
    const struct conf_item items[] = {
        {.path = "listeners.public.address", .value = "0.0.0.0:25", .line = 2},
        {.path = "listeners.public.relay_domains", .value = "a.test", .line = 3, .is_list = true},
        {.path = "listeners.public.relay_domains", .value = "b.test", .line = 4, .is_list = true},
        {.path = "listeners.msa-1.role", .value = "submission", .line = 5},
        {.path = "listeners.msa-1.max_message", .value = "2MiB", .line = 6},
        {.path = "listeners.msa-1.fix_headers", .value = "no", .line = 7},
        {.path = "listeners.msa-1.limits",
         .key = "messages_per_user",
         .value = "5/1h",
         .line = 8,
         .is_map = true},
        {.path = "ingress.max_recipients", .value = "200", .line = 9},
        {.path = "ingress.trusted_networks", .value = "10.0.0.0/8", .line = 10},
        {.path = "tls.certificates", .value = "a.pem", .line = 11},
    };
    struct conf *c = load_ok(items, ARRAY_LEN(items));
    assert_int_equal(c->listener_count, 2);
    assert_int_equal(c->ingress.listen.count, 0);
    const struct conf_listener *public = &c->listeners[0], *msa = &c->listeners[1];
    assert_string_equal(public->name, "public");
    assert_int_equal(public->role, 0);
    assert_int_equal(public->tls, 1);
    assert_int_equal(public->auth, 0);
    assert_listed(&public->relay_domains, "a.test b.test");
    assert_listed(&public->trusted_networks, "10.0.0.0/8");
    assert_listed(&public->certificates, "a.pem");
    assert_listed(&public->extensions, "CHUNKING DSN SMTPUTF8 REQUIRETLS LIMITS");
    assert_int_equal(public->max_recipients, 200);
    assert_int_equal(public->command_timeout_ms, 300000);
    assert_false(public->fix_headers);
    assert_string_equal(msa->name, "msa-1");
    assert_int_equal(msa->role, 1);
    assert_int_equal(msa->tls, 2);
    assert_int_equal(msa->auth, 2);
    assert_int_equal(msa->trusted_networks.count, 0);
    assert_int_equal(msa->max_message_bytes, 2 << 20);
    assert_false(msa->fix_headers);
    assert_int_equal(msa->limits.count, 1);
    assert_listed(&msa->certificates, "a.pem");
    conf_release(c);
}

static void faults_of_a_listener_name_it(void **state)
{
    (void) state;
    assert_value_refused(
        "listeners.public.tls", "maybe",
        "b.yaml:7: listeners.public.tls: expected one of off offered required implicit, got \"maybe\"");
    assert_value_refused(
        "listeners.public.max_message", "1",
        "b.yaml:7: listeners.public.max_message: expected a size from 64KiB to 1GiB (units: B KiB MiB "
        "GiB TiB), got \"1\"");
    assert_value_refused(
        "listeners.public.max_mesage", "1MiB",
        "b.yaml:7: listeners.public.max_mesage: no such setting; did you mean listeners.public.max_message?");
    assert_value_refused(
        "listeners.Public.tls", "off",
        "b.yaml:7: listeners.Public.tls: a name has 1 to 32 letters, digits, - and _, no capitals");
    assert_value_refused("listeners.a.b.tls", "off",
                         "b.yaml:7: listeners.a.b.tls: no such setting; did you mean listeners.a.tls?");
    assert_value_refused("listeners.a", "off",
                         "b.yaml:7: listeners.a: expected settings, each on a line of its own");
    assert_value_refused("listeners", "off",
                         "b.yaml:7: listeners: a name has 1 to 32 letters, digits, - and _, no capitals");
    const struct conf_item alike[] = {
        {.path = "listeners.a-b.tls", .value = "off", .line = 1},
        {.path = "listeners.a_b.tls", .value = "off", .line = 2},
    };
    assert_refused(alike, 2,
                   "b.yaml:2: listeners.a_b.tls: another name differs in - and _ only: the environment could "
                   "not tell them apart");
    const struct conf_item twice[] = {
        {.path = "listeners.relay.tls", .value = "off", .line = 1},
        {.path = "ingress.listen", .value = "127.0.0.1:25", .line = 2},
    };
    assert_refused(
        twice, 2,
        "b.yaml:2: ingress.listen: makes a listener named relay, but listeners.relay is there too; give the "
        "addresses to one of them only");
}

static void a_listener_without_settings_is_there(void **state)
{
    (void) state;
    const struct conf_item item = {.path = "listeners.public", .line = 2, .is_map = true};
    struct conf *c = load_ok(&item, 1);
    assert_int_equal(c->listener_count, 1);
    assert_string_equal(c->listeners[0].name, "public");
    assert_int_equal(c->listeners[0].address.count, 0);
    conf_release(c);
}

static void the_environment_reaches_listeners_and_makes_them(void **state)
{
    (void) state;
    const struct conf_item item = {.path = "listeners.msa-1.role", .value = "submission", .line = 1};
    (void) setenv("BARID_LISTENERS_MSA_1_MAX_MESSAGE", "3MiB", 1); /* fails only without memory */
    (void) setenv("BARID_LISTENERS_NEW_ONE_ADDRESS", "127.0.0.1:26,127.0.0.1:27", 1);
    (void) setenv("BARID_LISTENERS_NEW_ONE_LIMITS", "messages_per_client=6/1h; bytes_per_user=1/1s", 1);
    struct conf *c = load_ok(&item, 1);
    assert_int_equal(c->listener_count, 2);
    assert_int_equal(c->listeners[0].max_message_bytes, 3 << 20);
    assert_string_equal(c->listeners[1].name, "new_one");
    assert_listed(&c->listeners[1].address, "127.0.0.1:26 127.0.0.1:27");
    assert_int_equal(c->listeners[1].limits.count, 2);
    conf_release(c);
    (void) unsetenv("BARID_LISTENERS_NEW_ONE_ADDRESS");
    (void) unsetenv("BARID_LISTENERS_NEW_ONE_LIMITS");
    (void) unsetenv("BARID_LISTENERS_MSA_1_MAX_MESSAGE");
    assert_variable_refused(
        "BARID_LISTENERS_A_TLS", "x",
        "BARID_LISTENERS_A_TLS: expected one of off offered required implicit, got \"x\"");
    assert_variable_refused("BARID_LISTENERS_A_TSL", "off", "BARID_LISTENERS_A_TSL: no such setting");
    assert_variable_refused("BARID_LISTENERS_TLS", "off",
                            "BARID_LISTENERS_TLS: no such setting; did you mean BARID_STORE_TLS?");
    assert_variable_refused("BARID_LISTENERS__TLS", "off", "BARID_LISTENERS__TLS: no such setting");
    assert_variable_refused("BARID_LISTENERS_a_TLS", "off", "BARID_LISTENERS_a_TLS: no such setting");
}

static void printed_listeners_are_read_again_the_same(void **state)
{
    (void) state;
    AUTO_BUF struct buf out = {.data = NULL};
    const struct conf_item items[] = {
        {.path = "listeners.msa.role", .value = "submissions", .line = 1},
        {.path = "listeners.msa.banner", .value = "hello", .line = 2},
    };
    struct conf *c = load_ok(items, ARRAY_LEN(items));
    conf_print_yaml(c, &out, false);
    AUTO_FREE char *text = buf_steal_text(&out);
    assert_non_null(
        strstr(text, "listeners:\n  msa:\n    address: []\n    role: submissions\n    tls: implicit\n"));
    assert_non_null(strstr(text, "\n    banner: \"hello\"\n"));
    conf_release(c);
    c = load_ok(NULL, 0);
    conf_print_yaml(c, &out, false);
    AUTO_FREE char *none = buf_steal_text(&out);
    assert_non_null(strstr(none, "\nlisteners:\n"));
    assert_null(strstr(none, "relay:"));
    assert_non_null(strstr(none, "listen: [\"127.0.0.1:2525\"]"));
    conf_release(c);
}

static void reload_keeps_listeners_addresses_and_roles(void **state)
{
    (void) state;
    AUTO_BUF struct buf restart = {.data = NULL};
    const struct conf_item before[] = {
        {.path = "listeners.a.address", .value = "127.0.0.1:1", .line = 1},
        {.path = "listeners.a.role", .value = "submission", .line = 2},
        {.path = "listeners.gone.address", .value = "127.0.0.1:2", .line = 3},
    };
    const struct conf_item after[] = {
        {.path = "listeners.new.address", .value = "127.0.0.1:3", .line = 1},
        {.path = "listeners.a.address", .value = "127.0.0.1:4", .line = 2},
        {.path = "listeners.a.banner", .value = "hello", .line = 3},
        {.path = "ingress.max_message", .value = "1MiB", .line = 4},
    };
    conf_set(load_ok(before, ARRAY_LEN(before)));
    conf_reload(load_ok(after, ARRAY_LEN(after)), &restart);
    AUTO_FREE char *names = buf_steal_text(&restart);
    assert_string_equal(names, "listeners.a.address, listeners.a.role, listeners.gone, listeners.new");
    const struct conf *c = conf_get();
    assert_int_equal(c->listener_count, 2);
    assert_listed(&c->listeners[0].address, "127.0.0.1:1");
    assert_int_equal(c->listeners[0].role, 1);
    assert_int_equal(c->listeners[0].tls, 2);
    assert_string_equal(c->listeners[0].banner, "hello");
    assert_int_equal(c->listeners[0].max_message_bytes, 1 << 20);
    assert_string_equal(c->listeners[1].name, "gone");
    assert_listed(&c->listeners[1].address, "127.0.0.1:2");
    assert_int_equal(c->listeners[1].max_message_bytes, 1 << 20);
    conf_reload(load_ok(before, ARRAY_LEN(before)), &restart);
    assert_int_equal(restart.len, 0);
    assert_string_equal(conf_get()->listeners[0].banner, "ESMTP");
    conf_set(load_ok(NULL, 0));
}

static atomic_bool is_over;

/* Each snapshot seen must be whole: both fields are always set together. */
static void *look_all_the_time(void *unused)
{
    (void) unused;
    while (!atomic_load(&is_over)) {
        const struct conf *c = conf_get();
        must(c->ingress.max_recipients == c->courier.max_per_connection);
        must(strlen(c->dsn.from_name) == c->ingress.max_recipients);
    }
    return NULL;
}

static void threads_see_whole_snapshots(void **state)
{
    (void) state;
    pthread_t threads[3];
    AUTO_BUF struct buf restart = {.data = NULL};
    AUTO_FREE char *name = mem_alloc(600);
    for (int round = 100; round < 600; round++) {
        AUTO_FREE char *number = mem_format("%d", round);
        memset(name, 'x', (size_t) round);
        const struct conf_item items[] = {
            {.path = "ingress.max_recipients", .value = number, .line = 1},
            {.path = "courier.max_per_connection", .value = number, .line = 2},
            {.path = "dsn.from_name", .value = name, .line = 3},
        };
        conf_reload(load_ok(items, ARRAY_LEN(items)), &restart);
        for (int i = 0; i < 3 && round == 100; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, look_all_the_time, NULL), 0);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_rows),
        cmocka_unit_test(a_file_overrides_defaults),
        cmocka_unit_test(faults_say_where_and_what_was_expected),
        cmocka_unit_test(unknown_settings_are_refused_with_a_hint),
        cmocka_unit_test(the_same_setting_twice_is_refused),
        cmocka_unit_test(the_environment_wins),
        cmocka_unit_test(faults_of_the_environment_name_the_variable),
        cmocka_unit_test(printed_yaml_is_what_was_set),
        cmocka_unit_test(reference_pages_have_every_row),
        cmocka_unit_test(reload_changes_only_what_is_live),
        cmocka_unit_test(without_listeners_ingress_listen_is_one),
        cmocka_unit_test(a_listener_takes_its_own_then_its_roles_then_what_ingress_says),
        cmocka_unit_test(faults_of_a_listener_name_it),
        cmocka_unit_test(a_listener_without_settings_is_there),
        cmocka_unit_test(the_environment_reaches_listeners_and_makes_them),
        cmocka_unit_test(printed_listeners_are_read_again_the_same),
        cmocka_unit_test(reload_keeps_listeners_addresses_and_roles),
        cmocka_unit_test(threads_see_whole_snapshots),
    };
    (void) unsetenv("BARID_CONFIG"); /* the tests' own environment only */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
