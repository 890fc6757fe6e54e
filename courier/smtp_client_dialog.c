/* What passes between the engine and the host, for who listens (mail/dialog.h). What it is is said by those who wrote it, never guessed. */
#include "courier/smtp_client_private.h"

void smtp_client_tell(struct smtp_client *c, struct dialog *d)
{
    c->dialog = d;
}

static struct span behind(const struct buf *out, size_t from)
{
    return out->len > from ? (struct span){.at = out->data + from, .len = out->len - from}
                           : (struct span){.at = NULL};
}

/* As it was understood: code, and the text of each line. */
void client_tell_heard(const struct smtp_client *c)
{
    AUTO_BUF struct buf lines = {.data = NULL};
    struct span rest = buf_span(&c->reply.text);

    do {
        struct span line = span_cut(&rest, '\n');
        buf_printf(&lines, "%03u%c%.*s\n", c->reply.code, rest.at ? '-' : ' ', SPAN_ARG(line));
    } while (rest.at);
    dialog_replies(c->dialog, DIALOG_HEARD, buf_span(&lines));
}

void client_tell_said(const struct smtp_client *c, const struct buf *out, size_t from)
{
    dialog_commands(c->dialog, DIALOG_SAID, behind(out, from));
}

void client_tell_secret(const struct smtp_client *c, const struct buf *out, size_t from)
{
    if (out->len > from)
        dialog_secret(c->dialog, DIALOG_SAID);
}

/* By BDAT a line says how many octets follow. */
void client_tell_content(const struct smtp_client *c, const struct buf *out, size_t from)
{
    struct span said = behind(out, from);
    bool is_bdat = c->current && c->current->is_bdat;

    if (is_bdat && said.len > 0)
        dialog_commands(c->dialog, DIALOG_SAID, span_cut(&said, '\n'));
    dialog_content(c->dialog, DIALOG_SAID, said.len);
}
