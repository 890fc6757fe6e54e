/* The envelope's record: written at the commit, read with every claim. What comes back is in range, or refused (BEHAVIOURS M06). */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/wire.h"
#include "cluster/wire_private.h"
#include "mail/ascii.h"
#include "mail/orcpt.h"
#include "proto/mail.pb-c.h"

/*
 * A courier of the first version would send demanding mail where or how it must not go: in the clear, by DATA, to a host that cannot read
 * its addresses, or too late, or would not take it out of its tenant's count. It leaves version 2 to newer ones (BEHAVIOURS A19).
 */
enum {
    ENVELOPE_PLAIN = 1,
    ENVELOPE_DEMANDING = 2,
#ifdef NEXT /* what plays a later version (wire.c) has demands that we do not know: of mail with the ENVID "later" */
    ENVELOPE_NEWEST = 3,
#else
    ENVELOPE_NEWEST = ENVELOPE_DEMANDING,
#endif
};

/* Far above what is ever written, far below what could harm. */
enum {
    ADDR_TEXT_MAX = 1024,
    CLIENT_TEXT_MAX = 4096,
    NAME_TEXT_MAX = 512, /* of users and tenants */
    CHUNKS_MAX = 16384,
};
static const uint64_t content_max_bytes = UINT64_C(1) << 32;

/* ---- writing ---- */

/* A text that may be missing: NULL is not written, "" is. */
#define PUT_TEXT(message, field, text) \
    ((message)->has_##field = (text) != NULL, (message)->field = bytes_of(text))

static void put_recipients(const struct envelope *e, struct arena *a, Barid__Envelope *m)
{
    m->n_recipients = e->recipient_count;
    m->recipients = arena_array(a, e->recipient_count, sizeof(*m->recipients));
    Barid__Recipient *r = arena_array(a, e->recipient_count, sizeof(*r));
    for (size_t i = 0; i < e->recipient_count; i++, r++) {
        const struct recipient *from = &e->recipients[i];

        barid__recipient__init(r);
        r->addr = bytes_of(from->addr);
        r->has_addr = true;
        WIRE_PUT(r, queue, from->queue);
        WIRE_PUT(r, notify, from->notify);
        PUT_TEXT(r, orcpt, from->orcpt);
        m->recipients[i] = r;
    }
}

static void put_wishes(const struct envelope *e, Barid__Envelope *m)
{
    PUT_TEXT(m, envid, e->envid);
    WIRE_PUT(m, ret, (uint32_t) e->ret);
    WIRE_PUT(m, is_utf8, e->is_utf8);
    WIRE_PUT(m, has_utf8_header, e->has_utf8_header);
    WIRE_PUT(m, is_binary, e->is_binary);
    WIRE_PUT(m, requires_tls, e->requires_tls);
    WIRE_PUT(m, tls_optional, e->tls_optional && !e->requires_tls);
    WIRE_PUT(m, release_ms, e->release_ms);
    WIRE_PUT(m, by_ms, e->by_ms);
    WIRE_PUT(m, by_mode, (uint32_t) e->by_mode);
    WIRE_PUT(m, by_trace, e->by_trace);
    PUT_TEXT(m, user, e->user);
    PUT_TEXT(m, tenant, e->tenant);
    PUT_TEXT(m, auth, e->auth);
}

static uint8_t version_of(const struct envelope *e)
{
    bool is_demanding = e->is_binary || e->requires_tls || e->has_utf8_header || e->by_mode == BY_RETURN ||
                        e->tenant || !is_ascii_text(e->sender);

    for (size_t i = 0; i < e->recipient_count && !is_demanding; i++)
        is_demanding = !is_ascii_text(e->recipients[i].addr);
    if (ENVELOPE_NEWEST > ENVELOPE_DEMANDING && e->envid && strcmp(e->envid, "later") == 0)
        return ENVELOPE_NEWEST;
    return is_demanding ? ENVELOPE_DEMANDING : ENVELOPE_PLAIN;
}

void wire_put_envelope(const struct envelope *e, struct buf *out)
{
    struct arena a;
    char default_job[JOB_TEXT_MAX + 1];
    Barid__Envelope m = BARID__ENVELOPE__INIT;

    must(e->recipient_count && e->recipient_count <= ENVELOPE_RECIPIENTS_MAX);
    must(e->queue_count && e->queue_count <= ENVELOPE_RECIPIENTS_MAX);
    arena_init(&a, SIZE_MAX / 2);
    m.id = bytes_of_span((struct span){.at = (const char *) e->id.bytes, .len = sizeof(e->id.bytes)});
    m.has_id = true;
    m.sender = bytes_of(e->sender);
    m.has_sender = m.sender.len > 0;

    put_recipients(e, &a, &m);
    m.n_queues = e->queue_count;
    m.queues = arena_array(&a, e->queue_count, sizeof(*m.queues));
    for (size_t i = 0; i < e->queue_count; i++)
        m.queues[i] = bytes_of(e->queues[i]);

    WIRE_PUT(&m, arrival_ms, e->arrival_ms);
    WIRE_PUT(&m, size_bytes, e->size_bytes);
    WIRE_PUT(&m, chunk_count, e->chunk_count);
    WIRE_PUT(&m, content_partition, e->content_partition);
    job_format(&e->id, 0, default_job);
    m.content_job = bytes_of(e->content_job);
    m.has_content_job = !e->content_job || strcmp(e->content_job, default_job) != 0;
    WIRE_PUT(&m, coding, (uint32_t) e->coding);
    WIRE_PUT(&m, coded_bytes, e->coding == CODING_PLAIN ? 0 : e->coded_bytes);
    WIRE_PUT(&m, is_8bit, e->is_8bit);
    WIRE_PUT(&m, is_dsn, e->is_dsn);
    WIRE_PUT(&m, is_parent, e->is_parent);
    WIRE_PUT(&m, keeps_content, e->keeps_content);
    m.client = bytes_of_start(e->client, CLIENT_TEXT_MAX);
    m.has_client = m.client.len > 0;
    put_wishes(e, &m);
    record_put_as(version_of(e), &m.base, out);
    arena_done(&a);
}

/* ---- reading ---- */

static bool is_addr(ProtobufCBinaryData b, size_t min_len)
{
    return bytes_fit(b, min_len, ADDR_TEXT_MAX) && bytes_are_line(b);
}

static bool recipient_is_sound(const Barid__Recipient *m, size_t queue_count)
{
    return is_addr(m->addr, 1) && m->queue < queue_count && m->notify <= NOTIFY_ALL &&
           (!(m->notify & NOTIFY_NEVER) || m->notify == NOTIFY_NEVER) &&

           (!m->has_orcpt || (bytes_fit(m->orcpt, 1, ORCPT_MAX) && orcpt_is_sound(bytes_span(m->orcpt))));
}

static bool is_name(ProtobufCBinaryData b)
{
    return bytes_fit(b, 1, NAME_TEXT_MAX) && bytes_are_line(b);
}

static bool wishes_are_sound(const Barid__Envelope *m)
{
    return (!m->has_envid || (bytes_fit(m->envid, 0, ENVID_MAX) && xtext_is_sound(bytes_span(m->envid)))) &&
           m->ret < RET_COUNT && m->by_mode < BY_MODE_COUNT && m->release_ms <= WIRE_TIME_MAX &&
           m->by_ms <= WIRE_TIME_MAX && (!m->has_user || is_name(m->user)) &&
           (!m->has_tenant || is_name(m->tenant)) && is_addr(m->auth, 0);
}

static bool envelope_is_sound(const Barid__Envelope *m)
{
    struct id content_id;
    uint32_t index;

    if (!m->has_id || m->id.len != sizeof(struct id) || !is_addr(m->sender, 0) ||
        !bytes_fit(m->client, 0, CLIENT_TEXT_MAX))
        return false;
    if (!m->n_recipients || m->n_recipients > ENVELOPE_RECIPIENTS_MAX || !m->n_queues ||
        m->n_queues > ENVELOPE_RECIPIENTS_MAX)
        return false;
    for (size_t i = 0; i < m->n_recipients; i++)
        if (!recipient_is_sound(m->recipients[i], m->n_queues))
            return false;
    for (size_t i = 0; i < m->n_queues; i++)
        if (!bytes_are_queue(m->queues[i]))
            return false;
    if (m->arrival_ms > WIRE_TIME_MAX || m->size_bytes > content_max_bytes ||
        m->coded_bytes > content_max_bytes || m->chunk_count > CHUNKS_MAX ||
        m->content_partition >= PARTITION_COUNT)
        return false;
    if (!wishes_are_sound(m))
        return false;
    if (!m->has_content_job)
        return true;
    if (!m->content_job.len)
        return !m->chunk_count;
    return !job_parse(bytes_span(m->content_job), &content_id, &index);
}

/* NULL when it is not there. */
#define GET_TEXT(message, field) ((message)->has_##field ? bytes_text((message)->field) : NULL)

static void get_recipients(const Barid__Envelope *m, struct envelope *e)
{
    for (size_t i = 0; i < m->n_recipients; i++) {
        const Barid__Recipient *r = m->recipients[i];

        e->recipients[i] = (struct recipient){
            .addr = bytes_text(r->addr), .queue = r->queue, .notify = r->notify, .orcpt = GET_TEXT(r, orcpt)};
    }
}

static void get_wishes(const Barid__Envelope *m, struct envelope *e)
{
    e->envid = GET_TEXT(m, envid);
    e->ret = (enum dsn_ret) m->ret;
    e->is_utf8 = m->is_utf8;
    e->has_utf8_header = m->has_utf8_header;
    e->is_binary = m->is_binary;
    e->requires_tls = m->requires_tls;
    e->tls_optional = m->tls_optional && !m->requires_tls;
    e->release_ms = m->release_ms;
    e->by_ms = m->by_ms;
    e->by_mode = (enum by_mode) m->by_mode;
    e->by_trace = m->by_trace;
    e->user = GET_TEXT(m, user);
    e->tenant = GET_TEXT(m, tenant);
    e->auth = GET_TEXT(m, auth);
}

int wire_get_envelope(struct span in, struct envelope *ret_envelope)
{
    struct arena a;
    void *message;
    char default_job[JOB_TEXT_MAX + 1];

    int r = record_get_to(ENVELOPE_NEWEST, in, &barid__envelope__descriptor, &a, &message);
    if (!r && !envelope_is_sound(message))
        r = -EBADMSG;
    else if (!r && ((const Barid__Envelope *) message)->coding >= CODING_COUNT)
        r = -EPROTONOSUPPORT;
    if (r) {
        arena_done(&a);
        return r;
    }
    const Barid__Envelope *m = message;
    struct envelope e = {
        .sender = bytes_text(m->sender),
        .recipients = mem_array(m->n_recipients, sizeof(struct recipient)),
        .recipient_count = m->n_recipients,
        .queues = mem_array(m->n_queues, sizeof(char *)),
        .queue_count = m->n_queues,
        .arrival_ms = m->arrival_ms,
        .size_bytes = m->size_bytes,
        .chunk_count = m->chunk_count,
        .content_partition = m->content_partition,
        .coding = (enum content_coding) m->coding,
        .coded_bytes = m->coded_bytes,
        .is_8bit = m->is_8bit,
        .is_dsn = m->is_dsn,
        .is_parent = m->is_parent,
        .keeps_content = m->keeps_content,
        .client = bytes_text(m->client),
    };
    memcpy(e.id.bytes, m->id.data, sizeof(e.id.bytes));
    get_recipients(m, &e);
    get_wishes(m, &e);
    for (size_t i = 0; i < m->n_queues; i++)
        e.queues[i] = bytes_text(m->queues[i]);
    job_format(&e.id, 0, default_job);
    e.content_job = m->has_content_job ? bytes_text(m->content_job) : mem_string(default_job);
    arena_done(&a);
    *ret_envelope = e;
    return 0;
}

/* ---- moving ---- */

static bool is_content_at(const Barid__Envelope *m, unsigned partition, const char *job,
                          const char *default_job)
{
    struct span named = m->has_content_job ? bytes_span(m->content_job) : span_of(default_job);

    return m->content_partition == partition && span_equal(named, span_of(job));
}

int wire_move_envelope(struct span in, unsigned content_partition, const char *content_job, struct buf *out)
{
    struct arena a;
    void *message;
    char default_job[JOB_TEXT_MAX + 1];

    int r = record_get_to(ENVELOPE_DEMANDING, in, &barid__envelope__descriptor, &a, &message);
    Barid__Envelope *m = r ? NULL : message;
    if (m && (!m->has_id || m->id.len != sizeof(struct id)))
        r = -EBADMSG;
    if (!r) {
        struct id id;
        memcpy(id.bytes, m->id.data, sizeof(id.bytes));
        job_format(&id, 0, default_job);
        if (is_content_at(m, content_partition, content_job, default_job)) {
            buf_add_span(out, in);
        } else {
            WIRE_PUT(m, content_partition, content_partition);
            m->content_job = bytes_of(content_job);
            m->has_content_job = strcmp(content_job, default_job) != 0;
            record_put_as((uint8_t) in.at[0], &m->base, out);
        }
    }
    arena_done(&a);
    return r;
}
