/* A look over all partitions: first their indexes, then each queue, then once more at the events if all seemed empty. */
#include "ctl/survey.h"

#include "base/clock.h"
#include "base/mem.h"

enum {
    SAMPLE = 16,
    AT_ONCE = 2000,
    EVENT_ID_MAX = 47,
    LOOKS_MAX = 200,
    REASONS_MAX = 20,
    REASON_WORDS_MAX = 200
};

/* Replies of the first look at a partition, in order. */
enum look { LOOK_QUEUES, LOOK_CLAIMED, LOOK_SOME_CLAIMED, LOOK_HELD, LOOK_SOME_HELD, LOOK_LEASE, LOOK_EVENT };
/* And at a queue. */
enum depth { DEPTH_ALL, DEPTH_DUE, DEPTH_FIRST, DEPTH_LAST, DEPTH_STATE };

struct scan {
    struct ask *ask;
    struct survey *survey;
    char last_event[PARTITION_COUNT][EVENT_ID_MAX + 1];
    bool has_moved; /* an event came since the first look */
};

struct place { /* context of a question about one partition or one queue */
    struct scan *scan;
    unsigned partition;
    char queue[];
};

static struct place *place_new(struct scan *scan, unsigned partition, struct span queue)
{
    struct place *p = mem_alloc(sizeof(struct place) + queue.len + 1);

    p->scan = scan;
    p->partition = partition;
    if (queue.len)
        memcpy(p->queue, queue.at, queue.len);
    return p;
}

static void note_oldest(struct id *oldest, bool *has, const struct id *id)
{
    if (!*has || memcmp(id->bytes, oldest->bytes, sizeof(id->bytes)) < 0)
        *oldest = *id;
    *has = true;
}

/* Jobs of a ZRANGE; step 2 with scores. */
static void note_jobs(const struct redis_value *list, size_t step, struct id *oldest, bool *has)
{
    for (size_t i = 0; list->type == REDIS_ARRAY && i < list->count; i += step) {
        struct id id;
        uint32_t index;
        if (job_parse(redis_text(&list->items[i]), &id, &index) == 0)
            note_oldest(oldest, has, &id);
    }
}

/* The id of the newest entry of XREVRANGE ... COUNT 1, "" when there is none. */
static struct span event_id(const struct redis_value *entries)
{
    if (entries->type == REDIS_ARRAY && entries->count > 0 && entries->items[0].type == REDIS_ARRAY &&
        entries->items[0].count > 0)
        return redis_text(&entries->items[0].items[0]);
    return span_of("");
}

static void ask_newest_event(struct ask *k, unsigned partition)
{
    struct buf *b = ask_key(k, "XREVRANGE", 6, KEY_OF_EVENTS, partition, span_of(""));

    resp_arg_text(b, "+");
    resp_arg_text(b, "-");
    resp_arg_text(b, "COUNT");
    resp_arg_number(b, 1);
}

static void ask_range(struct ask *k, enum key key, unsigned partition, struct span subject, int64_t from,
                      int64_t to, bool with_scores)
{
    struct buf *b = ask_key(k, "ZRANGE", with_scores ? 5 : 4, key, partition, subject);

    resp_arg_number(b, from);
    resp_arg_number(b, to);
    if (with_scores)
        resp_arg_text(b, "WITHSCORES");
}

/* ---- one queue */

static void note_in_partition(struct survey *s, const struct survey_queue *q)
{
    struct survey_partition *p = &s->partitions[q->partition];

    p->queues += q->waiting > 0;
    p->paused += q->paused_until_ms > s->now_ms;
    p->waiting += q->waiting;
    p->due += q->due;
    if (q->next_ms && (!p->next_ms || q->next_ms < p->next_ms))
        p->next_ms = q->next_ms;
}

static void on_depth(void *context, const struct redis_value *values)
{
    struct place *p = context;
    struct survey *s = p->scan->survey;
    const struct redis_value *first = &values[DEPTH_FIRST], *state = &values[DEPTH_STATE];
    struct survey_queue q = {.partition = p->partition,
                             .waiting = answer_count(&values[DEPTH_ALL]),
                             .due = answer_count(&values[DEPTH_DUE])};

    if (q.due > q.waiting)
        q.due = q.waiting;
    if (first->type == REDIS_ARRAY && first->count >= 2)
        q.next_ms = answer_score(&first->items[1]);
    note_jobs(first, 2, &q.oldest, &q.has_oldest);
    note_jobs(&values[DEPTH_LAST], 1, &q.oldest, &q.has_oldest);
    s->waiting += q.waiting;
    s->due += q.due;
    if (q.has_oldest)
        note_oldest(&s->oldest, &s->has_oldest, &q.oldest);
    if (state->type == REDIS_ARRAY && state->count == 2)
        q.paused_until_ms = answer_count(&state->items[0]);
    note_in_partition(s, &q);
    if (q.waiting > 0 || q.paused_until_ms > s->now_ms) {
        struct span error = state->type == REDIS_ARRAY && state->count == 2 ? redis_text(&state->items[1])
                                                                            : span_of("");
        q.error = mem_text(error.len ? error.at : "", error.len);
        q.name = mem_string(p->queue);
        if (s->queue_count == s->queue_room) {
            s->queue_room = s->queue_room ? 2 * s->queue_room : 64;
            s->queues = mem_resize(s->queues, s->queue_room * sizeof(*s->queues));
        }
        s->queues[s->queue_count++] = q;
    }
}

static void ask_depth(struct scan *scan, unsigned partition, struct span queue)
{
    struct ask *k = scan->ask;
    struct buf *b;

    (void) ask_key(k, "ZCARD", 2, KEY_OF_QUEUE, partition, queue); /* no more arguments */
    b = ask_key(k, "ZCOUNT", 4, KEY_OF_QUEUE, partition, queue);
    resp_arg_text(b, "-inf");
    resp_arg_number(b, (int64_t) scan->survey->now_ms);
    ask_range(k, KEY_OF_QUEUE, partition, queue, 0, SAMPLE - 1, true);
    ask_range(k, KEY_OF_QUEUE, partition, queue, -SAMPLE, -1, false);
    b = ask_key(k, "HMGET", 4, KEY_OF_STATE, partition, queue);
    resp_arg_text(b, "until");
    resp_arg_text(b, "error");
    ask_send_with(k, on_depth, place_new(scan, partition, queue));
}

/* ---- one partition */

static void on_reason(void *context, const struct redis_value *values)
{
    survey_note_reason(context, redis_text(&values[0]));
}

static void ask_reasons(struct scan *scan, unsigned partition, const struct redis_value *held)
{
    for (size_t i = 0; held->type == REDIS_ARRAY && i < held->count; i++) {
        resp_arg_text(ask_key(scan->ask, "HGET", 3, KEY_OF_JOB, partition, redis_text(&held->items[i])), "h");
        ask_send(scan->ask, on_reason, scan->survey);
    }
}

static void on_look(void *context, const struct redis_value *values)
{
    struct place *p = context;
    struct scan *scan = p->scan;
    struct survey *s = scan->survey;
    const struct redis_value *queues = &values[LOOK_QUEUES], *lease = &values[LOOK_LEASE];
    struct span event = event_id(&values[LOOK_EVENT]);

    struct survey_partition *own = &s->partitions[p->partition];

    own->claimed = answer_count(&values[LOOK_CLAIMED]);
    own->held = answer_count(&values[LOOK_HELD]);
    s->claimed += own->claimed;
    s->held += own->held;
    note_jobs(&values[LOOK_SOME_CLAIMED], 1, &s->oldest, &s->has_oldest);
    note_jobs(&values[LOOK_SOME_HELD], 1, &s->oldest, &s->has_oldest);
    ask_reasons(scan, p->partition, &values[LOOK_SOME_HELD]);
    if (lease->type == REDIS_ARRAY && lease->count == 2) {
        own->owner = answer_count(&lease->items[0]);
        own->owned_until_ms = answer_count(&lease->items[1]);
    }
    s->leased += survey_is_owned(s, p->partition);
    if (event.len <= EVENT_ID_MAX) {
        memcpy(scan->last_event[p->partition], event.len ? event.at : "", event.len);
        scan->last_event[p->partition][event.len] = '\0';
    }
    for (size_t i = 0; queues->type == REDIS_ARRAY && i < queues->count; i++) {
        struct span name = redis_text(&queues->items[i]);
        if (name.len > 0)
            ask_depth(scan, p->partition, name);
    }
}

static void ask_look(struct scan *scan, unsigned partition)
{
    struct ask *k = scan->ask;
    struct span none = span_of("");

    ask_range(k, KEY_OF_DUE, partition, none, 0, -1, false);
    (void) ask_key(k, "ZCARD", 2, KEY_OF_CLAIMED, partition, none); /* no more arguments */
    ask_range(k, KEY_OF_CLAIMED, partition, none, 0, SAMPLE - 1, false);
    (void) ask_key(k, "ZCARD", 2, KEY_OF_HELD, partition, none); /* no more arguments */
    ask_range(k, KEY_OF_HELD, partition, none, 0, SAMPLE - 1, false);
    struct buf *b = ask_key(k, "HMGET", 4, KEY_OF_OWNER, partition, none);
    resp_arg_text(b, "owner");
    resp_arg_text(b, "until");
    ask_newest_event(k, partition);
    ask_send_with(k, on_look, place_new(scan, partition, none));
}

/* ---- all of them */

static void on_time(void *context, const struct redis_value *values)
{
    struct scan *scan = context;

    scan->survey->now_ms = answer_time_ms(&values[0]);
}

static void on_newest(void *context, const struct redis_value *values)
{
    struct place *p = context;

    if (!span_equal(event_id(&values[0]), span_of(p->scan->last_event[p->partition])))
        p->scan->has_moved = true;
}

static int look_once(struct scan *scan)
{
    struct survey *s = scan->survey;

    survey_done(s);
    resp_arg_text(ask_command(scan->ask, 1), "TIME");
    ask_send(scan->ask, on_time, scan);
    int status = ask_wait(scan->ask);
    for (unsigned partition = 0; status == EXIT_OK && partition < PARTITION_COUNT; partition++) {
        ask_look(scan, partition);
        if (ask_open_count(scan->ask) >= AT_ONCE || partition % 64 == 63)
            status = ask_wait(scan->ask);
    }
    scan->has_moved = false;
    if (status != EXIT_OK || s->waiting > 0 || s->claimed > 0)
        return status;
    for (unsigned partition = 0; partition < PARTITION_COUNT; partition++) {
        ask_newest_event(scan->ask, partition);
        ask_send_with(scan->ask, on_newest, place_new(scan, partition, span_of("")));
    }
    return ask_wait(scan->ask);
}

int survey_take(struct ask *k, struct survey *ret_survey)
{
    struct scan *scan = NEW(struct scan);
    int status;

    *ret_survey = (struct survey){.queues = NULL};
    *scan = (struct scan){.ask = k, .survey = ret_survey};
    for (int looks = 0; (status = look_once(scan)) == EXIT_OK && scan->has_moved && looks < LOOKS_MAX;
         looks++)
        ;
    mem_free(scan);
    if (status != EXIT_OK)
        survey_done(ret_survey);
    return status;
}

void survey_done(struct survey *s)
{
    for (size_t i = 0; i < s->queue_count; i++) {
        mem_free(s->queues[i].name);
        mem_free(s->queues[i].error);
    }
    mem_free(s->queues);
    for (size_t i = 0; i < s->reason_count; i++)
        mem_free(s->reasons[i].because);
    mem_free(s->reasons);
    *s = (struct survey){.queues = NULL};
}

bool survey_is_owned(const struct survey *s, unsigned partition)
{
    const struct survey_partition *p = &s->partitions[partition];

    return p->owner > 0 && p->owned_until_ms > s->now_ms;
}

uint64_t survey_age_ms(const struct survey *s, const struct id *id)
{
    uint64_t then_ms = id_time_ms(id);

    return then_ms < s->now_ms ? s->now_ms - then_ms : 0;
}

/* ---- why jobs are held */

void survey_note_reason(struct survey *s, struct span because)
{
    struct span words = because.len > 0 ? because : SPAN("nobody knows why");

    s->reasons_of++;
    for (size_t i = 0; i < s->reason_count; i++) {
        if (span_equal(words, span_of(s->reasons[i].because)) || i + 1 == REASONS_MAX) {
            s->reasons[i].count++; /* the last of them stands for all others */
            return;
        }
    }
    s->reasons = mem_resize(s->reasons, (s->reason_count + 1) * sizeof(*s->reasons));
    if (s->reason_count + 1 == REASONS_MAX)
        words = SPAN("other reasons");
    s->reasons[s->reason_count++] = (struct survey_reason){mem_text(words.at, words.len), 1};
}

void add_reasons(struct buf *out, const struct survey *s)
{
    for (size_t i = 0; i < s->reason_count; i++) {
        buf_printf(out, "%s%llu ", i ? ", " : "", (unsigned long long) s->reasons[i].count);
        buf_add_printable(out, span_of(s->reasons[i].because), REASON_WORDS_MAX);
    }
    if (s->reasons_of > 0 && s->reasons_of < s->held)
        buf_printf(out, ", of %llu looked at", (unsigned long long) s->reasons_of);
}

void put_reasons(struct json *json, const struct survey *s)
{
    struct json *list = json_new_array();

    for (size_t i = 0; i < s->reason_count; i++) {
        struct json *reason = json_new_object();
        json_put_text(reason, "because", span_of(s->reasons[i].because));
        json_put_number(reason, "jobs", (int64_t) s->reasons[i].count);
        json_put(list, NULL, reason);
    }
    json_put(json, "held_because", list);
}
