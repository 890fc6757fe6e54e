/* What passes between client and engine, for who listens (mail/dialog.h): what it is is decided by the state that it meets, never by how it looks. */
#include <string.h>

#include "base/mem.h"
#include "ingress/smtp_private.h"

bool smtp_server_knows(struct span word)
{
    static const struct span verbs[] = {
#define SMTP_VERB(verb, ...) SPAN(#verb),
#include "ingress/smtp_server.def"
#undef SMTP_VERB
    };

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (span_equal_nocase(word, verbs[i]))
            return true;
    return false;
}

enum smtp_heard smtp_what_comes(const struct smtp_server *s)
{
    if (s->phase == SMTP_NEW || s->phase == SMTP_CLOSED || s->skipped > 0)
        return SMTP_HEARD_NOTHING; /* the rest of a line that was too long, too */
    if (s->phase == SMTP_CONTENT || s->skip)
        return SMTP_HEARD_CONTENT;
    return s->phase == SMTP_SASL ? SMTP_HEARD_SECRET : SMTP_HEARD_COMMAND;
}

void smtp_tell_heard(struct smtp_server *s, enum smtp_heard heard, struct span in)
{
    struct span line = in;
    const char *end = in.len > 0 ? memchr(in.at, '\n', in.len) : NULL;

    if (in.len == 0)
        return;
    if (heard == SMTP_HEARD_CONTENT) {
        dialog_content(s->dialog, DIALOG_HEARD, in.len);
    } else if (heard == SMTP_HEARD_SECRET) {
        dialog_secret(s->dialog, DIALOG_HEARD);
    } else if (!end || memchr(in.at, '\0', in.len)) { /* too long, TLS, or nothing that could be a line */
        dialog_command(s->dialog, DIALOG_HEARD, in, false);
    } else {
        line.len = (size_t) (end - in.at);
        line.len -= line.len > 0 && line.at[line.len - 1] == '\r';
        struct span rest = line;
        struct span word = span_cut(&rest, ' ');
        bool is_one_line = !memchr(line.at, '\r', line.len);
        dialog_command(s->dialog, DIALOG_HEARD, line, is_one_line && smtp_server_knows(word));
    }
}

void smtp_tell_said(struct smtp_server *s)
{
    size_t from = s->dialog->from;

    if (s->out->len > from)
        dialog_replies(s->dialog, DIALOG_SAID,
                       (struct span){.at = s->out->data + from, .len = s->out->len - from});
}
