/*
 * Dialogues of sessions on their way into Redis. An entry is a line: r the rules it is for, n node, s session, t ms, d its side, x its text.
 * The stream may be lost, and is gone soon after the last line: nothing but who watches depends on it.
 */
#include "cluster/transcript.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/keys.h"

enum { FLUSH_MS = 100, CALL_MS = 2000, SECOND_MS = 1000, WAITING_MAX = 1024 };

struct transcripts {
    struct store *store;
    char *node;
    unsigned rate;
    struct rules rules;  /* copies */
    uint64_t generation; /* grows with each set of them */
    /* the batch */
    struct buf batch;
    unsigned batch_lines;
    uint64_t left_out;
    uint64_t second; /* that `told` counts */
    unsigned told;
    struct timer flush;
    struct store_call call;
    unsigned call_lines;
    uint64_t call_left_out; /* that its last line tells of; 0: it does not */
    size_t session_count;
    bool is_asking, is_closed; /* closed while it asks, or has sessions: freed by the last of them */
};

struct transcript {
    struct dialog dialog;
    struct transcripts *owner;
    char *session;
    uint64_t generation; /* of the rules it was judged by */
    uint64_t fitting[TRACES_MAX];
    size_t fitting_count;
    struct buf kept; /* "<ms> <side> <text>\n", as long as some rule may still come to fit */
    size_t kept_lines, lost_lines;
};

/* ---- the batch */

static void put_pair(struct buf *b, const char *name, struct span value)
{
    resp_arg_text(b, name);
    resp_arg(b, value);
}

/* All of what is known of a line. */
struct telling {
    struct span rules; /* "3,7" */
    const char *session;
    uint64_t ms;
    char side;
    struct span text;
};

static void put_line(struct transcripts *t, const struct telling *line)
{
    struct buf *b = &t->batch;

    resp_command(b, 18);
    resp_arg_text(b, "XADD");
    resp_arg_text(b, KEY_DIALOG);
    resp_arg_text(b, "MAXLEN");
    resp_arg_text(b, "~");
    resp_arg_number(b, TRANSCRIPT_STREAM_MAX);
    put_pair(b, "*", SPAN("r"));
    resp_arg(b, line->rules);
    put_pair(b, "n", span_of(t->node));
    put_pair(b, "s", span_of(line->session));
    resp_arg_text(b, "t");
    resp_arg_number(b, (int64_t) line->ms);
    put_pair(b, "d", (struct span){.at = &line->side, .len = 1});
    put_pair(b, "x", line->text);
    t->batch_lines++;
}

static void add_number(struct buf *numbers, uint64_t number)
{
    if (numbers->len > 0)
        buf_add_char(numbers, ',');
    buf_add_number(numbers, number);
}

/* Those who watch shall know that they do not see all. */
static void put_left_out(struct transcripts *t)
{
    AUTO_BUF struct buf rules = {.data = NULL}, text = {.data = NULL};

    for (size_t i = 0; i < t->rules.count; i++)
        add_number(&rules, t->rules.items[i].number);
    buf_printf(&text,
               "%llu lines were left out: more than a node tells in a second, or Redis did not take them",
               (unsigned long long) t->left_out);
    t->left_out = 0;
    put_line(t, &(struct telling){.rules = buf_span(&rules),
                                  .session = "-",
                                  .ms = store_redis_ms(t->store),
                                  .side = DIALOG_NOTE,
                                  .text = buf_span(&text)});
}

static void check_over(struct transcripts *t)
{
    if (!t->is_closed || t->is_asking || t->session_count > 0)
        return;
    store_call_done(&t->call);
    buf_done(&t->batch);
    rules_done(&t->rules);
    mem_free(t->node);
    mem_free(t);
}

static void on_flush(struct timer *timer);

static void flush_soon(struct transcripts *t)
{
    if (t->flush.place == 0)
        timer_start(store_loop(t->store), &t->flush, FLUSH_MS, on_flush);
}

static void on_told(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct transcripts *t = CONTAINER_OF(c, struct transcripts, call);

    t->is_asking = false;
    if (t->is_closed) {
        check_over(t);
        return;
    }
    for (unsigned i = 0; i < t->call_lines; i++) {
        bool is_taken = result == STORE_OK && values[i].type != REDIS_ERROR_REPLY;
        bool is_number = i + 1 == t->call_lines && t->call_left_out > 0;
        t->left_out += is_taken ? 0 : is_number ? t->call_left_out : 1;
    }
    if (t->batch_lines > 0 || t->left_out > 0)
        flush_soon(t);
}

static void on_flush(struct timer *timer)
{
    struct transcripts *t = CONTAINER_OF(timer, struct transcripts, flush);

    if (t->is_asking)
        return; /* its answer begins the next */
    t->call_left_out = t->rules.count > 0 ? t->left_out : 0;
    if (t->call_left_out > 0)
        put_left_out(t);
    t->left_out = 0;
    if (t->batch_lines == 0)
        return;
    resp_command(&t->batch, 3);
    resp_arg_text(&t->batch, "PEXPIRE");
    resp_arg_text(&t->batch, KEY_DIALOG);
    resp_arg_number(&t->batch, (int64_t) TRANSCRIPT_STREAM_MS);
    store_call_done(&t->call);
    t->call = (struct store_call){.give_up_ms = clock_ms() + CALL_MS,
                                  .is_once = true,
                                  .is_unheld = true,
                                  .accepts_errors = true,
                                  .on_done = on_told};
    t->call.request.bytes = t->batch;
    t->call.request.reply_count = t->batch_lines + 1;
    t->batch = (struct buf){.data = NULL};
    t->call_lines = t->batch_lines;
    t->batch_lines = 0;
    t->is_asking = true;
    store_send(t->store, &t->call);
}

static void add(struct transcripts *t, const struct telling *line)
{
    uint64_t second = clock_ms() / SECOND_MS;

    if (second != t->second)
        t->told = 0;
    t->second = second;
    if (t->told < t->rate && t->batch_lines < WAITING_MAX) {
        t->told++;
        put_line(t, line);
    } else {
        t->left_out++;
    }
    flush_soon(t);
}

/* ---- open, close, rules */

struct transcripts *transcripts_open(struct store *s, const char *node, unsigned rate)
{
    struct transcripts *t = NEW(struct transcripts);

    t->store = s;
    t->node = mem_string(node);
    t->rate = rate;
    return t;
}

struct transcripts *transcripts_close(struct transcripts *t)
{
    if (!t)
        return NULL;
    timer_stop(&t->flush);
    t->is_closed = true;
    rules_done(&t->rules);
    check_over(t);
    return NULL;
}

bool transcripts_take(struct transcripts *t, const struct rules *rules)
{
    rules_done(&t->rules);
    rules_copy(rules, RULE_TRACE, &t->rules);
    while (t->rules.count > TRACES_MAX)
        rule_done(&t->rules.items[--t->rules.count]);
    t->generation++;
    return t->rules.count > 0;
}

/* ---- a session */

static bool has_rule(const struct rules *rules, uint64_t number)
{
    for (size_t i = 0; i < rules->count; i++)
        if (rules->items[i].number == number)
            return true;
    return false;
}

static bool fits_already(const struct transcript *tr, uint64_t number)
{
    for (size_t i = 0; i < tr->fitting_count; i++)
        if (tr->fitting[i] == number)
            return true;
    return false;
}

/* Rules that have ended concern it no more. */
static void forget_ended(struct transcript *tr)
{
    size_t left = 0;

    for (size_t i = 0; i < tr->fitting_count; i++)
        if (has_rule(&tr->owner->rules, tr->fitting[i]))
            tr->fitting[left++] = tr->fitting[i];
    tr->fitting_count = left;
}

static void forget_kept(struct transcript *tr)
{
    buf_done(&tr->kept);
    tr->kept_lines = tr->lost_lines = 0;
}

static void keep(struct transcript *tr, uint64_t ms, enum dialog_side side, struct span text)
{
    if (tr->kept.len + text.len > TRANSCRIPT_KEPT_MAX) {
        tr->lost_lines += tr->kept_lines;
        tr->kept_lines = 0;
        buf_clear(&tr->kept);
    }
    buf_printf(&tr->kept, "%llu %c ", (unsigned long long) ms, (char) side);
    buf_add_span(&tr->kept, text);
    buf_add_char(&tr->kept, '\n');
    tr->kept_lines++;
}

static void on_line(struct dialog *d, enum dialog_side side, struct span text)
{
    struct transcript *tr = CONTAINER_OF(d, struct transcript, dialog);
    struct transcripts *t = tr->owner;
    AUTO_BUF struct buf rules = {.data = NULL};

    if (t->rules.count == 0) { /* closed, too */
        forget_kept(tr);
        return;
    }
    uint64_t ms = store_redis_ms(t->store);
    if (tr->generation != t->generation)
        forget_ended(tr);
    for (size_t i = 0; i < tr->fitting_count; i++)
        add_number(&rules, tr->fitting[i]);
    if (rules.len > 0)
        add(t, &(struct telling){buf_span(&rules), tr->session, ms, (char) side, text});
    if (tr->fitting_count < t->rules.count)
        keep(tr, ms, side, text);
}

static void tell_kept(struct transcript *tr, uint64_t number)
{
    AUTO_BUF struct buf rule = {.data = NULL};
    struct span rest = buf_span(&tr->kept);
    struct telling line = {.session = tr->session};

    buf_add_number(&rule, number);
    line.rules = buf_span(&rule);
    if (tr->lost_lines > 0) {
        AUTO_BUF struct buf text = {.data = NULL};
        buf_printf(&text, "%zu lines before these were not kept", tr->lost_lines);
        line.ms = store_redis_ms(tr->owner->store);
        line.side = DIALOG_NOTE;
        line.text = buf_span(&text);
        add(tr->owner, &line);
    }
    while (rest.len > 0) {
        line.text = span_cut(&rest, '\n');
        struct span ms = span_cut(&line.text, ' '), side = span_cut(&line.text, ' ');
        must(span_number(ms, UINT64_MAX, &line.ms) == 0 && side.len == 1);
        line.side = side.at[0];
        add(tr->owner, &line);
    }
}

struct transcript *transcript_open(struct transcripts *t, const char *session)
{
    struct transcript *tr = NEW(struct transcript);

    tr->dialog.on_line = on_line;
    tr->owner = t;
    t->session_count++;
    tr->session = mem_string(session);
    return tr;
}

struct transcript *transcript_close(struct transcript *tr)
{
    if (!tr)
        return NULL;
    tr->owner->session_count--;
    check_over(tr->owner);
    buf_done(&tr->kept);
    mem_free(tr->session);
    return mem_free(tr);
}

struct dialog *transcript_dialog(struct transcript *tr)
{
    return &tr->dialog;
}

static bool fits(const struct rule *r, const struct rule_subject *s, const char *host, uint64_t now_ms)
{
    bool is_unknown = *r->filter.queue && !*s->queue;

    if (is_unknown || (*r->to && !(host && domain_matches(host, r->to))))
        return false;
    return rule_filter_fits(&r->filter, s, now_ms);
}

void transcript_judge(struct transcript *tr, const struct rule_subject *subject, const char *host)
{
    const struct rules *rules = &tr->owner->rules;
    uint64_t now_ms = store_redis_ms(tr->owner->store);

    if (tr->generation != tr->owner->generation)
        forget_ended(tr);
    tr->generation = tr->owner->generation;
    for (size_t i = 0; i < rules->count; i++) {
        const struct rule *r = &rules->items[i];
        if (fits_already(tr, r->number) || !fits(r, subject, host, now_ms))
            continue;
        tell_kept(tr, r->number);
        tr->fitting[tr->fitting_count++] = r->number;
    }
    if (tr->fitting_count == rules->count)
        forget_kept(tr);
}

bool transcript_is_judged(const struct transcript *tr)
{
    return tr->generation == tr->owner->generation;
}
