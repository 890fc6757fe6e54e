/* The verbs of the SMTP server engine: one row of smtp_server.def and one handler each. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "ingress/smtp_private.h"
#include "mail/ascii.h"

enum { FIRST = SMTP_FIRST, IDLE = SMTP_IDLE, OPEN = SMTP_OPEN, AWAY = SMTP_AWAY };
enum argument { NONE, NEEDED, ANY };
enum group { FREE, LAST };
enum weight { WORK, JUNK };

struct verb {
    const char *name;
    void (*handler)(struct smtp_server *s, struct span argument);
    unsigned phases;
    enum argument argument;
    enum group group;
    enum weight weight;
    const char *help;
};

/* ---- paths and parameters */

static bool has_8bit(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char) s.at[i] >= 0x80)
            return true;
    return false;
}

static struct span after(struct span s, size_t len)
{
    return (struct span){.at = s.at + len, .len = s.len - len};
}

static struct span skip_blanks(struct span s)
{
    while (s.len > 0 && is_blank(s.at[0]))
        s = after(s, 1);
    return s;
}

/*
 * "FROM:<path> parameters": the path into *ret_addr, the rest into *ret_rest. Blanks after the colon are let pass: many clients send one.
 * False: it was answered. status: 5.1.7 or 5.1.3, for a path that is none.
 */
static bool take_path(struct smtp_server *s, struct span argument, struct span keyword, const char *status,
                      struct addr *ret_addr, struct span *ret_rest)
{
    if (!span_starts_nocase(argument, keyword)) {
        smtp_say(s, 501, "5.5.4",
                 keyword.at[0] == 'F' ? "Use MAIL FROM:<sender>" : "Use RCPT TO:<recipient>");
        return false;
    }
    struct span path = skip_blanks(after(argument, keyword.len));
    const char *bracket = path.len > 0 ? memchr(path.at, '>', path.len) : NULL;
    int len = addr_parse_path(path, ret_addr);
    if (len < 0 &&
        has_8bit(bracket ? (struct span){.at = path.at, .len = (size_t) (bracket - path.at)} : path)) {
        smtp_say(s, 553, "5.6.7", "Addresses must be ASCII: SMTPUTF8 is not offered");
        return false;
    }
    if (len < 0) {
        smtp_say(s, 501, status,
                 len == -E2BIG ? "A part of the address is too long" : "That is not an address in <>");
        return false;
    }
    *ret_rest = after(path, (size_t) len);
    if (ret_rest->len > 0 && !is_blank(ret_rest->at[0])) {
        smtp_say(s, 501, "5.5.4", "There is something behind the address");
        return false;
    }
    return true;
}

/* The next "keyword" or "keyword=value" of *rest; false at the end. */
static bool take_parameter(struct span *rest, struct span *ret_keyword, struct span *ret_value)
{
    *rest = skip_blanks(*rest);
    if (rest->len == 0)
        return false;
    struct span word = span_cut(rest, ' ');
    *ret_value = word;
    *ret_keyword = span_cut(ret_value, '=');
    return true;
}

/* RFC 1870 section 4: up to 20 digits. A number that no 64 bits hold is above any limit. */
static bool take_size(struct smtp_server *s, struct span value)
{
    uint64_t size = 0;
    int r = span_number(value, UINT64_MAX, &size);
    if (r == -EINVAL || value.len > 20 || s->transaction->declared_bytes > 0) {
        smtp_say(s, 501, "5.5.4", "SIZE takes one number");
        return false;
    }
    if (r < 0 || size > s->limits->message_bytes) {
        smtp_say(s, 552, "5.3.4", "The message is too big");
        return false;
    }
    s->transaction->declared_bytes = size;
    return true;
}

/* RFC 6152 section 2; BINARYMIME needs CHUNKING, which is not offered (RFC 3030 section 3). */
static bool take_body(struct smtp_server *s, struct span value)
{
    if (span_equal_nocase(value, SPAN("8BITMIME"))) {
        s->transaction->is_8bit = true;
        return true;
    }
    if (span_equal_nocase(value, SPAN("7BIT")))
        return true;
    if (span_equal_nocase(value, SPAN("BINARYMIME")))
        smtp_say(s, 555, "5.5.4", "BINARYMIME is not offered");
    else
        smtp_say(s, 501, "5.5.4", "BODY is 7BIT or 8BITMIME");
    return false;
}

static bool take_mail_parameters(struct smtp_server *s, struct span rest)
{
    struct span keyword, value;
    while (take_parameter(&rest, &keyword, &value)) {
        bool is_good = false;
        if (span_equal_nocase(keyword, SPAN("SIZE")))
            is_good = take_size(s, value);
        else if (span_equal_nocase(keyword, SPAN("BODY")))
            is_good = take_body(s, value);
        else
            smtp_say(s, 555, "5.5.4", "That parameter is not offered");
        if (!is_good)
            return false;
    }
    return true;
}

/* ---- the handlers */

static void smtp_mail(struct smtp_server *s, struct span argument)
{
    struct addr addr;
    struct span rest;
    if (s->transactions >= s->limits->transactions) {
        smtp_say(s, 421, "4.7.0", "Enough messages for one session; come again");
        smtp_close(s);
        return;
    }
    if (!take_path(s, argument, SPAN("FROM:"), "5.1.7", &addr, &rest))
        return;
    if (addr.whole.len > 0 && addr.domain.len == 0) {
        smtp_say(s, 501, "5.1.7", "The sender needs a domain");
        return;
    }
    s->transaction = smtp_transaction_new(addr.whole);
    if (!take_mail_parameters(s, rest)) {
        smtp_end_transaction(s);
        return;
    }
    s->address = addr;
    s->ask = SMTP_ASK_SENDER;
}

static void smtp_rcpt(struct smtp_server *s, struct span argument)
{
    struct addr addr;
    struct span rest, keyword, value;
    struct smtp_transaction *t = s->transaction;
    if (!take_path(s, argument, SPAN("TO:"), "5.1.3", &addr, &rest)) {
        t->has_refused = true;
    } else if (addr.whole.len == 0) {
        t->has_refused = true;
        smtp_say(s, 501, "5.1.3", "The null address takes no mail");
    } else if (take_parameter(&rest, &keyword, &value)) {
        t->has_refused = true;
        smtp_say(s, 555, "5.5.4", "That parameter is not offered");
    } else if (smtp_transaction_has(t, &addr)) {
        smtp_say(s, 250, "2.1.5", "Ok, once is enough");
    } else if (t->recipient_count >= s->limits->recipients) {
        smtp_say(s, 452, "4.5.3", "Too many recipients; send the others in another transaction");
    } else {
        s->address = addr;
        s->ask = SMTP_ASK_RECIPIENT;
    }
}

void smtp_recipient_accepted(struct smtp_server *s, const char *address)
{
    struct addr addr = s->address;
    if (address)
        must(addr_parse(span_of(address), &addr) == 0); /* the policy's own */
    if (!smtp_transaction_has(s->transaction, &addr))
        smtp_transaction_add(s->transaction, &addr);
}

static void smtp_data(struct smtp_server *s, struct span argument UNUSED)
{
    if (s->transaction->recipient_count > 0)
        s->ask = SMTP_ASK_BODY;
    else if (s->transaction->has_refused)
        smtp_say(s, 554, "5.5.1", "No recipient was accepted");
    else
        smtp_say(s, 503, "5.5.1", "Send RCPT first");
}

/* A host name in the widest use, or an address literal; nothing that could not stand in a Received field (BEHAVIOURS B04, G08). */
static bool is_helo(struct span name)
{
    struct ip ip;
    if (name.len == 0 || name.len > DOMAIN_MAX)
        return false;
    if (name.at[0] == '[')
        return name.at[name.len - 1] == ']' &&
               ip_parse((struct span){.at = name.at + 1, .len = name.len - 2}, &ip) == 0;
    for (size_t i = 0; i < name.len; i++)
        if (!is_alnum(name.at[i]) && !strchr("-._:", name.at[i]))
            return false;
    return true;
}

static bool take_helo(struct smtp_server *s, struct span name)
{
    if (!is_helo(name)) {
        smtp_say(s, 501, "5.5.4", "That is not a host name");
        return false;
    }
    if (s->limits->requires_fqdn && name.at[0] != '[' && !memchr(name.at, '.', name.len)) {
        smtp_say(s, 504, "5.5.2", "A full host name is needed");
        return false;
    }
    smtp_end_transaction(s);
    s->phase = SMTP_IDLE;
    mem_free(s->helo);
    s->helo = mem_text(name.at, name.len);
    s->last_code = 250;
    return true;
}

static void smtp_ehlo(struct smtp_server *s, struct span argument)
{
    if (!take_helo(s, argument))
        return;
    s->is_esmtp = true;
    buf_add_text(s->out, "250-");
    buf_add_text(s->out, s->name);
    buf_add_text(s->out, "\r\n250-PIPELINING\r\n250-SIZE ");
    buf_add_number(s->out, s->limits->message_bytes);
    buf_add_text(s->out, "\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
}

static void smtp_helo(struct smtp_server *s, struct span argument)
{
    if (!take_helo(s, argument))
        return;
    s->is_esmtp = false;
    smtp_say(s, 250, "", s->name);
}

static void smtp_rset(struct smtp_server *s, struct span argument UNUSED)
{
    smtp_end_transaction(s);
    smtp_say(s, 250, "2.0.0", "Ok");
}

static void smtp_noop(struct smtp_server *s, struct span argument UNUSED)
{
    smtp_say(s, 250, "2.0.0", "Ok");
}

static void smtp_quit(struct smtp_server *s, struct span argument UNUSED)
{
    smtp_say(s, 221, "2.0.0", "Bye");
    smtp_close(s);
}

/* RFC 5321 section 7.3: says nothing about who is here. */
static void smtp_vrfy(struct smtp_server *s, struct span argument UNUSED)
{
    smtp_say(s, 252, "2.0.0", "Send mail and see");
}

static void smtp_off(struct smtp_server *s, struct span argument UNUSED)
{
    smtp_say(s, 502, "5.5.1", "That command is not offered");
}

static void smtp_off_and_close(struct smtp_server *s, struct span argument UNUSED)
{
    smtp_say(s, 502, "5.5.1", "That command is not offered, and what follows it is no command");
    smtp_close(s);
}

/* Another protocol, or somebody making a browser talk to us: not a word (BEHAVIOURS B18). */
static void smtp_foreign(struct smtp_server *s, struct span argument UNUSED)
{
    smtp_close(s);
}

static void smtp_help(struct smtp_server *s, struct span argument);

static const struct verb verbs[] = {
#define SMTP_VERB(verb, handler_, phases_, argument_, group_, weight_, help_) \
    {#verb, smtp_##handler_, (unsigned) (phases_), argument_, group_, weight_, help_},
#include "ingress/smtp_server.def"
#undef SMTP_VERB
};

static void smtp_help(struct smtp_server *s, struct span argument UNUSED)
{
    s->last_code = 214;
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (!verbs[i].help)
            continue;
        buf_add_text(s->out, "214-2.0.0 ");
        buf_add_text(s->out, verbs[i].help);
        buf_add_text(s->out, "\r\n");
    }
    smtp_say(s, 214, "2.0.0", "That is all");
}

/* ---- from a line to its handler */

static const struct verb *find_verb(struct span word)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strncasecmp(verbs[i].name, word.at, word.len) == 0 && verbs[i].name[word.len] == '\0')
            return &verbs[i];
    return NULL;
}

static void refuse_phase(struct smtp_server *s)
{
    switch ((enum smtp_phase) s->phase) {
    case SMTP_FIRST: smtp_say(s, 503, "5.5.1", "Send EHLO or HELO first"); break;
    case SMTP_IDLE: smtp_say(s, 503, "5.5.1", "Send MAIL first"); break;
    case SMTP_OPEN: smtp_say(s, 503, "5.5.1", "A transaction is open; send RSET to end it"); break;
    default: smtp_say(s, 503, "5.5.1", "No service for you; send QUIT"); break;
    }
}

/* False: the session has done too much of nothing (BEHAVIOURS B17). */
static bool count_junk(struct smtp_server *s, const struct verb *verb)
{
    if (verb->weight == WORK || ++s->junk <= s->limits->junk)
        return true;
    smtp_say(s, 421, "4.7.0", "Too many commands without mail");
    smtp_close(s);
    return false;
}

void smtp_command(struct smtp_server *s, struct span line, bool has_more)
{
    struct span argument = line;
    struct span word = span_cut(&argument, ' ');
    const struct verb *verb = word.len > 0 ? find_verb(word) : NULL;
    argument = span_trim(argument);
    if (!verb && s->phase != SMTP_AWAY) {
        smtp_say(s, 500, "5.5.2", "Unknown command");
    } else if (verb && verb->group == LAST && has_more) {
        smtp_say(s, 554, "5.5.0",
                 "You did not wait for the reply"); /* BEHAVIOURS B15; nothing behind it is read */
        smtp_close(s);
    } else if (!verb || !(verb->phases & s->phase)) {
        refuse_phase(s);
    } else if ((verb->argument == NONE && argument.len > 0) ||
               (verb->argument == NEEDED && argument.len == 0)) {
        smtp_say(s, 501, "5.5.4",
                 verb->argument == NONE ? "That command takes no argument" : "Something is missing");
    } else if (count_junk(s, verb)) {
        verb->handler(s, argument);
    }
}
