/* What the client asked for with a message, in words and as JSON. */
#include "ctl/wishes.h"

#include "base/clock.h"

enum { WORDS_MAX = 1000 };

static void add_text(struct buf *out, const char *before, const char *text)
{
    buf_add_text(out, before);
    buf_add_printable(out, span_of(text), WORDS_MAX);
}

static const char *ret_name(enum dsn_ret ret)
{
    static const char *const names[] = {"", "FULL", "HDRS"};

    return names[ret];
}

static void add_sender(struct buf *out, const struct envelope *e)
{
    if (e->user)
        add_text(out, "; by user ", e->user);
    if (e->tenant)
        add_text(out, e->user ? " of tenant " : "; of tenant ", e->tenant);
}

static void add_deliver_by(struct buf *out, const struct envelope *e)
{
    if (e->by_mode == BY_NONE)
        return;
    buf_add_text(out, e->by_mode == BY_RETURN ? "; returned when not delivered by "
                                              : "; its sender is told when it is not delivered by ");
    clock_add_stamp(out, e->by_ms);
}

void add_wishes(struct buf *out, const struct envelope *e)
{
    add_sender(out, e);
    buf_add_text(out, e->is_utf8 ? "; SMTPUTF8" : "");
    buf_add_text(out, e->is_binary ? "; BINARYMIME" : "");
    buf_add_text(out, e->requires_tls ? "; REQUIRETLS" : "");
    buf_add_text(out, e->tls_optional ? "; TLS-Required: No" : "");
    if (e->envid)
        add_text(out, "; ENVID=", e->envid);
    if (e->ret != RET_UNSAID)
        buf_printf(out, "; RET=%s", ret_name(e->ret));
    if (e->release_ms) {
        buf_add_text(out, "; not before ");
        clock_add_stamp(out, e->release_ms);
    }
    add_deliver_by(out, e);
}

void add_recipient_wishes(struct buf *out, const struct recipient *r)
{
    if (r->notify) {
        buf_add_text(out, " (NOTIFY=");
        notify_add(r->notify, out);
        buf_add_char(out, ')');
    }
    if (r->orcpt) {
        add_text(out, " (ORCPT=", r->orcpt);
        buf_add_char(out, ')');
    }
}

bool add_release(struct buf *out, const struct envelope *e, uint64_t now_ms)
{
    if (e->release_ms <= now_ms)
        return false;
    buf_add_text(out, "held until ");
    clock_add_stamp(out, e->release_ms);
    buf_add_text(out, " as its sender asked");
    return true;
}

/* ---- as JSON */

static void put_text(struct json *json, const char *name, const char *text)
{
    if (text)
        json_put_text(json, name, span_of(text));
}

void put_wishes(struct json *json, const struct envelope *e)
{
    put_text(json, "user", e->user);
    put_text(json, "tenant", e->tenant);
    put_text(json, "auth", e->auth);
    put_text(json, "envid", e->envid);
    if (e->ret != RET_UNSAID)
        put_text(json, "ret", ret_name(e->ret));
    json_put_flag(json, "is_utf8", e->is_utf8);
    json_put_flag(json, "is_binary", e->is_binary);
    json_put_flag(json, "requires_tls", e->requires_tls);
    json_put_flag(json, "tls_optional", e->tls_optional);
    if (e->release_ms)
        json_put_number(json, "release_ms", (int64_t) e->release_ms);
    if (e->by_mode != BY_NONE) {
        json_put_number(json, "by_ms", (int64_t) e->by_ms);
        put_text(json, "by_mode", e->by_mode == BY_RETURN ? "R" : "N");
    }
}

void put_recipient_wishes(struct json *json, const struct recipient *r)
{
    AUTO_BUF struct buf notify = {.data = NULL};

    notify_add(r->notify, &notify);
    if (r->notify)
        json_put_text(json, "notify", buf_span(&notify));
    put_text(json, "orcpt", r->orcpt);
}
