/* MTA-STS texts: the TXT record and the policy (RFC 8461 section 3). Everything in them is a stranger's. */
#include <string.h>

#include "base/mem.h"
#include "courier/sts.h"
#include "mail/addr.h"
#include "mail/ascii.h"

/* ---- a policy ---- */

struct sts_policy *sts_policy_hold(struct sts_policy *p)
{
    p->users++;
    return p;
}

struct sts_policy *sts_policy_release(struct sts_policy *p)
{
    if (!p)
        return NULL;
    must(p->users > 0);
    if (--p->users > 0)
        return NULL;
    for (size_t i = 0; i < p->mx_count; i++)
        mem_free(p->mx[i]);
    mem_free(p->mx);
    mem_free(p->text);
    mem_free(p->domain);
    return mem_free(p);
}

/* One label more, and exactly one, for "*." (RFC 8461 section 4.1, RFC 6125 section 6.4.3). */
static bool pattern_matches(const char *pattern, struct span host)
{
    struct span rest = host;

    if (pattern[0] != '*')
        return span_equal_nocase(span_of(pattern), host);
    return span_cut(&rest, '.').len > 0 && span_equal_nocase(span_of(pattern + 2), rest);
}

bool sts_allows(const struct sts_policy *p, const char *host)
{
    struct span name = span_of(host);

    if (name.len > 0 && name.at[name.len - 1] == '.')
        name.len--;
    for (size_t i = 0; i < p->mx_count; i++) {
        if (pattern_matches(p->mx[i], name))
            return true;
    }
    return false;
}

/* ---- its text ---- */

/* What a name in either text may be: a letter or digit, then up to 31 of these and "_-.". */
static bool is_field_name(struct span name)
{
    if (name.len == 0 || name.len > 32 || !is_alnum(name.at[0]))
        return false;
    for (size_t i = 1; i < name.len; i++) {
        if (!is_alnum(name.at[i]) && !memchr("_-.", name.at[i], 3))
            return false;
    }
    return true;
}

static const char *add_mx(struct sts_policy *p, struct span value)
{
    bool is_wild = value.len > 2 && value.at[0] == '*' && value.at[1] == '.';
    struct span rest = is_wild ? (struct span){value.at + 2, value.len - 2} : value;
    char name[DOMAIN_MAX + 1];

    if (domain_normalise(rest, name) < 0)
        return "an mx is no host name";
    if (p->mx_count == STS_MX_MAX)
        return "too many mx";
    p->mx = mem_resize(p->mx, (p->mx_count + 1) * sizeof(*p->mx));
    p->mx[p->mx_count++] = mem_format("%s%s", is_wild ? "*." : "", name);
    return NULL;
}

static const char *set_mode(struct sts_policy *p, struct span value)
{
    static const char *const words[] = {
        [STS_NONE] = "none", [STS_TESTING] = "testing", [STS_ENFORCE] = "enforce"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (span_equal(value, span_of(words[i]))) {
            p->mode = (enum sts_mode) i;
            return NULL;
        }
    }
    return "an unknown mode";
}

static const char *set_max_age(struct sts_policy *p, struct span value)
{
    if (value.len > 10 || span_number(value, UINT64_MAX, &p->max_age_s) < 0)
        return "max_age is no number of seconds";
    if (p->max_age_s > sts_max_age_limit_s)
        p->max_age_s = sts_max_age_limit_s;
    return NULL;
}

static const char *check_version(struct sts_policy *p UNUSED, struct span value)
{
    return span_equal(value, SPAN("STSv1")) ? NULL : "not of version STSv1";
}

/* Fields that there must be, and that count once: the first. */
static const struct field {
    struct span name;
    const char *(*take)(struct sts_policy *p, struct span value);
    const char *missing;
} fields[] = {
    {SPAN("version"), check_version, "no version"},
    {SPAN("mode"), set_mode, "no mode"},
    {SPAN("max_age"), set_max_age, "no max_age"},
};

static const char *take_line(struct sts_policy *p, struct span line, bool seen[static ARRAY_LEN(fields)])
{
    struct span value = line, name = span_trim(span_cut(&value, ':'));

    if (!value.at || !is_field_name(name))
        return "a line is not \"name: value\"";
    value = span_trim(value);
    if (!span_is_text(value))
        return "a line is no text";
    if (span_equal(name, SPAN("mx")))
        return add_mx(p, value);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!span_equal(name, fields[i].name) || seen[i])
            continue;
        seen[i] = true;
        return fields[i].take(p, value);
    }
    return NULL; /* one we do not know, or one too many */
}

static const char *take_text(struct sts_policy *p, struct span text)
{
    bool seen[ARRAY_LEN(fields)] = {false};

    while (text.len > 0) {
        struct span line = span_cut(&text, '\n');
        const char *why;

        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        if (span_trim(line).len == 0)
            continue;
        if ((why = take_line(p, line, seen)))
            return why;
    }
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!seen[i])
            return fields[i].missing;
    }
    return p->mx_count == 0 && p->mode != STS_NONE ? "no mx" : NULL;
}

struct sts_policy *sts_policy_parse(struct span text, const char **ret_why)
{
    struct sts_policy *p = NEW(struct sts_policy);
    const char *why = take_text(p, text);

    p->users = 1;
    if (why) {
        *ret_why = why;
        return sts_policy_release(p);
    }
    p->text = mem_text(text.at, text.len);
    return p;
}

/* ---- the TXT record ---- */

static bool is_id(struct span id)
{
    if (id.len == 0 || id.len > STS_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        if (!is_alnum(id.at[i]))
            return false;
    }
    return true;
}

static bool is_extension_value(struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (!is_printable(value.at[i]) || value.at[i] == ' ' || value.at[i] == '=')
            return false;
    }
    return value.len > 0;
}

/* "v=STSv1" and the delimiter behind it; what follows is in *ret_fields. Other records of the name mean something else. */
static bool is_ours(struct span record, struct span *ret_fields)
{
    *ret_fields = record;
    return span_equal(span_trim(span_cut(ret_fields, ';')), SPAN("v=STSv1")) && ret_fields->at &&
           record.at[0] == 'v';
}

/* The id among them; {NULL, 0}: they are not well formed, or there is none. */
static struct span find_id(struct span rest)
{
    struct span id = {.at = NULL};

    while (rest.len > 0) {
        struct span value = span_trim(span_cut(&rest, ';')), name;

        if (value.len == 0 && !rest.at)
            break; /* the delimiter at the end */
        name = span_cut(&value, '=');
        bool is_id_field = span_equal(name, SPAN("id"));
        if (!value.at || !is_field_name(name) || !(is_id_field ? is_id(value) : is_extension_value(value)))
            return (struct span){.at = NULL};
        if (is_id_field && id.len == 0)
            id = value;
    }
    return id;
}

bool sts_record_parse(const struct span *records, size_t count, char ret_id[static STS_ID_MAX + 1])
{
    struct span fields_text = {.at = NULL}, of_one, id;
    size_t ours = 0;

    for (size_t i = 0; i < count; i++) {
        if (is_ours(records[i], &of_one)) {
            fields_text = of_one;
            ours++;
        }
    }
    if (ours != 1 || (id = find_id(fields_text)).len == 0)
        return false;
    memcpy(ret_id, id.at, id.len);
    ret_id[id.len] = '\0';
    return true;
}
