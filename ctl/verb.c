/* The table of verbs, and what was typed after one. */
#include "ctl/verb.h"

#include <errno.h>
#include <stdarg.h>

#include "base/buf.h"
#include "base/mem.h"

enum { NAME_MAX_LEN = 40 };

const struct verb verbs[VERB_COUNT] = {
#define VERB(function, name, least, most, operands, does, example) \
    {name, least, most, operands, does, example, verb_##function},
#define OPTION(function, name, value, help)
#include "ctl/verb.def"
#undef VERB
#undef OPTION
};

const struct option options[] = {
#define VERB(function, name, least, most, operands, does, example)
#define OPTION(function, name, value, help) {VERB_##function, name, value, help},
#include "ctl/verb.def"
#undef VERB
#undef OPTION
};
const size_t option_count = ARRAY_LEN(options);

/* ---- what is said when it cannot be done */

static void say(const char *format, va_list args) __attribute__((format(printf, 1, 0)));
static void say(const char *format, va_list args)
{
    AUTO_BUF struct buf line = {.data = NULL};

    buf_vprintf(&line, format, args);
    fprintf(stderr, "baridctl: %.*s\n", SPAN_ARG(buf_span(&line)));
}

int say_failed(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
    return EXIT_ASKED_FAILED;
}

int say_partly(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
    return EXIT_PARTLY;
}

int say_usage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
    return EXIT_BAD_USAGE;
}

/* ---- finding a verb */

const struct verb *verb_find(const char *const *words, size_t count, size_t *ret_words)
{
    AUTO_FREE char *two = count > 1 ? mem_format("%s %s", words[0], words[1]) : NULL;

    for (size_t i = 0; i < VERB_COUNT; i++) {
        *ret_words = 2;
        if (two && strcmp(verbs[i].name, two) == 0)
            return &verbs[i];
        *ret_words = 1;
        if (count > 0 && strcmp(verbs[i].name, words[0]) == 0)
            return &verbs[i];
    }
    return NULL;
}

/* Edits that turn a into b (Levenshtein); a at most NAME_MAX_LEN long. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_LEN + 1], len = strlen(a);

    for (size_t i = 0; i <= len; i++)
        row[i] = i;
    for (size_t j = 0; b[j]; j++) {
        size_t corner = row[0];
        row[0] = j + 1;
        for (size_t i = 0; i < len; i++) {
            size_t best = corner + (a[i] != b[j]);
            corner = row[i + 1];
            best = row[i] + 1 < best ? row[i] + 1 : best;
            row[i + 1] = corner + 1 < best ? corner + 1 : best;
        }
    }
    return row[len];
}

static const char *verb_nearest(const char *typed)
{
    const char *best = NULL;
    size_t best_distance = strlen(typed) / 2 + 1;

    if (strlen(typed) > NAME_MAX_LEN)
        return NULL;
    for (size_t i = 0; i < VERB_COUNT; i++) {
        size_t d = distance(typed, verbs[i].name);
        if (d < best_distance) {
            best = verbs[i].name;
            best_distance = d;
        }
    }
    return best;
}

/* "queue" alone: which verbs begin with that word; otherwise the nearest. */
int verb_say_unknown(const char *const *words, size_t count)
{
    AUTO_BUF struct buf family = {.data = NULL};
    AUTO_FREE char *typed = count > 1 ? mem_format("%s %s", words[0], words[1]) : mem_string(words[0]);
    size_t len = strlen(words[0]);

    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strncmp(verbs[i].name, words[0], len) == 0 && verbs[i].name[len] == ' ')
            buf_printf(&family, "%s%s", family.len ? ", " : "", verbs[i].name);
    if (family.len)
        return say_usage("there is no \"%s\", but: %.*s", typed, SPAN_ARG(buf_span(&family)));
    const char *near = verb_nearest(typed);
    near = near ? near : verb_nearest(words[0]);
    if (near)
        return say_usage("there is no \"%s\"; did you mean \"%s\"?", words[0], near);
    return say_usage("there is no \"%s\"; `baridctl help` lists what there is", words[0]);
}

/* ---- parsing */

static const struct option *option_find(const struct verb *verb, struct span name)
{
    for (size_t i = 0; i < option_count; i++)
        if (&verbs[options[i].verb] == verb && span_equal(name, span_of(options[i].name)))
            return &options[i];
    return NULL;
}

/* What comes before options are known by their verb: the words that are no options. "--config FILE" has a value, all others are skipped. */
static size_t first_words(int argc, char **argv, const char *ret_words[static 2])
{
    size_t count = 0;

    for (int i = 1; i < argc && count < 2; i++) {
        if (strcmp(argv[i], "--config") == 0)
            i++;
        else if (argv[i][0] != '-')
            ret_words[count++] = argv[i];
        else if (count > 0 && strcmp(argv[i], "--json") != 0)
            break; /* the verb's own options, maybe with values */
    }
    return count;
}

/* Options that every verb has. True: it was one. */
static bool parse_common(struct arguments *a, struct span name, const char *value, int *ret_status)
{
    if (span_equal(name, SPAN("json"))) {
        a->is_json = true;
    } else if (span_equal(name, SPAN("help"))) {
        a->wants_help = true;
    } else if (span_equal(name, SPAN("version"))) {
        a->wants_version = true;
    } else if (span_equal(name, SPAN("config"))) {
        if (!value)
            *ret_status = say_usage("--config needs a file");
        a->config_file = value;
    } else {
        return false;
    }
    return true;
}

/* argv[*at] is an option; moves *at to its value if that is the next word. */
static int parse_option(struct arguments *a, int argc, char **argv, int *at)
{
    struct span name = span_of(argv[*at] + 2);
    const char *equals = memchr(name.at, '=', name.len);
    const char *next = *at + 1 < argc ? argv[*at + 1] : NULL, *value = equals ? equals + 1 : next;
    int status = EXIT_OK;

    if (equals)
        name.len = (size_t) (equals - name.at);
    if (parse_common(a, name, value, &status)) {
        *at += !equals && span_equal(name, SPAN("config"));
        return status;
    }
    const struct option *option = a->verb ? option_find(a->verb, name) : NULL;
    if (!option)
        return say_usage("there is no option %s%s%s; `baridctl help%s%s` lists them", argv[*at],
                         a->verb ? " of " : "", a->verb ? a->verb->name : "", a->verb ? " " : "",
                         a->verb ? a->verb->name : "");
    bool is_flag = !*option->value;
    if (is_flag && equals)
        return say_usage("--%s takes no value", option->name);
    if (!is_flag && !value)
        return say_usage("--%s needs %s: %s", option->name, option->value, option->help);
    if (a->given_count == GIVEN_MAX)
        return say_usage("too many options");
    a->given[a->given_count++] = (struct given){option, is_flag ? "" : value};
    *at += !is_flag && !equals;
    return EXIT_OK;
}

int arguments_parse(struct arguments *a, int argc, char **argv)
{
    const char *words[2];
    size_t name_words = 0, count = first_words(argc, argv, words);
    bool is_options_over = false;

    *a = (struct arguments){.config_file = getenv("BARID_CONFIG")};
    if (count > 0) {
        a->verb = verb_find(words, count, &name_words);
        if (!a->verb)
            return verb_say_unknown(words, count);
    }
    for (int i = 1; i < argc; i++) {
        bool is_option = !is_options_over && argv[i][0] == '-' && argv[i][1] != '\0';
        if (is_option && strcmp(argv[i], "--") == 0) {
            is_options_over = true;
        } else if (is_option) {
            if (argv[i][1] != '-')
                return say_usage("%s: options begin with --", argv[i]);
            int status = parse_option(a, argc, argv, &i);
            if (status != EXIT_OK)
                return status;
        } else if (name_words > 0) {
            name_words--;
        } else if (a->operand_count == OPERANDS_MAX || a->operand_count == a->verb->most) {
            return say_usage("%s: one too many for %s %s", argv[i], a->verb->name, a->verb->operands);
        } else {
            a->operands[a->operand_count++] = argv[i];
        }
    }
    if (a->verb && !a->wants_help && a->operand_count < a->verb->least)
        return say_usage("%s needs %s; `baridctl help %s` says more", a->verb->name, a->verb->operands,
                         a->verb->name);
    if (a->config_file && !*a->config_file)
        a->config_file = NULL;
    return EXIT_OK;
}

/* ---- asking for them */

const char *argument_next(const struct arguments *a, const char *option, size_t *cursor)
{
    while (*cursor < a->given_count) {
        const struct given *g = &a->given[(*cursor)++];
        if (strcmp(g->option->name, option) == 0)
            return g->value;
    }
    return NULL;
}

const char *argument_text(const struct arguments *a, const char *option, const char *fallback)
{
    const char *found = fallback, *value;

    for (size_t cursor = 0; (value = argument_next(a, option, &cursor));)
        found = value;
    return found;
}

bool argument_is_given(const struct arguments *a, const char *option)
{
    return argument_text(a, option, NULL) != NULL;
}

bool argument_names(const struct arguments *a, const char *name)
{
    for (size_t i = 0; i < a->operand_count; i++)
        if (strcmp(a->operands[i], name) == 0)
            return true;
    return a->operand_count == 0;
}

int argument_number(const struct arguments *a, const char *option, uint64_t low, uint64_t high,
                    uint64_t fallback, uint64_t *ret_number)
{
    const char *text = argument_text(a, option, NULL);
    uint64_t number = fallback;

    if (text && (span_number(span_of(text), high, &number) < 0 || number < low)) {
        (void) say_usage("--%s: expected a number from %llu to %llu, not \"%s\"", option,
                         (unsigned long long) low, (unsigned long long) high,
                         text); /* the caller returns its status */
        return -EINVAL;
    }
    *ret_number = number;
    return 0;
}
