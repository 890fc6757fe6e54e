/* A notification travels as a many-queue message of one child: it is committed in the failed job's partition, whatever the sender's domain. */
#include "courier/dsn_job.h"

#include <errno.h>

#include "base/conf.h"
#include "cluster/daemon.h"
#include "cluster/wire.h"
#include "courier/work.h"
#include "io/idn.h"
#include "mail/addr.h"
#include "mail/ascii.h"

/* The queue of a sender: its domain, or its address literal, in lower case; the courier that has it goes there without MX. */
static int queue_of(const char *text, char ret_queue[static DOMAIN_MAX + 1])
{
    struct addr sender;

    if (addr_parse_utf8(span_of(text), &sender) < 0)
        return -EINVAL;
    if (!sender.is_literal)
        return idn_domain(sender.domain, ret_queue);
    must(sender.domain.len <= DOMAIN_MAX);
    for (size_t i = 0; i < sender.domain.len; i++)
        ret_queue[i] = to_lower(sender.domain.at[i]);
    ret_queue[sender.domain.len] = '\0';
    return 0;
}

static int fill_envelope(const struct job *j, const struct id *id, const char *name,
                         const struct dsn_written *written, uint64_t size_bytes,
                         struct envelope *ret_envelope)
{
    char queue[DOMAIN_MAX + 1];

    if (queue_of(j->envelope.sender, queue) < 0)
        return -EINVAL;
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
        .is_dsn = true,
        .is_parent = true,
        .client = mem_string(""),
    };
    ret_envelope->recipients[0].addr = mem_string(j->envelope.sender);
    ret_envelope->queues[0] = mem_string(queue);
    return 0;
}

/* Until when a delayed one is tried (retry.lifetime). */
static uint64_t retry_until_ms(const struct job *j)
{
    uint64_t now = store_redis_ms(j->work->courier->store), age = job_age_ms(j),
             lifetime = conf_get()->retry.lifetime_ms;

    return age < lifetime ? now + (lifetime - age) : now;
}

int dsn_job_make(const struct job *j, const struct dsn_recipient *told, size_t count, struct dsn_job *ret_dsn)
{
    const struct conf *conf = conf_get();
    struct id id = id_new(store_redis_ms(j->work->courier->store), j->work->partition);
    struct dsn_job made = {0};
    struct dsn_written written;
    struct envelope e;
    struct job_state s;
    struct dsn d = {
        .id = id,
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

    job_format(&id, 0, made.name);
    written = dsn_write(&d, &made.content);
    must(made.content.len <= DSN_MAX);
    r = fill_envelope(j, &id, made.name, &written, made.content.len, &e);
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
