/* Outcomes as values: our own rows of status.def, copies, and their names. */
#include "mail/verdict.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct status_row {
    enum verdict_class class;
    unsigned code;
    enum bounce bounce;
    const char *status;
    const char *text;
};

static const struct status_row status_rows[STATUS_COUNT] = {
#define STATUS(name, class_, code_, status_, bounce_, text_) \
    [STATUS_##name] = {(class_), (code_), BOUNCE_##bounce_, (status_), (text_)},
#include "mail/status.def"
#undef STATUS
};

void verdict_done(struct verdict *v)
{
    mem_free(v->text);
    mem_free(v->remote);
    *v = (struct verdict){.class = VERDICT_NONE};
}

void verdict_set(struct verdict *v, enum status status, const char *detail)
{
    must(status < STATUS_COUNT);
    const struct status_row *row = &status_rows[status];
    AUTO_BUF struct buf text = {0};
    buf_add_text(&text, row->text);
    if (detail) {
        buf_add_text(&text, ": ");
        buf_add_printable(&text, span_of(detail), VERDICT_TEXT_MAX - text.len);
    }
    struct verdict made = {
        .class = row->class,
        .code = row->code,
        .bounce = row->bounce,
        .text = buf_steal_text(&text),
        .remote = mem_string(""),
        .in_doubt = status == STATUS_REPLY_LOST,
    };
    snprintf(made.status, sizeof made.status, "%s", row->status);
    verdict_done(v); /* last: detail may be its text */
    *v = made;
}

void verdict_copy(struct verdict *to, const struct verdict *from)
{
    if (to == from)
        return;
    struct verdict made = *from;
    made.text = from->text ? mem_string(from->text) : NULL;
    made.remote = from->remote ? mem_string(from->remote) : NULL;
    verdict_done(to);
    *to = made;
}

const char *verdict_class_name(enum verdict_class class)
{
    switch (class) {
    case VERDICT_DELIVERED: return "delivered";
    case VERDICT_DEFERRED: return "deferred";
    case VERDICT_FAILED: return "failed";
    case VERDICT_NONE: break;
    }
    return "none";
}
