/* config check, show, docs, default: all printed from the rows of lib/base/conf.def. */
#include "base/conf_row.h"
#include "base/mem.h"
#include "cluster/settings_check.h"
#include "cluster/table_files.h"
#include "ctl/print.h"
#include "ctl/settings.h"
#include "ctl/verb.h"
#include "io/json.h"
#include "io/yaml.h"

/* The files that settings name, as far as they need no other program to be judged. */
static bool are_tables_good(const struct conf *conf, char **ret_error)
{
    struct table_files *files = NULL;
    int r = table_files_load(conf, &files, ret_error);

    table_files_release(files);
    return r == 0;
}

int verb_config_check(const struct arguments *a)
{
    const char *file = a->operand_count > 0 ? a->operands[0] : a->config_file;
    struct conf *conf;
    AUTO_FREE char *error = NULL;
    AUTO_BUF struct buf out = {.data = NULL};

    bool is_good = conf_load(file, yaml_read_settings, &conf, &error) == 0;
    if (is_good) {
        is_good = settings_check(conf, &error) == 0 && are_tables_good(conf, &error);
        conf_release(conf);
    }
    if (!a->is_json) {
        if (!is_good)
            return say_failed("%s", error);
        printf("%s: in order\n", file ? file : "environment and defaults");
        return EXIT_OK;
    }
    struct json *json = json_new_object();
    json_put_flag(json, "ok", is_good);
    if (file)
        json_put_text(json, "file", span_of(file));
    else
        json_put_null(json, "file");
    if (!is_good)
        json_put_text(json, "error", span_of(error));
    json_print(json, &out);
    json_free(json);
    print_buf(&out);
    return is_good ? EXIT_OK : EXIT_ASKED_FAILED;
}

/* One section, or one member of a group. */
static struct json *settings_of(const struct conf_section *section, const void *holder)
{
    struct json *json = json_new_object();

    for (size_t i = 0; i < section->row_count; i++) {
        AUTO_BUF struct buf value = {.data = NULL};
        conf_value_print(holder, &section->rows[i], &value);
        json_put_text(json, section->rows[i].name, buf_span(&value));
    }
    return json;
}

/* Values as in the file, as text: {"section": {"name": "value"}, "group": {"member": {"name": "value"}}}. */
static void add_settings(struct json *json, const struct conf *conf)
{
    for (size_t s = 0; s < conf_section_count; s++) {
        const struct conf_section *section = &conf_sections[s];
        if (!section->member) {
            json_put(json, section->name, settings_of(section, conf_holder(conf, section, 0)));
            continue;
        }
        struct json *group = json_new_object();
        for (size_t i = 0; i < conf_holder_count(conf, section); i++)
            if (!conf_member_at(conf, section, i)->is_implied)
                json_put(group, conf_member_at(conf, section, i)->name,
                         settings_of(section, conf_member_at(conf, section, i)));
        json_put(json, section->name, group);
    }
}

int verb_config_show(const struct arguments *a)
{
    AUTO_BUF struct buf out = {.data = NULL};

    int status = settings_use(a);
    if (status != EXIT_OK)
        return status;
    if (a->is_json) {
        struct json *json = json_new_object();
        add_settings(json, conf_get());
        json_print(json, &out);
        json_free(json);
    } else {
        conf_print_yaml(conf_get(), &out, argument_is_given(a, "explain"));
    }
    print_buf(&out);
    return EXIT_OK;
}

int verb_config_docs(const struct arguments *a)
{
    AUTO_BUF struct buf out = {.data = NULL};

    conf_print_markdown(&out);
    print_page(&out, a->is_json);
    return EXIT_OK;
}

int verb_config_default(const struct arguments *a)
{
    AUTO_BUF struct buf out = {.data = NULL};

    conf_print_default_file(&out);
    print_page(&out, a->is_json);
    return EXIT_OK;
}
