/* The verbs of the SMTP server engine: one row of smtp_server.def and one handler for each command. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "ingress/smtp_private.h"
#include "mail/ascii.h"
#include "mail/xtext.h"

enum { FIRST = SMTP_FIRST, IDLE = SMTP_IDLE, OPEN = SMTP_OPEN, AWAY = SMTP_AWAY, BETWEEN = SMTP_BETWEEN };
enum argument { NONE, NEEDED, ANY };
enum group { FREE, LAST };
enum weight { WORK, JUNK };
enum secrecy { SECURED, PLAIN };

struct verb {
    const char *name;
    void (*handler)(struct smtp_server *s, struct span argument);
    unsigned phases;
    enum argument argument;
    enum group group;
    enum weight weight;
    enum secrecy secrecy;
    const char *help;
};

/* ---- what is offered now */

bool smtp_tls_is_due(const struct smtp_server *s)
{
    return s->profile->tls == SMTP_TLS_REQUIRED && !s->is_secured;
}

bool smtp_offers(const struct smtp_server *s, enum smtp_extension extension)
{
    unsigned all = s->profile->extensions;
    if (!(all & 1u << extension))
        return false;
    switch (extension) {
    case SMTP_BINARYMIME: return (all & 1u << SMTP_CHUNKING) != 0; /* RFC 3030 section 3 */
    case SMTP_REQUIRETLS: return s->is_secured;                    /* RFC 8689 section 3 */
    case SMTP_FUTURERELEASE: return s->profile->future_max_ms > 0;
    default: return true;
    }
}

/* ---- paths and parameters */

bool smtp_is_ascii(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char) s.at[i] >= 0x80)
            return false;
    return true;
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

/* Where the path ends, as far as can be told. */
static struct span path_of(struct span s)
{
    const char *bracket = s.len > 0 ? memchr(s.at, '>', s.len) : NULL;
    return bracket ? (struct span){.at = s.at, .len = (size_t) (bracket - s.at)} : s;
}

/*
 * "FROM:<path> parameters": the path into *ret_addr, the rest into *ret_rest. Blanks after the colon are let pass: many clients send one.
 * False: it was answered. status: 5.1.7 or 5.1.3, for a path that is none.
 */
static bool take_path(struct smtp_server *s, struct span argument, struct span keyword, const char *status,
                      struct addr *ret_addr, struct span *ret_rest)
{
    bool is_utf8 = smtp_offers(s, SMTP_UTF8);
    if (!span_starts_nocase(argument, keyword)) {
        smtp_say(s, 501, "5.5.4",
                 keyword.at[0] == 'F' ? "Use MAIL FROM:<sender>" : "Use RCPT TO:<recipient>");
        return false;
    }
    struct span path = skip_blanks(after(argument, keyword.len));
    int len = is_utf8 ? addr_parse_path_utf8(path, ret_addr) : addr_parse_path(path, ret_addr);
    if (len < 0 && !is_utf8 && !smtp_is_ascii(path_of(path))) {
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

/* BEHAVIOURS N01. */
static bool check_utf8(struct smtp_server *s, struct span text)
{
    if (s->transaction->is_utf8 || smtp_is_ascii(text))
        return true;
    smtp_say(s, 553, "5.6.7", "An address that is not ASCII needs SMTPUTF8");
    return false;
}

/* ---- the handlers */

/* Takes up a sender; false: it was answered. */
static bool take_mail(struct smtp_server *s, struct addr *addr, struct span rest)
{
    if (addr->whole.len > 0 && addr->domain.len == 0) {
        smtp_say(s, 501, "5.1.7", "The sender needs a domain");
        return false;
    }
    s->transaction = smtp_transaction_new(addr->whole);
    return smtp_take_parameters(s, rest, true) && check_utf8(s, addr->whole) &&
           check_utf8(s, span_of(smtp_mail_auth(s->transaction)));
}

static void smtp_mail(struct smtp_server *s, struct span argument)
{
    struct addr addr;
    struct span rest;
    if (s->profile->auth == SMTP_AUTH_REQUIRED && !s->is_authenticated) {
        smtp_say(s, 530, "5.7.0", "Log in first, with AUTH");
        return;
    }
    if (s->transactions >= s->profile->limits.transactions) {
        smtp_say(s, 421, "4.7.0", "Enough messages for one session; come again");
        smtp_close(s);
        return;
    }
    if (!take_path(s, argument, SPAN("FROM:"), "5.1.7", &addr, &rest))
        return;
    if (!take_mail(s, &addr, rest)) {
        smtp_end_transaction(s);
        return;
    }
    smtp_transaction_point(s->transaction, 0, &addr);
    s->address = addr;
    s->ask = SMTP_ASK_SENDER;
}

/* Takes up a recipient; false: it was refused. */
static bool take_rcpt(struct smtp_server *s, struct span argument, struct addr *ret_addr)
{
    struct span rest;
    if (!take_path(s, argument, SPAN("TO:"), "5.1.3", ret_addr, &rest))
        return false;
    if (ret_addr->whole.len == 0) {
        smtp_say(s, 501, "5.1.3", "The null address takes no mail");
        return false;
    }
    return check_utf8(s, ret_addr->whole) && smtp_take_parameters(s, rest, false);
}

static void smtp_rcpt(struct smtp_server *s, struct span argument)
{
    struct addr addr;
    struct smtp_transaction *t = s->transaction;
    t->asked = (struct smtp_slot){0};
    t->asked_at = t->text.len;
    if (!take_rcpt(s, argument, &addr)) {
        t->has_refused = true;
    } else if (smtp_transaction_has(t, &addr)) {
        smtp_say(s, 250, "2.1.5", "Ok, once is enough");
    } else if (t->recipient_count >= s->profile->limits.recipients) {
        smtp_say(s, 452, "4.5.3", "Too many recipients; send the others in another transaction");
    } else {
        t->asked.addr = smtp_transaction_keep(t, addr.whole);
        smtp_transaction_point(t, t->asked.addr, &addr);
        s->address = addr;
        s->ask = SMTP_ASK_RECIPIENT;
        return;
    }
    t->text.len = t->asked_at;
}

static void add_recipient(struct smtp_transaction *t, const struct addr *addr)
{
    if (!smtp_transaction_has(t, addr))
        smtp_transaction_add(t, addr);
}

/* The one asked for becomes others: who reads a report shall know it (RFC 3461 section 5.2.3). */
static void keep_original(struct smtp_server *s)
{
    struct smtp_transaction *t = s->transaction;
    AUTO_BUF struct buf text = {0};
    if (t->asked.orcpt > 0 || !smtp_offers(s, SMTP_DSN) || !smtp_is_ascii(s->address.whole))
        return;
    buf_add_text(&text, "rfc822;");
    xtext_encode(s->address.whole, &text);
    if (text.len <= ORCPT_MAX)
        t->asked.orcpt = smtp_transaction_keep(t, buf_span(&text));
}

void smtp_recipient_accepted(struct smtp_server *s, const struct smtp_answer *a)
{
    struct smtp_transaction *t = s->transaction;
    size_t count = t->recipient_count;
    if (a->address_count == 0)
        add_recipient(t, &s->address);
    else
        keep_original(s);
    for (size_t i = 0; i < a->address_count; i++) {
        struct addr addr;
        must(addr_parse_utf8(span_of(a->addresses[i]), &addr) == 0); /* the owner's own */
        add_recipient(t, &addr);
    }
    s->address = (struct addr){0};
    if (t->recipient_count > s->profile->limits.recipients) {
        smtp_transaction_cut(t, count);
        smtp_say(s, 452, "4.5.3", "Too many recipients; send the others in another transaction");
    } else {
        smtp_say_answer(s, a);
    }
    if (t->recipient_count == count)
        t->text.len = t->asked_at;
}

static void smtp_data(struct smtp_server *s, struct span argument UNUSED)
{
    if (s->transaction->is_binary)
        smtp_say(s, 503, "5.5.1", "BINARYMIME comes by BDAT only");
    else if (s->transaction->recipient_count > 0)
        s->ask = SMTP_ASK_BODY;
    else if (s->transaction->has_refused)
        smtp_say(s, 554, "5.5.1", "No recipient was accepted");
    else
        smtp_say(s, 503, "5.5.1", "Send RCPT first");
}

static void smtp_rset(struct smtp_server *s, struct span argument UNUSED)
{
    smtp_abandon_transaction(s);
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

/* RFC 5321 section 7.3: says nothing about who is here. "address SMTPUTF8" (RFC 6531 section 3.7.4.2). */
static void smtp_vrfy(struct smtp_server *s, struct span argument)
{
    const char *space = memrchr(argument.at, ' ', argument.len);
    size_t len = space ? (size_t) (space - argument.at) : argument.len;
    bool is_utf8 = space && span_equal_nocase(after(argument, len + 1), SPAN("SMTPUTF8"));
    if (is_utf8 && !smtp_offers(s, SMTP_UTF8))
        smtp_say(s, 555, "5.5.4", "SMTPUTF8 is not offered");
    else if (!is_utf8 && !smtp_is_ascii(argument))
        smtp_say(s, 553, "5.6.7", "An address that is not ASCII needs SMTPUTF8");
    else
        smtp_say(s, 252, "2.0.0", "Send mail and see");
}

static void smtp_starttls(struct smtp_server *s, struct span argument)
{
    if (s->profile->tls == SMTP_TLS_OFF && !s->is_secured) {
        smtp_say(s, 502, "5.5.1", "That command is not offered");
    } else if (argument.len > 0) {
        smtp_say(s, 501, "5.5.4", "That command takes no argument");
    } else if (s->is_secured) {
        smtp_say(s, 503, "5.5.1", "There is TLS already");
    } else {
        smtp_end_transaction(s);
        s->ask = SMTP_ASK_TLS;
    }
}

static void smtp_off(struct smtp_server *s, struct span argument UNUSED)
{
    smtp_say(s, 502, "5.5.1", "That command is not offered");
}

/* Another protocol, or somebody making a browser talk to us: not a word (BEHAVIOURS B18). */
static void smtp_foreign(struct smtp_server *s, struct span argument UNUSED)
{
    smtp_close(s);
}

static void smtp_help(struct smtp_server *s, struct span argument);

static const struct verb verbs[] = {
#define SMTP_VERB(verb, handler_, phases_, argument_, group_, weight_, secrecy_, help_) \
    {#verb, smtp_##handler_, (unsigned) (phases_), argument_, group_, weight_, secrecy_, help_},
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

static const struct verb *find_verb(const struct smtp_server *s, struct span word)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strncasecmp(verbs[i].name, word.at, word.len) == 0 && verbs[i].name[word.len] == '\0')
            return verbs[i].handler != smtp_xclient || s->is_xclient_allowed ? &verbs[i] : NULL;
    return NULL;
}

static void refuse_phase(struct smtp_server *s)
{
    switch ((enum smtp_phase) s->phase) {
    case SMTP_FIRST: smtp_say(s, 503, "5.5.1", "Send EHLO or HELO first"); break;
    case SMTP_IDLE: smtp_say(s, 503, "5.5.1", "Send MAIL first"); break;
    case SMTP_OPEN: smtp_say(s, 503, "5.5.1", "A transaction is open; send RSET to end it"); break;
    case SMTP_BETWEEN: smtp_say(s, 503, "5.5.1", "Go on with BDAT, or send RSET to end it"); break;
    default: smtp_say(s, 503, "5.5.1", "No service for you; send QUIT"); break;
    }
}

/* False: the session has done too much of nothing (BEHAVIOURS B17). */
static bool count_junk(struct smtp_server *s, const struct verb *verb)
{
    if (verb->weight == WORK || ++s->junk <= s->profile->limits.junk)
        return true;
    smtp_say(s, 421, "4.7.0", "Too many commands without mail");
    smtp_close(s);
    return false;
}

void smtp_serve_command(struct smtp_server *s, struct span line, bool has_more)
{
    struct span argument = line;
    struct span word = span_cut(&argument, ' ');
    const struct verb *verb = word.len > 0 ? find_verb(s, word) : NULL;
    argument = span_trim(argument);
    if (!verb && s->phase != SMTP_AWAY) {
        smtp_say(s, 500, "5.5.2", "Unknown command");
    } else if (verb && verb->group == LAST && has_more) {
        smtp_say(s, 554, "5.5.0",
                 "You did not wait for the reply"); /* BEHAVIOURS B15, C02; nothing behind it is read */
        smtp_close(s);
    } else if (verb && verb->secrecy == SECURED && smtp_tls_is_due(s)) {
        smtp_say(s, 530, "5.7.0", "Send STARTTLS first"); /* RFC 3207 section 4 */
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
