/*
 * Does: plays a dialogue with the SMTP server engine in memory: as it is, cut at every position, byte by byte, and with late answers.
 * Does not: use sockets or a store.
 * Owns: the session it plays.
 * Fails: as a failed assertion that names the step and the way of cutting.
 */
#pragma once

#include "ingress/smtp_server.h"

/* Consecutive client steps are one group: they go in one piece, unless cut. */
struct step {
    char kind;
    const char *bytes;
    size_t len;
};
#define C(text)                                   \
    {                                             \
        'C', text "\r\n", sizeof(text "\r\n") - 1 \
    } /* the client says a line */
#define RAW(text)                   \
    {                               \
        'C', text, sizeof(text) - 1 \
    } /* the client says bytes */
#define S(start)                      \
    {                                 \
        'S', start, sizeof(start) - 1 \
    } /* the server's next reply begins so */
#define M(text)                     \
    {                               \
        'M', text, sizeof(text) - 1 \
    } /* the message committed last */
#define STORED(count)    \
    {                    \
        'N', NULL, count \
    } /* how many were committed so far */
#define RECIPIENTS(list)            \
    {                               \
        'R', list, sizeof(list) - 1 \
    } /* of the message committed last, each followed by a comma */
#define CLOSED       \
    {                \
        'X', NULL, 0 \
    } /* the server has ended the session, and said nothing more */
#define OPEN_STILL   \
    {                \
        'O', NULL, 0 \
    }
#define WAIT_MS(ms)   \
    {                 \
        'T', NULL, ms \
    } /* time passes */
#define STOP         \
    {                \
        'P', NULL, 0 \
    } /* the node drains */

/* Limits of the tests: small where a test passes them. */
extern struct smtp_limits test_limits;
void test_limits_reset(void);

/* The answer to every commit; and to a body. */
extern struct smtp_answer test_commit, test_body, test_greeting, test_sender;
/* Recipients: @refused.example 550, @later.example 451, <postmaster> becomes postmaster@relay.example; all others are taken. */

void play_once(const struct step *steps, size_t count); /* as it is */
void play(const struct step *steps, size_t count);      /* and in all cuts */
#define PLAY(...)                                          \
    do {                                                   \
        static const struct step steps_[] = {__VA_ARGS__}; \
        play(steps_, sizeof steps_ / sizeof steps_[0]);    \
    } while (0)
#define PLAY_ONCE(...)                                       \
    do {                                                     \
        static const struct step steps_[] = {__VA_ARGS__};   \
        play_once(steps_, sizeof steps_ / sizeof steps_[0]); \
    } while (0)
