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
#include "courier/settle.h"
#include "courier/work.h"

enum { MOVE_DELAY_MS = 1000 };

/* Its lane was chosen at commit; settings may have changed since (BEHAVIOURS I16). */
bool detour_move(struct job *j)
{
    const struct conf *conf = conf_get();
    const struct work *w = j->work;
    struct span domain, lane;

    queue_split(span_of(w->queue), &domain, &lane);
    if (conf->lane_count == 0 && lane.len == 0)
        return false;
    const char *right = lane_of(conf, j->envelope.sender, j->envelope.tenant);
    if (span_equal(lane, span_of(right)))
        return false;
    struct buf queue = {0};
    queue_name(domain, right, &queue);
    AUTO_FREE char *text = buf_steal_text(&queue);
    FAULT_POINT(move_begun);
    settle_move(j, text, MOVE_DELAY_MS);
    return true;
}

static void discard(struct job *j)
{
    bool is_report_due = false;
    char message[ID_TEXT_LEN + 1];
    size_t count = 0;

    id_format(&j->envelope.id, message);
    for (size_t i = 0; i < j->state.recipient_count; i++) {
        struct recipient_state *s = &j->state.recipients[i];

        if (job_is_undecided(j, i)) {
            log_event(LOG_DISCARDED, F("msg", message), F("job", j->name), F("queue", j->work->queue),
                      F("from", j->envelope.sender), F("to", j->envelope.recipients[i].addr));
            s->is_done = true;
            count++;
        }
        is_report_due |= !s->is_done || s->is_report_due;
    }
    metric_add(METRIC_DISCARDED_TOTAL, (int64_t) count);
    if (is_report_due) /* of others, who failed before */
        settle_attempt(j);
    else
        settle_end(j, "discarded", "by the route of its queue");
}

bool detour_take(struct job *j)
{
    if (detour_move(j))
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
