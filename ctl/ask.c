/* Questions to Redis, one run of the loop at a time. */
#include "ctl/ask_private.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ctl/away.h"

enum { RETRY_MS = 100, HOPS_MAX = 4 };

struct question {
    struct redis_request request;
    struct ask *ask;
    struct buf commands; /* request.bytes are these, or each of them behind ASKING */
    unsigned command_count;
    unsigned slot;
    struct shard *only;  /* whoever has the slot, if NULL */
    bool is_anywhere;    /* it has no key */
    struct shard *asked; /* last */
    unsigned hops;       /* redirections in a row */
    ask_on_answer *on_answer;
    void *context;
    bool owns_context;
    struct timer retry;
};

/* ---- one question */

static void question_free(struct question *q)
{
    redis_request_done(&q->request);
    buf_done(&q->commands);
    if (q->owns_context)
        mem_free(q->context);
    mem_free(q);
}

void ask_fail(struct ask *k, char *error)
{
    mem_free(k->error);
    k->error = error;
    k->is_failed = true;
}

static void question_over(struct question *q)
{
    struct ask *k = q->ask;

    question_free(q);
    if (--k->open == 0)
        loop_stop(k->loop);
}

void ask_fail_unanswered(struct ask *k, const struct shard *shard)
{
    const char *trouble = shards_trouble(k->shards);

    if (*trouble)
        ask_fail(k, mem_string(trouble));
    else if (shard && shards_kind(k->shards) == STORE_CLUSTER) {
        AUTO_BUF struct buf lost = {.data = NULL};
        away_add_partitions(&lost, k->shards, shard);
        ask_fail(
            k,
            mem_format(
                "Redis at %s did not answer within %d s; it has partitions %.*s%s: does it run, and can it be reached?",
                shard->address, ASK_TIME_MS / 1000, SPAN_ARG(buf_span(&lost)),
                shards_find(k->shards, common_slot()) == shard ? " and the common keys" : ""));
    } else if (k->refusal)
        ask_fail(k, mem_string(k->refusal));
    else
        ask_fail(k, mem_format(
                        "Redis at %s did not answer within %d s: is it running, and is store.address right?",
                        k->place, ASK_TIME_MS / 1000));
}

/* ---- a shard that is away (only with is_partly) */

static void on_missed(struct timer *t)
{
    struct question *q = CONTAINER_OF(t, struct question, retry);
    struct redis_value *nils = mem_array(q->command_count, sizeof(*nils)); /* zeroed: REDIS_NIL */

    if (!q->ask->is_failed)
        q->on_answer(q->context, nils);
    mem_free(nils);
    question_over(q);
}

/* Never within the call that asks. */
static void question_missed(struct question *q)
{
    timer_start(q->ask->loop, &q->retry, 0, on_missed);
}

static void question_unanswered(struct question *q, struct shard *shard, const char *why)
{
    struct ask *k = q->ask;

    if (!k->is_partly || k->is_failed) {
        if (!k->is_failed)
            ask_fail_unanswered(k, shard);
        question_over(q);
        return;
    }
    away_note(k->shards, shard, why);
    question_missed(q);
}

/* Who never was up has had the time since we began. */
static uint64_t patience_ms(const struct ask *k, const struct shard *shard)
{
    uint64_t now = clock_ms(), end = k->opened_ms + AWAY_TIME_MS;

    if (!k->is_partly)
        return now + ASK_TIME_MS;
    if (shard && shard->data)
        return now + AWAY_TIME_MS;
    return end > now ? end : now + 1;
}

static struct shard *any_up(const struct ask *k)
{
    const struct list *shards = shards_list(k->shards);

    for (const struct list *it = shards->next; it != shards; it = it->next) {
        struct shard *shard = LIST_ENTRY(it, struct shard, link);
        if (redis_is_up(shard->redis) && !away_is(shard))
            return shard;
    }
    return NULL;
}

static struct shard *question_shard(const struct question *q)
{
    struct shard *shard = q->only ? q->only : shards_find(q->ask->shards, q->slot);

    if (q->is_anywhere && q->ask->is_partly && (!shard || !redis_is_up(shard->redis) || away_is(shard))) {
        struct shard *other = any_up(q->ask);
        return other ? other : shard;
    }
    return shard;
}

/* ---- sending it */

static void question_submit(struct question *q);

static void on_retry(struct timer *t)
{
    question_submit(CONTAINER_OF(t, struct question, retry));
}

static bool is_open(const struct ask *k, const struct shard *shard)
{
    const struct list *shards = shards_list(k->shards);

    for (const struct list *it = shards->next; it != shards; it = it->next)
        if (LIST_ENTRY(it, struct shard, link) == shard)
            return true;
    return false;
}

/* False: its time is over. */
static bool question_later(struct question *q)
{
    if (clock_ms() + RETRY_MS >= q->request.give_up_ms || q->ask->is_failed ||
        (q->asked && is_open(q->ask, q->asked) && away_is(q->asked)))
        return false;
    q->hops = 0;
    timer_start(q->ask->loop, &q->retry, RETRY_MS, on_retry);
    return true;
}

static void question_send_to(struct question *q, struct shard *shard, bool is_ask)
{
    buf_clear(&q->request.bytes);
    if (is_ask) {
        q->request.reply_count = commands_ask(buf_span(&q->commands), &q->request.bytes);
    } else {
        buf_add_span(&q->request.bytes, buf_span(&q->commands));
        q->request.reply_count = q->command_count;
    }
    q->asked = shard;
    redis_submit(shard->redis, &q->request);
}

static void question_submit(struct question *q)
{
    struct ask *k = q->ask;
    bool is_lost = q->only && !is_open(k, q->only);
    struct shard *shard = k->is_failed || is_lost ? NULL : question_shard(q);

    if (k->is_failed) {
        question_over(q);
    } else if (is_lost && !k->is_partly) {
        ask_fail(k, mem_string("a shard was lost while it was asked: ask again"));
        question_over(q);
    } else if (is_lost || (shard && away_is(shard) && !redis_is_up(shard->redis))) {
        question_missed(q);
    } else if (shard) {
        question_send_to(q, shard, false);
    } else if (!question_later(q)) {
        question_unanswered(q, NULL, shards_trouble(k->shards));
    }
}

static bool starts_with(struct span s, const char *word)
{
    return s.len >= strlen(word) && memcmp(s.at, word, strlen(word)) == 0;
}

static bool is_temporary(struct span error)
{
    static const char *const words[] = {"LOADING",  "BUSY",  "MASTERDOWN", "CLUSTERDOWN",
                                        "TRYAGAIN", "MOVED", "ASK",        "UNBLOCKED"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (starts_with(error, words[i]))
            return true;
    return false;
}

/* The first reply that is an error but not "wrong type"; NULL: none. */
static const struct redis_value *find_error(const struct redis_value *values, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (values[i].type == REDIS_ERROR_REPLY && !starts_with(values[i].text, "WRONGTYPE"))
            return &values[i];
    return NULL;
}

/* MOVED and ASK name who is to be asked; everything else that passes is asked again a bit later. False: its time is over. */
static bool question_again(struct question *q, const struct redis_value *error)
{
    struct shard *next = NULL;
    bool is_ask = false;

    if (q->ask->is_failed)
        return false;
    if (error && !q->only && q->hops++ < HOPS_MAX)
        next = shards_follow(q->ask->shards, q->asked, q->slot, error, &is_ask);
    if (!error)
        shards_look(q->ask->shards);
    if (!next)
        return question_later(q);
    question_send_to(q, next, is_ask);
    return true;
}

/* Values of a question asked behind ASKING: every second one. */
static void question_answer(struct question *q, const struct redis_value *values)
{
    struct redis_value *own = NULL;

    if (q->request.reply_count != q->command_count) {
        own = mem_array(q->command_count, sizeof(*own));
        for (unsigned i = 0; i < q->command_count; i++)
            own[i] = values[2 * i + 1];
    }
    q->on_answer(q->context, own ? own : values);
    mem_free(own);
}

static void on_done(struct redis_request *request, enum redis_result result, const struct redis_value *values)
{
    struct question *q = CONTAINER_OF(request, struct question, request);
    struct ask *k = q->ask;
    const struct redis_value *error = result == REDIS_OK ? find_error(values, request->reply_count) : NULL;
    bool again = result == REDIS_UNKNOWN || (error && is_temporary(error->text));

    if (again && question_again(q, error))
        return;
    if (again && k->is_partly && !k->is_failed) {
        AUTO_BUF struct buf why = {.data = NULL};
        buf_add_printable(&why, error ? error->text : span_of(k->refusal ? k->refusal : ""), 300);
        AUTO_FREE char *text = buf_steal_text(&why);
        question_unanswered(q, q->asked, text);
        return;
    }
    if (error) {
        AUTO_BUF struct buf text = {.data = NULL};
        buf_add_printable(&text, error->text, 500);
        ask_fail(k, mem_format("Redis at %s answered: %.*s", k->place, SPAN_ARG(buf_span(&text))));
    } else if (result == REDIS_UNKNOWN) {
        if (!k->is_failed)
            ask_fail_unanswered(k, q->asked);
    } else if (!k->is_failed) {
        away_back(q->asked);
        question_answer(q, values);
    }
    question_over(q);
}

struct buf *ask_command(struct ask *k, size_t arg_count)
{
    resp_command(&k->commands, arg_count);
    k->command_count++;
    return &k->commands;
}

struct buf *ask_commands(struct ask *k, unsigned count)
{
    k->command_count += count;
    return &k->commands;
}

struct buf *ask_key(struct ask *k, const char *command, size_t arg_count, enum key key, unsigned partition,
                    struct span subject)
{
    struct buf *b = ask_command(k, arg_count);

    resp_arg_text(b, command);
    key_arg(b, key, partition, subject, 0);
    return b;
}

static struct question *question_new(struct ask *k, struct shard *only, ask_on_answer *on_answer,
                                     void *context)
{
    struct question *q = NEW(struct question);

    must(k->command_count > 0);
    *q = (struct question){.ask = k, .only = only, .on_answer = on_answer, .context = context};
    q->commands = k->commands;
    q->command_count = k->command_count;
    q->slot = commands_slot(buf_span(&q->commands));
    q->is_anywhere = !only && !memchr(q->commands.data, '{', q->commands.len);
    q->request.give_up_ms = patience_ms(k, only ? only : shards_find(k->shards, q->slot));
    q->request.on_done = on_done;
    k->commands = (struct buf){.data = NULL};
    k->command_count = 0;
    k->open++;
    return q;
}

void ask_send(struct ask *k, ask_on_answer *on_answer, void *context)
{
    question_submit(question_new(k, NULL, on_answer, context));
}

void ask_send_with(struct ask *k, ask_on_answer *on_answer, void *context)
{
    struct question *q = question_new(k, NULL, on_answer, context);

    q->owns_context = true;
    question_submit(q);
}

void ask_shard_with(struct ask *k, struct shard *shard, ask_on_answer *on_answer, void *context)
{
    struct question *q = question_new(k, shard, on_answer, context);

    q->owns_context = true;
    question_submit(q);
}

struct shards *ask_shards(struct ask *k)
{
    return k->shards;
}

size_t ask_open_count(const struct ask *k)
{
    return k->open;
}

int ask_wait(struct ask *k)
{
    if (k->open > 0)
        loop_run(k->loop);
    must(k->open == 0);
    if (!k->is_failed)
        return EXIT_OK;
    (void) say_failed("%s", k->error); /* the status below is the same */
    return EXIT_ASKED_FAILED;
}

static void on_pause_over(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct ask, pause)->loop);
}

void ask_pause(struct ask *k, uint64_t ms)
{
    must(k->open == 0);
    timer_start(k->loop, &k->pause, ms, on_pause_over);
    loop_run(k->loop);
    timer_stop(&k->pause);
}

struct loop *ask_loop(struct ask *k)
{
    return k->loop;
}
