/* Frames of grants. */
#include "dispatcher/grant.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

static void tell(const struct courier *c, const struct grant *g)
{
    if (log_is_on(LOG_GRANTED))
        log_event(LOG_GRANTED, FS("queue", g->queue), FN("partition", g->partition),
                  FN("courier", c->incarnation), FN("connections", g->connections), FN("token", g->token));
}

static struct grant grant_of(const struct holder *h)
{
    return (struct grant){
        .partition = h->work->partition,
        .queue = work_queue(h->work),
        .token = h->token,
        .connections = h->share.connections,
        .rate_micro = h->share.rate_micro,
        .answers_ms = h->answers_ms,
        .serial = h->share.serial,
        .site = h->work->site ? site_name(h->work->site) : (struct span){0},
    };
}

static void flush_courier(struct courier *c, struct buf *bytes, grant_send *send, void *owner)
{
    struct grant grants[FRAME_ENTRIES];
    struct frame frame = {.grants = grants};

    while (!list_is_empty(&c->outgoing)) {
        frame.grant_count = 0;
        while (frame.grant_count < FRAME_ENTRIES && !list_is_empty(&c->outgoing)) {
            struct holder *h = LIST_FIRST(&c->outgoing, struct holder, out);
            list_remove(&h->out);
            grants[frame.grant_count] = grant_of(h);
            tell(c, &grants[frame.grant_count++]);
        }
        buf_clear(bytes);
        wire_put_frame(&frame, bytes);
        FAULT_SENT(grant_sent);
        if (send(owner, (struct span){.at = c->name, .len = c->name_len}, buf_span(bytes)) < 0)
            metric_add(METRIC_FRAMES_DROPPED_TOTAL, 1);
        else
            metric_add(METRIC_GRANTS_TOTAL, (int64_t) frame.grant_count);
    }
}

void grants_flush(struct schedule *s, grant_send *send, void *owner)
{
    AUTO_BUF struct buf bytes = {0};

    if (!s->has_output)
        return;
    s->has_output = false;
    for (size_t i = 0; i < s->couriers->count; i++)
        flush_courier(s->couriers->all[i], &bytes, send, owner);
}
