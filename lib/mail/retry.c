/* The retry schedule: wait as long as the message is old already, so tries thin out by themselves. */
#include "mail/retry.h"

uint64_t retry_delay_ms(const struct retry *r, uint64_t age_ms, uint64_t random)
{
    uint64_t delay = age_ms;
    if (delay > r->longest_ms)
        delay = r->longest_ms;
    if (delay < r->first_ms)
        delay = r->first_ms;
    /* 15 percent to either side: jobs deferred together by one outage come back spread out. */
    uint64_t side = delay / 20 * 3;
    return delay - side + random % (2 * side + 1);
}

bool retry_is_expired(const struct retry *r, uint64_t age_ms, bool is_null_sender)
{
    return age_ms >= (is_null_sender ? r->bounce_lifetime_ms : r->lifetime_ms);
}
