/*
 * Lines of address tables: "key value[, value]". A key ends at the first blank outside of quotes, a comment begins with a # at the start of a
 * line or behind a blank (it is a good character in a local part).
 */
#include "cluster/address_text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cluster/table.h"
#include "io/idn.h"

enum { SHOWN_MAX = 80 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Bytes before the first of `stops` that stands outside of quotes. */
static size_t len_before(struct span s, const char *stops)
{
    bool is_quoted = false;
    size_t i = 0;

    for (; i < s.len; i++) {
        if (s.at[i] == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && s.at[i] == '\\')
            i++;
        else if (!is_quoted && s.at[i] != '\0' && strchr(stops, s.at[i]))
            return i;
    }
    return s.len;
}

static struct span span_from(struct span s, size_t count)
{
    return (struct span){.at = s.at + count, .len = s.len - count};
}

/* ---- one address */

/* Does it stand without quotes? An atom needs no more than the grammar of addresses says. */
static bool is_bare(struct span local)
{
    AUTO_BUF struct buf text = {.data = NULL};
    struct addr addr;

    buf_add_span(&text, local);
    buf_add_text(&text, "@x");
    return addr_parse_utf8(buf_span(&text), &addr) == 0 && addr.local.len == local.len && local.at[0] != '"';
}

void address_local(struct span local, struct buf *out)
{
    AUTO_BUF struct buf plain = {.data = NULL};

    if (local.len < 2 || local.at[0] != '"') {
        buf_add_span(out, local);
        return;
    }
    for (size_t i = 1; i + 1 < local.len; i++) {
        i += local.at[i] == '\\';
        buf_add_char(&plain, local.at[i]);
    }
    if (plain.len && is_bare(buf_span(&plain))) {
        buf_add_span(out, buf_span(&plain));
        return;
    }
    buf_add_char(out, '"');
    for (size_t i = 0; i < plain.len; i++) {
        if (plain.data[i] == '"' || plain.data[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, plain.data[i]);
    }
    buf_add_char(out, '"');
}

static int add_domain(struct span domain, struct buf *out)
{
    char name[DOMAIN_MAX + 1];
    int r = idn_domain(domain, name);

    if (r < 0)
        return r;
    buf_add_char(out, '@');
    buf_add_text(out, name);
    return 0;
}

/* Appends local@domain with the domain in A-labels; as_key: the local part as it is compared. */
static int add_address(struct span text, bool as_key, struct buf *out)
{
    size_t local_len = len_before(text, "@"), start = out->len;
    struct addr addr;

    if (local_len == text.len)
        return -EINVAL;
    buf_add_span(out, (struct span){.at = text.at, .len = local_len});
    int r = add_domain(span_from(text, local_len + 1), out);
    if (r == 0)
        r = addr_parse_utf8(span_from(buf_span(out), start), &addr);
    if (r == 0 && as_key) {
        AUTO_BUF struct buf key = {.data = NULL};
        address_local(addr.local, &key);
        buf_add_char(&key, '@');
        buf_add_span(&key, addr.domain);
        out->len = start;
        buf_add_span(out, buf_span(&key));
    }
    if (r < 0)
        out->len = start;
    return r;
}

int address_key(struct span text, struct buf *out)
{
    if (text.len && text.at[0] == '@')
        return add_domain(span_from(text, 1), out);
    return add_address(text, true, out);
}

struct span address_domain(struct span key)
{
    const char *at = memrchr(key.at, '@', key.len);

    must(at);
    return (struct span){.at = at, .len = key.len - (size_t) (at - key.at)};
}

/* ---- values */

bool address_next(struct span *rest, struct span *ret_text)
{
    size_t len = len_before(*rest, ",");

    *ret_text = span_trim((struct span){.at = rest->at, .len = len});
    if (rest->len == 0)
        return false;
    *rest = len < rest->len ? span_from(*rest, len + 1) : (struct span){.at = NULL};
    return true;
}

static int add_value(struct span text, struct span key, struct buf *out)
{
    bool is_domain = text.len && text.at[0] == '@';

    if (is_domain && (!key.len || key.at[0] != '@'))
        return -EINVAL;
    return is_domain ? add_domain(span_from(text, 1), out) : add_address(text, false, out);
}

int address_value(struct span text, struct span key, enum address_rule rule, struct buf *out)
{
    size_t start = out->len, count = 0, most = rule == ADDRESS_LIST ? ADDRESS_VALUES_MAX : 1;
    struct span rest = span_trim(text), one;
    bool is_whole = rest.len && rest.at[rest.len - 1] != ','; /* what follows a comma is an address too */
    int r = rule != ADDRESS_NOTHING && is_whole ? 0 : -EINVAL;

    while (r == 0 && address_next(&rest, &one)) {
        if (count++)
            buf_add_text(out, ", ");
        r = count > most ? -E2BIG : add_value(one, key, out);
    }
    if (r == 0 && out->len - start > TABLE_VALUE_MAX)
        r = -E2BIG;
    if (r < 0)
        out->len = start;
    return r;
}

/* ---- files */

struct reading {
    const char *name;
    enum address_rule rule;
    unsigned line;
    address_on_row *on_row;
    void *context;
    struct buf key, value;
    char **ret_error;
};

static int fail(struct reading *r, struct span shown, const char *why)
{
    AUTO_BUF struct buf text = {.data = NULL};

    buf_add_printable(&text, shown, SHOWN_MAX);
    *r->ret_error = mem_format("%s: line %u: \"%.*s\" %s", r->name, r->line, SPAN_ARG(buf_span(&text)), why);
    return -EINVAL;
}

static const char *what_is_wrong(int error, enum address_rule rule)
{
    if (error == -E2BIG)
        return rule == ADDRESS_ONE ? "is more than one address, or too long"
                                   : "is too long, or more than 1000 addresses";
    return rule == ADDRESS_LIST ? "is no list of addresses (or of @domains, for a key that is a domain)"
                                : "is no address (or @domain, for a key that is a domain)";
}

/* Without its comment, and what surrounds it. */
static struct span line_text(struct span line)
{
    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    line = span_trim(line);
    for (size_t at = 0; at < line.len; at++) {
        at += len_before(span_from(line, at), "#");
        if (at == 0 || (at < line.len && is_blank(line.at[at - 1])))
            return span_trim((struct span){.at = line.at, .len = at});
    }
    return line;
}

static int read_line(struct reading *r, struct span line)
{
    struct span text = line_text(line);
    size_t key_len = len_before(text, " \t");
    struct span key = {.at = text.at, .len = key_len};
    struct span value = span_trim(span_from(text, key_len));
    const char *why;

    if (line.len > ADDRESS_LINE_MAX)
        return fail(r, text, "is longer than 16384 bytes");
    if (!text.len)
        return 0;
    buf_clear(&r->key);
    buf_clear(&r->value);
    if (address_key(key, &r->key) < 0)
        return fail(r, key, "is neither an address nor @domain");
    if (r->rule == ADDRESS_NOTHING && value.len)
        return fail(r, value, "is too much: a line is an address, or @domain");
    if (r->rule != ADDRESS_NOTHING) {
        int error = address_value(value, buf_span(&r->key), r->rule, &r->value);
        if (error < 0)
            return fail(r, value, what_is_wrong(error, r->rule));
    }
    why = r->on_row(r->context, buf_span(&r->key), buf_span(&r->value));
    return why ? fail(r, key, why) : 0;
}

int address_text_read(struct span text, const char *name, enum address_rule rule, address_on_row *on_row,
                      void *context, char **ret_error)
{
    struct reading r = {
        .name = name, .rule = rule, .on_row = on_row, .context = context, .ret_error = ret_error};
    int error = 0;

    while (text.len && error == 0) {
        r.line++;
        error = read_line(&r, span_cut(&text, '\n'));
    }
    buf_done(&r.key);
    buf_done(&r.value);
    return error;
}

static int read_all(int fd, size_t size, struct buf *out)
{
    for (;;) {
        char *room = buf_reserve(out, size + 1 - out->len);
        ssize_t got = read(fd, room, size + 1 - out->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : 0;
        buf_commit(out, (size_t) got);
        if (out->len > size)
            return -EBUSY; /* it grows: somebody is writing it */
    }
}

int address_file_read(const char *path, enum address_rule rule, address_on_row *on_row, void *context,
                      char **ret_error)
{
    AUTO_BUF struct buf text = {.data = NULL};
    struct stat found;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error = 0;

    if (fd < 0 || fstat(fd, &found) < 0)
        error = -errno;
    else if (!S_ISREG(found.st_mode))
        error = -EINVAL;
    else if (found.st_size > ADDRESS_FILE_MAX)
        error = -EFBIG;
    else
        error = read_all(fd, (size_t) found.st_size, &text);
    if (fd >= 0)
        (void) close(fd); /* it was only read */
    if (error < 0) {
        *ret_error = mem_format("%s cannot be read: %s", path,
                                error == -EINVAL  ? "it is no file"
                                : error == -EBUSY ? "it is being written"
                                                  : log_errno_text(-error));
        return error;
    }
    return address_text_read(buf_span(&text), path, rule, on_row, context, ret_error);
}
