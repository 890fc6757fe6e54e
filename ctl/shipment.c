/* Walks what is chosen, again until nothing new is found, and takes it out: in batches, or as a family where jobs share content. */
#include "ctl/shipment.h"

#include <string.h>
#include <unistd.h>

#include "cluster/lane.h"
#include "ctl/reach.h"
#include "ctl/shipment_private.h"

enum { PASSES_MAX = 3, PAUSE_MS = 500, PROGRESS_MS = 1000 };

/* ---- a batch ---- */

static void cargo_begin(struct shipment *s, struct cargo *c, const char *job, unsigned partition,
                        const char *queue)
{
    *c = (struct cargo){.shipment = s,
                        .job = mem_string(job),
                        .queue = mem_string(queue),
                        .partition = partition,
                        .reason = mem_string(""),
                        .tenant = mem_string("")};
}

/* READY: those that can go. */
static int prepare(struct shipment *s, struct cargo *cargo, size_t count)
{
    int status = cargo_look(s, cargo, count);

    if (status == EXIT_OK && s->is_move)
        status = cargo_put_aside(s, cargo, count);
    if (status == EXIT_OK)
        status = cargo_read(s, cargo, count);
    if (status == EXIT_OK && s->is_move)
        status = cargo_give_back(s, cargo, count);
    return status;
}

static int send_batch(struct shipment *s, struct cargo *cargo, size_t count, const char *content_of)
{
    int status = prepare(s, cargo, count);

    for (size_t i = 0; i < count && status == EXIT_OK; i++)
        if (!s->is_move && cargo[i].state == CARGO_READY && !job_set_add(&s->met, span_of(cargo[i].job)))
            cargo[i].state = CARGO_LEFT;
    if (status == EXIT_OK)
        status = cargo_put_out(s, cargo, count, content_of);
    if (status == EXIT_OK)
        status = cargo_confirm(s, cargo, count);
    if (status == EXIT_OK && s->is_move)
        status = cargo_delete(s, cargo, count);
    for (size_t i = 0; i < count; i++)
        cargo_done(&cargo[i]);
    return status;
}

/* ---- a family: a message that keeps its content, and the jobs that read it ---- */

struct child_look {
    struct record record;
    bool is_wanted;
};

static void on_child(void *context, const struct redis_value *values)
{
    struct child_look *look = context;

    record_read(&values[0], &look->record);
}

static int choose_children(struct shipment *s, const struct cargo *parent, size_t first, size_t count,
                           struct child_look *looks)
{
    for (size_t i = 0; i < count; i++) {
        const char *queue = parent->envelope.queues[first + i];
        char job[JOB_TEXT_MAX + 1];
        job_format(&parent->envelope.id, (uint32_t) (first + i) + 1, job);
        record_init(&looks[i].record);
        record_done(&looks[i].record);
        record_ask(s->ask, partition_of(span_of(queue)), span_of(job), s->what.with_texts);
        ask_send(s->ask, on_child, &looks[i]);
    }
    return ask_wait(s->ask);
}

static int send_children(struct shipment *s, const struct cargo *parent, size_t first, size_t count)
{
    struct child_look *looks = mem_array(count, sizeof(*looks));
    struct cargo *cargo = mem_array(count, sizeof(*cargo));
    size_t wanted = 0;
    int status = choose_children(s, parent, first, count, looks);

    for (size_t i = 0; i < count && status == EXIT_OK; i++) {
        char job[JOB_TEXT_MAX + 1];
        job_format(&parent->envelope.id, (uint32_t) (first + i) + 1, job);
        if (!looks[i].record.is_there || !filter_passes(&s->what.filter, job, &looks[i].record, s->now_ms))
            continue;
        cargo_begin(s, &cargo[wanted++], job, partition_of(span_of(parent->envelope.queues[first + i])),
                    looks[i].record.queue);
    }
    for (size_t i = 0; i < count; i++)
        record_done(&looks[i].record);
    if (status == EXIT_OK && wanted > 0)
        status = send_batch(s, cargo, wanted, parent->job);
    mem_free(cargo);
    mem_free(looks);
    return status;
}

static int send_all_children(struct shipment *s, const struct cargo *parent)
{
    size_t count = parent->envelope.queue_count;
    int status = EXIT_OK;

    for (size_t first = 0; first < count && status == EXIT_OK; first += CARGO_MAX)
        status = send_children(s, parent, first, count - first < CARGO_MAX ? count - first : CARGO_MAX);
    return status;
}

/* The parent is there first, and goes on last; here it is deleted after them. */
static int send_family(struct shipment *s, const char *job, unsigned partition, const char *queue)
{
    struct cargo parent;
    struct span none;

    cargo_begin(s, &parent, job, partition, queue);
    int status = prepare(s, &parent, 1);
    if (status == EXIT_OK && parent.state == CARGO_READY) {
        (void) job_set_add(&s->met, span_of(job)); /* asked before */
        status = cargo_put_out(s, &parent, 1, NULL);
        if (status == EXIT_OK)
            status = cargo_confirm(s, &parent, 1);
    }
    if (status == EXIT_OK && parent.is_readable && !parent.has_ended &&
        (parent.state == CARGO_OUT || parent.state == CARGO_THERE)) {
        status = send_all_children(s, &parent);
        if (status == EXIT_OK)
            status = cargo_put_place(s, &parent);
        if (status == EXIT_OK && s->is_move)
            status = outlet_sync(s->outlet, &none);
        if (status == EXIT_OK && s->is_move)
            status = cargo_delete(s, &parent, 1);
    }
    cargo_done(&parent);
    return status;
}

/* ---- a page ---- */

/* It keeps content: it goes with those that read it. */
static bool is_family(const struct record *r)
{
    return r->keeps_content && strcmp(r->queue, QUEUE_FANOUT) == 0;
}

/* Its parent was copied before it was made: the copy makes it anew. */
static bool is_made_by_copy(const struct shipment *s, const struct record *r, const char *job)
{
    return !s->is_move && r->is_readable && r->chunk_count == 0 &&
           strcmp(r->envelope.content_job, job) != 0 &&
           job_set_has(&s->met, span_of(r->envelope.content_job));
}

static bool is_wanted(struct shipment *s, const struct selected *job)
{
    bool is_claimed = job->place == PLACE_CLAIMED;

    if (!job->record.is_there) {
        s->counts.no_record++;
        return false;
    }
    if (job->record.fate == FATE_DELETE) {
        s->counts.ending++;
        return false;
    }
    s->claimed_now += is_claimed;
    if (!s->outlet)
        return true;
    if (s->is_move && is_claimed && !s->is_again && job->record.fate == FATE_HOLD &&
        shipment_is_ours(job->record.held_because)) /* by a move that was broken off */
        late_add(s, job->partition, job->job, job->record.queue);
    if (s->is_move)
        return !is_claimed || job->record.fate == FATE_NONE; /* an order that waits for its courier stands */
    return !job_set_has(&s->met, span_of(job->job)) && !is_made_by_copy(s, &job->record, job->job);
}

static void tell_progress(struct shipment *s)
{
    uint64_t now_ms = clock_ms();

    if (!s->outlet || !isatty(STDERR_FILENO) || now_ms < s->told_ms + PROGRESS_MS)
        return;
    s->told_ms = now_ms;
    fprintf(stderr, "\r%llu jobs in %llu s; Ctrl-C stops ", (unsigned long long) s->counts.jobs,
            (unsigned long long) ((now_ms - s->started_ms) / 1000));
}

static int on_page(void *context, struct selected *jobs, size_t count, uint64_t now_ms)
{
    struct shipment *s = context;
    struct cargo *cargo = mem_array(CARGO_MAX, sizeof(*cargo));
    size_t held = 0;
    int status = EXIT_OK;

    s->now_ms = now_ms;
    for (size_t i = 0; i < count && status == EXIT_OK; i++) {
        const struct record *r = &jobs[i].record;
        if (!is_wanted(s, &jobs[i]))
            continue;
        if (!s->outlet) {
            s->counts.jobs++;
            s->counts.claimed += jobs[i].place == PLACE_CLAIMED;
            continue;
        }
        s->counts.claimed += !s->is_move && jobs[i].place == PLACE_CLAIMED;
        if (is_family(r)) {
            status = send_family(s, jobs[i].job, jobs[i].partition, r->queue);
            continue;
        }
        cargo_begin(s, &cargo[held++], jobs[i].job, jobs[i].partition, r->queue);
        if (held == CARGO_MAX) {
            status = send_batch(s, cargo, held, NULL);
            held = 0;
        }
    }
    if (status == EXIT_OK && held > 0)
        status = send_batch(s, cargo, held, NULL);
    else
        for (size_t i = 0; i < held; i++)
            cargo_done(&cargo[i]);
    mem_free(cargo);
    tell_progress(s);
    return status;
}

/* ---- all of it ---- */

/* Those that keep content first: jobs that are made while it walks are then made by them, or found later. */
static int walk(struct shipment *s)
{
    struct selection first = s->what;
    int status = EXIT_OK;

    s->news = 0;
    first.queue = QUEUE_FANOUT;
    if (s->is_move && s->outlet) /* again each time: a new connection has no name */
        status = mover_begin(s->ask, s->mover);
    if (status == EXIT_OK && s->outlet && is_queue_pattern(s->what.queue) &&
        queue_fits(s->what.queue, QUEUE_FANOUT))
        status = selection_walk(s->ask, &first, on_page, s);
    /* Those that were left are met again, and told as the last walk finds them. */
    s->claimed_now = s->counts.ending = s->counts.no_record = 0;
    s->counts.left_newer = s->counts.left_expanding = 0;
    if (status == EXIT_OK)
        status = selection_walk(s->ask, &s->what, on_page, s);
    s->is_again = true;
    return status;
}

static bool is_over(const struct shipment *s, int passes)
{
    if (!s->outlet || is_interrupted())
        return true;
    bool is_patient = s->is_move && clock_ms() < s->started_ms + s->wait_ms;
    if (s->is_move && s->claimed_now > 0 && is_patient)
        return false;
    return s->news == 0 || (passes >= PASSES_MAX && !is_patient);
}

int shipment_run(struct shipment *s)
{
    int status, passes = 0;

    s->started_ms = clock_ms();
    for (;;) {
        status = walk(s);
        if (status != EXIT_OK || is_over(s, ++passes))
            break;
        if (s->news == 0)
            ask_pause(s->ask, PAUSE_MS);
    }
    s->counts.left_claimed = s->is_move && s->outlet ? s->claimed_now : 0;
    if (s->told_ms > 0)
        fprintf(stderr, "\n");
    if (s->store && (status == EXIT_OK || is_interrupted()) && !s->is_unknown) {
        int given = late_give_back(s);
        status = status == EXIT_OK ? given : status;
    }
    return status;
}

int shipment_run_jobs(struct shipment *s, struct selected *jobs, size_t count, uint64_t now_ms)
{
    must(!s->is_move && s->outlet);
    return on_page(s, jobs, count, now_ms);
}

/* ---- its life ---- */

int shipment_open(struct ask *k, struct outlet *outlet, const struct selection *what, bool is_move,
                  uint64_t wait_ms, struct shipment **ret_shipment)
{
    struct store *store = NULL;
    int status = is_move && outlet ? store_reach(k, REACH_FOR_MAIL, &store) : EXIT_OK;

    if (status != EXIT_OK)
        return status;
    *ret_shipment = NEW(struct shipment);
    **ret_shipment = (struct shipment){
        .ask = k, .store = store, .outlet = outlet, .what = *what, .is_move = is_move, .wait_ms = wait_ms};
    if (store)
        mover_name((*ret_shipment)->mover);
    return EXIT_OK;
}

const char *shipment_mover(const struct shipment *s)
{
    return s->mover;
}

struct shipment *shipment_close(struct shipment *s)
{
    if (!s)
        return NULL;
    must(s->open == 0);
    for (size_t i = 0; i < s->late_count; i++) {
        mem_free(s->late[i].job);
        mem_free(s->late[i].queue);
    }
    mem_free(s->late);
    if (s->store)
        s->store = store_close(s->store);
    job_set_done(&s->met);
    return mem_free(s);
}

const struct shipment_counts *shipment_counts(const struct shipment *s)
{
    return &s->counts;
}
