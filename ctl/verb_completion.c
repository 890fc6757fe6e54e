/* completion: what a shell needs to complete verbs and options, from the table of verbs. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "ctl/print.h"
#include "ctl/verb.h"
#include "io/json.h"

static const char *const common[] = {"--config", "--json", "--help"};

/* Every word that stands first, once. */
static void each_first_word(void (*on_word)(struct buf *out, struct span word), struct buf *out)
{
    struct span last = {.at = NULL};

    for (size_t i = 0; i < VERB_COUNT; i++) {
        struct span name = span_of(verbs[i].name), word = span_cut(&name, ' ');
        bool is_new = true;
        for (size_t j = 0; j < i && is_new; j++) {
            struct span other = span_of(verbs[j].name);
            is_new = !span_equal(span_cut(&other, ' '), word);
        }
        if (is_new && !span_equal(word, last))
            on_word(out, word);
        last = word;
    }
}

/* The words behind a first one: "list show drain". */
static void add_second_words(struct buf *out, struct span first)
{
    size_t start = out->len;

    for (size_t i = 0; i < VERB_COUNT; i++) {
        struct span rest = span_of(verbs[i].name), word = span_cut(&rest, ' ');
        if (span_equal(word, first) && rest.len > 0)
            buf_printf(out, "%s%.*s", out->len > start ? " " : "", SPAN_ARG(rest));
    }
}

/* has_value: only those that take one. */
static void add_options(struct buf *out, size_t verb, bool with_flags)
{
    size_t start = out->len;

    for (size_t i = 0; i < option_count; i++)
        if (options[i].verb == verb && (with_flags || *options[i].value))
            buf_printf(out, "%s--%s", out->len > start ? " " : "", options[i].name);
    for (size_t i = 0; i < (with_flags ? ARRAY_LEN(common) : 1); i++)
        buf_printf(out, "%s%s", out->len > start ? " " : "", common[i]);
}

/* ---- bash ---- */

static void add_bash_word(struct buf *out, struct span word)
{
    buf_printf(out, "%s%.*s", out->len && out->data[out->len - 1] != '"' ? " " : "", SPAN_ARG(word));
}

static void add_bash_second(struct buf *out, struct span word)
{
    AUTO_BUF struct buf seconds = {.data = NULL};

    add_second_words(&seconds, word);
    if (seconds.len)
        buf_printf(out, "        \"%.*s\") words=\"%.*s\";;\n", SPAN_ARG(word), SPAN_ARG(buf_span(&seconds)));
}

static void add_bash(struct buf *out)
{
    buf_add_text(
        out,
        "# bash completion of baridctl: eval \"$(baridctl completion bash)\"\n"
        "_baridctl() {\n"
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= words= valued= i\n"
        "    local -a said=()\n"
        "    COMPREPLY=()\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        case ${COMP_WORDS[i]} in\n"
        "        --config) ((i++)) ;;\n"
        "        -*) ;;\n"
        "        *) said+=(\"${COMP_WORDS[i]}\") ;;\n"
        "        esac\n"
        "    done\n"
        "    if [[ $before == --config || $before == --file || $before == --password-file ]]; then\n"
        "        return\n"
        "    fi\n"
        "    if ((${#said[@]} == 0)); then\n"
        "        words=\"");
    each_first_word(add_bash_word, out);
    buf_add_text(out, "\"\n        [[ $word == -* ]] && words=\"--config --json --help --version\"\n"
                      "        COMPREPLY=($(compgen -W \"$words\" -- \"$word\")); return\n"
                      "    fi\n"
                      "    if ((${#said[@]} == 1)) && [[ $word != -* ]]; then\n"
                      "        case ${said[0]} in\n");
    each_first_word(add_bash_second, out);
    buf_add_text(
        out, "        esac\n"
             "        if [[ $words ]]; then COMPREPLY=($(compgen -W \"$words\" -- \"$word\")); return; fi\n"
             "    fi\n"
             "    for verb in \"${said[0]} ${said[1]}\" \"${said[0]}\"; do\n"
             "        case $verb in\n");
    for (size_t i = 0; i < VERB_COUNT; i++) {
        buf_printf(out, "        \"%s\") words=\"", verbs[i].name);
        add_options(out, i, true);
        buf_add_text(out, "\" valued=\" ");
        add_options(out, i, false);
        buf_add_text(out, " \"; break;;\n");
    }
    buf_add_text(out,
                 "        esac\n"
                 "    done\n"
                 "    if [[ $word == -* && $valued != *\" $before \"* ]]; then\n"
                 "        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                 "    fi\n"
                 "}\n"
                 "complete -o default -F _baridctl baridctl\n"); /* names of files where it offers nothing */
}

/* ---- zsh: by its own reader of bash completions ---- */

static void add_zsh(struct buf *out)
{
    buf_add_text(out, "#compdef baridctl\n"
                      "# zsh completion of baridctl: eval \"$(baridctl completion zsh)\"\n"
                      "autoload -U +X bashcompinit && bashcompinit\n");
    add_bash(out);
    /* As a file among zsh's functions it is called the first time before it has said what it is. */
    buf_add_text(out,
                 "if [[ ${funcstack[1]} == _baridctl ]]; then _bash_complete -o default -F _baridctl; fi\n");
}

/* ---- fish ---- */

/* A text between single quotes. */
static void add_quoted(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
    buf_add_char(out, '\'');
}

static void add_fish_first(struct buf *out, struct span word)
{
    buf_printf(out, "complete -c baridctl -f -n __fish_use_subcommand -a %.*s\n", SPAN_ARG(word));
}

static void add_fish_verb(struct buf *out, size_t verb)
{
    struct span rest = span_of(verbs[verb].name), first = span_cut(&rest, ' ');

    if (rest.len > 0) {
        AUTO_BUF struct buf seconds = {.data = NULL};
        add_second_words(&seconds, first);
        buf_printf(
            out,
            "complete -c baridctl -f -n '__fish_seen_subcommand_from %.*s; and not __fish_seen_subcommand_from %.*s' -a %.*s -d ",
            SPAN_ARG(first), SPAN_ARG(buf_span(&seconds)), SPAN_ARG(rest));
        add_quoted(out, verbs[verb].does);
        buf_add_char(out, '\n');
    }
    for (size_t i = 0; i < option_count; i++) {
        if (options[i].verb != verb)
            continue;
        buf_printf(out, "complete -c baridctl -n '__fish_seen_subcommand_from %.*s", SPAN_ARG(first));
        if (rest.len > 0)
            buf_printf(out, "; and __fish_seen_subcommand_from %.*s", SPAN_ARG(rest));
        buf_printf(out, "' -l %s%s -d ", options[i].name, *options[i].value ? " -r" : "");
        add_quoted(out, options[i].help);
        buf_add_char(out, '\n');
    }
}

static void add_fish(struct buf *out)
{
    buf_add_text(out, "# fish completion of baridctl: baridctl completion fish | source\n");
    each_first_word(add_fish_first, out);
    for (size_t i = 0; i < VERB_COUNT; i++)
        add_fish_verb(out, i);
    buf_add_text(out, "complete -c baridctl -n __fish_use_subcommand -l version -d 'its version'\n"
                      "complete -c baridctl -l config -r -d settings\n"
                      "complete -c baridctl -l json -d 'output for programs'\n"
                      "complete -c baridctl -l help -d 'what a verb does'\n");
}

int verb_completion(const struct arguments *a)
{
    static const struct {
        const char *shell;
        void (*add)(struct buf *out);
    } shells[] = {{"bash", add_bash}, {"zsh", add_zsh}, {"fish", add_fish}};
    AUTO_BUF struct buf out = {.data = NULL};

    for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
        if (strcmp(a->operands[0], shells[i].shell) != 0)
            continue;
        shells[i].add(&out);
        if (a->is_json) {
            struct json *json = json_new_object();
            json_put_text(json, "shell", span_of(shells[i].shell));
            json_put_text(json, "script", buf_span(&out));
            print_json(json);
        } else {
            print_buf(&out);
        }
        return EXIT_OK;
    }
    return say_usage("\"%s\" is none of the shells that are known: bash, zsh, fish", a->operands[0]);
}
