/* Questions to Redis, one run of the loop at a time. */
#include "ctl/ask.h"

#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ctl/settings.h"

enum { WINDOW = 4096, REPLY_TIME_MS = 8000, RETRY_MS = 100 };

struct ask {
    struct loop *loop;
    struct redis *redis;
    char *address;
    struct buf commands; /* of the next question */
    unsigned command_count;
    size_t open;
    bool is_failed;
    char *error;
    struct timer pause;
};

struct question {
    struct redis_request request;
    struct ask *ask;
    ask_on_answer *on_answer;
    void *context;
    bool owns_context;
    struct timer retry;
};

/* ---- one question */

static void question_free(struct question *q)
{
    redis_request_done(&q->request);
    if (q->owns_context)
        mem_free(q->context);
    mem_free(q);
}

static void fail(struct ask *k, char *error)
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

static void on_retry(struct timer *t)
{
    struct question *q = CONTAINER_OF(t, struct question, retry);

    redis_submit(q->ask->redis, &q->request);
}

static bool starts_with(struct span s, const char *word)
{
    return s.len >= strlen(word) && memcmp(s.at, word, strlen(word)) == 0;
}

static bool is_temporary(struct span error)
{
    static const char *const words[] = {"LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"};

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

static void on_done(struct redis_request *request, enum redis_result result, const struct redis_value *values)
{
    struct question *q = CONTAINER_OF(request, struct question, request);
    struct ask *k = q->ask;
    const struct redis_value *error = result == REDIS_OK ? find_error(values, request->reply_count) : NULL;
    bool again = result == REDIS_UNKNOWN || (error && is_temporary(error->text));

    if (again && clock_ms() + RETRY_MS < request->give_up_ms && !k->is_failed) {
        timer_start(k->loop, &q->retry, RETRY_MS, on_retry);
        return;
    }
    if (error) {
        AUTO_BUF struct buf text = {.data = NULL};
        buf_add_printable(&text, error->text, 500);
        fail(k, mem_format("Redis at %s answered: %.*s", k->address, SPAN_ARG(buf_span(&text))));
    } else if (result == REDIS_UNKNOWN) {
        fail(k,
             mem_format("Redis at %s did not answer within %d s: is it running, and is store.address right?",
                        k->address, ASK_TIME_MS / 1000));
    } else if (!k->is_failed) {
        q->on_answer(q->context, values);
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

static struct question *question_send(struct ask *k, ask_on_answer *on_answer, void *context)
{
    struct question *q = NEW(struct question);

    must(k->command_count > 0);
    *q = (struct question){.ask = k, .on_answer = on_answer, .context = context};
    q->request.bytes = k->commands;
    q->request.reply_count = k->command_count;
    q->request.give_up_ms = clock_ms() + ASK_TIME_MS;
    q->request.on_done = on_done;
    k->commands = (struct buf){.data = NULL};
    k->command_count = 0;
    k->open++;
    redis_submit(k->redis, &q->request);
    return q;
}

void ask_send(struct ask *k, ask_on_answer *on_answer, void *context)
{
    question_send(k, on_answer, context)->owns_context = false;
}

void ask_send_with(struct ask *k, ask_on_answer *on_answer, void *context)
{
    question_send(k, on_answer, context)->owns_context = true;
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
}

struct loop *ask_loop(struct ask *k)
{
    return k->loop;
}

/* ---- answers */

uint64_t answer_count(const struct redis_value *v)
{
    int64_t n;

    return redis_number(v, &n) == 0 && n > 0 ? (uint64_t) n : 0;
}

uint64_t answer_score(const struct redis_value *v)
{
    struct span text = redis_text(v);
    char copy[40];

    if (text.len == 0 || text.len >= sizeof(copy))
        return 0;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    double score = strtod(copy, NULL);
    return score > 0 && score < 9007199254740992.0 ? (uint64_t) score : 0;
}

uint64_t answer_time_ms(const struct redis_value *v)
{
    if (v->type != REDIS_ARRAY || v->count != 2)
        return 0;
    return answer_count(&v->items[0]) * 1000 + answer_count(&v->items[1]) / 1000;
}

char *answer_text(const struct redis_value *v)
{
    struct span s = redis_text(v);

    return mem_text(s.len ? s.at : "", s.len);
}

/* ---- its life */

static void on_meta(void *context, const struct redis_value *values)
{
    struct ask *k = context;
    const struct redis_value *meta = &values[0];
    int64_t schema, partitions;

    if (meta->type == REDIS_ARRAY && meta->count == 3 && meta->items[0].type == REDIS_NIL &&
        meta->items[2].type == REDIS_NIL)
        return; /* no node has started yet */
    if (meta->type != REDIS_ARRAY || meta->count != 3 || redis_number(&meta->items[0], &schema) < 0 ||
        redis_number(&meta->items[1], &partitions) < 0)
        fail(k, mem_format("Redis at %s: %s was not written by barid", k->address, KEY_META));
    else if (schema != SCHEMA_VERSION || partitions != PARTITION_COUNT ||
             !redis_is_text(&meta->items[2], HASH_NAME))
        fail(
            k,
            mem_format(
                "Redis at %s holds a queue of another version (schema %lld, %lld partitions): use that version's baridctl",
                k->address, (long long) schema, (long long) partitions));
}

int ask_open(const struct arguments *a, struct ask **ret_ask)
{
    int status = settings_use(a);
    if (status != EXIT_OK)
        return status;
    struct ask *k = NEW(struct ask);
    k->address = mem_string(conf_get()->store.address);
    k->loop = loop_new();
    const struct redis_settings settings = {
        .address = k->address, .connections = 1, .window = WINDOW, .timeout_ms = REPLY_TIME_MS, .owner = k};
    if (redis_open(k->loop, &settings, &k->redis) < 0) {
        status = say_failed("store.address \"%s\" is neither host:port with a numeric host nor unix:/path",
                            k->address);
        ask_close(k);
        return status;
    }
    struct buf *b = ask_command(k, 5);
    resp_arg_text(b, "HMGET");
    resp_arg_text(b, KEY_META);
    resp_arg_text(b, "schema");
    resp_arg_text(b, "partitions");
    resp_arg_text(b, "hash");
    ask_send(k, on_meta, k);
    status = ask_wait(k);
    if (status != EXIT_OK) {
        ask_close(k);
        return status;
    }
    *ret_ask = k;
    return EXIT_OK;
}

struct ask *ask_close(struct ask *k)
{
    if (!k)
        return NULL;
    must(k->open == 0);
    k->redis = redis_close(k->redis);
    k->loop = loop_free(k->loop);
    buf_done(&k->commands);
    mem_free(k->address);
    mem_free(k->error);
    return mem_free(k);
}
