/* The operator's rules: read by a question, written through the audited store. */
#include "ctl/rulebook.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/table.h"
#include "ctl/away.h"
#include "ctl/print.h"
#include "ctl/table_link.h"

enum { WRITE_TIME_MS = 10000, TRIES_MAX = 50, HOST_MAX = 256, SHOWN_MAX = 400 };

/* ---- reading */

struct reading {
    struct rules *rules;
    uint64_t now_ms;
    int error;
};

static void on_rules(void *context, const struct redis_value *values)
{
    struct reading *r = context;

    r->now_ms = answer_time_ms(&values[0]);
    if (values[1].type != REDIS_NIL) /* else they are away */
        r->error = rules_read(&values[1], 0, r->rules);
}

int rulebook_read(struct ask *k, struct rules *ret_rules, uint64_t *ret_now_ms)
{
    struct reading r = {.rules = ret_rules};

    *ret_rules = (struct rules){.items = NULL};
    resp_arg_text(ask_command(k, 1), "TIME");
    struct buf *b = ask_command(k, 2);
    resp_arg_text(b, "HGETALL");
    resp_arg_text(b, KEY_RULES);
    ask_send(k, on_rules, &r);
    int status = ask_wait(k);
    if (status != EXIT_OK)
        return status;
    *ret_now_ms = r.now_ms;
    return r.error < 0 ? say_failed("%s holds no rules of ours: look at what it is", KEY_RULES) : EXIT_OK;
}

const struct rule *rulebook_find(const struct rules *rules, const char *id)
{
    uint64_t number;

    if (rule_id_parse(span_of(id), &number) < 0) {
        say_failed("\"%s\" is no rule: they are named r1, r2 and so on; `baridctl rules list` shows them",
                   id);
        return NULL;
    }
    for (size_t i = 0; i < rules->count; i++)
        if (rules->items[i].number == number)
            return &rules->items[i];
    if (away_has_common()) {
        say_failed("rule %s cannot be looked at: the common keys, where rules are, are away", id);
        return NULL;
    }
    say_failed("there is no rule %s%s", id,
               rules->unreadable > 0 ? ", or this baridctl cannot read it"
                                     : ", or it ended more than 7 days ago");
    return NULL;
}

/* ---- writing */

struct waited {
    struct loop *loop;
    enum table_answer answer;
    struct buf *out;
};

static void on_answer(void *context, enum table_answer answer, struct span value)
{
    struct waited *w = context;

    w->answer = answer;
    if (w->out)
        buf_add_span(w->out, value);
    loop_stop(w->loop);
}

/* What no node could read would be told as in force, and obeyed by nobody. */
static bool is_read_back(const char *id, const struct buf *record)
{
    struct rule r;

    if (rule_read(span_of(id), buf_span(record), &r) < 0)
        return false;
    rule_done(&r);
    return true;
}

static enum table_answer put(struct ask *k, struct store *s, const struct rule *r,
                             const struct span *expected)
{
    struct waited w = {.loop = ask_loop(k)};
    AUTO_BUF struct buf record = {.data = NULL};
    AUTO_FREE char *id = rule_id_text(r);

    rule_write(r, &record);
    if (record.len > TABLE_VALUE_MAX || !is_read_back(id, &record))
        return TABLE_NONE;
    table_put(s, TABLE_RULES, span_of(id), buf_span(&record), expected, WRITE_TIME_MS, on_answer, &w);
    loop_run(w.loop);
    return w.answer;
}

static void take_out(struct ask *k, struct store *s, const struct rule *r)
{
    struct waited w = {.loop = ask_loop(k)};
    AUTO_FREE char *id = rule_id_text(r);

    table_remove(s, TABLE_RULES, span_of(id), NULL, WRITE_TIME_MS, on_answer, &w);
    loop_run(w.loop);
}

/* The last number stays, whatever became of it: none is given twice. Ended ones go early when there is no room. */
static size_t tidy(struct ask *k, struct store *s, const struct rules *rules, uint64_t now_ms)
{
    size_t left = rules->count;

    for (size_t i = 0; i + 1 < rules->count; i++) {
        const struct rule *r = &rules->items[i];
        uint64_t ended_ms = rule_ended_ms(r, now_ms);
        if (ended_ms == 0 || (ended_ms + RULE_KEEP_MS > now_ms && left < RULES_MAX))
            continue;
        take_out(k, s, r);
        left--;
    }
    return left;
}

/* Who gives the order, as far as this machine knows. */
static char *who(void)
{
    const char *name = getenv("SUDO_USER");
    const struct passwd *user = name ? NULL : getpwuid(geteuid());
    char host[HOST_MAX] = "";

    if (!name)
        name = user ? user->pw_name : "somebody";
    (void) gethostname(host, sizeof(host) - 1); /* it stays empty */
    AUTO_FREE char *text = mem_format("%s%s%s", name, *host ? "@" : "", host);
    return span_is_text(span_of(text)) && strlen(text) <= RULE_TEXT_MAX ? STEAL(text) : mem_string("");
}

int rulebook_add(struct ask *k, struct store *s, struct rule *r, uint64_t for_ms)
{
    const struct span none = SPAN("");
    AUTO_FREE char *by = who();
    enum table_answer answer = TABLE_EXISTS;

    r->by = by;
    for (unsigned try = 0; answer == TABLE_EXISTS && try < TRIES_MAX; try++) {
        struct rules rules;
        uint64_t now_ms;
        int status = rulebook_read(k, &rules, &now_ms);
        if (status == EXIT_OK && away_has_common())
            status = say_failed("nothing was done: a rule is written among the common keys, which are away");
        if (status != EXIT_OK)
            return status;
        r->number = rules.last + 1;
        r->since_ms = now_ms;
        r->until_ms = for_ms > 0 ? now_ms + for_ms : 0;
        size_t left = tidy(k, s, &rules, now_ms);
        rules_done(&rules);
        if (left >= RULES_MAX)
            return say_failed("there are %d rules in force, and room for no more: undo some", RULES_MAX);
        answer = put(k, s, r, &none);
    }
    r->by = "";
    if (answer == TABLE_OK)
        return EXIT_OK;
    return answer == TABLE_NONE
               ? say_failed("no rule can say that: nothing was done. A text is too long, or is no "
                            "line of text in UTF-8, or a time is too far away")
               : table_say_unknown(TABLE_RULES);
}

int rulebook_mark(struct ask *k, struct store *s, uint64_t number, uint64_t done, bool is_undone)
{
    enum table_answer answer = TABLE_CHANGED;

    for (unsigned try = 0; answer == TABLE_CHANGED && try < TRIES_MAX; try++) {
        AUTO_BUF struct buf record = {.data = NULL};
        struct waited w = {.loop = ask_loop(k), .out = &record};
        struct rule r = {.number = number};
        AUTO_FREE char *id = rule_id_text(&r);
        table_get(s, TABLE_RULES, span_of(id), WRITE_TIME_MS, on_answer, &w);
        loop_run(w.loop);
        if (w.answer == TABLE_UNKNOWN)
            return table_say_unknown(TABLE_RULES);
        if (w.answer != TABLE_OK || rule_read(span_of(id), buf_span(&record), &r) < 0)
            return say_failed("rule %s is gone, or cannot be read any more", id);
        struct span expected = buf_span(&record);
        if (done != UINT64_MAX)
            r.done = done;
        if (is_undone && !r.undone_ms)
            r.undone_ms = store_redis_ms(s);
        answer = put(k, s, &r, &expected);
        rule_done(&r);
    }
    return answer == TABLE_OK ? EXIT_OK : table_say_unknown(TABLE_RULES);
}

/* ---- options and words */

int rule_options(const struct arguments *a, struct rule *r, uint64_t *ret_for_ms)
{
    const char *time = argument_text(a, "for", NULL);

    r->because = argument_text(a, "because", "");
    *ret_for_ms = 0;
    if (time &&
        (conf_parse_time(span_of(time), ret_for_ms) < 0 || *ret_for_ms == 0 || *ret_for_ms > RULE_TIME_MAX))
        return say_usage("--for: expected a time such as 30min, 6h or 2d, not \"%s\"", time);
    if (strlen(r->because) > RULE_TEXT_MAX / 2 || !span_is_text(span_of(r->because)))
        return say_usage("--because: expected one line of text, of at most %d bytes", RULE_TEXT_MAX / 2);
    r->is_standing = rule_stands(r->action) || time || argument_is_given(a, "standing");
    return EXIT_OK;
}

char *rule_id_text(const struct rule *r)
{
    struct buf text = {.data = NULL};

    rule_id_add(r->number, &text);
    return buf_steal_text(&text);
}

struct row { /* of a filter, in words */
    const char *name, *value;
};

static size_t filter_rows(const struct rule_filter *f, struct row *rows)
{
    const struct row all[] = {{"sender", f->sender}, {"recipient", f->recipient}, {"user", f->user},
                              {"tenant", f->tenant}, {"error", f->error},         {"class", f->class},
                              {"client", f->client}};
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].value && *all[i].value)
            rows[count++] = all[i];
    return count;
}

void add_rule_words(struct buf *out, const struct rule *r)
{
    struct row rows[8];
    size_t count = filter_rows(&r->filter, rows);

    const char *whose = *r->filter.message ? r->filter.message : r->filter.queue;

    buf_add_text(out, rule_name(r->action));
    buf_add_char(out, ' ');
    buf_add_printable(out, span_of(*whose ? whose : "sessions"), SHOWN_MAX); /* of any queue, and of none */
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, ", %s ", rows[i].name);
        buf_add_printable(out, span_of(rows[i].value), SHOWN_MAX);
    }
    if (r->filter.older_ms) {
        buf_add_text(out, ", older than ");
        add_duration(out, r->filter.older_ms);
    }
    if (r->action == RULE_LIMIT) {
        buf_printf(out, ": %s=%llu", r->to, (unsigned long long) r->value);
    } else if (*r->to) {
        buf_add_text(out, r->action == RULE_TRACE ? ", host " : " to ");
        buf_add_printable(out, span_of(r->to), SHOWN_MAX);
    }
}

void add_rule_state(struct buf *out, const struct rule *r, uint64_t now_ms)
{
    if (r->undone_ms) {
        buf_add_text(out, "undone");
    } else if (!r->is_standing) {
        buf_add_text(out, "given");
    } else if (!rule_is_in_force(r, now_ms)) {
        buf_add_text(out, "over");
    } else if (r->until_ms) {
        buf_add_text(out, "in force, ends in ");
        add_duration(out, later_by(r->until_ms, now_ms));
    } else {
        buf_add_text(out, "in force");
    }
}

static void put_text(struct json *json, const char *name, const char *text)
{
    if (*text)
        json_put_text(json, name, span_of(text));
    else
        json_put_null(json, name);
}

static void put_time(struct json *json, const char *name, uint64_t ms)
{
    if (ms)
        json_put_number(json, name, (int64_t) ms);
    else
        json_put_null(json, name);
}

struct json *rule_json(const struct rule *r, uint64_t now_ms)
{
    struct json *json = json_new_object();
    AUTO_FREE char *id = rule_id_text(r);
    struct row rows[8];
    size_t count = filter_rows(&r->filter, rows);

    json_put_text(json, "rule", span_of(id));
    json_put_text(json, "action", span_of(rule_name(r->action)));
    put_text(json, "queue", r->filter.queue);
    put_text(json, "message", r->filter.message);
    struct json *filter = json_new_object();
    for (size_t i = 0; i < count; i++)
        json_put_text(filter, rows[i].name, span_of(rows[i].value));
    if (r->filter.older_ms)
        json_put_number(filter, "older_ms", (int64_t) r->filter.older_ms);
    json_put(json, "filter", filter);
    put_text(json, "to", r->to);
    if (r->action == RULE_LIMIT)
        json_put_number(json, "value", (int64_t) r->value);
    json_put_flag(json, "standing", r->is_standing);
    json_put_flag(json, "in_force", rule_is_in_force(r, now_ms));
    json_put_number(json, "since_ms", (int64_t) r->since_ms);
    put_time(json, "until_ms", r->until_ms);
    put_time(json, "undone_ms", r->undone_ms);
    put_text(json, "by", r->by);
    put_text(json, "because", r->because);
    json_put_number(json, "jobs", (int64_t) r->done);
    return json;
}
