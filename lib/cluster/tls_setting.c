/* TLS policies as operators write them. */
#include "cluster/tls_setting.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "io/idn.h"
#include "mail/ascii.h"

enum { FINGERPRINT_DIGITS = 64 };

static const char *const wish_words[] = {"auto",   "none",        "may",  "encrypt",
                                         "verify", "fingerprint", "dane", "sts"};

/* ---- one text ---- */

static int fault(char **ret_error, char *why)
{
    *ret_error = why;
    return -EINVAL;
}

static void add_word(struct tls_setting *s, struct span word)
{
    s->words = mem_resize(s->words, (s->count + 1) * sizeof(*s->words));
    s->words[s->count++] = mem_text(word.at, word.len);
}

/* A SHA-256, with or without colons between its bytes. */
static int add_fingerprint(struct tls_setting *s, struct span word, char **ret_error)
{
    char digits[FINGERPRINT_DIGITS + 1];
    size_t len = 0;

    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] == ':')
            continue;
        if (len == FINGERPRINT_DIGITS || !strchr("0123456789abcdefABCDEF", word.at[i]))
            len = FINGERPRINT_DIGITS + 1;
        if (len > FINGERPRINT_DIGITS)
            break;
        digits[len++] = to_lower(word.at[i]);
    }
    if (len != FINGERPRINT_DIGITS)
        return fault(ret_error, mem_format("\"%.*s\" is not a SHA-256 in hexadecimal", SPAN_ARG(word)));
    add_word(s, (struct span){digits, len});
    return 0;
}

static int add_name(struct tls_setting *s, struct span word, char **ret_error)
{
    char name[DOMAIN_MAX + 1];

    if (idn_domain(word, name) < 0)
        return fault(ret_error, mem_format("\"%.*s\" is not the name of a host", SPAN_ARG(word)));
    add_word(s, span_of(name));
    return 0;
}

static int add_words(struct tls_setting *s, struct span rest, char **ret_error)
{
    while ((rest = span_trim(rest)).len > 0) {
        struct span word = span_cut(&rest, ' ');
        int r;

        if (s->wish != TLS_WISH_VERIFY && s->wish != TLS_WISH_FINGERPRINT)
            return fault(ret_error, mem_format("nothing may follow %s", wish_words[s->wish]));
        if (s->count == TLS_SETTING_WORDS_MAX)
            return fault(ret_error, mem_format("at most %d words may follow", TLS_SETTING_WORDS_MAX));
        r = s->wish == TLS_WISH_VERIFY ? add_name(s, word, ret_error) : add_fingerprint(s, word, ret_error);
        if (r < 0)
            return r;
    }
    if (s->wish == TLS_WISH_FINGERPRINT && s->count == 0)
        return fault(ret_error, mem_string("fingerprint needs the SHA-256 of a certificate"));
    return 0;
}

int tls_setting_parse(struct span text, struct tls_setting *ret_setting, char **ret_error)
{
    struct span rest = span_trim(text), first = span_cut(&rest, ' ');
    struct tls_setting s = {0};
    size_t i = 0;
    int r;

    while (i < ARRAY_LEN(wish_words) && !span_equal(first, span_of(wish_words[i])))
        i++;
    if (i == ARRAY_LEN(wish_words))
        return fault(
            ret_error,
            mem_format("\"%.*s\" is none of auto, none, may, encrypt, verify, fingerprint, dane, sts",
                       SPAN_ARG(first)));
    s.wish = (enum tls_wish) i;
    r = add_words(&s, rest, ret_error);
    if (r < 0) {
        tls_setting_done(&s);
        return r;
    }
    *ret_setting = s;
    return 0;
}

void tls_setting_done(struct tls_setting *s)
{
    for (size_t i = 0; i < s->count; i++)
        mem_free(s->words[i]);
    mem_free(s->words);
    *s = (struct tls_setting){0};
}

/* ---- which one ---- */

/* How exactly a key names it: 0 not at all. */
static size_t key_fits(const char *key, const char *name)
{
    AUTO_BUF struct buf ascii = {0};
    char domain[DOMAIN_MAX + 1];

    if (span_has_8bit(span_of(key))) {
        if (idn_domain(span_of(key + (key[0] == '.')), domain) < 0)
            return 0;
        buf_add_text(&ascii, key[0] == '.' ? "." : "");
        buf_add(&ascii, domain, strlen(domain) + 1);
        key = ascii.data;
    }
    return domain_matches(name, key) ? strlen(key) + (key[0] != '.')
                                     : 0; /* the name itself beats its suffix */
}

static const char *row_of(const struct conf_map *rows, const char *name)
{
    const char *best = NULL;
    size_t best_fit = 0;

    for (size_t i = 0; i < rows->count; i++) {
        size_t fit = strcmp(rows->keys[i], "*") == 0 ? 0 : key_fits(rows->keys[i], name);

        if (fit > best_fit) {
            best = rows->values[i];
            best_fit = fit;
        }
    }
    return best;
}

const char *tls_setting_find(const struct conf *conf, const char *domain, const char *host)
{
    const struct conf_map *rows = &conf->tls_out.policies;
    const char *found = host ? row_of(rows, host) : NULL;

    if (!found)
        found = row_of(rows, domain);
    for (size_t i = 0; !found && i < rows->count; i++) {
        if (strcmp(rows->keys[i], "*") == 0)
            found = rows->values[i];
    }
    return found ? found : conf->tls_out.policy;
}

/* ---- the settings ---- */

static int place_fault(const struct conf *conf, const char *path, const char *key, const char *why,
                       char **ret_error)
{
    AUTO_BUF struct buf text = {0};

    conf_place(conf, path, key, &text);
    if (key)
        buf_printf(&text, ": %s", key);
    buf_printf(&text, ": %s", why);
    return fault(ret_error, buf_steal_text(&text));
}

static int check(const struct conf *conf, const char *path, const char *key, const char *text,
                 char **ret_error)
{
    AUTO_FREE char *why = NULL;
    struct tls_setting s;

    if (tls_setting_parse(span_of(text), &s, &why) < 0)
        return place_fault(conf, path, key, why, ret_error);
    tls_setting_done(&s);
    return 0;
}

static bool is_key(const char *key)
{
    char domain[DOMAIN_MAX + 1];

    return strcmp(key, "*") == 0 || key[0] == '[' || idn_domain(span_of(key + (key[0] == '.')), domain) == 0;
}

int tls_settings_check(const struct conf *conf, char **ret_error)
{
    static const char policies[] = "tls_out.policies";
    const struct conf_map *rows = &conf->tls_out.policies;
    int r = check(conf, "tls_out.policy", NULL, conf->tls_out.policy, ret_error);

    for (size_t i = 0; r == 0 && i < rows->count; i++) {
        if (!is_key(rows->keys[i]))
            return place_fault(conf, policies, rows->keys[i], "is neither a domain, nor .domain, nor *",
                               ret_error);
        r = check(conf, policies, rows->keys[i], rows->values[i], ret_error);
    }
    return r;
}
