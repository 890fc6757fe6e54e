/*
 * Reactors. Ending: listeners close, sessions end between transactions, submissions get their answers; a reactor with nothing left says so
 * (on_drained) at its next wake-up, outside of any callback, and is ended there.
 */
#include "ingress/reactor.h"

#include <errno.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "cluster/spool.h"
#include "ingress/listener.h"
#include "ingress/session.h"

/* The store knows at most 4096 chunks of a message, of which early ones may be short. */
enum { WHOLE_CHUNKS_MAX = 3500 };

struct reactor_shared reactor_shared;

static void set_limits(struct reactor *r, const struct conf *conf)
{
    uint64_t storable = (uint64_t) WHOLE_CHUNKS_MAX * SPOOL_CHUNK;
    r->limits = (struct smtp_limits){
        .message_bytes = conf->ingress.max_message_bytes < storable ? conf->ingress.max_message_bytes
                                                                    : storable,
        .line_bytes = conf->ingress.max_line_bytes,
        .header = {.size_bytes = conf->ingress.max_header_bytes,
                   .fields = conf->ingress.max_header_fields,
                   .hops = conf->ingress.max_hops},
        .recipients = conf->ingress.max_recipients,
        .transactions = conf->ingress.max_transactions,
        .errors = conf->ingress.max_errors,
        .junk = conf->ingress.max_junk,
        .command_ms = conf->ingress.command_timeout_ms,
        .data_ms = conf->ingress.data_timeout_ms,
        .data_total_ms = conf->ingress.data_total_ms,
        .requires_fqdn = conf->ingress.require_fqdn,
    };
    r->max_sessions = conf->ingress.max_sessions;
    r->max_sessions_per_client = conf->ingress.max_sessions_per_client;
}

void reactor_refresh(struct reactor *r)
{
    unsigned settings = atomic_load(&reactor_shared.settings);
    struct policy *next = NULL;
    AUTO_FREE char *error = NULL;
    if (r->policy && r->settings == settings)
        return;
    r->settings = settings;
    set_limits(r, conf_get());
    if (policy_new(conf_get(), &next, &error) < 0) {
        if (r->index == 0)
            log_event(LOG_CONFIG_REFUSED, F("error", error));
        return;
    }
    (void) policy_free(r->policy); /* always NULL */
    r->policy = next;
}

static void on_store_ready(void *owner)
{
    struct reactor *r = owner;
    atomic_store(&r->is_ready, true);
}

static void on_store_lost(void *owner, const char *reason UNUSED)
{
    struct reactor *r = owner;
    atomic_store(&r->is_ready, false);
}

static void on_wake(void *context)
{
    struct reactor *r = context;
    unsigned drain = atomic_load(&reactor_shared.drain);
    if (!r->store)
        return; /* it has ended */
    ringer_update(r->ringer);
    reactor_refresh(r);
    if (drain == DRAIN_NO)
        return;
    if (!r->is_drained) {
        listeners_close(r);
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
    if (atomic_load(&reactor_shared.drain) == DRAIN_NO || r->listener_count > 0 || r->session_count > 0 ||
        r->submission_count > 0 || r->is_drained)
        return;
    r->is_drained = true;
    loop_wake(r->loop); /* the end is made there: this may be a callback of what it closes */
}

int reactor_new(unsigned index, struct loop *l, struct reactor **ret_reactor, char **ret_error)
{
    struct reactor *r = NEW(struct reactor);
    const struct store_events events = {.on_ready = on_store_ready, .on_lost = on_store_lost, .owner = r};
    r->index = index;
    r->loop = l ? l : loop_new();
    list_init(&r->sessions);
    list_init(&r->submissions);
    r->settings = atomic_load(&reactor_shared.settings);
    set_limits(r, conf_get());
    int error = policy_new(conf_get(), &r->policy, ret_error);
    if (error >= 0)
        error = store_open(r->loop, &events, &r->store, ret_error);
    if (error < 0)
        return error; /* the program ends now, and says why */
    r->ringer = ringer_new(r->loop, index);
    loop_on_wake(r->loop, on_wake, r);
    *ret_reactor = r;
    return 0;
}

void reactor_end(struct reactor *r)
{
    timer_stop(&r->room);
    r->ringer = ringer_free(r->ringer);
    r->store = store_close(r->store);
}

struct reactor *reactor_free(struct reactor *r)
{
    (void) policy_free(r->policy); /* always NULL */
    mem_free(r->listeners);
    mem_free(r);
    return NULL;
}
