/* protocol-trace: gives a TRACE rule, prints what nodes tell of it as it comes, and ends the rule. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cluster/history.h"
#include "cluster/transcript.h"
#include "ctl/print.h"
#include "ctl/reach.h"
#include "ctl/rulebook.h"
#include "ctl/selection.h"
#include "ctl/verb_rule.h"

enum {
    FOR_MS = 300000,
    FOR_MOST_MS = 3600000,
    LIMIT_MOST = 100000000,
    LOOK_EVERY_MS = 200,
    RULE_LOOK_MS = 3000,
    LATE_MS = 1000, /* what was told last is still on its way */
    ENTRIES_MAX = 500,
    SHOWN_MAX = 4096,
};

struct trace {
    struct ask *ask;
    const struct arguments *arguments;
    uint64_t number; /* of our rule */
    uint64_t left;   /* lines to print yet */
    uint64_t until_ms, look_ms;
    char at[STREAM_ID_MAX + 1];
    bool has_new, is_undone;
    struct buf out;
};

/* SIGTERM ends it as Ctrl-C does. */
static volatile sig_atomic_t terminated;

static void on_terminate(int number)
{
    (void) number;
    terminated = 1;
}

/* ---- lines */

struct line {
    struct span rules, node, session, side, text;
    uint64_t ms;
};

static bool line_read(const struct redis_value *entry, struct line *ret_line)
{
    const struct redis_value *fields = entry->count == 2 ? &entry->items[1] : NULL;

    *ret_line = (struct line){.ms = 0};
    if (entry->type != REDIS_ARRAY || !fields || fields->type != REDIS_ARRAY)
        return false;
    for (size_t i = 0; i + 1 < fields->count; i += 2) {
        struct span name = redis_text(&fields->items[i]), value = redis_text(&fields->items[i + 1]);
        switch (name.len == 1 ? name.at[0] : '\0') {
        case 'r': ret_line->rules = value; break;
        case 'n': ret_line->node = value; break;
        case 's': ret_line->session = value; break;
        case 'd': ret_line->side = value; break;
        case 'x': ret_line->text = value; break;
        case 't':
            if (span_number(value, UINT64_MAX / 2, &ret_line->ms) < 0)
                return false;
            break;
        default: break;
        }
    }
    return ret_line->side.len == 1;
}

static bool is_ours(const struct trace *t, struct span rules)
{
    while (rules.len > 0) {
        uint64_t number;
        if (span_number(span_cut(&rules, ','), UINT64_MAX, &number) == 0 && number == t->number)
            return true;
    }
    return false;
}

static void add_json(struct trace *t, struct span time, const struct line *line)
{
    struct json *json = json_new_object();

    json_put_text(json, "time", time);
    json_put_text(json, "node", line->node);
    json_put_text(json, "session", line->session);
    json_put_text(json, "side", line->side);
    json_put_text(json, "text", line->text);
    json_print_line(json, &t->out);
    json_free(json);
}

/* Whoever wrote it, a terminal is given nothing but text. */
static void add_words(struct trace *t, struct span time, const struct line *line)
{
    const struct span words[] = {time, line->node, line->session, line->side, line->text};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        buf_add_text(&t->out, i > 0 ? " " : "");
        buf_add_printable(&t->out, words[i], SHOWN_MAX);
    }
    buf_add_char(&t->out, '\n');
}

static void add_line(struct trace *t, const struct line *line)
{
    AUTO_BUF struct buf time = {.data = NULL};

    if (t->left == 0)
        return;
    t->left--;
    clock_add_stamp(&time, line->ms);
    if (t->arguments->is_json)
        add_json(t, buf_span(&time), line);
    else
        add_words(t, buf_span(&time), line);
}

static void set_at(struct trace *t, struct span id)
{
    if (id.len == 0)
        return;
    memcpy(t->at, id.at, id.len);
    t->at[id.len] = '\0';
}

static void on_entries(void *context, const struct redis_value *values)
{
    struct trace *t = context;
    const struct redis_value *streams = &values[0];

    if (streams->type != REDIS_ARRAY || streams->count == 0 || streams->items[0].type != REDIS_ARRAY ||
        streams->items[0].count != 2)
        return;
    const struct redis_value *entries = &streams->items[0].items[1];
    for (size_t i = 0; entries->type == REDIS_ARRAY && i < entries->count; i++) {
        struct line line;
        set_at(t, history_entry_id(&entries->items[i]));
        t->has_new = true;
        if (line_read(&entries->items[i], &line) && is_ours(t, line.rules))
            add_line(t, &line);
    }
}

/* ---- following */

static int read_lines(struct trace *t)
{
    struct buf *b = ask_command(t->ask, 6);

    resp_arg_text(b, "XREAD");
    resp_arg_text(b, "COUNT");
    resp_arg_number(b, ENTRIES_MAX);
    resp_arg_text(b, "STREAMS");
    resp_arg_text(b, KEY_DIALOG);
    resp_arg_text(b, t->at);
    t->has_new = false;
    ask_send(t->ask, on_entries, t);
    return ask_wait(t->ask);
}

/* Somebody else may have ended it. */
static int look_at_rule(struct trace *t)
{
    struct rules rules;
    uint64_t now_ms;
    int status = rulebook_read(t->ask, &rules, &now_ms);

    if (status != EXIT_OK)
        return status;
    t->is_undone = true;
    for (size_t i = 0; i < rules.count; i++)
        if (rules.items[i].number == t->number && rule_is_in_force(&rules.items[i], now_ms))
            t->is_undone = false;
    rules_done(&rules);
    t->look_ms = clock_ms() + RULE_LOOK_MS;
    return EXIT_OK;
}

static bool is_over(const struct trace *t)
{
    return t->left == 0 || is_interrupted() || terminated || clock_ms() >= t->until_ms || t->is_undone;
}

static int follow(struct trace *t)
{
    int status = EXIT_OK;
    bool is_last = false;

    while (status == EXIT_OK && !is_last) {
        is_last = is_over(t);
        status = read_lines(t);
        print_buf(&t->out);
        buf_clear(&t->out);
        if (fflush(stdout) != 0)
            return status; /* nobody reads any more */
        if (status == EXIT_OK && clock_ms() >= t->look_ms)
            status = look_at_rule(t);
        if (status == EXIT_OK && !t->has_new && !is_last)
            ask_pause(t->ask, LOOK_EVERY_MS);
    }
    return status;
}

/* ---- beginning and end */

static void on_newest(void *context, const struct redis_value *values)
{
    if (values[0].type == REDIS_ARRAY && values[0].count > 0)
        set_at(context, history_entry_id(&values[0].items[0]));
}

/* What others watched before is none of ours. */
static int find_place(struct trace *t)
{
    struct buf *b = ask_command(t->ask, 6);

    set_at(t, SPAN("0-0"));
    resp_arg_text(b, "XREVRANGE");
    resp_arg_text(b, KEY_DIALOG);
    resp_arg_text(b, "+");
    resp_arg_text(b, "-");
    resp_arg_text(b, "COUNT");
    resp_arg_number(b, 1);
    ask_send(t->ask, on_newest, t);
    return ask_wait(t->ask);
}

static int check_room(struct ask *k)
{
    struct rules rules;
    uint64_t now_ms;
    size_t count = 0;
    int status = rulebook_read(k, &rules, &now_ms);

    if (status != EXIT_OK)
        return status;
    for (size_t i = 0; i < rules.count; i++)
        count += rules.items[i].action == RULE_TRACE && rule_is_in_force(&rules.items[i], now_ms);
    rules_done(&rules);
    return count < TRACES_MAX
               ? EXIT_OK
               : say_failed("%d traces are in force, and nodes obey no more: "
                            "`baridctl rules list --in-force` shows them, `baridctl undo` ends one",
                            TRACES_MAX);
}

static int write_rule(struct trace *t, struct rule *r, uint64_t for_ms)
{
    struct store *store;
    int status = store_reach(t->ask, REACH_FOR_ORDERS, &store);

    if (status != EXIT_OK)
        return status;
    status = r->number ? rulebook_mark(t->ask, store, r->number, UINT64_MAX, true)
                       : rulebook_add(t->ask, store, r, for_ms);
    store_close(store);
    return status;
}

static void tell_begun(const struct trace *t, const struct rule *r)
{
    AUTO_BUF struct buf words = {.data = NULL};

    add_rule_words(&words, r);
    if (!t->arguments->is_json)
        fprintf(stderr, "%.*s: rule r%llu, in force everywhere in about a second; Ctrl-C ends it\n",
                SPAN_ARG(buf_span(&words)), (unsigned long long) r->number);
}

static int trace(struct trace *t, struct rule *r, uint64_t for_ms)
{
    int status = check_room(t->ask);

    if (status == EXIT_OK)
        status = find_place(t);
    interrupt_watch();
    (void) signal(SIGTERM, on_terminate); /* cannot fail for SIGTERM */
    if (status == EXIT_OK)
        status = write_rule(t, r, for_ms);
    if (status != EXIT_OK)
        return status;
    t->number = r->number;
    t->until_ms = clock_ms() + for_ms + LATE_MS;
    t->look_ms = clock_ms() + RULE_LOOK_MS;
    tell_begun(t, r);
    status = follow(t);
    if (t->is_undone || clock_ms() >= t->until_ms)
        return status;
    int ended = write_rule(t, r, 0);
    return status == EXIT_OK ? ended : status;
}

/* EXIT_OK, or EXIT_BAD_USAGE and said. */
static int options_read(const struct arguments *a, struct rule *r, uint64_t *ret_for_ms)
{
    struct filter filter;
    const char *queue = argument_text(a, "queue", ""), *site = argument_text(a, "site", "");
    int status = filter_parse(a, &filter);

    if (status == EXIT_OK)
        status = rule_options(a, r, ret_for_ms);
    if (status == EXIT_OK && *queue)
        status = rule_pattern_check(queue);
    if (status != EXIT_OK)
        return status;
    if (strlen(site) > DOMAIN_MAX || !span_is_text(span_of(site)))
        return say_usage("--site: expected a host's name, not \"%s\"", site);
    if (*ret_for_ms > FOR_MOST_MS)
        return say_usage("--for: at most 1h; give it again when it is over");
    *ret_for_ms = *ret_for_ms ? *ret_for_ms : FOR_MS;
    r->filter = filter_as_rule(&filter);
    r->filter.queue = queue;
    r->filter.message = argument_text(a, "msg", "");
    r->to = site;
    return EXIT_OK;
}

int verb_protocol_trace(const struct arguments *a)
{
    struct rule r = {.action = RULE_TRACE, .by = ""};
    struct trace t = {.arguments = a};
    uint64_t for_ms;

    int status = options_read(a, &r, &for_ms);
    if (status == EXIT_OK && argument_number(a, "limit", 1, LIMIT_MOST, UINT64_MAX, &t.left) < 0)
        status = EXIT_BAD_USAGE;
    if (status == EXIT_OK)
        status = ask_open(a, &t.ask);
    if (status != EXIT_OK)
        return status;
    status = trace(&t, &r, for_ms);
    ask_close(t.ask);
    buf_done(&t.out);
    return status;
}
