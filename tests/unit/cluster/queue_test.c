/* What the tests of the queue's calls share. */
#include "queue_test.h"

struct claim_result claimed;
struct settle_result settled;

static void on_int(void *context, int answer)
{
    *(int *) context = answer;
    loop_stop(loop);
}

static void on_commit(void *context, enum commit_answer answer)
{
    on_int(context, (int) answer);
}

static void on_delete(void *context, enum delete_answer answer)
{
    on_int(context, (int) answer);
}

struct queue_job some_job(const char *job, const char *queue)
{
    static const struct span chunk = {.at = "content", .len = 7};

    return (struct queue_job){
        .partition = TEST_PARTITION,
        .job = job,
        .queue = queue,
        .envelope = SPAN("envelope"),
        .state = SPAN("state"),
        .mark_ms = 60000,
        .chunk_count = 1,
        .size_bytes = 7,
        .chunks = &chunk,
        .detail = "from a test",
    };
}

enum commit_answer commit(const struct queue_job *job, bool carry, uint64_t time_ms)
{
    int answer = -1;

    queue_commit(store, job, carry, time_ms, on_commit, &answer);
    must(answer == -1);
    loop_go();
    return (enum commit_answer) answer;
}

void make(const char *job, const char *queue)
{
    struct queue_job j = some_job(job, queue);

    must(commit(&j, false, 5000) == COMMIT_NEW);
}

enum delete_answer delete_job(const char *job, const char *queue, bool revoke)
{
    int answer = -1;

    queue_delete(store, TEST_PARTITION, job, queue, revoke, 5000, on_delete, &answer);
    must(answer == -1);
    loop_go();
    return (enum delete_answer) answer;
}

static void copy(char *to, size_t size, struct span from)
{
    (void) snprintf(to, size, "%.*s", SPAN_ARG(from));
}

static void on_claim(void *context, enum claim_answer answer, const char *token,
                     const struct queue_claimed *jobs, size_t count, struct span error, uint64_t wait_ms)
{
    struct claim_result *r = context;

    must(count <= ARRAY_LEN(r->jobs));
    r->answer = answer;
    r->count = count;
    r->wait_ms = wait_ms;
    copy(r->token, sizeof r->token, span_of(token));
    copy(r->error, sizeof r->error, error);
    for (size_t i = 0; i < count; i++)
        copy(r->jobs[i], sizeof r->jobs[i], jobs[i].job);
    if (count) {
        r->first = jobs[0];
        copy(r->envelope, sizeof r->envelope, jobs[0].envelope);
        copy(r->state, sizeof r->state, jobs[0].state);
    }
    loop_stop(loop);
}

void claim_as(uint64_t incarnation, uint64_t seq, const char *queue, uint32_t count, uint32_t suspects)
{
    const struct queue_claim c = {
        .partition = TEST_PARTITION,
        .queue = queue,
        .count = count,
        .record_bytes = 1000000,
        .incarnation = incarnation,
        .seq = seq,
        .suspects = suspects,
    };

    memset(&claimed, 0xff, sizeof claimed);
    queue_claim(store, &c, on_claim, &claimed);
    loop_go();
}

void claim(const char *queue, uint32_t count)
{
    static uint64_t seq;

    claim_as(TEST_INCARNATION, ++seq, queue, count, 1);
}

static void on_settle(void *context, const enum settle_answer *answers, size_t count, bool repeated)
{
    struct settle_result *r = context;

    r->count = count;
    r->repeated = repeated;
    memcpy(r->answers, answers, count * sizeof *answers);
    loop_stop(loop);
}

void settle(const struct queue_settle *jobs, size_t count)
{
    memset(&settled, 0xff, sizeof settled);
    queue_settle(store, TEST_PARTITION, jobs, count, on_settle, &settled);
    loop_go();
    must(settled.count == count);
}

enum settle_answer settle_one(const char *job, const char *queue, enum outcome outcome)
{
    const struct queue_settle s = {
        .job = job,
        .queue = queue,
        .token = claimed.token,
        .outcome = outcome,
        .next = "1000.next",
        .state = {.at = outcome == OUTCOME_END ? NULL : "new state", .len = outcome == OUTCOME_END ? 0 : 9},
        .is_exact = true,
        .chunk_count = 1,
        .event = "attempted",
        .detail = "by a test",
    };

    settle(&s, 1);
    return settled.answers[0];
}
