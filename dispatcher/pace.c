/* How many connections a destination bears. */
#include "dispatcher/pace.h"

void pace_start(struct pace *p, uint32_t connections)
{
    *p = (struct pace){.connections = connections ? connections : 1};
}

void pace_hear(struct pace *p, uint32_t succeeded, uint32_t throttled, uint32_t most)
{
    if (throttled) {
        uint32_t less = throttled / p->connections + (throttled % p->connections != 0);
        pace_start(p, p->connections > less ? p->connections - less : 1);
        return; /* what succeeded beside it is no reason for more */
    }
    if (p->connections >= most) {
        pace_start(p, most);
        return;
    }
    p->successes = succeeded < UINT32_MAX - p->successes ? p->successes + succeeded : UINT32_MAX;
    while (p->connections < most && p->successes >= p->connections) {
        p->successes -= p->connections;
        p->connections++;
    }
}
