/*
 * What a reply means, by the rules of bounce.def. Its words are made plain once (lower case, single blanks, without addresses, in which any word
 * may stand), and then searched for each rule that could fit.
 */
#include "mail/bounce.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "mail/ascii.h"
#include "mail/verdict.h"

const char *const bounce_names[BOUNCE_COUNT] = {
    [BOUNCE_NONE] = "none",
#define BOUNCE(name, word, help) [BOUNCE_##name] = word,
#include "mail/bounce.def"
};

static const char *const helps[BOUNCE_COUNT] = {
    [BOUNCE_NONE] = "",
#define BOUNCE(name, word, help) [BOUNCE_##name] = help,
#include "mail/bounce.def"
};

struct rule {
    const char *code, *status, *words;
    enum bounce bounce;
};

static const struct rule table[] = {
#define RULE(code, status, words, class) {code, status, words, BOUNCE_##class},
#include "mail/bounce.def"
};

enum { START_BITS = 1024, WORDS_MAX = 200, HOST_MAX = 255 };

/* What a rule is compared with. */
struct plain {
    char words[VERDICT_TEXT_MAX];
    size_t len;
    uint64_t starts[START_BITS / 64]; /* the first two bytes of each word, hashed */
    const char *status, *remote;
    char code[4];
};

const char *bounce_name(enum bounce bounce)
{
    must(bounce < BOUNCE_COUNT);
    return bounce_names[bounce];
}

enum bounce bounce_named(struct span word)
{
    for (enum bounce b = BOUNCE_NONE + 1; b < BOUNCE_COUNT; b++)
        if (span_equal(word, span_of(bounce_names[b])))
            return b;
    return BOUNCE_NONE;
}

/* ---- the reply ---- */

static unsigned start_of(const char *word)
{
    return ((unsigned) (uint8_t) word[0] * 37 + (uint8_t) word[1]) % START_BITS;
}

static bool ends_address(char c)
{
    return c == ' ' || strchr("<>()[]\"',;:", c) != NULL;
}

/* Only '@' is left of an address: its local part is taken back, its domain passed over. */
static void skip_address(const struct verdict *v, size_t *at, struct plain *p)
{
    while (p->len > 0 && !ends_address(p->words[p->len - 1]))
        p->len--;
    while (v->text[*at + 1] && !ends_address(v->text[*at + 1]))
        (*at)++;
}

/* Many hosts repeat the enhanced code on each line of a reply, in the middle of what is one sentence here. */
static bool is_status_again(const struct verdict *v, size_t at)
{
    size_t len = strlen(v->status);

    return len > 0 && at > 0 && v->text[at - 1] == ' ' && strncmp(v->text + at, v->status, len) == 0 &&
           v->text[at + len] == ' ';
}

static void make_plain(const struct verdict *v, struct plain *p)
{
    memset(p->starts, 0, sizeof(p->starts));
    p->len = 0;
    p->status = v->status;
    p->remote = v->remote ? v->remote : "";
    for (unsigned i = 0, code = v->code % 1000; i < 3; i++, code /= 10)
        p->code[2 - i] = (char) ('0' + code % 10);
    p->code[3] = '\0';
    for (size_t at = 0; v->text && v->text[at] && p->len < sizeof(p->words); at++) {
        if (is_status_again(v, at)) {
            at += strlen(v->status);
            continue;
        }
        char c = is_blank(v->text[at]) ? ' ' : to_lower(v->text[at]);
        if (c == ' ' && p->len > 0 && p->words[p->len - 1] == ' ')
            continue;
        if (c == '@')
            skip_address(v, &at, p);
        p->words[p->len++] = c;
    }
    for (size_t i = 0; i + 1 < p->len; i++) {
        if (is_alnum(p->words[i]) && (i == 0 || !is_alnum(p->words[i - 1])))
            p->starts[start_of(p->words + i) / 64] |= UINT64_C(1) << start_of(p->words + i) % 64;
    }
}

/* ---- one rule ---- */

static bool is_code(const char *pattern, const char *code)
{
    for (size_t i = 0; i < 3; i++)
        if (pattern[i] != 'x' && pattern[i] != code[i])
            return false;
    return true;
}

static bool is_status(const char *pattern, const char *status)
{
    for (; *pattern; pattern++) {
        if (*pattern == 'x' && is_digit(*status)) {
            while (is_digit(*status))
                status++;
        } else if (*pattern != *status++) {
            return false;
        }
    }
    return !*status;
}

/* Behind `from`; a piece that begins with a letter or digit begins where a word does. Returns the end, or NULL. */
static const char *find_piece(const struct plain *p, const char *from, struct span piece)
{
    const char *end = p->words + p->len;

    while (from < end) {
        const char *at = memmem(from, (size_t) (end - from), piece.at, piece.len);
        if (!at)
            return NULL;
        if (!is_alnum(*piece.at) || at == p->words || !is_alnum(at[-1]))
            return at + piece.len;
        from = at + 1;
    }
    return NULL;
}

static bool has_words(const char *words, const struct plain *p)
{
    struct span rest = span_of(words);
    const char *from = p->words;

    if (is_alnum(words[0]) && is_alnum(words[1]) &&
        !(p->starts[start_of(words) / 64] >> start_of(words) % 64 & 1))
        return false;
    while (from && rest.at) {
        struct span piece = span_trim(span_cut(&rest, '*'));
        if (piece.len > 0)
            from = find_piece(p, from, piece);
    }
    return from != NULL;
}

static bool is_fit(const struct rule *r, const struct plain *p)
{
    return (!*r->code || is_code(r->code, p->code)) && (!*r->status || is_status(r->status, p->status)) &&
           (!*r->words || has_words(r->words, p));
}

/* ---- the operator's rules ---- */

/* One of them, read: "[@host] [code] [status] [words]". */
struct own_rule {
    char host[HOST_MAX + 1], code[4], status[12], words[WORDS_MAX + 1];
};

static bool is_code_pattern(struct span word)
{
    bool is_good = word.len == 3;

    for (size_t i = 0; is_good && i < 3; i++)
        is_good = is_digit(word.at[i]) || (i > 0 && word.at[i] == 'x');
    return is_good;
}

static bool is_status_pattern(struct span word)
{
    size_t numbers = 0;
    bool is_good = word.at && word.len < sizeof(((struct verdict *) NULL)->status);

    for (struct span rest = word; is_good && rest.at; numbers++) {
        struct span number = span_cut(&rest, '.');
        uint64_t value;
        is_good = span_equal(number, SPAN("x")) || span_number(number, 999, &value) == 0;
    }
    return is_good && numbers == 3;
}

static void take(struct span from, char *to)
{
    for (size_t i = 0; i < from.len; i++)
        to[i] = to_lower(from.at[i]);
    to[from.len] = '\0';
}

/* The word at the start of *rest, if it is one; else *rest stays. */
static bool take_word(struct span *rest, bool (*is_wanted)(struct span word), char *to)
{
    struct span behind = *rest, word = span_cut(&behind, ' ');

    if (!is_wanted(word))
        return false;
    take(word, to);
    *rest = span_trim(behind);
    return true;
}

static bool is_host_pattern(struct span word)
{
    return word.len > 1 && word.len <= HOST_MAX && word.at[0] == '@';
}

static int own_rule_read(const char *text, struct own_rule *ret_rule)
{
    struct own_rule r = {.host = ""};
    struct span rest = span_trim(span_of(text));
    bool is_said = take_word(&rest, is_host_pattern, r.host);

    is_said |= take_word(&rest, is_code_pattern, r.code);
    is_said |= take_word(&rest, is_status_pattern, r.status);
    for (size_t i = 0; i < rest.len; i++)
        is_said |= rest.at[i] != '*' && rest.at[i] != ' ';
    if (!is_said || rest.len > WORDS_MAX || (rest.len > 0 && rest.at[0] == '@'))
        return -EINVAL;
    take(rest, r.words);
    *ret_rule = r;
    return 0;
}

/* "@example.com": the host of that name, and those below it. */
static bool is_host(const char *pattern, const char *remote)
{
    struct span host = {remote, strcspn(remote, " [:")}, suffix = span_of(pattern + 1);

    return host.len >= suffix.len &&
           span_equal_nocase((struct span){host.at + host.len - suffix.len, suffix.len}, suffix) &&
           (host.len == suffix.len || host.at[host.len - suffix.len - 1] == '.');
}

static enum bounce ask_own_rules(const struct conf_map *rules, const struct plain *p)
{
    for (size_t i = 0; i < rules->count; i++) {
        struct own_rule own;
        if (own_rule_read(rules->keys[i], &own) < 0)
            continue; /* refused at the start */
        const struct rule r = {own.code, own.status, own.words, bounce_named(span_of(rules->values[i]))};
        if ((!*own.host || is_host(own.host, p->remote)) && is_fit(&r, p))
            return r.bounce;
    }
    return BOUNCE_NONE;
}

/* "barid.yaml:12: courier.bounce_rules: "550": " */
static void add_place(const struct conf *conf, const char *key, struct buf *out)
{
    conf_place(conf, "courier.bounce_rules", key, out);
    buf_printf(out, ": \"%s\": ", key);
}

int bounce_rules_check(const struct conf *conf, char **ret_error)
{
    const struct conf_map *rules = &conf->courier.bounce_rules;

    for (size_t i = 0; i < rules->count; i++) {
        struct own_rule own;
        struct buf error = {.data = NULL};
        bool is_readable = own_rule_read(rules->keys[i], &own) == 0;
        if (is_readable && bounce_named(span_of(rules->values[i])) != BOUNCE_NONE)
            continue;
        add_place(conf, rules->keys[i], &error);
        if (is_readable) {
            buf_printf(&error, "\"%s\" is no class; there are", rules->values[i]);
            for (enum bounce b = BOUNCE_NONE + 1; b < BOUNCE_COUNT; b++)
                buf_printf(&error, "%s %s", b > BOUNCE_NONE + 1 ? "," : "", bounce_names[b]);
        } else {
            buf_add_text(&error, "expected a host, code, enhanced code or words of a reply, such as "
                                 "\"@example.com 550 5.7.x try * later\"");
        }
        *ret_error = buf_steal_text(&error);
        return -EINVAL;
    }
    return 0;
}

/* ---- all of them ---- */

enum bounce bounce_of(const struct verdict *v, const struct conf_map *rules)
{
    struct plain p;
    enum bounce own;

    make_plain(v, &p);
    own = rules ? ask_own_rules(rules, &p) : BOUNCE_NONE;
    if (own != BOUNCE_NONE)
        return own;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (is_fit(&table[i], &p))
            return table[i].bounce;
    return BOUNCE_OTHER;
}

void bounce_print_markdown(struct buf *out)
{
    buf_add_text(
        out,
        "# Why mail was not delivered\n\nPrinted from `lib/mail/bounce.def`. Each deferral and each failure has one of "
        "these classes: in log lines (`class=`), in a message's\nhistory, in `baridctl`, and as label of "
        "`barid_deferred_total` and `barid_failed_total`.\n\n| class | meaning |\n|---|---|\n");
    for (enum bounce b = BOUNCE_NONE + 1; b < BOUNCE_COUNT; b++)
        buf_printf(out, "| `%s` | %s |\n", bounce_names[b], helps[b]);
    buf_add_text(
        out,
        "\nA reply is judged by the rules of `courier.bounce_rules`, in the order of the file, then by those of the table, "
        "of which there are ");
    buf_add_number(out, ARRAY_LEN(table));
    buf_add_text(
        out,
        ":\nwhat large providers say, codes that mean one thing only, words, then what a code means when nothing else tells. "
        "A rule of the operator is `\"[@host] [code] [status] [words]\": class`,\nwith at least one of them: `@example.com` is the "
        "mail host of that name and those below it; `x` in a code or an enhanced code is any digit or number;\nwords are "
        "looked for in any case, each where a word begins, and `*` is anything between them. Addresses in a reply are not "
        "looked at.\n\n```yaml\ncourier:\n  bounce_rules:\n    \"@mx.example.com 550 5.7.1 local rule\": policy\n    "
        "\"45x * come back tomorrow\": rate\n```\n");
}
