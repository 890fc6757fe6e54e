/*
 * Reactors. Ending: listeners close, sessions end between transactions, submissions get their answers; a reactor with nothing left says so
 * (on_drained) at its next wake-up, outside of any callback, and is ended there.
 */
#include "ingress/reactor.h"

#include <errno.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingress/arrival.h"
#include "ingress/auth.h"
#include "ingress/listener.h"
#include "ingress/service.h"
#include "ingress/session.h"
#include "ingress/tracing.h"

struct reactor_shared reactor_shared;

void reactor_refresh(struct reactor *r)
{
    unsigned settings = atomic_load(&reactor_shared.settings);
    if (r->settings == settings)
        return;
    r->settings = settings;
    services_refresh(r);
}

static void hurry(struct reactor *r)
{
    unsigned hurries = atomic_load(&reactor_shared.hurries);
    if (r->hurries != hurries)
        sessions_hurry(r);
    r->hurries = hurries;
}

/* Who comes while we start waits a moment for Redis, and for the orders, rather than be told to come again. */
static void begin(struct reactor *r)
{
    if (r->has_begun || !atomic_load(&r->is_ready) || !atomic_load(&reactor_shared.has_orders))
        return;
    r->has_begun = true;
    listeners_begin(r);
}

static void on_store_ready(void *owner)
{
    struct reactor *r = owner;
    atomic_store(&r->is_ready, store_has_ready(r->store));
    begin(r);
}

static void on_store_lost(void *owner, const char *reason UNUSED)
{
    struct reactor *r = owner;
    atomic_store(&r->is_ready, store_has_ready(r->store));
}

static void on_wake(void *context)
{
    struct reactor *r = context;
    unsigned drain = atomic_load(&reactor_shared.drain);
    if (!r->store)
        return; /* it has ended */
    begin(r);
    ringer_update(r->ringer);
    reactor_refresh(r);
    tracing_refresh(r);
    hurry(r);
    if (drain == DRAIN_NO)
        return;
    if (drain == DRAIN_ORDERED) {
        sessions_stop(r, false);
        return;
    }
    if (!r->is_drained) {
        listeners_close(r);
        arrivals_stop(r);
        sessions_stop(r, drain == DRAIN_AT_ONCE);
        reactor_check_drained(r);
    }
    if (r->is_drained)
        reactor_shared.on_drained(r);
}

void reactor_wake(struct reactor *r)
{
    loop_wake(r->loop);
}

void reactor_check_drained(struct reactor *r)
{
    if (atomic_load(&reactor_shared.drain) < DRAIN_POLITELY || r->listener_count > 0 ||
        r->session_count > 0 || r->submission_count > 0 || r->is_drained)
        return;
    r->is_drained = true;
    loop_wake(r->loop); /* the end is made there: this may be a callback of what it closes */
}

int reactor_new(unsigned index, unsigned count, struct loop *l, struct reactor **ret_reactor,
                char **ret_error)
{
    struct reactor *r = NEW(struct reactor);
    const struct store_events events = {.on_ready = on_store_ready, .on_lost = on_store_lost, .owner = r};
    r->index = index;
    r->loop = l ? l : loop_new();
    list_init(&r->arrivals);
    list_init(&r->sessions);
    list_init(&r->submissions);
    r->settings = atomic_load(&reactor_shared.settings);
    r->auth = auth_new(r);
    int error = services_open(r, ret_error);
    if (error >= 0)
        error = store_open(r->loop, &events, &r->store, ret_error);
    if (error < 0)
        return error; /* the program ends now, and says why */
    r->limiter = limiter_open(r->store);
    r->quota = quota_open(r->store);
    r->tables = tables_new(r->store);
    r->domain_check = domain_check_new(r->loop);
    r->ringer = ringer_new(r->loop, index);
    r->transcripts = transcripts_open(r->store, reactor_shared.name,
                                      count < TRANSCRIPT_RATE ? TRANSCRIPT_RATE / count : 1);
    loop_on_wake(r->loop, on_wake, r);
    *ret_reactor = r;
    return 0;
}

void reactor_end(struct reactor *r)
{
    timer_stop(&r->room);
    r->ringer = ringer_free(r->ringer);
    r->transcripts = transcripts_close(r->transcripts);
    r->auth = auth_free(r->auth);
    r->quota = quota_close(r->quota);
    r->limiter = limiter_close(r->limiter); /* no session is left that holds anything of it */
    r->tables = tables_free(r->tables);
    r->domain_check = domain_check_free(r->domain_check);
    r->store = store_close(r->store);
}

struct reactor *reactor_free(struct reactor *r)
{
    services_close(r);
    mem_free(r->spare_admission);
    mem_free(r->listeners);
    mem_free(r);
    return NULL;
}
