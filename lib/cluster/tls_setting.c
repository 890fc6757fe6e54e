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
    s->words[s->count++] = mem_text(digits, len);
    return 0;
}

static int add_name(struct tls_setting *s, struct span word, char **ret_error)
{
    char name[DOMAIN_MAX + 1];

    if (idn_domain(word, name) < 0)
        return fault(ret_error, mem_format("\"%.*s\" is not the name of a host", SPAN_ARG(word)));
    s->words[s->count++] = mem_string(name);
    return 0;
}

static int add_words(struct tls_setting *s, struct span rest, char **ret_error)
{
    s->words = mem_array(TLS_SETTING_WORDS_MAX, sizeof(*s->words));
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

static int check(const char *text, const char *where, const char *key, char **ret_error)
{
    struct tls_setting s;
    AUTO_FREE char *why = NULL;

    if (tls_setting_parse(span_of(text), &s, &why) < 0)
        return fault(ret_error, mem_format("%s%s%s: %s", where, key ? "." : "", key ? key : "", why));
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
    const struct conf_map *rows = &conf->tls_out.policies;
    int r = check(conf->tls_out.policy, "tls_out.policy", NULL, ret_error);

    for (size_t i = 0; r == 0 && i < rows->count; i++) {
        if (!is_key(rows->keys[i]))
            return fault(ret_error,
                         mem_format("tls_out.policies: \"%s\" is neither a domain, nor .domain, nor *",
                                    rows->keys[i]));
        r = check(rows->values[i], "tls_out.policies", rows->keys[i], ret_error);
    }
    return r;
}
