/* store import: a file of `store export` into the store, read twice: first all of it is judged, then it is put there. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ctl/intake.h"
#include "ctl/order.h"
#include "ctl/print.h"

enum { READ_BYTES = 262144, PROGRESS_MS = 1000 };

struct import {
    const struct arguments *arguments;
    const char *name;
    int fd;
    bool is_regular, answers, takes_part;
    struct parcel_reader *reader;
    struct parcel_counts counts;
    struct intake *intake; /* NULL: it is only judged */
    bool has_start, is_move;
    uint32_t partitions;
    char *version, *what;
    uint64_t held, parents, rows, pauses;
    uint64_t told_ms;
    char *damage; /* of a file that is taken in part */
};

/* ---- answers to an export at the other end ---- */

static int answer_sync(struct import *m, uint64_t number)
{
    int status = intake_wait(m->intake);

    if (status != EXIT_OK || !m->answers)
        return status;
    struct span letters = intake_answers(m->intake);
    printf("sync %llu %.*s\n", (unsigned long long) number, SPAN_ARG(letters));
    return fflush(stdout) == 0 ? EXIT_OK : say_failed("nobody listens to what was confirmed: stopped");
}

/* ---- reading ---- */

static void note(struct import *m, const struct parcel_entry *e)
{
    switch (e->kind) {
    case PARCEL_START:
        m->has_start = true;
        m->is_move = e->start.is_move;
        m->partitions = e->start.partitions;
        mem_free(m->version);
        mem_free(m->what);
        m->version = mem_text(e->start.version.at ? e->start.version.at : "", e->start.version.len);
        m->what = mem_text(e->start.what.at ? e->start.what.at : "", e->start.what.len);
        break;
    case PARCEL_JOB:
        m->held += e->job.place.is_held;
        m->parents += e->job.keeps_content;
        break;
    case PARCEL_ROW: m->rows++; break;
    case PARCEL_PAUSE: m->pauses++; break;
    case PARCEL_NONE:
    case PARCEL_CHUNK:
    case PARCEL_PLACE:
    case PARCEL_SYNC:
    case PARCEL_END: break;
    }
}

static void tell_progress(struct import *m)
{
    uint64_t now_ms = clock_ms();

    if (!m->intake || !isatty(STDERR_FILENO) || now_ms < m->told_ms + PROGRESS_MS)
        return;
    m->told_ms = now_ms;
    fprintf(stderr, "\r%llu jobs ", (unsigned long long) parcel_reader_counts(m->reader).jobs);
}

/* All entries that can be read by now. 0, a failure of the reader, or *ret_status is none of EXIT_OK. */
static int take_entries(struct import *m, int *ret_status)
{
    struct parcel_entry e;
    int done;

    while (*ret_status == EXIT_OK && (done = parcel_read(m->reader, &e)) != 0) {
        if (done < 0)
            return done;
        note(m, &e);
        if (m->intake)
            *ret_status = intake_take(m->intake, &e);
        if (*ret_status == EXIT_OK && m->intake && e.kind == PARCEL_SYNC)
            *ret_status = answer_sync(m, e.sync);
        parcel_entry_done(&e);
        tell_progress(m);
    }
    return 0;
}

/* The whole input once. EXIT_OK also when it is damaged: then *ret_error. */
static int read_all(struct import *m, int *ret_error)
{
    char *bytes = mem_alloc(READ_BYTES);
    int status = EXIT_OK, error = 0;

    m->reader = parcel_reader_free(m->reader);
    m->reader = parcel_reader_new();
    m->held = m->parents = m->rows = m->pauses = 0;
    while (error == 0 && status == EXIT_OK) {
        ssize_t len = read(m->fd, bytes, READ_BYTES);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            status = say_failed("%s: %s", m->name, strerror(errno));
        if (len <= 0)
            break;
        parcel_feed(m->reader, (struct span){.at = bytes, .len = (size_t) len});
        error = take_entries(m, &status);
    }
    mem_free(bytes);
    if (error == 0 && status == EXIT_OK)
        error = parcel_reader_end(m->reader);
    m->counts = parcel_reader_counts(m->reader);
    *ret_error = error;
    return status;
}

/* ---- judged first ---- */

static int say_damage(struct import *m, int error)
{
    const char *trouble = parcel_reader_trouble(m->reader);

    if (error == -EBADMSG && m->takes_part && m->counts.jobs > 0) {
        mem_free(m->damage);
        m->damage = mem_string(trouble);
        return EXIT_OK;
    }
    return say_failed("%s: %s%s", m->name, trouble,
                      error == -EBADMSG && m->counts.jobs > 0 && !m->takes_part
                          ? "; nothing was done. --partial imports what stands before"
                          : "; nothing was done");
}

static int judge(struct import *m)
{
    int error, status;

    if (!m->is_regular)
        return EXIT_OK; /* it cannot be read twice: an export at the other end sends what is whole */
    status = read_all(m, &error);
    if (status != EXIT_OK)
        return status;
    if (error < 0)
        status = say_damage(m, error);
    if (status == EXIT_OK && lseek(m->fd, 0, SEEK_SET) < 0)
        status = say_failed("%s: %s", m->name, strerror(errno));
    return status;
}

static void add_contents(struct buf *out, const struct import *m)
{
    buf_printf(out, "%llu jobs (%llu held) with %llu pieces of content", (unsigned long long) m->counts.jobs,
               (unsigned long long) m->held, (unsigned long long) m->counts.chunks);
    if (m->rows > 0)
        buf_printf(out, ", %llu rows of tables", (unsigned long long) m->rows);
    if (m->pauses > 0)
        buf_printf(out, ", %llu paused queues", (unsigned long long) m->pauses);
    if (m->version)
        buf_printf(out, "; of %s, by version %s, %u partitions", m->what, m->version, m->partitions);
}

static const char *warning_of(const struct import *m)
{
    if (m->is_move)
        return "these jobs were taken out of the store they come from";
    return "this is a copy: where the other one is delivered too, each recipient gets the message twice";
}

static int consent(struct import *m)
{
    AUTO_BUF struct buf contents = {.data = NULL}, question = {.data = NULL};
    const struct arguments *a = m->arguments;

    if (argument_is_given(a, "yes") || m->answers)
        return EXIT_OK;
    if (!m->is_regular)
        return say_usage("nobody can be asked about what comes through a pipe: --yes does it unasked");
    add_contents(&contents, m);
    buf_printf(&question, "%.*s\n%s\nimport all of it?", SPAN_ARG(buf_span(&contents)), warning_of(m));
    AUTO_FREE char *text = buf_steal_text(&question);
    return order_confirm(text);
}

/* ---- told ---- */

static const char *const answer_words[ARRIVAL_ANSWERS] = {
#define ARRIVAL(NAME, letter, name, sentence) [ARRIVED_##NAME] = (name),
#include "ctl/arrival.def"
#undef ARRIVAL
};
static const char *const answer_sentences[ARRIVAL_ANSWERS] = {
#define ARRIVAL(NAME, letter, name, sentence) [ARRIVED_##NAME] = (sentence),
#include "ctl/arrival.def"
#undef ARRIVAL
};

static void print_json_outcome(const struct import *m)
{
    struct json *json = json_new_object();

    json_put_text(json, "file", span_of(m->name));
    json_put_flag(json, "dry_run", !m->intake);
    json_put_number(json, "jobs", (int64_t) m->counts.jobs);
    json_put_number(json, "held", (int64_t) m->held);
    json_put_number(json, "chunks", (int64_t) m->counts.chunks);
    json_put_number(json, "rows", (int64_t) m->rows);
    json_put_number(json, "pauses", (int64_t) m->pauses);
    json_put_flag(json, "is_copy", !m->is_move);
    json_put_number(json, "partitions", m->partitions);
    if (m->damage)
        json_put_text(json, "damage", span_of(m->damage));
    if (m->intake) {
        const struct intake_counts *c = intake_counts(m->intake);
        for (size_t i = 0; i < ARRIVAL_ANSWERS; i++)
            json_put_number(json, answer_words[i], (int64_t) c->jobs[i]);
        json_put_number(json, "bytes", (int64_t) c->bytes);
        json_put_number(json, "rows_set", (int64_t) c->rows_set);
        json_put_number(json, "rows_other", (int64_t) c->rows_other);
        json_put_number(json, "unknown", (int64_t) c->unknown);
    }
    print_json(json);
}

static void print_outcome(const struct import *m)
{
    AUTO_BUF struct buf contents = {.data = NULL};

    if (!m->intake) {
        add_contents(&contents, m);
        printf("dry run, nothing was done: %.*s\n%s\n", SPAN_ARG(buf_span(&contents)), warning_of(m));
    } else {
        const struct intake_counts *c = intake_counts(m->intake);
        for (size_t i = 0; i < ARRIVAL_ANSWERS; i++)
            if (c->jobs[i] > 0 || i == ARRIVED_NEW)
                printf("%llu jobs %s\n", (unsigned long long) c->jobs[i], answer_sentences[i]);
        if (m->rows > 0)
            printf(
                "%llu rows of tables are as in the file; %llu have another value and were left (--replace)\n",
                (unsigned long long) c->rows_set, (unsigned long long) c->rows_other);
        if (c->unknown > 0)
            printf("%llu entries were left out that only a newer version knows\n",
                   (unsigned long long) c->unknown);
    }
    if (m->damage)
        printf("%s: what stands behind is lost\n", m->damage);
}

static void tell(const struct import *m)
{
    if (m->told_ms > 0)
        fprintf(stderr, "\n");
    if (m->answers)
        return; /* the export tells */
    if (m->arguments->is_json)
        print_json_outcome(m);
    else
        print_outcome(m);
}

static bool is_left_out(const struct import *m)
{
    const struct intake_counts *c = intake_counts(m->intake);
    uint64_t sum = 0;

    for (enum arrival_answer i = ARRIVED_CLASH; i < ARRIVAL_ANSWERS; i++)
        if (!m->damage ||
            i != ARRIVED_INCOMPLETE) /* the one within which the damage begins is told as damage */
            sum += c->jobs[i];
    return sum > 0;
}

static int put(struct import *m)
{
    struct ask *k;
    int error = 0, status = ask_open(m->arguments, &k);

    if (status != EXIT_OK)
        return status;
    status = intake_open(k, argument_is_given(m->arguments, "replace"), &m->intake);
    if (status == EXIT_OK) {
        status = read_all(m, &error);
        if (status == EXIT_OK && error < 0) {
            status = intake_wait(m->intake);
            if (status == EXIT_OK && !m->damage)
                status = say_failed("%s: %s; what stands before is imported", m->name,
                                    parcel_reader_trouble(m->reader));
        }
        tell(m);
        if (status == EXIT_OK && is_left_out(m))
            status = EXIT_ASKED_FAILED;
        m->intake = intake_close(m->intake);
    }
    ask_close(k);
    return status;
}

int verb_store_import(const struct arguments *a)
{
    struct import m = {.arguments = a, .name = a->operands[0], .fd = STDIN_FILENO};
    struct stat file;
    bool is_dry = argument_is_given(a, "dry-run");
    int status = EXIT_OK;

    m.answers = argument_is_given(a, "answers");
    m.takes_part = argument_is_given(a, "partial");
    if (strcmp(m.name, "-") != 0)
        m.fd = open(m.name, O_RDONLY | O_CLOEXEC);
    if (m.fd < 0 || fstat(m.fd, &file) < 0)
        return say_failed("%s: %s", m.name, strerror(errno));
    m.is_regular = S_ISREG(file.st_mode);
    if (!is_dry)
        status = m.answers ? EXIT_OK : order_check_consent(a);
    if (status == EXIT_OK)
        status = judge(&m);
    if (status == EXIT_OK && is_dry && !m.is_regular)
        status = say_usage("--dry-run judges a file");
    if (status == EXIT_OK && !is_dry)
        status = consent(&m);
    if (status == EXIT_OK && is_dry)
        tell(&m);
    else if (status == EXIT_OK)
        status = put(&m);
    m.reader = parcel_reader_free(m.reader);
    mem_free(m.version);
    mem_free(m.what);
    mem_free(m.damage);
    if (m.fd != STDIN_FILENO)
        (void) close(m.fd); /* only read from */
    return status;
}
