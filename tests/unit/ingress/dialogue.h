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
#define END          \
    {                \
        'E', NULL, 0 \
    } /* the owner ends the session */
#define TOLD(text)                  \
    {                               \
        'D', text, sizeof(text) - 1 \
    } /* the envelope committed last: see tell() in dialogue.c */
#define SWITCH(name)                \
    {                               \
        'W', name, sizeof(name) - 1 \
    } /* the owner changes a limit: "recipients=2" */

/* What the listener of the tests offers: limits are small where a test passes them. */
extern struct smtp_profile test_profile;
#define test_limits test_profile.limits
void test_limits_reset(void);

/* The answer to every commit; and to a body. */
extern struct smtp_answer test_commit, test_body, test_greeting, test_sender, test_tls;
/* The stored message has an empty line in front where it begins with its body, as submit.c puts there. */
extern bool test_separates;
/* Flags that the owner sets: is_secured, is_xclient_allowed, is_auth_believed, wall_offset_ms. */
extern struct smtp_server test_owner;
/*
 * Recipients: @refused.example 550, @later.example 451, <postmaster> becomes postmaster@relay.example, <many@list.example> three, one of them twice;
 * all others are taken.
 * AUTH: PLAIN "\0user\0pass" and LOGIN "user", "pass" 235; "away" for user 454; all else 535. XCLIENT: 220, but 550 with ADDR 192.0.2.99.
 */

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
