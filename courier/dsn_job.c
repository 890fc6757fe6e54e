/* A notification travels as a many-queue message of one child: it is committed in the failed job's partition, whatever the sender's domain. */
#include "courier/dsn_job.h"

#include <errno.h>

#include "base/conf.h"
#include "cluster/daemon.h"
#include "cluster/lane.h"
#include "cluster/retry_schedule.h"
#include "cluster/wire.h"
#include "courier/work.h"
#include "io/idn.h"
#include "mail/addr.h"
#include "mail/ascii.h"

/* The domain of a sender, or its address literal, in lower case; the courier that has it goes there without MX. */
static int domain_of(const char *text, char ret_domain[static DOMAIN_MAX + 1])
{
    struct addr sender;

    if (addr_parse_utf8(span_of(text), &sender) < 0)
        return -EINVAL;
    if (!sender.is_literal)
        return idn_domain(sender.domain, ret_domain);
    must(sender.domain.len <= DOMAIN_MAX);
    for (size_t i = 0; i < sender.domain.len; i++)
        ret_domain[i] = to_lower(sender.domain.at[i]);
    ret_domain[sender.domain.len] = '\0';
    return 0;
}

static int fill_envelope(const struct job *j, const char *to, const struct id *id, const char *name,
                         const struct dsn_written *written, uint64_t size_bytes,
                         struct envelope *ret_envelope)
{
    const struct conf *conf = conf_get();
    char domain[DOMAIN_MAX + 1];
    struct buf queue = {0};

    if (domain_of(to, domain) < 0)
        return -EINVAL;
    queue_name(span_of(domain), lane_of(conf, "", NULL), &queue);
    *ret_envelope = (struct envelope){
        .id = *id,
        .sender = mem_string(""),
        .recipients = NEW(struct recipient),
        .recipient_count = 1,
        .queues = NEW(char *),
        .queue_count = 1,
        .arrival_ms = store_redis_ms(j->work->courier->store),
        .size_bytes = size_bytes,
        .chunk_count = 1,
        .content_partition = j->work->partition,
        .content_job = mem_string(name),
        .is_8bit = written->is_8bit,
        .is_utf8 = written->is_utf8,
        .has_utf8_header = written->is_utf8,
        .requires_tls = j->envelope.requires_tls && conf->dsn.require_tls,
        .tls_optional = j->envelope.tls_optional,
        .is_dsn = true,
        .is_parent = true,
        .client = mem_string(""),
    };
    ret_envelope->recipients[0].addr = mem_string(to);
    ret_envelope->queues[0] = buf_steal_text(&queue);
    return 0;
}

/* Until when mail of its queue is tried. */
static uint64_t retry_until_ms(const struct job *j)
{
    uint64_t now = store_redis_ms(j->work->courier->store), age = job_age_ms(j);
    struct retry retry;

    retry_find(conf_get(), j->work->queue, BOUNCE_NONE, &retry);
    return age < retry.lifetime_ms ? now + (retry.lifetime_ms - age) : now;
}

int dsn_job_make(const struct job *j, const char *to, const struct dsn_recipient *told, size_t count,
                 struct dsn_job *ret_dsn)
{
    const struct conf *conf = conf_get();
    struct id id = id_new(store_redis_ms(j->work->courier->store), j->work->partition);
    struct dsn_job made = {0};
    struct dsn_written written;
    struct envelope e;
    struct job_state s;
    struct dsn d = {
        .id = id,
        .to = *j->envelope.sender ? NULL : to,
        .reporting_name = daemon_node_name(),
        .from_name = conf->dsn.from_name,
        .envelope = &j->envelope,
        .recipients = told,
        .recipient_count = count,
        .wall_ms = store_redis_ms(j->work->courier->store),
        .last_attempt_ms = j->state.last_attempt_ms,
        .retry_until_ms = retry_until_ms(j),
        .attempts = j->state.attempts,
        .original = buf_span(&j->chunk),
        .original_is_whole = j->envelope.chunk_count <= 1,
        .max_original_bytes = conf->dsn.max_original_bytes,
    };
    int r;

    for (size_t i = 0; i < DSN_ACTION_COUNT && !d.to; i++)
        d.templates[i] = j->work->courier->dsn.templates[i];
    job_format(&id, 0, made.name);
    written = dsn_write(&d, &made.content);
    must(made.content.len <= DSN_MAX);
    r = fill_envelope(j, to, &id, made.name, &written, made.content.len, &e);
    if (r < 0) {
        dsn_job_done(&made);
        return r;
    }
    job_state_init(&s, &e);
    wire_put_envelope(&e, &made.envelope);
    wire_put_state(&s, &made.state);
    job_state_done(&s);
    envelope_done(&e);
    *ret_dsn = made;
    return (int) written.recipient_count;
}

void dsn_job_done(struct dsn_job *d)
{
    buf_done(&d->content);
    buf_done(&d->envelope);
    buf_done(&d->state);
}
