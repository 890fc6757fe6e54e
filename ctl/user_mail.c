/* A user's mail, in all queues. It is walked again until a pass meets nothing new: mail on its way from one place to another is met then. */
#include "ctl/user_mail.h"

#include "base/mem.h"
#include "ctl/campaign.h"
#include "ctl/selection.h"

/* Nodes look for changes twice a second, and a command under way may take as long: what comes later has seen the record. */
enum { PASSES_MAX = 3, NODES_SEE_MS = 2000 };
static const char why[] = "by operator: user disabled";

static int on_page(void *context, struct selected *jobs, size_t count, uint64_t now_ms)
{
    struct campaign *c = context;
    for (size_t i = 0; i < count; i++)
        campaign_meet(c, jobs[i].job, jobs[i].partition, jobs[i].place, jobs[i].score, &jobs[i].record,
                      now_ms);
    if (c->orders)
        orders_wait(c->orders);
    campaign_tell_progress(c);
    return c->tally.count[EFFECT_UNKNOWN] > 0 ? say_failed("Redis does not answer: stopped") : EXIT_OK;
}

static int go_hold(struct campaign *c, const void *context)
{
    const struct selection s = {
        .queue = "*", .filter = {.user = context}, .claimed = true, .waiting = true, .with_texts = true};
    uint64_t before;
    int status, passes = 0;
    if (c->orders)
        ask_pause(c->ask, NODES_SEE_MS);
    do {
        before = tally_sum(&c->tally);
        status = selection_walk(c->ask, &s, on_page, c);
        c->is_again = true;
    } while (status == EXIT_OK && c->orders && tally_sum(&c->tally) > before && ++passes < PASSES_MAX);
    return status;
}

static int go_release(struct campaign *c, const void *context)
{
    const struct selection s = {
        .filter = {.user = context, .because = why}, .claimed = true, .held = true, .with_texts = true};
    return selection_walk(c->ask, &s, on_page, c);
}

int user_mail_hold(const struct arguments *a, const char *name)
{
    return campaign_run_unasked(a, ORDER_HOLD, why, go_hold, name);
}

int user_mail_release(const struct arguments *a, const char *name)
{
    return campaign_run_unasked(a, ORDER_RELEASE, NULL, go_release, name);
}
