/* top: the cluster live. A look costs Redis what `status` costs; between two it rests at least four times as long as one took. */
#include <string.h>

#include "base/mem.h"
#include "ctl/print.h"
#include "ctl/screen.h"
#include "ctl/top.h"
#include "ctl/verb.h"

enum {
    VIEW_ALL = VIEW_COUNT,
    REST_TIMES = 4,
    ONCE_MS = 2100,
    STATE_LINES = 3,
    FRAME_LINES = 5,
    SECOND_MS = 1000
};

static const struct {
    char key;
    size_t sorted;
    bool turned;
} views[] = {
#define VIEW(NAME, name, key, headings, sorted, turned) [VIEW_##NAME] = {key, sorted, turned},
#include "ctl/top.def"
#undef VIEW
};

struct look { /* at one table */
    size_t sorted, first;
    bool is_turned;
};

struct top {
    struct ask *ask;
    struct figures figures;
    struct screen screen;
    struct look looks[VIEW_COUNT];
    unsigned view; /* or VIEW_ALL */
    uint64_t every_ms;
    bool is_resting, is_over;
    bool has_figures;
};

/* ---- drawn ---- */

static void draw_lines(struct top *t, struct span lines, enum screen_style first)
{
    for (bool is_first = true; lines.len; is_first = false)
        screen_line(&t->screen, span_cut(&lines, '\n'), is_first ? first : SCREEN_PLAIN);
}

static void sheet_of(const struct top *t, enum view view, struct sheet *ret_sheet)
{
    figures_view(&t->figures, view, ret_sheet);
    sheet_sort(ret_sheet, t->looks[view].sorted, t->looks[view].is_turned);
}

/* At most `most` lines, headings included. */
static void draw_sheet(struct top *t, enum view view, const struct sheet *s, size_t most)
{
    AUTO_BUF struct buf head = {.data = NULL}, rows = {.data = NULL};
    struct look *look = &t->looks[view];
    size_t shown = most > 1 ? most - 1 : 0;

    if (look->first + shown > s->rows)
        look->first = s->rows > shown ? s->rows - shown : 0;
    sheet_add_head(s, look->sorted, &head);
    sheet_add_rows(s, look->first, shown, &rows);
    draw_lines(t, buf_span(&head), SCREEN_BOLD);
    draw_lines(t, buf_span(&rows), SCREEN_PLAIN);
}

/* Each table gets an equal part of the lines; what one does not need is for the others. */
static void draw_all(struct top *t, size_t lines)
{
    struct sheet sheets[VIEW_COUNT];
    size_t parts[VIEW_COUNT] = {0}, left = lines;

    for (enum view v = 0; v < VIEW_COUNT; v++)
        sheet_of(t, v, &sheets[v]);
    for (bool is_given = true; is_given && left > 0;) {
        is_given = false;
        for (enum view v = 0; v < VIEW_COUNT && left > 0; v++) {
            if (parts[v] >= sheets[v].rows + 2) /* its head, and a line between */
                continue;
            parts[v]++;
            left--;
            is_given = true;
        }
    }
    for (enum view v = 0; v < VIEW_COUNT; v++) {
        t->looks[v].first = 0;
        if (parts[v] > 1)
            draw_sheet(t, v, &sheets[v], parts[v] - 1);
        if (parts[v] > 0)
            screen_line(&t->screen, SPAN(""), SCREEN_PLAIN);
        sheet_done(&sheets[v]);
    }
}

static void draw_keys(struct top *t)
{
    AUTO_BUF struct buf line = {.data = NULL};

    while (t->screen.lines + 1 < t->screen.height)
        screen_line(&t->screen, SPAN(""), SCREEN_PLAIN);
    buf_add_text(&line, "q ends  0 all  1 nodes  2 queues  3 sites  4 verdicts  ");
    buf_add_text(&line, t->view == VIEW_ALL ? "Tab next" : "arrows scroll and sort  r turns");
    screen_line(&t->screen, buf_span(&line), SCREEN_TURNED);
}

static void draw(struct top *t)
{
    AUTO_BUF struct buf state = {.data = NULL};
    struct sheet sheet;

    screen_begin(&t->screen);
    if (!t->has_figures) {
        screen_line(&t->screen, SPAN("barid   looking ..."), SCREEN_PLAIN);
    } else {
        figures_add_state(&t->figures, &state);
        draw_lines(t, buf_span(&state), SCREEN_BOLD);
        screen_line(&t->screen, SPAN(""), SCREEN_PLAIN);
        size_t lines = t->screen.height > FRAME_LINES ? t->screen.height - FRAME_LINES : 0;
        if (t->view == VIEW_ALL) {
            draw_all(t, lines);
        } else {
            sheet_of(t, (enum view) t->view, &sheet);
            draw_sheet(t, (enum view) t->view, &sheet, lines);
            sheet_done(&sheet);
        }
    }
    draw_keys(t);
    screen_end(&t->screen);
}

/* ---- keys ---- */

static void scroll(struct top *t, int64_t by)
{
    struct look *look = &t->looks[t->view];

    if (by < 0 && (uint64_t) -by > look->first)
        look->first = 0;
    else
        look->first += (size_t) by; /* drawing cuts it to what there is */
}

static size_t columns_of(enum view view)
{
    struct sheet s;
    static const char *const headings[] = {
#define VIEW(NAME, name, key, headings, sorted, turned) [VIEW_##NAME] = headings,
#include "ctl/top.def"
#undef VIEW
    };

    sheet_init(&s, "", headings[view]);
    return s.columns;
}

static void sort_by(struct top *t, bool is_next)
{
    size_t count = columns_of((enum view) t->view);
    struct look *look = &t->looks[t->view];

    look->sorted = (look->sorted + (is_next ? 1 : count - 1)) % count;
    look->is_turned = false;
    look->first = 0;
}

static void obey_in_table(struct top *t, int key)
{
    int64_t page = t->screen.height > FRAME_LINES + 1 ? t->screen.height - FRAME_LINES - 1 : 1;

    switch (key) {
    case STROKE_UP: scroll(t, -1); break;
    case STROKE_DOWN: scroll(t, 1); break;
    case STROKE_PAGE_UP: scroll(t, -page); break;
    case STROKE_PAGE_DOWN: scroll(t, page); break;
    case STROKE_HOME: t->looks[t->view].first = 0; break;
    case STROKE_END: t->looks[t->view].first = SIZE_MAX / 2; break;
    case STROKE_LEFT: sort_by(t, false); break;
    case STROKE_RIGHT: sort_by(t, true); break;
    case 'r': t->looks[t->view].is_turned = !t->looks[t->view].is_turned; break;
    default: break;
    }
}

static void on_key(void *owner, int key)
{
    struct top *t = owner;

    if (key == 'q' || key == 'Q') {
        t->is_over = true;
        if (t->is_resting)
            loop_stop(ask_loop(t->ask));
        return;
    }
    if (key == '0')
        t->view = VIEW_ALL;
    else if (key == '\t')
        t->view = (t->view + 1) % (VIEW_COUNT + 1);
    else if (t->view != VIEW_ALL)
        obey_in_table(t, key);
    for (unsigned v = 0; v < VIEW_COUNT; v++)
        if (key == views[v].key)
            t->view = v;
    draw(t);
}

static void on_resize(void *owner)
{
    draw(owner);
}

/* ---- live, or once ---- */

static int live(struct top *t)
{
    int status;

    t->screen.on_key = on_key;
    t->screen.on_resize = on_resize;
    t->screen.owner = t;
    status = screen_open(&t->screen, ask_loop(t->ask));
    if (status == EXIT_OK)
        draw(t);
    while (status == EXIT_OK && !t->is_over) {
        status = figures_read(t->ask, &t->figures);
        t->has_figures |= status == EXIT_OK;
        if (status != EXIT_OK || t->is_over)
            break;
        draw(t);
        uint64_t rest_ms = t->figures.took_ms * REST_TIMES;
        t->is_resting = true;
        ask_pause(t->ask, rest_ms > t->every_ms ? rest_ms : t->every_ms);
        t->is_resting = false;
    }
    screen_close(&t->screen);
    return status;
}

static void print_sheets(const struct top *t)
{
    AUTO_BUF struct buf out = {.data = NULL};

    figures_add_state(&t->figures, &out);
    for (enum view v = 0; v < VIEW_COUNT; v++) {
        struct sheet s;
        sheet_of(t, v, &s);
        buf_add_char(&out, '\n');
        sheet_add_head(&s, SIZE_MAX, &out);
        sheet_add_rows(&s, 0, s.rows, &out);
        sheet_done(&s);
    }
    print_buf(&out);
}

static void print_sheets_json(const struct top *t)
{
    struct json *json = json_new_object();

    json_put(json, "rates", figures_rates_json(&t->figures));
    json_put_number(json, "waiting", (int64_t) t->figures.survey.waiting);
    json_put_number(json, "due", (int64_t) t->figures.survey.due);
    json_put_number(json, "claimed", (int64_t) t->figures.survey.claimed);
    json_put_number(json, "held", (int64_t) t->figures.survey.held);
    for (enum view v = 0; v < VIEW_COUNT; v++) {
        struct sheet s;
        sheet_of(t, v, &s);
        json_put(json, s.name, sheet_json(&s));
        sheet_done(&s);
    }
    print_json(json);
}

/* Two looks: a rate needs two beats. */
static int once(struct top *t, bool is_json)
{
    int status = figures_read(t->ask, &t->figures);

    if (status == EXIT_OK) {
        ask_pause(t->ask, ONCE_MS);
        status = figures_read(t->ask, &t->figures);
    }
    if (status == EXIT_OK && is_json)
        print_sheets_json(t);
    else if (status == EXIT_OK)
        print_sheets(t);
    return status;
}

int verb_top(const struct arguments *a)
{
    struct top *t;
    uint64_t every_s;

    if (argument_number(a, "every", 1, 60, 1, &every_s) < 0)
        return EXIT_BAD_USAGE;
    t = NEW(struct top);
    *t = (struct top){.view = VIEW_ALL, .every_ms = every_s * SECOND_MS};
    for (enum view v = 0; v < VIEW_COUNT; v++)
        t->looks[v] = (struct look){.sorted = views[v].sorted, .is_turned = views[v].turned};
    int status = ask_open_partly(a, &t->ask);
    if (status == EXIT_OK) {
        status = a->is_json || argument_is_given(a, "once") ? once(t, a->is_json) : live(t);
        figures_done(&t->figures);
        ask_close(t->ask);
    }
    mem_free(t);
    return status;
}
