/* Who gets a message: its envelope, the queues of its recipients, its id and home partition. */
#include <stdio.h>
#include <string.h>

#include "base/conf.h"
#include "base/map.h"
#include "base/mem.h"
#include "cluster/lane.h"
#include "ingress/submit_private.h"
#include "io/idn.h"

/*
 * The queue of a recipient: its domain, as A-labels (BEHAVIOURS I17, N02, N12), and the lane of the message. The policy has seen the address, so
 * it has a domain.
 */
static void queue_of(const char *address, const char *lane, char ret_queue[static QUEUE_TEXT_MAX + 1])
{
    const char *at_sign = strrchr(address, '@');
    must(at_sign && idn_domain(span_of(at_sign + 1), ret_queue) == 0);
    if (!*lane)
        return;
    AUTO_BUF struct buf queue = {.data = NULL};
    queue_name(span_of(ret_queue), lane, &queue);
    must(queue.len <= QUEUE_TEXT_MAX);
    memcpy(ret_queue, queue.data, queue.len);
    ret_queue[queue.len] = '\0';
}

/* Index of the queue in e->queues, added if it is new. seen: queue -> index + 1 as a pointer that points nowhere. */
static uint32_t queue_index(struct envelope *e, struct map *seen, const char *queue)
{
    uintptr_t index = (uintptr_t) map_get(seen, span_of(queue));
    if (index)
        return (uint32_t) index - 1;
    e->queues[e->queue_count++] = mem_string(queue);
    (void) map_set(seen, span_of(queue), (void *) (uintptr_t) e->queue_count); /* it was not there */
    return (uint32_t) e->queue_count - 1;
}

static char *copy_of(const char *text)
{
    return text ? mem_string(text) : NULL;
}

static void add_recipients(struct envelope *e, const struct smtp_transaction *t)
{
    struct map seen = {0};
    char queue[QUEUE_TEXT_MAX + 1];
    const char *lane = lane_of(conf_get(), e->sender, e->tenant);
    e->recipients = mem_array(t->recipient_count, sizeof e->recipients[0]);
    e->queues = mem_array(t->recipient_count, sizeof e->queues[0]);
    e->recipient_count = t->recipient_count;
    for (size_t i = 0; i < t->recipient_count; i++) {
        struct smtp_dsn dsn = smtp_recipient_dsn(t, i);
        e->recipients[i].addr = mem_string(smtp_recipient(t, i));
        e->recipients[i].notify = dsn.notify;
        e->recipients[i].orcpt = copy_of(dsn.orcpt);
        queue_of(e->recipients[i].addr, lane, queue);
        if (t->recipient_count == 1)
            e->queues[e->queue_count++] = mem_string(queue);
        else
            e->recipients[i].queue = queue_index(e, &seen, queue);
    }
    map_done(&seen);
    e->is_parent = e->queue_count > 1;
}

const char *submission_queue(const struct submission *s)
{
    return s->envelope.is_parent ? QUEUE_FANOUT : s->envelope.queues[0];
}

void submission_new_id(struct submission *s)
{
    struct envelope *e = &s->envelope;
    uint64_t now_ms = store_redis_ms(s->reactor->store); /* whatever our own clock says */
    if (!e->is_parent) {
        s->partition = partition_of(span_of(e->queues[0]));
    } else {
        /* Any healthy one will do; another random id spreads them, and gives nothing of this one away. */
        struct id other = id_new(now_ms, 0);
        unsigned any = other.bytes[sizeof other.bytes - 2] % PARTITION_COUNT;
        unsigned healthy = store_partition_healthy(s->reactor->store, any);
        s->partition = healthy < PARTITION_COUNT ? healthy : any;
    }
    e->id = id_new(now_ms, s->partition);
    e->arrival_ms = now_ms;
    e->content_partition = s->partition;
    job_format(&e->id, 0, s->job);
    mem_free(e->content_job);
    e->content_job = mem_string(s->job);
}

uint64_t submission_delay_ms(const struct submission *s)
{
    const struct envelope *e = &s->envelope;
    return e->release_ms > e->arrival_ms ? e->release_ms - e->arrival_ms : 0;
}

/* A domain alone that is not ASCII needs no SMTPUTF8 further on: it goes as A-labels. */
static void add_sender(struct envelope *e, struct span sender)
{
    struct buf ascii = {.data = NULL};
    bool is_changed = idn_address(sender, &ascii);
    e->sender = is_changed ? buf_steal_text(&ascii) : mem_text(sender.at, sender.len);
}

/* What was asked for with MAIL; times begin at arrival. */
static void add_wishes(struct envelope *e, const struct smtp_transaction *t)
{
    e->envid = copy_of(smtp_envid(t));
    e->ret = t->ret;
    e->auth = copy_of(smtp_mail_auth(t));
    e->is_8bit = t->is_8bit;
    e->is_binary = t->is_binary;
    e->is_utf8 = t->is_utf8;
    e->requires_tls = t->requires_tls;
    e->release_ms = t->release_in_ms > 0 ? e->arrival_ms + t->release_in_ms : t->release_at_ms;
    e->by_mode = t->by_mode;
    e->by_trace = t->by_trace;
    if (t->by_mode != BY_NONE)
        e->by_ms = (uint64_t) ((int64_t) e->arrival_ms + t->by_s * 1000);
}

void submission_address(struct submission *s, const struct smtp_transaction *t,
                        const struct submission_client *from)
{
    struct envelope *e = &s->envelope;
    struct buf client = {.data = NULL};
    add_sender(e, span_of(from->sender));
    e->user = copy_of(from->user);
    e->tenant = copy_of(from->tenant);
    add_recipients(e, t);
    buf_add_text(&client, s->helo);
    buf_add_text(&client, " [");
    buf_add_text(&client, s->ip_text);
    buf_add_char(&client, ']');
    e->client = buf_steal_text(&client);
    submission_new_id(s);
    add_wishes(e, t);
}

void submission_message_id(const struct submission *s, char ret_text[static MESSAGE_ID_MAX])
{
    char id[ID_TEXT_LEN + 1];
    id_format(&s->envelope.id, id);
    (void) snprintf(ret_text, MESSAGE_ID_MAX, "<%s@%s>", id, reactor_shared.name); /* a host name fits */
}
