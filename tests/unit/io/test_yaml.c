/* Unit tests of io/yaml. */
#include "io/yaml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

static char path[] = "/tmp/barid-test-yaml-XXXXXX";

static void put(const char *text, size_t len)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* The items as text: "line path key=value|", with [] for a list's and {} for a map's. */
static char *describe(const char *text)
{
    struct conf_item *items = NULL;
    size_t count = 0;
    char *error = NULL;
    struct buf out = {.data = NULL};
    put(text, strlen(text));
    int r = yaml_read_settings(path, &items, &count, &error);
    if (r < 0) {
        assert_int_equal(r, -EINVAL);
        assert_memory_equal(error, path, strlen(path));
        buf_printf(&out, "error%s", error + strlen(path));
        mem_free(error);
        return buf_steal_text(&out);
    }
    assert_null(error);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&out, "%u %s %s%s%s=%s|", items[i].line, items[i].path, items[i].is_list ? "[]" : "",
                   items[i].is_map ? "{}" : "", items[i].key ? items[i].key : "",
                   items[i].value ? items[i].value : "(none)");
        mem_free(items[i].path);
        mem_free(items[i].key);
        mem_free(items[i].value);
    }
    mem_free(items);
    return buf_steal_text(&out);
}

static void assert_read(const char *text, const char *wanted)
{
    AUTO_FREE char *got = describe(text);
    assert_string_equal(got, wanted);
}

static void reads_values_lists_and_maps(void **state)
{
    (void) state;
    assert_read(
        "node:\n  name: mx.example.com\n  http_listen: \"\"\ningress:\n  # a comment\n  listen: [a, 'b:1']\n"
        "  trusted_networks:\n    - 10.0.0.0/8\ncourier:\n  routes:\n    a.test: \"h:1, g\"\n    \"*\": x\n",
        "2 node.name =mx.example.com|3 node.http_listen =|6 ingress.listen []=a|6 ingress.listen []=b:1|"
        "8 ingress.trusted_networks []=10.0.0.0/8|11 courier.routes {}a.test=h:1, g|12 courier.routes {}*=x|");
}

static void reads_json(void **state)
{
    (void) state;
    assert_read("{\"node\": {\"name\": \"a\"}, \"courier\": {\"routes\": {\"b\": \"c\"}, \"own_names\": []}}",
                "1 node.name =a|1 courier.routes {}b=c|1 courier.own_names []=(none)|");
}

static void reads_groups(void **state)
{
    (void) state;
    assert_read(
        "listeners:\n  a:\n    address: [x, y]\n    limits: {b: c}\n  b: {role: relay}\n  c:\n  d: {}\n",
        "3 listeners.a.address []=x|3 listeners.a.address []=y|4 listeners.a.limits {}b=c|5 listeners.b.role =relay|"
        "6 listeners.c {}=(none)|7 listeners.d {}=(none)|");
    assert_read("listeners:\n", "");
    assert_read("listeners: {}\n", "");
    assert_read("listeners: 5\n", "error:1: expected names, each with its settings, in group: \"listeners\"");
    assert_read("listeners:\n  a: 5\n",
                "error:2: expected settings, each on a line of its own, in section: \"listeners.a\"");
    assert_read("listeners:\n  a: {b: 1}\n  a: {c: 1}\n", "error:3: a key that is there twice: \"a\"");
    assert_read("listeners:\n  a: {b: {c: {d: e}}}\n", "error:2: expected one value for this key");
}

static void nothing_gives_no_items(void **state)
{
    (void) state;
    assert_read("", "");
    assert_read("# only a comment\n", "");
    assert_read("---\n", "");
    assert_read("node:\ningress:\n  # listen: []\n", "");
    assert_read("node: {}\n", "");
    assert_read("courier:\n  routes: {}\n", "2 courier.routes {}=(none)|");
}

static void refuses_what_is_no_settings(void **state)
{
    (void) state;
    assert_read("just words\n", "error:1: expected sections, such as \"ingress:\"");
    assert_read("- a\n", "error:1: expected sections, such as \"ingress:\"");
    assert_read("node: 5\n", "error:1: expected settings, each on a line of its own, in section: \"node\"");
    assert_read("node: [a]\n", "error:1: expected settings, each on a line of its own, in section: \"node\"");
    assert_read("node:\n  name:\n", "error:2: no value (an empty text is written \"\"): \"node.name\"");
    assert_read("node:\n  name: ~\n", "error:2: no value (an empty text is written \"\"): \"node.name\"");
    assert_read("ingress:\n  listen: [[a]]\n", "error:2: an item of a list must be one value");
    assert_read("ingress:\n  listen: [a, ~]\n", "error:2: an item of a list must be one value");
    assert_read("courier:\n  routes:\n    a: [b]\n", "error:3: expected one value for this key");
    assert_read("courier:\n  routes:\n    a: {b: c}\n", "error:3: expected one value for this key");
    assert_read("? [a]\n: b\n", "error:1: a key must be a plain word");
    assert_read("\"\": {a: b}\n", "error:1: an empty key, or one with a zero byte");
    assert_read("node: {a: \"\\0\"}\n", "error:1: a value with a zero byte");
    assert_read("node: {\"a\\0\": x}\n", "error:1: an empty key, or one with a zero byte");
}

static void refuses_what_is_there_twice(void **state)
{
    (void) state;
    assert_read("node:\n  name: a\n  name: b\n", "error:3: a setting that is there twice: \"node.name\"");
    assert_read("node:\n  name: a\nnode:\n  drain_time: 5s\n",
                "error:3: a key that is there twice: \"node\"");
    assert_read("courier:\n  routes:\n    a: x\n    a: y\n", "error:4: a key that is there twice: \"a\"");
    assert_read("a.b: {c: 1}\na: {b.c: 2}\n", "error:2: a setting that is there twice: \"a.b.c\"");
}

static void refuses_anchors_aliases_tags_and_second_documents(void **state)
{
    (void) state;
    assert_read("node:\n  name: &x a\n  http_listen: *x\n", "error:2: anchors and tags are not used here");
    assert_read("node: &n {name: a}\n", "error:1: anchors and tags are not used here");
    assert_read("node:\n  name: *x\n", "error:2: aliases are not used here");
    assert_read("node:\n  name: !!str a\n", "error:2: anchors and tags are not used here");
    assert_read("ingress:\n  listen: !x [a]\n", "error:2: anchors and tags are not used here");
    assert_read("node: {name: a}\n---\nnode: {name: b}\n", "error:2: a second document in the file");
}

static void errors_of_the_syntax_have_a_line(void **state)
{
    (void) state;
    AUTO_FREE char *tab = describe("node:\n\tname: a\n"), *open = describe("node: {name: \"a\n"),
                   *bad = describe("node:\n  name: \xff\n");
    assert_memory_equal(tab, "error:2: ", 9);
    assert_memory_equal(open, "error:", 6);
    assert_memory_equal(bad, "error:", 6);
}

static void deep_nesting_is_refused_early(void **state)
{
    (void) state;
    AUTO_FREE char *deep = mem_alloc(100001);
    memset(deep, '[', 100000);
    AUTO_FREE char *got = describe(deep);
    assert_memory_equal(got, "error:1: ", 9);
}

static void refuses_files_that_are_missing_or_too_big(void **state)
{
    (void) state;
    struct conf_item *items;
    size_t count;
    char *error = NULL;
    assert_int_equal(yaml_read_settings("/no/such/file", &items, &count, &error), -EINVAL);
    assert_string_equal(error, "/no/such/file: cannot be read: No such file or directory");
    mem_free(error);
    assert_int_equal(yaml_read_settings("/tmp", &items, &count, &error), -EINVAL);
    assert_string_equal(error, "/tmp: cannot be read: Is a directory");
    mem_free(error);
    AUTO_FREE char *big = mem_alloc(YAML_FILE_MAX + 1);
    memset(big, '\n', YAML_FILE_MAX + 1);
    put(big, YAML_FILE_MAX + 1);
    assert_int_equal(yaml_read_settings(path, &items, &count, &error), -EINVAL);
    assert_non_null(strstr(error, "File too large"));
    mem_free(error);
    put(big, YAML_FILE_MAX);
    assert_int_equal(yaml_read_settings(path, &items, &count, &error), 0);
    assert_int_equal(count, 0);
    mem_free(items);
}

/* The whole way: what the tables print as the default file is read back and changes nothing. */
/* Takes out the lines of groups' members, which are deeper than those of sections. */
static void drop_members(struct buf *yaml)
{
    AUTO_BUF struct buf kept = {.data = NULL};
    struct span rest = buf_span(yaml);
    while (rest.len) {
        struct span line = span_cut(&rest, '\n');
        if (!span_starts_nocase(line, SPAN("    ")) && !span_equal(line, SPAN("  name:")))
            buf_printf(&kept, "%.*s\n", SPAN_ARG(line));
    }
    buf_clear(yaml);
    buf_add_span(yaml, buf_span(&kept));
}

static void the_default_file_is_the_defaults(void **state)
{
    (void) state;
    AUTO_BUF struct buf file = {.data = NULL}, plain = {.data = NULL}, loaded = {.data = NULL};
    struct conf *defaults = NULL, *c = NULL;
    char *error = NULL;
    conf_print_default_file(&file);
    put(file.data, file.len);
    assert_int_equal(conf_load(NULL, NULL, &defaults, &error), 0);
    assert_int_equal(conf_load(path, yaml_read_settings, &c, &error), 0);
    conf_print_yaml(defaults, &plain, false);
    conf_print_yaml(c, &loaded, false);
    assert_true(span_equal(buf_span(&plain), buf_span(&loaded)));
    conf_release(c);
    /* The same with every setting uncommented, and with what `config show` prints. */
    for (size_t i = 0; i + 1 < file.len; i++)
        if (file.data[i] == '#' && file.data[i + 1] != ' ')
            file.data[i] = ' ';
    put(file.data, file.len);
    assert_int_equal(conf_load(path, yaml_read_settings, &c, &error), 0);
    buf_clear(&loaded);
    assert_int_equal(c->listener_count,
                     2); /* the file's example, and that of ingress.listen, which is given now */
    assert_string_equal(c->listeners[0].name, "name");
    conf_print_yaml(c, &loaded, false);
    drop_members(&loaded);
    assert_true(span_equal(buf_span(&plain), buf_span(&loaded)));
    conf_release(c);
    put(plain.data, plain.len);
    assert_int_equal(conf_load(path, yaml_read_settings, &c, &error), 0);
    buf_clear(&loaded);
    conf_print_yaml(c, &loaded, false);
    assert_true(span_equal(buf_span(&plain), buf_span(&loaded)));
    conf_release(c);
    conf_release(defaults);
}

static void faults_of_a_value_name_file_and_line(void **state)
{
    (void) state;
    struct conf *c = NULL;
    char *error = NULL;
    static const char text[] = "node:\n  name: a\ningress:\n  max_message: abc\n";
    put(text, sizeof(text) - 1);
    assert_int_equal(conf_load(path, yaml_read_settings, &c, &error), -EINVAL);
    AUTO_FREE char *wanted = mem_format(
        "%s:4: ingress.max_message: expected a size from 64KiB to 1GiB (units: B KiB MiB GiB TiB), got \"abc\"",
        path);
    assert_string_equal(error, wanted);
    mem_free(error);
}

static int make_file(void **state)
{
    (void) state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void) state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_values_lists_and_maps),
        cmocka_unit_test(reads_json),
        cmocka_unit_test(reads_groups),
        cmocka_unit_test(nothing_gives_no_items),
        cmocka_unit_test(refuses_what_is_no_settings),
        cmocka_unit_test(refuses_what_is_there_twice),
        cmocka_unit_test(refuses_anchors_aliases_tags_and_second_documents),
        cmocka_unit_test(errors_of_the_syntax_have_a_line),
        cmocka_unit_test(deep_nesting_is_refused_early),
        cmocka_unit_test(refuses_files_that_are_missing_or_too_big),
        cmocka_unit_test(the_default_file_is_the_defaults),
        cmocka_unit_test(faults_of_a_value_name_file_and_line),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
