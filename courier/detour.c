/*
 * Jobs that go to no host, or from another queue. A moved one waits a moment: nodes with different settings may disagree for a while, and would
 * hand it to and fro as fast as they can.
 */
#include "courier/detour.h"

#include <string.h>

#include "base/conf.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "cluster/lane.h"
#include "courier/obey.h"
#include "courier/settle.h"
#include "courier/work.h"

enum { MOVE_DELAY_MS = 1000 };

/* Its lane was chosen at commit; settings may have changed since (BEHAVIOURS I16), and a rule may send it another way. */
static bool detour_move(struct job *j)
{
    const struct conf *conf = conf_get();
    const struct work *w = j->work;
    uint64_t apart = w->courier->rules ? obey_apart(j) : 0;
    struct span domain, lane;

    queue_split(span_of(w->queue), &domain, &lane);
    if (conf->lane_count == 0 && lane.len == 0 && !apart && !w->is_apart)
        return false;
    const char *right = lane_of(conf, j->envelope.sender, j->envelope.tenant);
    struct buf queue = {0};
    if (apart)
        queue_name_apart(domain, right, apart, &queue);
    else
        queue_name(domain, right, &queue);
    AUTO_FREE char *text = buf_steal_text(&queue);
    if (strcmp(text, w->queue) == 0 || strlen(text) > QUEUE_TEXT_MAX)
        return false;
    FAULT_POINT(move_begun);
    settle_move(j, text, MOVE_DELAY_MS);
    return true;
}

bool detour_drop(struct job *j)
{
    bool is_report_due = false;

    for (size_t i = 0; i < j->state.recipient_count; i++) {
        struct recipient_state *s = &j->state.recipients[i];

        s->is_done |= job_is_undecided(j, i);
        is_report_due |= !s->is_done || s->is_report_due;
    }
    return is_report_due;
}

static void discard(struct job *j)
{
    char message[ID_TEXT_LEN + 1];

    id_format(&j->envelope.id, message);
    for (size_t i = 0; i < j->state.recipient_count; i++) {
        if (!job_is_undecided(j, i))
            continue;
        log_event(LOG_DISCARDED, F("msg", message), F("job", j->name), F("queue", j->work->queue),
                  F("from", j->envelope.sender), F("to", j->envelope.recipients[i].addr));
        metric_add(METRIC_DISCARDED_TOTAL, 1);
    }
    if (detour_drop(j))
        settle_attempt(j);
    else
        settle_end(j, "discarded", "by the route of its queue");
}

bool detour_begin(struct job *j)
{
    return (j->work->courier->rules && obey_take(j)) || (j->fate == FATE_NONE && detour_move(j));
}

bool detour_take(struct job *j)
{
    if (detour_begin(j))
        return true;
    switch (j->work->kind) {
    case TRANSPORT_HOLD:
        if (j->state.is_past_hold) /* released: it goes on, to the MX */
            return false;
        j->state.is_past_hold = true;
        settle_hold(j, "held by the route of its queue");
        return true;
    case TRANSPORT_DISCARD: discard(j); return true;
    case TRANSPORT_MX:
    case TRANSPORT_HOSTS: break;
    }
    return false;
}
