/* One number of 32 bits for each section: differences are found, not forged. */
#include "cluster/settings_digest.h"

#include <string.h>

#include "base/mem.h"
#include "io/hash.h"

/* What differs between nodes that work together. */
static const struct {
    const char *section, *name;
} own[] = {
    {"node", "name"},         {"node", "http_listen"}, {"log", "format"},     {"log", "level"},
    {"bus", "listen"},        {"bus", "advertise"},    {"ingress", "listen"}, {"ingress", "threads"},
    {"listeners", "address"}, {"store", "user"},       {"store", "password"}, {"store", "tls_certificate"},
    {"store", "tls_key"},
};

struct digest {
    struct buf *out;
    const char *section; /* under way; NULL: none yet */
    struct buf text;
};

static void end_section(struct digest *d)
{
    if (d->section)
        buf_printf(d->out, "%s%s=%08x", d->out->len ? " " : "", d->section, hash32(buf_span(&d->text)));
    d->text.len = 0;
}

static void on_setting(void *context, const char *section, const char *member, const char *name,
                       struct span value)
{
    struct digest *d = context;

    if (!d->section || strcmp(d->section, section) != 0) {
        end_section(d);
        d->section = section;
    }
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strcmp(own[i].section, section) == 0 && strcmp(own[i].name, name) == 0)
            return;
    buf_printf(&d->text, "%s %s %.*s\n", member ? member : "", name, SPAN_ARG(value));
}

void settings_digest(const struct conf *c, struct buf *out)
{
    struct digest d = {.out = out};

    conf_each(c, on_setting, &d);
    end_section(&d);
    buf_done(&d.text);
}
