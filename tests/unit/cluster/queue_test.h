/* What the tests of the queue's calls share: one call after another, each waited for. */
#pragma once

#include "cluster/queue.h"
#include "cluster_test.h"

enum { TEST_PARTITION = 7, TEST_INCARNATION = 1000 };
#define T partition_tag(TEST_PARTITION)

/* A job of one chunk "content", to be changed by the caller. */
struct queue_job some_job(const char *job, const char *queue);
enum commit_answer commit(const struct queue_job *job, bool carry, uint64_t time_ms);
/* Makes some_job(). */
void make(const char *job, const char *queue);
enum delete_answer delete_job(const char *job, const char *queue, bool revoke);

/* The last claim's answer, copied. */
struct claim_result {
    enum claim_answer answer;
    char token[64];
    size_t count;
    char jobs[128][64];
    struct queue_claimed first; /* its spans are gone */
    char envelope[64], state[64];
    char error[64];
    uint64_t wait_ms;
};
extern struct claim_result claimed;
/* Claims up to count jobs with a new seq. */
void claim(const char *queue, uint32_t count);
void claim_as(uint64_t incarnation, uint64_t seq, const char *queue, uint32_t count, uint32_t suspects);

/* The last settle's answers. */
extern struct settle_result {
    enum settle_answer answers[64];
    size_t count;
    bool repeated;
} settled;
void settle(const struct queue_settle *jobs, size_t count);
/* Settles one job with the last claim's token. */
enum settle_answer settle_one(const char *job, const char *queue, enum outcome outcome);
