/* Our Received field. What a client or its DNS said is cut down to the bytes of a host name or an address literal. */
#include <string.h>

#include "base/clock.h"
#include "mail/ascii.h"
#include "mail/fold.h"
#include "mail/header.h"

enum { RECEIVED_INDENT = 8, HOST_BYTES_MAX = 255, COMMENT_BYTES_MAX = 128 };

/* [..] with nothing that would end it early. */
static bool is_bracketed(struct span host)
{
    if (host.len < 3 || host.at[0] != '[' || host.at[host.len - 1] != ']')
        return false;
    for (size_t i = 1; i < host.len - 1; i++)
        if (!is_alnum(host.at[i]) && host.at[i] != '.' && host.at[i] != ':')
            return false;
    return true;
}

/* RFC 5321 section 4.4 wants a Domain or an address literal here; any other byte becomes '?', so no comment can be closed or opened. */
static void add_host(struct span host, struct buf *out)
{
    if (host.len > HOST_BYTES_MAX)
        host.len = HOST_BYTES_MAX;
    if (host.len == 0) {
        buf_add_text(out, "unknown");
        return;
    }
    if (is_bracketed(host)) {
        buf_add_span(out, host);
        return;
    }
    char *at = buf_reserve(out, host.len);
    for (size_t i = 0; i < host.len; i++) {
        char c = host.at[i];
        at[i] = is_alnum(c) || c == '.' || c == '-' || c == '_' ? c : '?';
    }
    buf_commit(out, host.len);
}

/* An address that can stand in the field: printable, and of a length that needs no cut. */
static bool is_addr_usable(const char *addr)
{
    size_t len = strlen(addr);
    for (size_t i = 0; i < len; i++)
        if (!is_printable(addr[i]))
            return false;
    return len > 0 && len <= PATH_MAX_LEN;
}

static void add_word(struct fold *f, struct buf *word)
{
    fold_word(f, buf_span(word));
    buf_clear(word);
}

/* RFC 3848: S for TLS, A for AUTH. */
static void add_protocol(const struct received *r, struct buf *word)
{
    buf_add_text(word, r->is_esmtp && r->is_utf8 ? "with UTF8SMTP"
                       : r->is_esmtp             ? "with ESMTP"
                                                 : "with SMTP");
    if (r->is_esmtp && r->is_secured)
        buf_add_char(word, 'S');
    if (r->is_esmtp && r->is_authenticated)
        buf_add_char(word, 'A');
}

/* What stands in a comment: names of protocols and ciphers. */
static void add_comment(struct span text, struct buf *word)
{
    buf_add_char(word, '(');
    for (size_t i = 0; i < text.len && i < COMMENT_BYTES_MAX; i++)
        buf_add_char(word, is_alnum(text.at[i]) || strchr(" ._-", text.at[i]) ? text.at[i] : '?');
    buf_add_char(word, ')');
}

void received_add(const struct received *r, struct buf *out)
{
    AUTO_BUF struct buf word = {0};
    struct fold f;
    fold_start(&f, out, "Received:", RECEIVED_INDENT);
    fold_text(&f, "from");
    add_host(r->helo, &word);
    add_word(&f, &word);
    buf_add_char(&word, '(');
    add_host(span_of(r->client_name), &word);
    add_word(&f, &word);
    ip_add_literal(r->client_ip, &word);
    buf_add_char(&word, ')');
    add_word(&f, &word);
    fold_line(&f);
    fold_text(&f, "by");
    add_host(span_of(r->by), &word);
    add_word(&f, &word);
    add_protocol(r, &word);
    add_word(&f, &word);
    if (r->tls) {
        add_comment(span_of(r->tls), &word);
        add_word(&f, &word);
    }
    char id[ID_TEXT_LEN + 1];
    id_format(&r->id, id);
    bool has_for = r->only_recipient && is_addr_usable(r->only_recipient);
    buf_add_text(&word, "id ");
    buf_add(&word, id, ID_TEXT_LEN);
    if (!has_for)
        buf_add_char(&word, ';');
    add_word(&f, &word);
    fold_line(&f);
    if (has_for) {
        buf_add_text(&word, "for <");
        buf_add_text(&word, r->only_recipient);
        buf_add_text(&word, ">;");
        add_word(&f, &word);
    }
    clock_add_date(&word, r->wall_ms);
    add_word(&f, &word);
    fold_end(&f);
}
