/*
 * Does: questions to the Redis behind the queue, as a command-line program wants it: commands are gathered, sent together to the shard that has
 *       their keys, and the loop runs until all are answered. Repeats what got no answer or must be asked elsewhere, since it only reads.
 * Does not: write, or run scripts.
 * Owns: the loop, connections to the shards, questions under way.
 * Fails: no answer within ASK_TIME_MS: said on stderr, with what to look at.
 */
#pragma once

#include "cluster/keys.h"
#include "cluster/shard.h"
#include "ctl/verb.h"
#include "io/redis.h"

enum { ASK_TIME_MS = 10000, AWAY_TIME_MS = 5000 };

struct ask;
/* Loads the settings, connects, and checks that it is a queue of our schema (or an empty Redis). An exit status; *ret_ask for EXIT_OK only. */
int ask_open(const struct arguments *a, struct ask **ret_ask);
/*
 * The same for verbs that go on with what answers: of a Redis Cluster a shard that has not answered for AWAY_TIME_MS is away (away.h says it at the
 * end), and each value of a question to it is nil, as if its keys were not there. Nobody answers at all: EXIT_ASKED_FAILED and said.
 */
int ask_open_partly(const struct arguments *a, struct ask **ret_ask);
/* Has the partition's shard answered, so that what is said of one of its queues or messages is true? EXIT_OK, or EXIT_PARTLY and said. */
int ask_reaches(struct ask *k, unsigned partition, const char *subject);
struct ask *ask_close(struct ask *k); /* always NULL */

/* Begins a command of the next question, which names keys of one partition only, or common keys ({c}); without a key it goes where those are,
 * or to whoever answers.
 * The caller adds its arguments (resp_*, key_arg) to what is returned. */
struct buf *ask_command(struct ask *k, size_t arg_count);
/* The same with the name and the key of a partition as its first two arguments. subject: job or queue, or empty. */
struct buf *ask_key(struct ask *k, const char *command, size_t arg_count, enum key key, unsigned partition,
                    struct span subject);
/* Commands of the question that somebody else encodes: `count` of them go into what is returned. */
struct buf *ask_commands(struct ask *k, unsigned count);
/*
 * Ends the question and sends it. values: one per command, valid during the call; further questions may be asked inside. A key of the wrong
 * type answers with an error value; other errors end the program's work.
 */
typedef void ask_on_answer(void *context, const struct redis_value *values);
void ask_send(struct ask *k, ask_on_answer *on_answer, void *context);
/* The same with a context of its own: mem_free() after the answer, also when none comes. */
void ask_send_with(struct ask *k, ask_on_answer *on_answer, void *context);
/* Asks one shard, whatever keys it has: for its state, or its keys by SCAN. It is asked again for as long as it is one. */
void ask_shard_with(struct ask *k, struct shard *shard, ask_on_answer *on_answer, void *context);
struct shards *ask_shards(struct ask *k);
size_t ask_open_count(const struct ask *k);
/* Until all is answered: EXIT_OK, or EXIT_ASKED_FAILED and said. */
int ask_wait(struct ask *k);
/* Lets time go by; loop_stop() ends it. */
void ask_pause(struct ask *k, uint64_t ms);
struct loop *ask_loop(struct ask *k); /* for what else runs on it while nothing is asked */

/* Numbers in answers; 0 when they are none: a count, a score (Redis may print it as 1.7e+12), TIME in ms. */
uint64_t answer_count(const struct redis_value *v);
uint64_t answer_score(const struct redis_value *v);
uint64_t answer_time_ms(const struct redis_value *v);
char *answer_text(const struct redis_value *v); /* the caller's; "" when it is none */
