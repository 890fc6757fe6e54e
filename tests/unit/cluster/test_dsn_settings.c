/* Section dsn: mistakes are told at the start, with the setting and the file they are in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cluster/dsn_settings.h"

static char folder[64], path[96];

static int make_folder(void **state)
{
    (void) state;
    snprintf(folder, sizeof folder, "/tmp/dsn-settings-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/template", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void) state;
    (void) unlink(path);
    return rmdir(folder);
}

static void write_template(const char *text, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* The settings with one of them changed by its variable. */
static struct conf *load(const char *variable, const char *value)
{
    struct conf *conf = NULL;
    char *error = NULL;

    assert_int_equal(setenv(variable, value, 1), 0);
    assert_int_equal(conf_load(NULL, NULL, &conf, &error), 0);
    assert_int_equal(unsetenv(variable), 0);
    return conf;
}

static void expect_refused(const char *variable, const char *value, const char *wanted)
{
    struct conf *conf = load(variable, value);
    char *error = NULL;

    assert_int_equal(dsn_settings_check(conf, &error), -EINVAL);
    if (!strstr(error, wanted)) {
        print_error("\"%s\" lacks \"%s\"\n", error, wanted);
        fail();
    }
    mem_free(error);
    conf_release(conf);
}

static void expect_fine(const char *variable, const char *value, struct dsn_settings *ret_settings)
{
    struct conf *conf = load(variable, value);
    char *error = NULL;

    assert_int_equal(dsn_settings_load(conf, ret_settings, &error), 0);
    conf_release(conf);
}

static void the_defaults_are_nothing(void **state)
{
    (void) state;
    struct dsn_settings s;
    expect_fine("BARID_DSN_TEMPLATE_FAILED", "", &s);
    for (size_t i = 0; i < DSN_ACTION_COUNT; i++)
        assert_null(s.templates[i]);
    assert_int_equal(s.per_sender.count, 0);
    assert_int_equal(s.per_domain.count, 0);
    dsn_settings_done(&s);
}

static void templates_are_read_from_their_files(void **state)
{
    (void) state;
    struct dsn_settings s;
    write_template("Hello\n{recipients}\n", 19);
    expect_fine("BARID_DSN_TEMPLATE_DELAYED", path, &s);
    assert_non_null(s.templates[DSN_DELAYED]);
    assert_null(s.templates[DSN_FAILED]);
    dsn_settings_done(&s);
}

static void a_template_that_cannot_be_used_is_told(void **state)
{
    (void) state;
    char text[9000];
    (void) unlink(path);
    expect_refused("BARID_DSN_TEMPLATE_FAILED", path, "dsn.template_failed");
    expect_refused("BARID_DSN_TEMPLATE_FAILED", path, "No such file");
    expect_refused("BARID_DSN_TEMPLATE_FAILED", folder, "directory");
    expect_refused("BARID_DSN_TEMPLATE_RELAYED", "/dev/null", "cannot read /dev/null");
    write_template("Hello\n{recipient}\n", 18);
    expect_refused("BARID_DSN_TEMPLATE_DELIVERED", path,
                   "template: line 2 has the unknown field {recipient}");
    memset(text, 'x', sizeof text);
    write_template(text, sizeof text);
    expect_refused("BARID_DSN_TEMPLATE_FAILED", path, "larger than 8192 bytes");
    write_template("", 0);
    expect_refused("BARID_DSN_TEMPLATE_FAILED", path, "it has no {recipients}");
}

/* proves: K19 */
static void limits_are_read_and_mistakes_told(void **state)
{
    (void) state;
    struct dsn_settings s;
    expect_fine("BARID_DSN_LIMIT_PER_SENDER", "20/1h", &s);
    assert_int_equal(s.per_sender.count, 20);
    assert_int_equal(s.per_sender.per_ms, 3600000);
    dsn_settings_done(&s);
    expect_refused("BARID_DSN_LIMIT_PER_SENDER", "20", "dsn.limit_per_sender: \"20\": expected");
    expect_refused("BARID_DSN_LIMIT_PER_DOMAIN", "0/1h", "dsn.limit_per_domain: \"0/1h\": expected");
    expect_refused("BARID_DSN_LIMIT_PER_DOMAIN", "many", "dsn.limit_per_domain");
}

/* proves: K03 */
static void a_double_bounce_needs_an_address(void **state)
{
    (void) state;
    struct dsn_settings s;
    expect_fine("BARID_DSN_DOUBLE_BOUNCES", "postmaster@one.test", &s);
    dsn_settings_done(&s);
    expect_refused("BARID_DSN_DOUBLE_BOUNCES", "postmaster",
                   "dsn.double_bounces: \"postmaster\" is no address");
    expect_refused("BARID_DSN_DOUBLE_BOUNCES", "a@b c", "dsn.double_bounces");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_nothing),
        cmocka_unit_test(templates_are_read_from_their_files),
        cmocka_unit_test(a_template_that_cannot_be_used_is_told),
        cmocka_unit_test(limits_are_read_and_mistakes_told),
        cmocka_unit_test(a_double_bounce_needs_an_address),
    };
    return cmocka_run_group_tests_name("cluster/dsn_settings", tests, make_folder, remove_folder);
}
