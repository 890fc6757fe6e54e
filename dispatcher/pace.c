/* How many connections a destination bears. */
#include "dispatcher/pace.h"

void pace_start(struct pace *p, uint32_t connections)
{
    *p = (struct pace){.connections = connections ? connections : 1};
}

void pace_hear(struct pace *p, uint32_t succeeded, uint32_t throttled, uint32_t most)
{
    int64_t n = p->connections;

    p->score += (int64_t) succeeded - (int64_t) throttled * n;
    for (; n < most && p->score >= n; n++)
        p->score -= n;
    for (; n > 1 && p->score <= -n * n; n--)
        p->score += n * n;
    if (n >= most && p->score > 0) /* nothing is saved up at an end */
        p->score = 0;
    if (n == 1 && p->score < 0)
        p->score = 0;
    if (n > most)
        n = most;
    p->connections = (uint32_t) n;
}
