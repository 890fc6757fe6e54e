/* What the tests of Redis' connections share: one question at a time, and what its owner was told. */
#pragma once

#include "io_test.h"

#include "io/redis.h"

struct question {
    struct redis_request request;
    int done;
    enum redis_result result;
    struct buf text; /* of the last value */
    int64_t integer;
    enum redis_type type;
    bool stops; /* the loop, when it is answered */
};
/* Words are separated by spaces. */
void question_add(struct question *q, const char *command);
void question_submit(struct redis *r, struct question *q, const char *command);
void question_done(struct question *q);
/* Asks and waits. The text of the answer, valid until the next call; integers as text. */
const char *redis_said(struct redis *r, const char *command);

/* What a redis that was opened with told_settings() has said. */
struct told {
    int ups, downs, refusals;
    char refusal[512]; /* the last one */
    char down[256];
    bool stops_up, stops_refused, stops_down;
};
struct redis_settings told_settings(struct told *t, const char *address);
