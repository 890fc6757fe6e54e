/*
 * Does: the verbs of baridctl as rows (verb.def): finds one by its words, parses its arguments by its options.
 * Does not: do any verb's work; each verb_<function>() does, in the file named after its noun.
 * Owns: nothing; arguments point into argv.
 * Fails: EXIT_BAD_USAGE with a sentence on stderr.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* EXIT_PARTLY: done with what answers; a shard did not (away.h). */
enum { EXIT_OK = 0, EXIT_ASKED_FAILED = 1, EXIT_BAD_USAGE = 2, EXIT_PARTLY = 3 };
enum { GIVEN_MAX = 1024, OPERANDS_MAX = 64 };

enum verb_number {
#define VERB(function, name, least, most, operands, does, example) VERB_##function,
#define OPTION(function, name, value, help)
#include "ctl/verb.def"
#undef VERB
#undef OPTION
    VERB_COUNT
};

struct arguments;
struct verb {
    const char *name;
    size_t least, most; /* operands */
    const char *operands, *does, *example;
    int (*run)(const struct arguments *a); /* returns the exit status */
};
extern const struct verb verbs[VERB_COUNT];

struct option {
    enum verb_number verb;
    const char *name, *value, *help;
};
extern const struct option options[];
extern const size_t option_count;

struct given {
    const struct option *option;
    const char *value;
};
struct arguments {
    const struct verb *verb; /* NULL: none was named */
    bool is_json, wants_help, wants_version;
    const char *config_file; /* NULL: defaults and environment */
    const char *operands[OPERANDS_MAX];
    size_t operand_count;
    struct given given[GIVEN_MAX];
    size_t given_count;
};

/* EXIT_OK, or EXIT_BAD_USAGE and said. */
int arguments_parse(struct arguments *a, int argc, char **argv);
/* A verb by one or two words; *ret_words is how many of them name it. NULL: none. */
const struct verb *verb_find(const char *const *words, size_t count, size_t *ret_words);
/* Says that there is no such verb, and which there are instead; returns EXIT_BAD_USAGE. */
int verb_say_unknown(const char *const *words, size_t count);

bool argument_is_given(const struct arguments *a, const char *option);
const char *argument_text(const struct arguments *a, const char *option,
                          const char *fallback); /* the last one given */
/* One by one: start with *cursor = 0; NULL at the end. */
const char *argument_next(const struct arguments *a, const char *option, size_t *cursor);
bool argument_names(const struct arguments *a, const char *name); /* is it an operand, or are there none? */
/* -EINVAL, said on stderr: not a number from low to high. */
int argument_number(const struct arguments *a, const char *option, uint64_t low, uint64_t high,
                    uint64_t fallback, uint64_t *ret_number);

/* One sentence on stderr; returns EXIT_ASKED_FAILED, EXIT_PARTLY or EXIT_BAD_USAGE. */
int say_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
int say_partly(const char *format, ...) __attribute__((format(printf, 1, 2)));
int say_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define VERB(function, name, least, most, operands, does, example) \
    int verb_##function(const struct arguments *a);
#define OPTION(function, name, value, help)
#include "ctl/verb.def"
#undef VERB
#undef OPTION
