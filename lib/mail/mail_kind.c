/* Kinds of mail, told from a few fields of its header. Read once about a failed or delayed message, never on the way in. */
#include "mail/mail_kind.h"

#include "mail/ascii.h"
#include "mail/dsn.h"
#include "mail/header.h"

enum { FIELD_MAX = 2048 }; /* so much of a field is looked at */

struct seen {
    bool is_auto_submitted, is_bulk, has_report_type, is_own, is_double;
};

/* The first word, without its parameters and comment. */
static struct span keyword(struct span value)
{
    size_t i = 0;

    while (i < value.len && !is_blank(value.at[i]) && value.at[i] != ';' && value.at[i] != '(')
        i++;
    return (struct span){.at = value.at, .len = i};
}

static bool has_nocase(struct span s, struct span word)
{
    for (; s.len >= word.len; s.at++, s.len--)
        if (span_starts_nocase(s, word))
            return true;
    return false;
}

/* Where the value of the field `name` begins; false: it is another field. */
static bool is_field(struct span field, const char *name, struct span *ret_value)
{
    size_t at = header_value_at(field, span_of(name));

    if (at == 0)
        return false;
    *ret_value = span_trim((struct span){.at = field.at + at, .len = field.len - at});
    return true;
}

static void judge(struct span field, struct seen *seen)
{
    struct span value;

    if (is_field(field, "Auto-Submitted", &value)) {
        seen->is_auto_submitted |= value.len > 0 && !span_equal_nocase(keyword(value), SPAN("no"));
    } else if (is_field(field, "Precedence", &value)) {
        value = keyword(value);
        seen->is_bulk |= span_equal_nocase(value, SPAN("bulk")) || span_equal_nocase(value, SPAN("list")) ||
                         span_equal_nocase(value, SPAN("junk"));
    } else if (is_field(field, "List-Id", &value)) {
        seen->is_bulk |= value.len > 0;
    } else if (is_field(field, "Content-Type", &value)) {
        seen->has_report_type |= span_equal_nocase(keyword(value), SPAN("multipart/report")) &&
                                 has_nocase(value, SPAN("delivery-status"));
    } else if (is_field(field, "Message-ID", &value)) {
        seen->is_own |= dsn_is_own_id(value);
        seen->is_double |= dsn_is_double_bounce_id(value);
    }
}

struct mail_kind mail_kind_of(struct span content)
{
    AUTO_BUF struct buf field = {0}; /* unfolded */
    struct seen seen = {0};

    while (content.len > 0) {
        struct span line = span_cut(&content, '\n');

        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0)
            break;
        if (!is_blank(line.at[0])) {
            judge(buf_span(&field), &seen);
            buf_clear(&field);
        }
        buf_add(&field, line.at, line.len < FIELD_MAX - field.len ? line.len : FIELD_MAX - field.len);
    }
    judge(buf_span(&field), &seen);
    return (struct mail_kind){
        .is_automatic = seen.is_auto_submitted || seen.is_bulk,
        .is_report = seen.is_own || (seen.is_auto_submitted && seen.has_report_type),
        .is_double_bounce = seen.is_double,
    };
}
