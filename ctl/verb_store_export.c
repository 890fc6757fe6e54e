/* store export: what is chosen, copied or moved into a file or another store. */
#include <string.h>

#include "base/conf.h"
#include "base/mem.h"
#include "cluster/lane.h"
#include "cluster/table.h"
#include "ctl/mover.h"
#include "ctl/order.h"
#include "ctl/print.h"
#include "ctl/shipment.h"
#include "ctl/survey.h"

enum { WAIT_MS = 30000, SCAN_ROWS = 500, CURSOR_MAX = 24 };

struct export
{
    const struct arguments *arguments;
    struct selection what;
    const char *file; /* NULL: into another store */
    bool is_move, is_dry;
    uint64_t wait_ms;
    struct ask *ask;
    struct outlet *outlet; /* NULL: it only counts */
    uint64_t now_ms;
    uint64_t rows, pauses;
};

/* ---- what is asked ---- */

static int check_places(const struct arguments *a, struct export *x)
{
    bool is_there = argument_is_given(a, "to") || argument_is_given(a, "to-address");

    x->file = argument_text(a, "file", NULL);
    if (!x->file && !is_there && !x->is_dry)
        return say_usage("where to? --file, --to or --to-address says it; --dry-run only counts");
    if (x->file && is_there)
        return say_usage("either to a file or into another store");
    if (x->file && strcmp(x->file, "-") == 0 && (x->is_move || a->is_json))
        return say_usage(
            "--file - is for copies without --json: nobody knows when standard output is durable");
    if (argument_is_given(a, "program") && !is_there)
        return say_usage("--program goes with --to or --to-address");
    return EXIT_OK;
}

static int parse(const struct arguments *a, struct export *x)
{
    const char *wait = argument_text(a, "wait", NULL);

    x->arguments = a;
    x->is_move = argument_is_given(a, "move");
    x->is_dry = argument_is_given(a, "dry-run");
    x->wait_ms = WAIT_MS;
    x->what = (struct selection){
        .queue = a->operands[0], .waiting = true, .claimed = true, .held = true, .with_texts = true};
    if (wait && conf_parse_time(span_of(wait), &x->wait_ms) < 0)
        return say_usage("--wait: expected a time such as 30s or 10min, not \"%s\"", wait);
    int status = queue_name_check(x->what.queue);
    if (status == EXIT_OK)
        status = filter_parse(a, &x->what.filter);
    return status == EXIT_OK ? check_places(a, x) : status;
}

static int open_outlet(struct export *x)
{
    const struct arguments *a = x->arguments;

    if (x->is_dry)
        return EXIT_OK;
    if (x->file)
        return outlet_open_file(x->file, &x->outlet);
    return outlet_open_program(argument_text(a, "program", NULL), argument_text(a, "to", a->config_file),
                               argument_text(a, "to-address", NULL), &x->outlet);
}

/* ---- the start, and what is no job ---- */

static void on_time(void *context, const struct redis_value *values)
{
    *(uint64_t *) context = answer_time_ms(&values[0]);
}

static int put_start(struct export *x, const char *mover)
{
    struct parcel_entry e = {.kind = PARCEL_START};
    struct span none;

    resp_arg_text(ask_command(x->ask, 1), "TIME");
    ask_send(x->ask, on_time, &x->now_ms);
    int status = ask_wait(x->ask);
    if (status != EXIT_OK)
        return status;
    e.start.partitions = PARTITION_COUNT;
    e.start.now_ms = x->now_ms;
    e.start.version = SPAN(BARID_VERSION);
    e.start.what = span_of(x->what.queue);
    e.start.is_move = x->is_move;
    e.start.mover = span_of(mover);
    status = outlet_put(x->outlet, &e);
    return status == EXIT_OK ? outlet_sync(x->outlet, &none)
                             : status; /* it works, before anything is put aside */
}

struct scan {
    struct export *export;
    enum table table;
    char cursor[CURSOR_MAX + 1];
    int status;
};

static void on_rows(void *context, const struct redis_value *values)
{
    struct scan *scan = context;
    const struct redis_value *page = &values[0];
    struct span cursor = page->type == REDIS_ARRAY && page->count == 2 ? redis_text(&page->items[0])
                                                                       : SPAN("0");
    struct parcel_entry e = {.kind = PARCEL_ROW};

    if (cursor.len == 0 || cursor.len > CURSOR_MAX)
        cursor = SPAN("0");
    memcpy(scan->cursor, cursor.at, cursor.len);
    scan->cursor[cursor.len] = '\0';
    if (page->type != REDIS_ARRAY || page->count != 2)
        return; /* no hash */
    const struct redis_value *list = &page->items[1];
    e.row.table = span_of(table_name(scan->table));
    for (size_t i = 0; i + 1 < list->count && scan->status == EXIT_OK; i += 2) {
        e.row.field = redis_text(&list->items[i]);
        e.row.value = redis_text(&list->items[i + 1]);
        if (e.row.field.len == 0 || e.row.field.len > TABLE_FIELD_MAX || e.row.value.len == 0 ||
            e.row.value.len > TABLE_VALUE_MAX)
            continue; /* none of ours */
        scan->status = outlet_put(scan->export->outlet, &e);
        scan->export->rows++;
    }
}

/* A row that comes twice is the same. */
static int put_table(struct export *x, enum table table)
{
    struct scan scan = {.export = x, .table = table, .cursor = "0"};
    int status;

    do {
        AUTO_FREE char *key = mem_format("barid:{c}:%s", table_name(table));
        struct buf *b = ask_command(x->ask, 5);
        resp_arg_text(b, "HSCAN");
        resp_arg_text(b, key);
        resp_arg_text(b, scan.cursor);
        resp_arg_text(b, "COUNT");
        resp_arg_number(b, SCAN_ROWS);
        ask_send(x->ask, on_rows, &scan);
        status = ask_wait(x->ask);
        if (status == EXIT_OK)
            status = scan.status;
    } while (status == EXIT_OK && strcmp(scan.cursor, "0") != 0);
    return status;
}

static int put_tables(struct export *x)
{
    static const enum table tables[] = {TABLE_TENANTS, TABLE_USERS, TABLE_ALIASES, TABLE_RECIPIENTS};
    int status = EXIT_OK;

    for (size_t i = 0; i < ARRAY_LEN(tables) && status == EXIT_OK; i++)
        status = put_table(x, tables[i]);
    return status;
}

static bool is_meant(const struct export *x, const char *queue)
{
    return is_queue_pattern(x->what.queue) ? queue_fits(x->what.queue, queue)
                                           : strcmp(x->what.queue, queue) == 0;
}

static int put_pauses(struct export *x)
{
    struct survey survey;
    int status = survey_take(x->ask, &survey);

    if (status != EXIT_OK)
        return status;
    for (size_t i = 0; i < survey.queue_count && status == EXIT_OK; i++) {
        const struct survey_queue *q = &survey.queues[i];
        struct parcel_entry e = {.kind = PARCEL_PAUSE};
        if (q->paused_until_ms <= survey.now_ms || !is_meant(x, q->name) || !queue_is_name(span_of(q->name)))
            continue;
        e.pause.queue = span_of(q->name);
        e.pause.error = span_of(q->error);
        e.pause.until_ms = q->paused_until_ms;
        status = outlet_put(x->outlet, &e);
        x->pauses++;
    }
    survey_done(&survey);
    return status;
}

/* ---- told ---- */

static const char copy_warning[] =
    "this was a copy: all of it is still here; where both are delivered, each recipient gets the message twice";

#define EACH_COUNT(row)                                                                                              \
    row(claimed, "copied while a courier had them: such a copy may be delivered a second time") row(                 \
        again, "of them were there before")                                                                          \
        row(refused, "were not taken there, and are held here: `baridctl queue list --held`") row(                   \
            left_claimed,                                                                                            \
            "left here: couriers had them all the time; export again, or wait longer (--wait)")                      \
            row(left_expanding,                                                                                      \
                "left here: messages half divided into jobs; a courier has to go on with them first")                \
                row(left_newer,                                                                                      \
                    "left here: a newer version wrote them, and only its baridctl can find their content")           \
                    row(ending, "not taken: they are being deleted")                                                 \
                        row(no_record, "not taken: nothing but their names is there") row(                           \
                            parents,                                                                                 \
                            "of them remain until a courier of this store has seen that nobody reads their content") \
                            row(in_doubt,                                                                            \
                                "went on here while they were moved, by somebody's order: they may be delivered twice")

static void print_json_outcome(const struct export *x, const struct shipment_counts *c, int status)
{
    struct json *json = json_new_object();

    json_put_text(json, "what", span_of(x->what.queue));
    json_put_flag(json, "dry_run", x->is_dry);
    json_put_flag(json, "is_move", x->is_move);
    json_put_flag(json, "done", status == EXIT_OK);
    json_put_number(json, "jobs", (int64_t) c->jobs);
    json_put_number(json, "chunks", (int64_t) c->chunks);
    json_put_number(json, "bytes", (int64_t) c->bytes);
    json_put_number(json, "moved", (int64_t) c->moved);
#define PUT(row, words) json_put_number(json, #row, (int64_t) c->row);
    EACH_COUNT(PUT)
#undef PUT
    json_put_number(json, "rows", (int64_t) x->rows);
    json_put_number(json, "pauses", (int64_t) x->pauses);
    print_json(json);
}

static void print_outcome(const struct export *x, const struct shipment_counts *c, int status)
{
    FILE *out = x->file && strcmp(x->file, "-") == 0 ? stderr : stdout;
    AUTO_BUF struct buf size = {.data = NULL};

    add_bytes(&size, c->bytes);
    if (x->is_dry)
        fprintf(out, "dry run, nothing was done: %llu jobs, %llu of them claimed now\n",
                (unsigned long long) c->jobs, (unsigned long long) c->claimed);
    else
        fprintf(out, "%llu jobs with %.*s of content were %s\n",
                (unsigned long long) (x->is_move ? c->moved : c->jobs), SPAN_ARG(buf_span(&size)),
                x->is_move ? "moved" : "copied");
#define SAY(row, words)           \
    if (c->row > 0 && !x->is_dry) \
        fprintf(out, "%llu %s\n", (unsigned long long) c->row, words);
    EACH_COUNT(SAY)
#undef SAY
    if (x->rows > 0)
        fprintf(out, "%llu rows of tables\n", (unsigned long long) x->rows);
    if (!x->is_dry && !x->is_move && c->jobs > 0)
        fprintf(out, "%s\n", copy_warning);
    if (status != EXIT_OK && is_interrupted())
        fprintf(out, "interrupted: the rest is as it was\n");
    if (status != EXIT_OK && x->file && c->moved > 0)
        fprintf(out, "keep %s: what was moved is nowhere else; `store import --partial` takes it\n", x->file);
}

/* ---- the whole ---- */

static int put_all(struct export *x, struct shipment *s)
{
    const char *mover = shipment_mover(s);
    int status = *mover ? mover_begin(x->ask, mover) : EXIT_OK;

    if (status == EXIT_OK)
        status = put_start(x, mover);

    if (status == EXIT_OK && argument_is_given(x->arguments, "tables"))
        status = put_tables(x);
    if (status == EXIT_OK && filter_is_any(&x->what.filter))
        status = put_pauses(x);
    if (status == EXIT_OK)
        status = shipment_run(s);
    if (status == EXIT_OK || is_interrupted()) { /* what is there is whole */
        int end = outlet_end(x->outlet);
        status = status == EXIT_OK ? end : status;
    }
    return status;
}

static int run(struct export *x)
{
    struct shipment *s;
    int status = shipment_open(x->ask, x->outlet, &x->what, x->is_move, x->wait_ms, &s);

    if (status != EXIT_OK)
        return status;
    interrupt_watch();
    status = x->is_dry ? shipment_run(s) : put_all(x, s);
    const struct shipment_counts *c = shipment_counts(s);
    if (x->arguments->is_json)
        print_json_outcome(x, c, status);
    else
        print_outcome(x, c, status);
    if (status == EXIT_OK &&
        (c->refused > 0 || c->left_claimed > 0 || c->left_expanding > 0 || c->left_newer > 0))
        status = EXIT_ASKED_FAILED;
    shipment_close(s);
    return status;
}

static int consent(const struct export *x)
{
    if (x->is_dry || argument_is_given(x->arguments, "yes") || (x->file && !x->is_move))
        return EXIT_OK;
    if (x->is_move)
        return order_confirm("take these jobs out of this store?");
    return order_confirm(
        "copy these jobs into another store? Where both are delivered, each recipient gets them "
        "twice. Copy?");
}

int verb_store_export(const struct arguments *a)
{
    struct export x = {.is_move = false};
    int status = parse(a, &x);

    if (status == EXIT_OK && !(x.file && !x.is_move))
        status = order_check_consent(a);
    if (status == EXIT_OK)
        status = consent(&x);
    if (status == EXIT_OK)
        status = ask_open(a, &x.ask);
    if (status == EXIT_OK)
        status = open_outlet(&x);
    if (status == EXIT_OK)
        status = run(&x);
    x.ask = ask_close(x.ask);
    x.outlet = outlet_close(x.outlet);
    return status;
}
