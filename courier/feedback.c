/* What a message's verdicts say of its host's pace. */
#include "courier/feedback.h"

#include <string.h>

bool feedback_is_throttling(const struct verdict *v)
{
    return v->class == VERDICT_DEFERRED && (v->code == 421 || v->code == 451 || v->code == 452) &&
           strncmp(v->status, "4.2.", 4) != 0;
}

void feedback_add(struct feedback *f, const struct client_message *m)
{
    bool is_taken = false, is_throttled = m->fault != FAULT_NONE && feedback_is_throttling(&m->fault_verdict);

    for (size_t i = 0; i < m->count; i++) {
        is_taken |= m->verdicts[i].class == VERDICT_DELIVERED;
        is_throttled |= feedback_is_throttling(&m->verdicts[i]);
    }
    f->finished++;
    f->succeeded += is_taken;
    f->throttled += is_throttled && !is_taken;
}
