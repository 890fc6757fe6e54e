/* What the rows of verb.def say: a list, one verb, the reference page. */
#include "base/buf.h"
#include "ctl/verb.h"

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
    printf("\n`baridctl help VERB` says more. Exit status: 0 done, 1 it failed, 2 not understood.\n");
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
        "Exit status: 0 done, 1 it failed, 2 not understood.\n");
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

int verb_help(const struct arguments *a)
{
    size_t words = 0;

    if (argument_is_given(a, "markdown")) {
        print_markdown();
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
        print_verb(verb);
        return EXIT_OK;
    }
    return verb_say_unknown(a->operands, a->operand_count);
}

int verb_version(const struct arguments *a)
{
    (void) a;
    printf("baridctl %s\n", BARID_VERSION);
    return EXIT_OK;
}
