/* The SMTP client engine: from the greeting to the first message, and STARTTLS on the way. What was heard before TLS is forgotten behind it. */
#include <string.h>

#include "base/mem.h"
#include "courier/smtp_client_private.h"

/* The first word of a greeting or EHLO reply is the host's name. */
static bool is_own_name(const struct smtp_client *c)
{
    struct span text = buf_span(&c->reply.text), name;

    if (c->terms->is_lmtp) /* a mail store beside us may well have our name */
        return false;
    name = span_cut(&text, '\n');
    name = span_cut(&name, ' ');
    for (size_t i = 0; i < c->settings->own_name_count; i++) {
        if (span_equal_nocase(name, span_of(c->settings->own_names[i])))
            return true;
    }
    return false;
}

static void say_hello(struct smtp_client *c, enum step step, struct buf *out)
{
    const struct client_terms *terms = c->terms;

    buf_printf(out, "%s %s\r\n",
               terms->is_lmtp      ? "LHLO"
               : step == STEP_EHLO ? "EHLO"
                                   : "HELO",
               terms->helo_name ? terms->helo_name : c->settings->helo_name);
    client_expect(c, step, NULL, 0);
}

void client_on_greeting(struct smtp_client *c, const struct expected *e UNUSED, struct buf *out)
{
    if (client_reply_class(c) != 2)
        client_end_by_reply(c, FAULT_REFUSED);
    else if (is_own_name(c))
        smtp_client_end(c, FAULT_LOOP, "it greets with our own name");
    else
        say_hello(c, STEP_EHLO, out);
}

/* ---- what the host offers ---- */

static void read_extension(struct smtp_client *c, struct span word, struct span rest)
{
    static const char *const keywords[] = {
#define EXTENSION(name, keyword) keyword,
#include "courier/smtp_client_extension.def"
#undef EXTENSION
    };

    for (unsigned i = 0; i < ARRAY_LEN(keywords); i++) {
        if (span_equal_nocase(word, span_of(keywords[i])))
            c->extensions |= 1u << i;
    }
    if (span_equal_nocase(word, SPAN("SIZE")) && span_number(rest, UINT64_MAX, &c->size_limit) < 0)
        c->size_limit = 0;
    else if (span_equal_nocase(word, SPAN("DELIVERBY")) && span_number(rest, UINT64_MAX, &c->by_least_s) < 0)
        c->by_least_s = 0;
    else if (span_equal_nocase(word, SPAN("AUTH")))
        client_read_mechanisms(c, rest);
}

static void forget_extensions(struct smtp_client *c)
{
    c->extensions = 0;
    c->size_limit = c->by_least_s = 0;
    c->login.offered = 0;
}

static void read_extensions(struct smtp_client *c)
{
    struct span text = buf_span(&c->reply.text);

    span_cut(&text, '\n');
    while (text.len > 0) {
        struct span line = span_cut(&text, '\n'), word = span_cut(&line, ' ');

        read_extension(c, word, span_trim(line));
    }
}

/* ---- what follows ---- */

static void end_by_ours(struct smtp_client *c, enum client_fault fault, enum status status)
{
    struct verdict why = {0};

    verdict_set(&why, status, NULL);
    why.remote = (mem_free(why.remote), mem_string(c->remote));
    client_over(c, fault, &why);
    verdict_done(&why);
}

/* As safe as it will be. */
static void go_on(struct smtp_client *c, struct buf *out)
{
    if (c->terms->tls == CLIENT_TLS_MUST && !c->is_secured)
        end_by_ours(c, FAULT_TLS, STATUS_TLS_NOT_OFFERED);
    else if (client_has_login(c))
        client_log_in(c, out);
    else
        c->is_ready = true;
}

void client_on_ehlo(struct smtp_client *c, const struct expected *e UNUSED, struct buf *out)
{
    if (client_reply_class(c) == 5 && !c->terms->is_lmtp) {
        say_hello(c, STEP_HELO, out);
    } else if (client_reply_class(c) != 2) {
        client_end_by_reply(c, FAULT_REFUSED);
    } else if (is_own_name(c)) {
        smtp_client_end(c, FAULT_LOOP, "it answers EHLO with our own name");
    } else {
        read_extensions(c);
        if (c->terms->tls != CLIENT_TLS_NEVER && !c->is_secured && client_offers(c, OFFERS_STARTTLS)) {
            buf_add_text(out, "STARTTLS\r\n");
            client_expect(c, STEP_STARTTLS, NULL, 0);
        } else {
            go_on(c, out);
        }
    }
}

void client_on_helo(struct smtp_client *c, const struct expected *e UNUSED, struct buf *out)
{
    if (client_reply_class(c) == 2)
        go_on(c, out);
    else
        client_end_by_reply(c, FAULT_REFUSED);
}

/* ---- STARTTLS ---- */

void client_on_starttls(struct smtp_client *c, const struct expected *e UNUSED, struct buf *out)
{
    unsigned class = client_reply_class(c);

    if (c->reply.code == 220)
        c->awaits = ASK_TLS;
    else if (class != 4 && class != 5) /* neither yes nor no: nobody knows what it waits for now */
        smtp_client_end(c, FAULT_BAD_REPLY, "an answer to STARTTLS out of place");
    else if (c->terms->tls == CLIENT_TLS_MUST)
        client_over_by_reply(c, FAULT_TLS, STATUS_TLS_REFUSED);
    else
        go_on(c, out);
}

void smtp_client_secured(struct smtp_client *c, bool is_proven, struct buf *out)
{
    must(c->awaits == ASK_TLS && c->expected_count == 0 && !c->is_over);
    size_t from = out->len;

    c->awaits = ASK_REPLY;
    c->is_secured = true;
    c->is_proven = is_proven;
    forget_extensions(c);
    if (c->terms->is_wrapped)
        client_expect(c, STEP_GREETING, NULL, 0);
    else
        say_hello(c, STEP_EHLO, out);
    if (c->dialog)
        client_tell_said(c, out, from);
}

bool smtp_client_is_secured(const struct smtp_client *c)
{
    return c->is_secured;
}
