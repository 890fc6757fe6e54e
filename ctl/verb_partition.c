/* partition list. */
#include "base/mem.h"
#include "ctl/health.h"
#include "ctl/print.h"
#include "ctl/ruling.h"
#include "ctl/survey.h"
#include "ctl/verb.h"

struct partitions {
    struct survey survey;
    struct health health;
    struct ruling ruling;
    char *shards[PARTITION_COUNT]; /* address of who has it now, "": nobody */
    unsigned suspended[PARTITION_COUNT];
};

static void find_shards(struct partitions *p, struct ask *k)
{
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        const struct shard *shard = shards_find(ask_shards(k), partition_slot(i));
        p->shards[i] = mem_string(shard ? shard->address : "");
    }
}

static void count_suspended(struct partitions *p)
{
    for (size_t i = 0; i < p->survey.queue_count; i++) {
        const struct survey_queue *q = &p->survey.queues[i];
        p->suspended[q->partition] += ruling_suspends(&p->ruling, q->name) != NULL;
    }
}

static int partitions_read(struct partitions *p, struct ask *k)
{
    int status = survey_take(k, &p->survey);

    if (status == EXIT_OK) {
        health_ask(k, &p->health);
        status = ask_wait(k);
    }
    if (status == EXIT_OK)
        status = ruling_read(k, &p->ruling);
    if (status == EXIT_OK) {
        find_shards(p, k);
        count_suspended(p);
    }
    return status;
}

static void partitions_done(struct partitions *p)
{
    survey_done(&p->survey);
    health_done(&p->health);
    ruling_done(&p->ruling);
    for (unsigned i = 0; i < PARTITION_COUNT; i++)
        mem_free(p->shards[i]);
}

static const struct node_peer *owner_of(const struct partitions *p, unsigned i)
{
    return survey_is_owned(&p->survey, i) ? peer_of(&p->health, p->survey.partitions[i].owner) : NULL;
}

/* ---- printed ---- */

static struct json *partition_json(const struct partitions *p, unsigned i)
{
    const struct survey_partition *s = &p->survey.partitions[i];
    const struct node_peer *owner = owner_of(p, i);
    struct json *json = json_new_object();

    json_put_number(json, "partition", i);
    json_put_text(json, "tag", span_of(partition_tag(i)));
    json_put_flag(json, "owned", survey_is_owned(&p->survey, i));
    json_put_text(json, "owner", span_of(owner ? owner->stats.name : ""));
    json_put_number(json, "incarnation", (int64_t) s->owner);
    json_put_number(json, "lease_ms", (int64_t) later_by(s->owned_until_ms, p->survey.now_ms));
    json_put_text(json, "shard", span_of(p->shards[i]));
    json_put_number(json, "queues", (int64_t) s->queues);
    json_put_number(json, "waiting", (int64_t) s->waiting);
    json_put_number(json, "due", (int64_t) s->due);
    json_put_number(json, "claimed", (int64_t) s->claimed);
    json_put_number(json, "held", (int64_t) s->held);
    if (s->next_ms)
        json_put_number(json, "overdue_ms", (int64_t) later_by(p->survey.now_ms, s->next_ms));
    else
        json_put_null(json, "overdue_ms");
    json_put_number(json, "paused", (int64_t) s->paused);
    json_put_number(json, "suspended", p->suspended[i]);
    return json;
}

static void add_row(struct grid *t, const struct partitions *p, unsigned i)
{
    const struct survey_partition *s = &p->survey.partitions[i];
    const struct node_peer *owner = owner_of(p, i);
    AUTO_BUF struct buf lease = {.data = NULL}, due = {.data = NULL};

    if (survey_is_owned(&p->survey, i))
        add_duration(&lease, later_by(s->owned_until_ms, p->survey.now_ms));
    if (s->next_ms && s->next_ms <= p->survey.now_ms)
        add_duration(&due, p->survey.now_ms - s->next_ms);
    grid_cell(t, "%u", i);
    if (owner)
        grid_cell_safe(t, span_of(owner->stats.name));
    else
        grid_cell(t, "%s", survey_is_owned(&p->survey, i) ? "(just gone)" : "NOBODY");
    grid_cell_safe(t, buf_span(&lease));
    grid_cell_safe(t, span_of(p->shards[i]));
    grid_cell(t, "%llu", (unsigned long long) s->queues);
    grid_cell(t, "%llu", (unsigned long long) s->waiting);
    grid_cell(t, "%llu", (unsigned long long) s->due);
    grid_cell(t, "%llu", (unsigned long long) s->claimed);
    grid_cell(t, "%llu", (unsigned long long) s->held);
    grid_cell_safe(t, buf_span(&due));
    grid_cell(t, "%llu", (unsigned long long) s->paused);
    grid_cell(t, "%u", p->suspended[i]);
}

static bool is_empty(const struct partitions *p, unsigned i)
{
    const struct survey_partition *s = &p->survey.partitions[i];

    return s->waiting + s->claimed + s->held + s->paused == 0 && survey_is_owned(&p->survey, i);
}

static void print_partitions(const struct partitions *p, bool all)
{
    struct grid t;
    unsigned left_out = 0;

    grid_init(&t, ">partition|owner|>lease|shard|>queues|>waiting|>due|>claimed|>held|>overdue|>paused|>"
                  "suspended");
    for (unsigned i = 0; i < PARTITION_COUNT; i++) {
        if (!all && is_empty(p, i))
            left_out++;
        else
            add_row(&t, p, i);
    }
    if (left_out < PARTITION_COUNT)
        grid_print(&t);
    grid_done(&t);
    if (left_out > 0)
        printf("%u partitions have an owner and no jobs; --all prints them too\n", left_out);
}

int verb_partition_list(const struct arguments *a)
{
    struct partitions *p;
    struct ask *k;
    int status = ask_open_partly(a, &k);

    if (status != EXIT_OK)
        return status;
    p = NEW(struct partitions);
    status = partitions_read(p, k);
    if (status == EXIT_OK && a->is_json) {
        struct json *json = json_new_object(), *list = json_new_array();
        for (unsigned i = 0; i < PARTITION_COUNT; i++)
            json_put(list, NULL, partition_json(p, i));
        json_put_number(json, "leased", p->survey.leased);
        json_put(json, "partitions", list);
        print_json(json);
    } else if (status == EXIT_OK) {
        print_partitions(p, argument_is_given(a, "all"));
    }
    partitions_done(p);
    mem_free(p);
    ask_close(k);
    return status;
}
