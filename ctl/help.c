/* What the rows of verb.def say: a list, one verb, the reference page. */
#include "base/buf.h"
#include "base/mem.h"
#include "ctl/print.h"
#include "ctl/verb.h"
#include "io/json.h"

#ifndef BARID_VERSION
#define BARID_VERSION "0"
#endif

static void print_option(const char *name, const char *value, const char *help)
{
    AUTO_BUF struct buf left = {.data = NULL};

    buf_printf(&left, "--%s%s%s", name, *value ? " " : "", value);
    printf("  %-20.*s %s\n", SPAN_ARG(buf_span(&left)), help);
}

static void print_common_options(void)
{
    print_option("config", "FILE",
                 "settings; else the file named by BARID_CONFIG, else defaults and BARID_... only");
    print_option("json", "", "output for programs");
    print_option("help", "", "this text");
}

static void print_all(void)
{
    printf("Usage: baridctl VERB [OPTIONS]\n\n");
    for (size_t i = 0; i < VERB_COUNT; i++)
        printf("  %-15s %s\n", verbs[i].name, verbs[i].does);
    printf(
        "\n`baridctl help VERB` says more. Exit status: 0 done, 1 it failed, 2 not understood, 3 part of the store is away.\n");
}

static void print_sentence(const char *text)
{
    bool is_lower = *text >= 'a' && *text <= 'z';

    printf("%c%s.\n\n", is_lower ? *text - 'a' + 'A' : *text, text + 1);
}

static void print_verb(const struct verb *verb)
{
    printf("Usage: baridctl %s%s%s [OPTIONS]\n\n", verb->name, *verb->operands ? " " : "", verb->operands);
    print_sentence(verb->does);
    for (size_t i = 0; i < option_count; i++)
        if (&verbs[options[i].verb] == verb)
            print_option(options[i].name, options[i].value, options[i].help);
    print_common_options();
    printf("\nExample: %s\n", verb->example);
}

static void print_markdown(void)
{
    printf(
        "# baridctl\n\nMade by `baridctl help --markdown` from `ctl/verb.def`. Every verb takes `--config FILE` (else the file "
        "named by `BARID_CONFIG`, else\ndefaults), `--json` and `--help`; `BARID_SECTION_NAME` in the environment overrides a setting.\n"
        "Exit status: 0 done, 1 it failed, 2 not understood, 3 done with what answers: a shard of the Redis Cluster did not within 5 s.\n"
        "With 3 standard error says which, and which partitions are away with it; JSON has both as `away` and `away_partitions`. Nothing that is\n"
        "printed tells of them.\n");
    for (size_t i = 0; i < VERB_COUNT; i++) {
        const struct verb *verb = &verbs[i];
        printf("\n## %s%s%s\n\n", verb->name, *verb->operands ? " " : "", verb->operands);
        print_sentence(verb->does);
        bool has_options = false;
        for (size_t j = 0; j < option_count; j++) {
            const struct option *o = &options[j];
            if (&verbs[o->verb] != verb)
                continue;
            if (!has_options)
                printf("| option | |\n|---|---|\n");
            printf("| `--%s%s%s` | %s |\n", o->name, *o->value ? " " : "", o->value, o->help);
            has_options = true;
        }
        printf("%s    %s\n", has_options ? "\n" : "", verb->example);
    }
}

/* ---- a manual page (man(7)) ---- */

/* A text inside a line: what groff would take for its own is escaped. */
static void print_roff(const char *text)
{
    for (; *text; text++) {
        if (*text == '\\')
            printf("\\e");
        else if (*text == '-')
            printf("\\-");
        else
            (void) putchar(*text); /* main() asks ferror() */
    }
}

/* A line of it; one that begins with . or ' would be a request. */
static void print_roff_line(const char *before, const char *text, const char *after)
{
    printf("%s%s", before, !*before && (*text == '.' || *text == '\'') ? "\\&" : "");
    print_roff(text);
    printf("%s\n", after);
}

static void print_roff_option(const char *name, const char *value, const char *help)
{
    AUTO_BUF struct buf left = {.data = NULL};

    buf_printf(&left, "--%s%s%s", name, *value ? " " : "", value);
    AUTO_FREE char *text = buf_steal_text(&left);
    printf(".TP\n");
    print_roff_line("\\fB", text, "\\fR");
    print_roff_line("", help, "");
}

static void print_roff_verb(const struct verb *verb)
{
    AUTO_FREE char *head = mem_format("%s%s%s", verb->name, *verb->operands ? " " : "", verb->operands);

    print_roff_line(".SS ", head, "");
    print_roff_line("", verb->does, ".");
    for (size_t i = 0; i < option_count; i++)
        if (&verbs[options[i].verb] == verb)
            print_roff_option(options[i].name, options[i].value, options[i].help);
    printf(".PP\n.nf\n");
    print_roff_line("    ", verb->example, "");
    printf(".fi\n");
}

static void print_man(void)
{
    printf(".\\\" Made by `baridctl help --man` from ctl/verb.def.\n"
           ".TH BARIDCTL 1 \"\" \"barid %s\" \"barid\"\n"
           ".SH NAME\nbaridctl \\- sees and rules a barid cluster\n"
           ".SH SYNOPSIS\n.B baridctl\n\\fIVERB\\fR [\\fIOPTIONS\\fR]\n"
           ".SH DESCRIPTION\nLooks at the whole cluster through Redis and gives the operator's orders there; "
           "it never talks to a node.\n"
           ".SH OPTIONS OF EVERY VERB\n",
           BARID_VERSION);
    print_roff_option("config", "FILE",
                      "settings; else the file named by BARID_CONFIG, else defaults and BARID_... only");
    print_roff_option("json", "", "output for programs");
    print_roff_option("help", "", "what the verb does");
    printf(".SH VERBS\n");
    for (size_t i = 0; i < VERB_COUNT; i++)
        print_roff_verb(&verbs[i]);
    printf(
        ".SH EXIT STATUS\n"
        ".TP\n.B 0\nIt is done, and nothing is wrong where something was to be judged.\n"
        ".TP\n.B 1\nIt failed, was not confirmed, or what was judged is not as it should be; a sentence says what.\n"
        ".TP\n.B 2\nThe command line or a setting was not understood; nothing was done.\n"
        ".TP\n.B 3\nIt is done with what answers: a shard of the Redis Cluster did not within 5 s. Standard error says which, and which partitions "
        "are away with it (JSON: away, away_partitions).\n"
        ".SH ENVIRONMENT\n"
        ".TP\n.B BARID_CONFIG\nThe file of settings, where \\-\\-config is not given.\n"
        ".TP\n.B BARID_SECTION_NAME\nOverrides the setting section.name.\n"
        ".SH FILES\n/etc/barid/barid.yaml, where the nodes read their settings as a rule.\n");
}

/* What help prints, as one text for programs. */
static void print_help_json(const struct verb *only)
{
    struct json *json = json_new_object(), *list = json_new_array();

    for (size_t i = 0; i < VERB_COUNT; i++) {
        struct json *verb = json_new_object(), *of = json_new_array();
        if (only && only != &verbs[i]) {
            json_free(verb);
            json_free(of);
            continue;
        }
        json_put_text(verb, "verb", span_of(verbs[i].name));
        json_put_text(verb, "operands", span_of(verbs[i].operands));
        json_put_text(verb, "does", span_of(verbs[i].does));
        json_put_text(verb, "example", span_of(verbs[i].example));
        for (size_t j = 0; j < option_count; j++) {
            if (options[j].verb != i)
                continue;
            struct json *option = json_new_object();
            json_put_text(option, "option", span_of(options[j].name));
            json_put_text(option, "value", span_of(options[j].value));
            json_put_text(option, "help", span_of(options[j].help));
            json_put(of, NULL, option);
        }
        json_put(verb, "options", of);
        json_put(list, NULL, verb);
    }
    json_put(json, "verbs", list);
    print_json(json);
}

int verb_help(const struct arguments *a)
{
    size_t words = 0;

    if (argument_is_given(a, "markdown")) {
        print_markdown();
        return EXIT_OK;
    }
    if (argument_is_given(a, "man")) {
        print_man();
        return EXIT_OK;
    }
    if (a->is_json && a->verb == &verbs[VERB_help] && a->operand_count == 0) {
        print_help_json(NULL);
        return EXIT_OK;
    }
    if (a->verb != &verbs[VERB_help]) { /* --help behind another verb, or behind none */
        if (a->verb)
            print_verb(a->verb);
        else
            print_all();
        return EXIT_OK;
    }
    if (a->operand_count == 0) {
        print_all();
        return EXIT_OK;
    }
    const struct verb *verb = verb_find(a->operands, a->operand_count, &words);
    if (verb) {
        if (a->is_json)
            print_help_json(verb);
        else
            print_verb(verb);
        return EXIT_OK;
    }
    return verb_say_unknown(a->operands, a->operand_count);
}

int verb_version(const struct arguments *a)
{
    if (a->is_json) {
        struct json *json = json_new_object();
        json_put_text(json, "version", SPAN(BARID_VERSION));
        print_json(json);
        return EXIT_OK;
    }
    printf("baridctl %s\n", BARID_VERSION);
    return EXIT_OK;
}
