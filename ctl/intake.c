/* The entries of a parcel, one by one, into the store. */
#include "ctl/intake.h"

#include <errno.h>
#include <string.h>

#include "cluster/table.h"
#include "ctl/intake_private.h"
#include "ctl/mover.h"
#include "ctl/reach.h"

enum { OPEN_MAX_JOBS = 256, OPEN_MAX_BYTES = 8 << 20 };

/* ---- answers ---- */

char arrival_letter(enum arrival_answer answer)
{
    static const char letters[ARRIVAL_ANSWERS] = {
#define ARRIVAL(NAME, letter, name, sentence) [ARRIVED_##NAME] = (letter),
#include "ctl/arrival.def"
#undef ARRIVAL
    };

    return letters[answer];
}

bool arrival_is_there(char letter)
{
    return letter == arrival_letter(ARRIVED_NEW) || letter == arrival_letter(ARRIVED_AGAIN);
}

struct span intake_answers(struct intake *in)
{
    must(in->open == 0);
    if (in->has_answered)
        buf_clear(&in->answers);
    in->has_answered = true;
    return buf_span(&in->answers);
}

const struct intake_counts *intake_counts(const struct intake *in)
{
    return &in->counts;
}

/* ---- waiting ---- */

void intake_fail(struct intake *in, char *error)
{
    if (in->error)
        mem_free(error);
    else
        in->error = error;
}

void intake_over(struct intake *in, size_t bytes)
{
    must(in->open > 0 && in->bytes_open >= bytes);
    in->open--;
    in->bytes_open -= bytes;
    if (in->is_waiting)
        loop_stop(ask_loop(in->ask));
}

static int wait_until(struct intake *in, size_t most, size_t most_bytes)
{
    in->is_waiting = true;
    while (in->open > most || in->bytes_open > most_bytes)
        loop_run(ask_loop(in->ask));
    in->is_waiting = false;
    return in->error ? EXIT_ASKED_FAILED : EXIT_OK;
}

static int say_trouble(const struct intake *in)
{
    return say_failed("%s: stopped; what is there already stays, and the same import goes on from there",
                      in->error);
}

/* ---- jobs ---- */

static unsigned place_of(const struct parcel_job *j)
{
    struct id id;
    uint32_t index;

    if (!span_equal(j->queue, SPAN(QUEUE_FANOUT)))
        return partition_of(j->queue);
    must(job_parse(j->job, &id, &index) == 0); /* read by wire_parcel.c */
    return id_home(&id) % PARTITION_COUNT;
}

static char *text_of(struct span s)
{
    return mem_text(s.at ? s.at : "", s.len);
}

static struct arrival *arrival_new(struct intake *in, const struct parcel_job *j)
{
    struct arrival *a = NEW(struct arrival);

    if (in->has_answered)
        buf_clear(&in->answers);
    in->has_answered = false;
    *a = (struct arrival){
        .intake = in,
        .job = text_of(j->job),
        .queue = text_of(j->queue),
        .tenant = text_of(j->tenant),
        .reason = text_of(j->place.reason),
        .partition = place_of(j),
        .chunk_count = j->chunk_count,
        .mark_ms = j->mark_ms,
        .due_ms = j->place.due_ms,
        .is_held = j->place.is_held,
        .is_bounced = j->place.is_bounced && !j->place.is_held,
        .keeps_content = j->keeps_content,
        .number = in->answers.len,
    };
    buf_add_char(&in->answers, arrival_letter(ARRIVED_FAILED));
    buf_add_span(&a->state, j->state);
    in->open++;
    return a;
}

/* The envelope names the partition of its content: another one where the layout is another. */
static int arrival_write_envelope(struct arrival *a, struct span envelope, unsigned partition,
                                  const char *job, bool is_elsewhere)
{
    int error = wire_move_envelope(envelope, partition, job, &a->envelope);

    if (error == 0)
        return 0;
    if (error == -EPROTONOSUPPORT && (is_elsewhere || a->intake->partitions != PARTITION_COUNT))
        return error;
    buf_add_span(&a->envelope, envelope); /* nobody can read it, or only newer versions: as it is */
    return 0;
}

static void family_begin(struct intake *in, const struct arrival *a)
{
    mem_free(in->family.job);
    in->family = (struct family){
        .job = mem_string(a->job), .partition = a->partition, .chunk_count = a->chunk_count};
}

/* A job that reads what another one keeps. */
static int take_reader(struct intake *in, struct arrival *a, const struct parcel_job *j)
{
    const struct family *f = &in->family;
    bool is_shared = f->is_parked;
    int error = arrival_write_envelope(a, j->envelope, is_shared ? f->partition : a->partition,
                                       is_shared ? f->job : a->job, !is_shared);

    if (error < 0) {
        arrival_done(a, ARRIVED_NEWER);
        return EXIT_OK;
    }
    a->is_given = true;
    if (is_shared)
        arrival_go(a);
    else
        arrival_go_with_copy(a);
    return EXIT_OK;
}

static int take_job(struct intake *in, const struct parcel_job *j)
{
    if (store_is_full(in->store))
        intake_fail(in, mem_string("the store is full: it is above its watermark"));
    if (j->content_of.len > 0 || j->keeps_content)
        (void) wait_until(in, 0, 0); /* its answer decides; an error shows below */
    if (in->error)
        return EXIT_ASKED_FAILED;
    if (j->content_of.len > 0 &&
        (!in->family.is_known || !span_equal(j->content_of, span_of(in->family.job)))) {
        intake_fail(in, mem_format("%.*s reads content that did not come before it", SPAN_ARG(j->job)));
        return EXIT_ASKED_FAILED;
    }
    struct arrival *a = arrival_new(in, j);
    if (j->content_of.len > 0)
        return take_reader(in, a, j);
    if (a->keeps_content)
        family_begin(in, a);
    if (arrival_write_envelope(a, j->envelope, a->partition, a->job, false) < 0)
        arrival_done(a, ARRIVED_NEWER);
    else
        in->now = a;
    return EXIT_OK;
}

/* No more chunks of the last job. */
static void give(struct intake *in)
{
    struct arrival *a = STEAL(in->now);

    if (!a)
        return;
    a->is_given = true;
    arrival_go(a);
}

/* The input ended within it: what came may not be all. */
static void drop(struct intake *in)
{
    struct arrival *a = STEAL(in->now);

    if (!a)
        return;
    a->is_given = a->is_cut = true;
    arrival_go(a);
}

struct chunk_written {
    struct arrival *arrival;
    size_t len;
};

static void on_written(void *context, enum spool_result result)
{
    struct chunk_written *c = context;
    struct arrival *a = c->arrival;
    size_t len = c->len;

    mem_free(c);
    if (result == SPOOL_FULL)
        intake_fail(a->intake, mem_string("the store is full"));
    else if (result != SPOOL_OK)
        intake_fail(a->intake, mem_string("the store does not answer"));
    a->writing--;
    intake_over(a->intake, len);
    arrival_go(a);
}

static void take_chunk(struct intake *in, uint32_t index, struct span bytes)
{
    struct arrival *a = in->now;

    in->counts.chunks++;
    in->counts.bytes += bytes.len;
    if (!a)
        return; /* of a job that was refused */
    a->size += bytes.len;
    in->family.chunks_come += a->keeps_content;
    in->bytes_open += bytes.len;
    if (a->chunk_count == 1) { /* goes with the commit */
        buf_add_span(&a->chunk, bytes);
        return;
    }
    struct chunk_written *c = NEW(struct chunk_written);
    *c = (struct chunk_written){a, bytes.len};
    in->open++;
    a->writing++;
    spool_write(in->store, a->partition, a->job, index, bytes, false, INTAKE_TIME_MS, on_written, c);
}

/* ---- the place of a job that waited for those who read its content ---- */

static void on_family_placed(void *context, enum act_answer answer)
{
    struct intake *in = context;

    if (answer == ACT_UNKNOWN)
        intake_fail(in, mem_string("the store does not answer"));
    intake_over(in, 0);
}

static int take_place(struct intake *in, const struct parcel_place *p)
{
    if (wait_until(in, 0, 0) != EXIT_OK)
        return EXIT_ASKED_FAILED;
    if (p->has_ended || !in->family.is_parked || !span_equal(p->job, span_of(in->family.job)))
        return EXIT_OK; /* it went on before */
    in->open++;
    place_give(in, in->family.partition, in->family.job, QUEUE_FANOUT, p, on_family_placed, in);
    return wait_until(in, 0, 0);
}

/* ---- tables and pauses ---- */

static void on_row(void *context, enum table_answer answer, struct span value UNUSED)
{
    struct intake *in = context;

    if (answer == TABLE_OK)
        in->counts.rows_set++;
    else if (answer == TABLE_EXISTS || answer == TABLE_CHANGED)
        in->counts.rows_other++;
    else
        intake_fail(in, mem_string("the store does not answer"));
    intake_over(in, 0);
}

static void take_row(struct intake *in, struct span name, struct span field, struct span value)
{
    const struct span none = {.at = NULL};

    for (enum table table = 0; table < TABLE_COUNT; table++) {
        bool is_of_mail = table != TABLE_ORDERS; /* orders are for the nodes there */
        if (!is_of_mail || !span_equal(name, span_of(table_name(table))))
            continue;
        in->open++;
        table_put(in->store, table, field, value, in->replaces_rows ? NULL : &none, INTAKE_TIME_MS, on_row,
                  in);
        return;
    }
    in->counts.unknown++;
}

static void on_paused(void *context, enum act_answer answer)
{
    struct intake *in = context;

    if (answer == ACT_UNKNOWN)
        intake_fail(in, mem_string("the store does not answer"));
    in->counts.pauses++;
    intake_over(in, 0);
}

static void take_pause(struct intake *in, const struct parcel_entry *e)
{
    AUTO_FREE char *queue = text_of(e->pause.queue), *error = text_of(e->pause.error);
    uint64_t now_ms = store_redis_ms(in->store);

    if (e->pause.until_ms <= now_ms)
        return; /* it is over */
    uint64_t left_ms = e->pause.until_ms - now_ms;
    in->open++;
    queue_pause(in->store,
                &(struct queue_pause){.partition = partition_of(e->pause.queue),
                                      .queue = queue,
                                      .pause_ms = left_ms,
                                      .longest_ms = left_ms,
                                      .error = error},
                INTAKE_TIME_MS, on_paused, in);
}

/* ---- the whole ---- */

/* All of it would be there "again", and be deleted. */
static int check_source(struct intake *in, struct span mover)
{
    bool is_here = false;
    int status = mover_is_here(in->ask, mover, &is_here);

    if (status == EXIT_OK && is_here)
        intake_fail(in, mem_string("this is the store that the jobs are taken out of"));
    return in->error ? EXIT_ASKED_FAILED : status;
}

static int take(struct intake *in, const struct parcel_entry *e)
{
    if (e->kind == PARCEL_CHUNK) {
        take_chunk(in, e->chunk.index, e->chunk.bytes);
        return EXIT_OK;
    }
    if (in->now && e->kind == PARCEL_PLACE && span_equal(e->place.job, span_of(in->now->job)))
        in->now->has_ended = e->place.has_ended;
    give(in);
    switch (e->kind) {
    case PARCEL_JOB: return take_job(in, &e->job);
    case PARCEL_PLACE: return take_place(in, &e->place);
    case PARCEL_PAUSE: take_pause(in, e); break;
    case PARCEL_ROW: take_row(in, e->row.table, e->row.field, e->row.value); break;
    case PARCEL_START:
        in->partitions = e->start.partitions;
        in->is_move = e->start.is_move;
        return check_source(in, e->start.mover);
    case PARCEL_NONE: in->counts.unknown++; break;
    case PARCEL_SYNC:
    case PARCEL_END: return wait_until(in, 0, 0);
    case PARCEL_CHUNK: break;
    }
    return EXIT_OK;
}

int intake_take(struct intake *in, const struct parcel_entry *e)
{
    int status = take(in, e);

    if (status == EXIT_OK)
        status = wait_until(in, OPEN_MAX_JOBS, OPEN_MAX_BYTES);
    return status == EXIT_OK ? status : say_trouble(in);
}

int intake_wait(struct intake *in)
{
    drop(in);
    return wait_until(in, 0, 0) == EXIT_OK ? EXIT_OK : say_trouble(in);
}

int intake_open(struct ask *k, bool replaces_rows, struct intake **ret_intake)
{
    struct store *store;
    int status = store_reach(k, REACH_FOR_MAIL, &store);

    if (status != EXIT_OK)
        return status;
    *ret_intake = NEW(struct intake);
    **ret_intake = (struct intake){
        .ask = k, .store = store, .replaces_rows = replaces_rows, .partitions = PARTITION_COUNT};
    return EXIT_OK;
}

struct intake *intake_close(struct intake *in)
{
    if (!in)
        return NULL;
    drop(in);
    (void) wait_until(in, 0, 0); /* nothing is said any more */
    in->store = store_close(in->store);
    mem_free(in->family.job);
    mem_free(in->error);
    buf_done(&in->answers);
    return mem_free(in);
}
