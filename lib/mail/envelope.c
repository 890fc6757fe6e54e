/* Envelopes and job states: how they are made from each other, and freed. */
#include "mail/envelope.h"

#include "base/mem.h"

void envelope_done(struct envelope *e)
{
    for (size_t i = 0; i < e->recipient_count; i++) {
        mem_free(e->recipients[i].addr);
        mem_free(e->recipients[i].orcpt);
    }
    for (size_t i = 0; i < e->queue_count; i++)
        mem_free(e->queues[i]);
    mem_free(e->recipients);
    mem_free(e->queues);
    mem_free(e->sender);
    mem_free(e->content_job);
    mem_free(e->client);
    mem_free(e->envid);
    mem_free(e->user);
    mem_free(e->tenant);
    mem_free(e->auth);
    *e = (struct envelope){0};
}

void notify_add(uint32_t notify, struct buf *out)
{
    static const char *const words[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    bool is_first = true;
    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        if (!(notify >> i & 1))
            continue;
        buf_add_text(out, is_first ? "" : ",");
        buf_add_text(out, words[i]);
        is_first = false;
    }
}

uint64_t envelope_stored_bytes(const struct envelope *e)
{
    return e->coding == CODING_PLAIN ? e->size_bytes : e->coded_bytes;
}

void job_state_init(struct job_state *s, const struct envelope *e)
{
    *s = (struct job_state){
        .recipients = mem_array(e->recipient_count, sizeof *s->recipients),
        .recipient_count = e->recipient_count,
    };
}

void job_state_done(struct job_state *s)
{
    for (size_t i = 0; i < s->recipient_count; i++)
        verdict_done(&s->recipients[i].last);
    mem_free(s->recipients);
    mem_free(s->left);
    mem_free(s->unknown);
    *s = (struct job_state){0};
}

static char *copy_text(const char *text)
{
    return text ? mem_string(text) : NULL;
}

void envelope_child(const struct envelope *parent, size_t queue_index, struct envelope *ret_child)
{
    must(queue_index < parent->queue_count);
    struct envelope child = *parent;
    child.is_parent = false;
    child.keeps_content = false;
    child.sender = mem_string(parent->sender);
    child.content_job = mem_string(parent->content_job);
    child.client = mem_string(parent->client);
    child.envid = copy_text(parent->envid);
    child.user = copy_text(parent->user);
    child.tenant = copy_text(parent->tenant);
    child.auth = copy_text(parent->auth);
    child.queues = mem_array(1, sizeof *child.queues);
    child.queues[0] = mem_string(parent->queues[queue_index]);
    child.queue_count = 1;
    child.recipient_count = 0;
    for (size_t i = 0; i < parent->recipient_count; i++)
        child.recipient_count += parent->recipients[i].queue == queue_index;
    child.recipients = mem_array(child.recipient_count, sizeof *child.recipients);
    size_t at = 0;
    for (size_t i = 0; i < parent->recipient_count; i++) {
        const struct recipient *r = &parent->recipients[i];
        if (r->queue == queue_index)
            child.recipients[at++] = (struct recipient){
                .addr = mem_string(r->addr), .notify = r->notify, .orcpt = copy_text(r->orcpt)};
    }
    *ret_child = child;
}
