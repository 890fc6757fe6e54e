/* Parameters of MAIL and RCPT: one row of smtp_server.def and one function each. A function returns what is wrong, or NULL. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ingress/smtp_private.h"
#include "mail/ascii.h"
#include "mail/xtext.h"

enum command { MAIL, RCPT };
enum { ALWAYS = -1, WITH_AUTH = -2 }; /* besides the extensions */
enum value { NONE, NEEDED };

struct parameter {
    const char *keyword;
    const char *(*take)(struct smtp_server *s, struct span value);
    enum command command;
    int extension;
    enum value value;
};

/* What a function returns when it has answered itself. */
static const char answered[] = "";

static const char *say(struct smtp_server *s, unsigned code, const char *status, const char *literal)
{
    smtp_say(s, code, status, literal);
    return answered;
}

/* RFC 1870 section 4: up to 20 digits. A number that no 64 bits hold is above any limit. */
static const char *take_size(struct smtp_server *s, struct span value)
{
    uint64_t size = 0;
    int r = span_number(value, UINT64_MAX, &size);
    if (r == -EINVAL || value.len > 20)
        return "SIZE takes one number";
    if (r < 0 || size > s->profile->limits.message_bytes)
        return say(s, 552, "5.3.4", "The message is too big");
    s->transaction->declared_bytes = size;
    return NULL;
}

/* RFC 6152 section 2, RFC 3030 section 3. */
static const char *take_body(struct smtp_server *s, struct span value)
{
    bool is_binary = span_equal_nocase(value, SPAN("BINARYMIME"));
    if (is_binary && !smtp_offers(s, SMTP_BINARYMIME))
        return say(s, 555, "5.5.4", "BINARYMIME is not offered");
    s->transaction->is_binary = is_binary;
    s->transaction->is_8bit = span_equal_nocase(value, SPAN("8BITMIME"));
    if (is_binary || s->transaction->is_8bit || span_equal_nocase(value, SPAN("7BIT")))
        return NULL;
    return "BODY is 7BIT or 8BITMIME";
}

static const char *take_utf8(struct smtp_server *s, struct span value UNUSED)
{
    s->transaction->is_utf8 = true;
    return NULL;
}

static const char *take_requiretls(struct smtp_server *s, struct span value UNUSED)
{
    s->transaction->requires_tls = true;
    return NULL;
}

/* RFC 4954 section 5: an address or "<>", in xtext. */
static const char *take_auth(struct smtp_server *s, struct span value)
{
    AUTO_BUF struct buf text = {0};
    struct addr addr;
    bool is_utf8 = smtp_offers(s, SMTP_UTF8);
    if (xtext_decode(value, is_utf8, &text) < 0)
        return "AUTH takes an address in xtext, or <>";
    bool is_null = span_equal(buf_span(&text), SPAN("<>"));
    if (!is_null &&
        (is_utf8 ? addr_parse_utf8(buf_span(&text), &addr) : addr_parse(buf_span(&text), &addr)) < 0)
        return "AUTH takes an address in xtext, or <>";
    bool is_believed = s->is_auth_believed && !is_null;
    s->transaction->auth = smtp_transaction_keep(s->transaction, is_believed ? buf_span(&text) : SPAN(""));
    return NULL;
}

/* ---- RFC 3461 */

static const char *take_ret(struct smtp_server *s, struct span value)
{
    s->transaction->ret = span_equal_nocase(value, SPAN("FULL"))   ? RET_FULL
                          : span_equal_nocase(value, SPAN("HDRS")) ? RET_HDRS
                                                                   : RET_UNSAID;
    return s->transaction->ret == RET_UNSAID ? "RET is FULL or HDRS" : NULL;
}

static const char *take_envid(struct smtp_server *s, struct span value)
{
    AUTO_BUF struct buf text = {0};
    if (value.len > ENVID_MAX)
        return "ENVID is too long";
    if (xtext_decode(value, false, &text) < 0)
        return "ENVID takes xtext";
    s->transaction->envid = smtp_transaction_keep(s->transaction, value);
    return NULL;
}

static uint32_t notify_bit(struct span word)
{
    return span_equal_nocase(word, SPAN("NEVER"))     ? NOTIFY_NEVER
           : span_equal_nocase(word, SPAN("SUCCESS")) ? NOTIFY_SUCCESS
           : span_equal_nocase(word, SPAN("FAILURE")) ? NOTIFY_FAILURE
           : span_equal_nocase(word, SPAN("DELAY"))   ? NOTIFY_DELAY
                                                      : 0;
}

static const char *take_notify(struct smtp_server *s, struct span value)
{
    uint32_t all = 0;
    while (value.at) {
        uint32_t bit = notify_bit(span_cut(&value, ','));
        if (bit == 0)
            return "NOTIFY is NEVER, or some of SUCCESS,FAILURE,DELAY";
        all |= bit;
    }
    if ((all & NOTIFY_NEVER) && all != NOTIFY_NEVER)
        return "NOTIFY=NEVER stands alone";
    s->transaction->asked.notify = all;
    return NULL;
}

/* "rfc822;" and xtext; the type is an atom (RFC 3461 section 4.2), and of the type utf-8 alone are addresses that are not ASCII (RFC 6533 section 3). */
static const char *take_orcpt(struct smtp_server *s, struct span value)
{
    AUTO_BUF struct buf text = {0};
    struct span xtext = value, type = span_cut(&xtext, ';');
    bool is_utf8 = s->transaction->is_utf8 && span_equal_nocase(type, SPAN("utf-8"));
    if (value.len > ORCPT_MAX)
        return "ORCPT is too long";
    for (size_t i = 0; i < type.len; i++)
        if (!is_alnum(type.at[i]) && type.at[i] != '-')
            return "ORCPT takes type;xtext";
    if (type.len == 0 || xtext.len == 0 || xtext_decode(xtext, is_utf8, &text) < 0)
        return "ORCPT takes type;xtext";
    s->transaction->asked.orcpt = smtp_transaction_keep(s->transaction, value);
    return NULL;
}

/* ---- RFC 4865 */

static const char *take_release(struct smtp_server *s, uint64_t in_ms, uint64_t at_ms)
{
    if (s->transaction->release_in_ms > 0 || s->transaction->release_at_ms > 0)
        return "HOLDFOR and HOLDUNTIL exclude each other";
    s->transaction->release_in_ms = in_ms;
    s->transaction->release_at_ms = at_ms;
    return NULL;
}

static const char *take_holdfor(struct smtp_server *s, struct span value)
{
    uint64_t seconds;
    if (value.len > 9 || span_number(value, UINT32_MAX, &seconds) < 0 || seconds == 0)
        return "HOLDFOR takes seconds";
    if (seconds > s->profile->future_max_ms / 1000)
        return "That is too far ahead";
    return take_release(s, seconds * 1000, 0);
}

static const char *take_holduntil(struct smtp_server *s, struct span value)
{
    uint64_t at_ms, wall_ms = (uint64_t) ((int64_t) s->now_ms + s->wall_offset_ms);
    if (clock_parse_stamp(value, &at_ms) < 0 || at_ms == 0)
        return "HOLDUNTIL takes a date and time of RFC 3339";
    if (at_ms > wall_ms + s->profile->future_max_ms)
        return "That is too far ahead";
    return take_release(s, 0, at_ms);
}

/* ---- RFC 2852: "120;R", "-60;NT" */

static const char *take_by(struct smtp_server *s, struct span value)
{
    static const char usage[] = "BY takes seconds;R or seconds;N, and T for a trace";
    struct span mode = value, number = span_cut(&mode, ';');
    uint64_t seconds;
    bool is_negative = number.len > 0 && number.at[0] == '-';
    if (number.len > 0 && (is_negative || number.at[0] == '+'))
        number = (struct span){.at = number.at + 1, .len = number.len - 1};
    if (number.len > 9 || span_number(number, UINT32_MAX, &seconds) < 0 || mode.len < 1 || mode.len > 2)
        return usage;
    bool is_return = to_lower(mode.at[0]) == 'r';
    if ((!is_return && to_lower(mode.at[0]) != 'n') || (mode.len == 2 && to_lower(mode.at[1]) != 't'))
        return usage;
    if (is_return && (is_negative || seconds == 0 || seconds < s->profile->by_min_s))
        return "BY with R: that is too soon";
    s->transaction->by_s = is_negative ? -(int64_t) seconds : (int64_t) seconds;
    s->transaction->by_mode = is_return ? BY_RETURN : BY_NOTIFY;
    s->transaction->by_trace = mode.len == 2;
    return NULL;
}

/* ---- from words to their functions */

static const struct parameter parameters[] = {
#define SMTP_PARAMETER(keyword_, handler, command_, extension_, value_) \
    {#keyword_, take_##handler, command_, (int) (extension_), value_},
#include "ingress/smtp_server.def"
#undef SMTP_PARAMETER
};

static bool is_offered(const struct smtp_server *s, const struct parameter *p)
{
    if (p->extension == ALWAYS)
        return true;
    return p->extension == WITH_AUTH ? s->profile->auth != SMTP_AUTH_OFF
                                     : smtp_offers(s, (enum smtp_extension) p->extension);
}

static const struct parameter *find(const struct smtp_server *s, enum command command, struct span keyword)
{
    for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
        if (parameters[i].command == command && span_equal_nocase(span_of(parameters[i].keyword), keyword))
            return is_offered(s, &parameters[i]) ? &parameters[i] : NULL;
    return NULL;
}

/* word: "keyword" or "keyword=value". */
static const char *take_word(struct smtp_server *s, enum command command, struct span word, unsigned *seen)
{
    struct span value = word, keyword = span_cut(&value, '=');
    const struct parameter *p = find(s, command, keyword);
    if (!p)
        return say(s, 555, "5.5.4", "That parameter is not offered");
    unsigned bit = 1u << (p - parameters);
    if (*seen & bit)
        return "A parameter is said once";
    *seen |= bit;
    if (p->value == NONE && value.at)
        return "That parameter takes no value";
    if (p->value == NEEDED && value.len == 0)
        return "A parameter needs its value";
    return p->take(s, value);
}

bool smtp_take_parameters(struct smtp_server *s, struct span rest, bool is_mail)
{
    unsigned seen = 0;
    const char *wrong = NULL;
    while (rest.at && !wrong) {
        struct span word = span_trim(span_cut(&rest, ' '));
        if (word.len > 0)
            wrong = take_word(s, is_mail ? MAIL : RCPT, word, &seen);
    }
    if (wrong && wrong != answered)
        smtp_say(s, 501, "5.5.4", wrong);
    return !wrong;
}
