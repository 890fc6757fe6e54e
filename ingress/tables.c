/*
 * Address tables at RCPT and MAIL. A recipient is rewritten once; then each address that is come to is looked for in two steps:
 *
 *   ALIAS      under its own keys: in the files, then in Redis; only then under @domain, in the same order
 *   RECIPIENT  is it listed? Asked of the first address, to refuse it; of any that only @domain would lead elsewhere, to leave it where it is
 *
 * A step that needs Redis waits and is begun anew with the answer.
 */
#include "ingress/tables.h"

#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/redact.h"
#include "cluster/address_text.h"
#include "ingress/change.h"
#include "ingress/table_ask.h"
#include "ingress/table_keys.h"
#include "ingress/table_watch.h"
#include "ingress/tables_private.h"
#include "io/idn.h"

enum { TELL_EVERY_MS = 1000 };

struct tables {
    struct table_asker *asker;
    struct table_files *files;
    unsigned files_number;
    struct tables_call *last; /* answered at once: its result may still be read */
    struct buf sender;
    uint64_t told_ms;
};

enum step { STEP_ALIAS, STEP_RECIPIENT };
/* What a step says. */
enum outcome { GO_ON, WAIT, OVER };

struct tables_call {
    struct tables *tables;
    tables_on_result *on_result;
    void *owner;
    bool is_ours, refuses_unknown, is_rewritten;
    struct buf postmaster;
    struct expansion expansion;
    size_t at; /* the address under way */
    enum step step;
    struct buf by_domain; /* what @domain says, while RECIPIENT is asked */
    struct table_ask *ask;
    const struct table_found *found; /* the answer, while its step is begun anew */
    struct tables_result result;
    const char **addresses;
};

static const struct tables_result as_given = {.code = 250, .status = "2.1.5", .text = "Ok"};
static const struct tables_result unknown_recipient = {
    .code = 550, .status = "5.1.1", .text = "There is no such recipient here"};
static const struct tables_result away = {
    .code = 451, .status = "4.3.0", .text = "The address tables cannot be asked now; try again later"};
static const struct tables_result broken = {
    .code = 451, .status = "4.3.0", .text = "The address tables are not in order for this address"};

/* ---- its life */

struct tables *tables_new(struct store *s)
{
    struct tables *t = NEW(struct tables);

    t->asker = table_asker_new(s);
    t->files = table_watch_hold(&t->files_number);
    return t;
}

static void call_free(struct tables_call *c)
{
    (void) table_ask_cancel(c->ask); /* always NULL */
    expansion_done(&c->expansion);
    buf_done(&c->by_domain);
    buf_done(&c->postmaster);
    mem_free(c->addresses);
    mem_free(c);
}

/* A result is valid until the next question: this is one. */
static void forget_last(struct tables *t)
{
    if (t->last)
        call_free(t->last);
    t->last = NULL;
}

struct tables *tables_free(struct tables *t)
{
    if (!t)
        return NULL;
    forget_last(t);
    t->asker = table_asker_free(t->asker);
    t->files = table_files_release(t->files);
    buf_done(&t->sender);
    return mem_free(t);
}

static void refresh_files(struct tables *t)
{
    if (t->files_number == table_watch_number())
        return;
    t->files = table_files_release(t->files);
    t->files = table_watch_hold(&t->files_number);
}

/* ---- looking */

static enum outcome end_with(struct tables_call *c, const struct tables_result *result)
{
    c->result = *result;
    return OVER;
}

/* What Redis holds is any bytes: once a second it is told which address has none that can be used. */
static enum outcome end_broken(struct tables_call *c, enum table table, struct span key)
{
    AUTO_BUF struct buf shown = {.data = NULL};
    uint64_t now_ms = clock_ms();

    if (now_ms - c->tables->told_ms >= TELL_EVERY_MS) {
        c->tables->told_ms = now_ms;
        redact_add(&shown, key);
        log_event(LOG_TABLE_ROW_REFUSED, F("table", table_name(table)), FS("key", buf_span(&shown)));
    }
    return end_with(c, &broken);
}

static void on_found(void *owner, const struct table_found *found);

/* GO_ON: *ret_found is set. */
static enum outcome ask(struct tables_call *c, enum table table, const struct table_keys *k,
                        struct table_found *ret_found)
{
    if (c->found) {
        *ret_found = *c->found;
    } else if (change_is_empty(table)) {
        *ret_found = (struct table_found){.answer = TABLE_NONE};
    } else {
        c->ask = table_ask(c->tables->asker, table, k->keys, k->count, on_found, c, ret_found);
        if (c->ask)
            return WAIT;
    }
    return ret_found->answer == TABLE_UNKNOWN ? end_with(c, &away) : GO_ON;
}

static enum outcome next_address(struct tables_call *c)
{
    c->at++;
    c->step = STEP_ALIAS;
    buf_clear(&c->by_domain);
    return GO_ON;
}

static enum outcome settle(struct tables_call *c, struct item *item)
{
    expansion_settle(&c->expansion, item);
    return next_address(c);
}

static enum outcome expand(struct tables_call *c, const struct item *item, struct span value)
{
    const struct tables_result *wrong = expansion_add(&c->expansion, item, value);

    return wrong ? end_with(c, wrong) : next_address(c);
}

/* ---- step ALIAS */

static bool has_recipients(const struct tables *t)
{
    return table_files_has(t->files, FILE_RECIPIENTS) || !change_is_empty(TABLE_RECIPIENTS);
}

/* What only the domain says waits for whether the address is listed, if anything is. */
static enum outcome judge_domain(struct tables_call *c, struct item *item, struct span value)
{
    bool is_asked = value.len || (c->at == 0 && c->refuses_unknown);

    if (is_asked && has_recipients(c->tables)) {
        buf_add_span(&c->by_domain, value);
        c->step = STEP_RECIPIENT;
        return GO_ON;
    }
    return value.len ? expand(c, item, value) : settle(c, item);
}

static enum outcome step_alias(struct tables_call *c, struct item *item, const struct table_keys *k)
{
    const struct table_files *files = c->tables->files;
    AUTO_BUF struct buf checked = {.data = NULL};
    struct table_found found;
    size_t own = k->count - 1, which;
    const char *in_file = table_files_find(files, FILE_ALIASES, k->keys, own, &which);

    if (in_file)
        return expand(c, item, span_of(in_file));
    enum outcome outcome = ask(c, TABLE_ALIASES, k, &found);
    if (outcome != GO_ON)
        return outcome;
    bool is_there = found.answer == TABLE_OK;
    if (is_there && address_value(found.value, k->keys[found.which], ADDRESS_LIST, &checked) < 0)
        return end_broken(c, TABLE_ALIASES, k->keys[found.which]);
    if (is_there && found.which < own)
        return expand(c, item, buf_span(&checked));
    in_file = table_files_find(files, FILE_ALIASES, &k->keys[own], 1, &which);
    return judge_domain(c, item, in_file ? span_of(in_file) : buf_span(&checked));
}

/* ---- step RECIPIENT */

/* What files and Redis say together of one address. */
struct listing {
    bool is_known, is_all, is_listed; /* itself; all of its domain; others of its domain */
};

static bool add_listing(struct listing *l, struct span value)
{
    bool is_known = span_equal(value, SPAN(RECIPIENT_KNOWN)), is_all = span_equal(value, SPAN(RECIPIENT_ALL)),
         is_listed = span_equal(value, SPAN(RECIPIENT_LISTED));

    l->is_known |= is_known;
    l->is_all |= is_all;
    l->is_listed |= is_listed;
    return is_known || is_all || is_listed;
}

/* Mail for a postmaster is taken (RFC 5321 section 4.5.1); one who is listed nowhere can have it elsewhere. */
static enum outcome judge_unknown(struct tables_call *c, struct item *item)
{
    if (!c->is_ours || c->at > 0 || !span_equal_nocase(item_local(item), SPAN("postmaster")))
        return end_with(c, &unknown_recipient);
    return c->postmaster.len ? expand(c, item, buf_span(&c->postmaster)) : settle(c, item);
}

static enum outcome step_recipient(struct tables_call *c, struct item *item, const struct table_keys *k)
{
    const struct table_files *files = c->tables->files;
    struct listing l = {.is_known = false};
    struct table_found found;
    size_t which;
    const char *in_file = table_files_find(files, FILE_RECIPIENTS, k->keys, k->count, &which);

    if (in_file)
        (void) add_listing(&l, span_of(in_file)); /* a file has no other words */
    if (!l.is_known && (!l.is_all || c->by_domain.len)) {
        enum outcome outcome = ask(c, TABLE_RECIPIENTS, k, &found);
        if (outcome != GO_ON)
            return outcome;
        if (found.answer == TABLE_OK && !add_listing(&l, found.value))
            return end_broken(c, TABLE_RECIPIENTS, k->keys[found.which]);
    }
    if (l.is_known)
        return settle(c, item);
    if (c->by_domain.len)
        return expand(c, item, buf_span(&c->by_domain));
    return l.is_all || !l.is_listed ? settle(c, item) : judge_unknown(c, item);
}

/* ---- a question */

/* What it has come to, once all addresses were looked for. */
static void collect(struct tables_call *c)
{
    struct expansion *e = &c->expansion;
    size_t count = 0;

    c->result = as_given;
    if (e->final_count == 1 && e->items[0]->is_final && !c->is_rewritten)
        return;
    c->addresses = mem_array(e->final_count, sizeof c->addresses[0]);
    for (size_t i = 0; i < e->count; i++)
        if (e->items[i]->is_final)
            c->addresses[count++] = e->items[i]->text;
    must(count && count <= TABLES_RESULTS_MAX);
    c->result.addresses = c->addresses;
    c->result.address_count = count;
}

/* True: the result is there; false: it waits for Redis. */
static bool run(struct tables_call *c)
{
    const char *delimiters = conf_get()->tables.recipient_delimiter;
    struct expansion *e = &c->expansion;
    enum outcome outcome = GO_ON;

    refresh_files(c->tables);
    while (outcome == GO_ON && c->at < e->count) {
        struct item *item = e->items[c->at];
        struct table_keys keys;
        table_keys_make(&keys, item_local(item), item_domain(item), delimiters);
        outcome = c->step == STEP_ALIAS ? step_alias(c, item, &keys) : step_recipient(c, item, &keys);
        c->found = NULL;
    }
    if (outcome == GO_ON && e->final_count > TABLES_RESULTS_MAX)
        outcome = end_with(c, &expansion_too_many);
    if (outcome == GO_ON)
        collect(c);
    return outcome != WAIT;
}

static void on_found(void *owner, const struct table_found *found)
{
    struct tables_call *c = owner;

    c->ask = NULL;
    c->found = found;
    if (!run(c))
        return;
    c->on_result(c->owner, &c->result);
    call_free(c);
}

/* The address that the rewrites make of it, appended as it is compared; false: they say nothing. */
static bool rewrite(const struct tables *t, enum table_file file, struct span local, struct span domain,
                    struct buf *out)
{
    struct table_keys k;
    struct addr addr;
    size_t which;

    if (!table_files_has(t->files, file))
        return false;
    table_keys_make(&k, local, domain, conf_get()->tables.recipient_delimiter);
    const char *value = table_files_find(t->files, file, k.keys, k.count, &which);
    if (!value)
        return false;
    if (value[0] == '@')
        buf_add_span(out, local);
    buf_add_text(out, value);
    return addr_parse_utf8(buf_span(out), &addr) == 0; /* else it would be too long: it stays as it is */
}

struct tables_call *tables_recipient(struct tables *t, const struct tables_question *q,
                                     tables_on_result *on_result, void *owner,
                                     struct tables_result *ret_result)
{
    AUTO_BUF struct buf rewritten = {.data = NULL};
    char domain[DOMAIN_MAX + 1];
    struct addr addr = *q->address;
    struct tables_call *c;

    forget_last(t);
    refresh_files(t);
    *ret_result = as_given;
    if ((!t->files && change_is_empty(TABLE_ALIASES) && change_is_empty(TABLE_RECIPIENTS)) ||
        idn_domain(addr.domain, domain) < 0)
        return NULL;
    addr.domain = span_of(domain);
    c = NEW(struct tables_call);
    c->tables = t;
    c->on_result = on_result;
    c->owner = owner;
    c->is_ours = q->is_ours;
    c->refuses_unknown = q->refuses_unknown;
    buf_add_span(&c->postmaster, span_of(q->postmaster));
    if (rewrite(t, FILE_RECIPIENT_REWRITES, addr.local, addr.domain, &rewritten)) {
        c->is_rewritten = true;
        must(addr_parse_utf8(buf_span(&rewritten), &addr) == 0); /* it was looked at */
    }
    (void) expansion_begin(&c->expansion, addr.local, addr.domain); /* the first of its items */
    if (!run(c))
        return c;
    t->last = c;
    *ret_result = c->result;
    return NULL;
}

struct tables_call *tables_cancel(struct tables_call *c)
{
    if (c)
        call_free(c);
    return NULL;
}

const char *tables_sender(struct tables *t, const struct addr *sender)
{
    char domain[DOMAIN_MAX + 1];

    forget_last(t);
    refresh_files(t);
    buf_clear(&t->sender);
    if (!table_files_has(t->files, FILE_SENDER_REWRITES) || idn_domain(sender->domain, domain) < 0 ||
        !rewrite(t, FILE_SENDER_REWRITES, sender->local, span_of(domain), &t->sender))
        return NULL;
    buf_add_char(&t->sender, '\0');
    return t->sender.data;
}
