/* A token bucket. */
#include "courier/rate.h"

#include "base/mem.h"

enum { MILLION = 1000000 };
static const uint64_t most_micro = UINT64_C(1000000) *
                                   MILLION; /* faster than that is no limit, and could not be multiplied */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void fill(struct rate *r, uint64_t now_us)
{
    uint64_t most = r->micro > MILLION ? r->micro : MILLION;
    uint64_t to_full_us = most * MILLION / r->micro + 1;

    r->credit_micro += smaller(now_us - r->filled_us, to_full_us) * r->micro / MILLION;
    r->credit_micro = smaller(r->credit_micro, most);
    r->filled_us = now_us;
}

void rate_set(struct rate *r, uint64_t micro, uint64_t now_us)
{
    if (micro > most_micro)
        micro = 0;
    if (micro == r->micro)
        return;
    if (r->micro)
        fill(r, now_us);
    else
        r->credit_micro = 0;
    r->micro = micro;
    r->filled_us = now_us;
    if (micro)
        fill(r, now_us);
}

bool rate_allows(struct rate *r, uint64_t now_us)
{
    if (!r->micro)
        return true;
    fill(r, now_us);
    return r->credit_micro >= MILLION;
}

void rate_take(struct rate *r)
{
    if (!r->micro)
        return;
    must(r->credit_micro >= MILLION);
    r->credit_micro -= MILLION;
}

uint64_t rate_wait_ms(const struct rate *r)
{
    if (!r->micro || r->credit_micro >= MILLION)
        return 0;
    return 1 + (MILLION - r->credit_micro) * 1000 / r->micro;
}
