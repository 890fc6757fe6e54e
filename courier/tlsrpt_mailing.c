/* A report as one message to all its addresses; a courier expands it like any other. */
#include "courier/tlsrpt_mailing.h"

#include <string.h>

#include "base/conf.h"
#include "cluster/lane.h"
#include "cluster/wire.h"
#include "io/crypto.h"
#include "io/idn.h"
#include "mail/envelope.h"

enum { COMMIT_TIME_MS = 30000, COPY_BYTES = 262144 };
#define MARK_MS (8ull * 24 * 3600 * 1000) /* longer than anybody repeats it (tlsrpt_keep_ms) */

struct id tlsrpt_mailing_id(const char *domain, uint64_t day_end_ms)
{
    AUTO_FREE char *text = mem_format("TLS report %llu %s", (unsigned long long) day_end_ms, domain);
    uint8_t digest[SHA256_BYTES];
    struct id id;

    crypto_sha256(span_of(text), digest);
    for (size_t i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t) (day_end_ms >> (40 - 8 * i));
    memcpy(id.bytes + 6, digest, sizeof(id.bytes) - 7);
    id.bytes[sizeof(id.bytes) - 1] = (uint8_t) partition_of(span_of(domain));
    return id;
}

static uint32_t queue_index(struct envelope *e, const char *address)
{
    char domain[DOMAIN_MAX + 1];
    AUTO_BUF struct buf queue = {.data = NULL};
    struct addr addr;
    int r = addr_parse(span_of(address), &addr);

    must(r == 0 && idn_domain(addr.domain, domain) == 0); /* as the record was read */
    queue_name(span_of(domain), lane_of(conf_get(), "", NULL), &queue);
    for (size_t i = 0; i < e->queue_count; i++) {
        if (span_equal(span_of(e->queues[i]), buf_span(&queue)))
            return (uint32_t) i;
    }
    e->queues[e->queue_count] = buf_steal_text(&queue);
    return (uint32_t) e->queue_count++;
}

static void fill_envelope(const struct tlsrpt_mail *m, const struct id *id, const char *job,
                          uint64_t size_bytes, struct envelope *e)
{
    *e = (struct envelope){
        .id = *id,
        .sender = mem_string(""),
        .recipients = mem_array(m->to_count, sizeof(*e->recipients)),
        .recipient_count = m->to_count,
        .queues = mem_array(m->to_count, sizeof(*e->queues)),
        .arrival_ms = m->wall_ms,
        .size_bytes = size_bytes,
        .chunk_count = 1,
        .content_partition = id_home(id),
        .content_job = mem_string(job),
        .tls_optional = true,
        .is_parent = true,
        .client = mem_string(""),
    };
    for (size_t i = 0; i < m->to_count; i++) {
        e->recipients[i].addr = mem_string(m->to[i]);
        e->recipients[i].queue = queue_index(e, m->to[i]);
    }
    e->keeps_content = e->queue_count * size_bytes > COPY_BYTES;
}

void tlsrpt_mailing_commit(struct courier *c, const struct tlsrpt_mail *m, const struct id *id,
                           queue_on_commit *on_commit, void *context)
{
    AUTO_BUF struct buf content = {.data = NULL}, envelope = {.data = NULL}, state = {.data = NULL};
    char job[JOB_TEXT_MAX + 1];
    struct envelope e;
    struct job_state s;
    struct span chunk;

    job_format(id, 0, job);
    tlsrpt_mail_write(m, &content);
    chunk = buf_span(&content);
    fill_envelope(m, id, job, content.len, &e);
    job_state_init(&s, &e);
    wire_put_envelope(&e, &envelope);
    wire_put_state(&s, &state);
    const struct queue_job made = {
        .partition = id_home(id),
        .job = job,
        .queue = QUEUE_FANOUT,
        .envelope = buf_span(&envelope),
        .state = buf_span(&state),
        .mark_ms = MARK_MS,
        .keeps_content = e.keeps_content,
        .chunk_count = 1,
        .size_bytes = content.len,
        .chunks = &chunk,
        .detail = "a TLS report of ours",
    };
    queue_commit(c->store, &made, true, COMMIT_TIME_MS, on_commit, context);
    job_state_done(&s);
    envelope_done(&e);
}
