/*
 * Look-ups: questions of callers, joined when equal, answered from the cache or by the channel.
 * A question is answered from the tail only, so nothing here runs inside a call of its owner or of the DNS library.
 */
#include "io/dns.h"

#include <errno.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "io/dns_cache.h"
#include "io/dns_channel.h"

enum { KEY_MAX = DOMAIN_MAX + 8 };

/* What is asked of the servers, once for all who want to know. */
struct lookup {
    struct list link; /* in queued or ended; not while under way */
    struct dns *dns;
    struct list questions;
    enum dns_type type;
    bool is_sent;
    unsigned aliases;           /* asked for again under another name */
    char key[KEY_MAX];          /* of the first name */
    struct dns_answer answer;   /* the last one */
    uint32_t ttl_s;             /* smallest of all before it */
    bool is_insecure;           /* one before it was */
    char asked[DOMAIN_MAX + 1]; /* the name asked for now */
};

struct dns_question {
    struct list link;
    struct lookup *lookup; /* NULL: not looked at yet */
    struct dns *dns;
    enum dns_type type;
    dns_on_answer *on_answer;
    void *context;
    char name[DOMAIN_MAX + 1];
};

struct dns {
    struct loop *loop;
    struct dns_channel *channel;
    struct dns_cache cache;
    uint64_t min_ttl_ms, max_ttl_ms, negative_ttl_ms;
    bool validates;
    struct map lookups; /* key -> lookup */
    struct list fresh;  /* questions not looked at yet */
    struct list batch;  /* those being looked at */
    struct list queued; /* lookups to be sent */
    struct list ended;  /* lookups with an answer */
    struct tail work;
    bool is_busy; /* closed in a callback: freed when that is back */
    bool is_closed;
};

static void on_work(struct tail *t);

static struct span key_make(char ret_key[static KEY_MAX], enum dns_type type, const char *name)
{
    int len = snprintf(ret_key, KEY_MAX, "%d %s", (int) type, name);
    must(len > 0 && len < KEY_MAX);
    return (struct span){.at = ret_key, .len = (size_t) len};
}

/* ---- questions */

struct dns_question *dns_ask(struct dns *d, const char *name, enum dns_type type, dns_on_answer *on_answer,
                             void *context)
{
    struct dns_question *q = NEW(struct dns_question);
    size_t len = strlen(name);
    q->dns = d;
    q->type = type;
    q->on_answer = on_answer;
    q->context = context;
    if (len > 0 && name[len - 1] == '.')
        len--;
    if (len > 0 && len <= DOMAIN_MAX) /* else it stays empty, and no such name can exist */
        for (size_t i = 0; i < len; i++)
            q->name[i] = (char) (name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
    list_append(&d->fresh, &q->link);
    tail_add(d->loop, &d->work, on_work);
    return q;
}

static void questions_free(struct list *questions)
{
    while (!list_is_empty(questions)) {
        struct dns_question *q = LIST_FIRST(questions, struct dns_question, link);
        list_remove(&q->link);
        mem_free(q);
    }
}

static void lookup_free(struct lookup *k)
{
    (void) map_remove(&k->dns->lookups, span_of(k->key)); /* a closing dns has emptied it */
    list_remove(&k->link);
    dns_answer_done(&k->answer);
    mem_free(k);
}

void dns_cancel(struct dns_question *q)
{
    struct lookup *k = q->lookup;
    list_remove(&q->link);
    mem_free(q);
    if (k && !k->is_sent && list_is_empty(&k->questions) && list_is_linked(&k->link) && !k->dns->is_busy)
        lookup_free(k);
}

static void question_answer(struct dns_question *q, const struct dns_answer *answer)
{
    dns_on_answer *on_answer = q->on_answer;
    void *context = q->context;
    list_remove(&q->link);
    mem_free(q);
    on_answer(context, answer);
}

static void question_look(struct dns *d, struct dns_question *q)
{
    char text[KEY_MAX];
    uint64_t left_ms = 0;
    struct span key = key_make(text, q->type, q->name);
    const struct dns_answer *cached = dns_cache_get(&d->cache, key, loop_now_ms(d->loop), &left_ms);
    if (cached) {
        struct dns_answer answer = *cached;
        answer.ttl_s = (uint32_t) (left_ms / 1000);
        question_answer(q, &answer);
        return;
    }
    struct lookup *k = map_get(&d->lookups, key);
    if (!k) {
        k = NEW(struct lookup);
        k->dns = d;
        k->type = q->type;
        k->ttl_s = UINT32_MAX;
        memcpy(k->key, text, key.len + 1);
        memcpy(k->asked, q->name, sizeof(k->asked));
        list_init(&k->questions);
        must(!map_set(&d->lookups, key, k));
        list_append(&d->queued, &k->link);
    }
    q->lookup = k;
    list_remove(&q->link);
    list_append(&k->questions, &q->link);
}

/* ---- lookups */

static void lookup_ended(struct lookup *k)
{
    k->is_sent = false;
    list_remove(&k->link);
    list_append(&k->dns->ended, &k->link);
    tail_add(k->dns->loop, &k->dns->work, on_work);
}

/* An answer of our own making. */
static void lookup_failed(struct lookup *k, enum dns_result result)
{
    dns_answer_done(&k->answer);
    k->answer = (struct dns_answer){.result = result};
    memcpy(k->answer.name, k->asked, sizeof(k->asked));
    lookup_ended(k);
}

/* An alias without what was asked for: the server may have left the rest to us (RFC 1034 section 5.2.2). */
static bool lookup_follows_alias(struct lookup *k)
{
    return k->answer.result == DNS_NO_DATA && k->answer.name[0] != '\0' &&
           strcmp(k->answer.name, k->asked) != 0;
}

static void on_packet(void *context, struct span packet)
{
    struct lookup *k = context;
    bool is_truncated = false;
    dns_answer_done(&k->answer);
    if (packet.len == 0 || dns_answer_parse(packet, k->asked, k->type, &k->answer, &is_truncated) < 0 ||
        is_truncated) {
        lookup_failed(k, DNS_AWAY);
        return;
    }
    k->answer.is_secure = k->answer.is_secure && k->dns->validates;
    if (lookup_follows_alias(k)) {
        if (k->aliases++ == DNS_CNAME_MAX) {
            lookup_failed(k, DNS_AWAY);
            return;
        }
        k->ttl_s = k->answer.ttl_s < k->ttl_s ? k->answer.ttl_s : k->ttl_s;
        k->is_insecure = k->is_insecure || !k->answer.is_secure;
        memcpy(k->asked, k->answer.name, sizeof(k->asked));
        k->is_sent = false;
        list_append(&k->dns->queued, &k->link);
        tail_add(k->dns->loop, &k->dns->work, on_work);
        return;
    }
    if (k->answer.ttl_s > k->ttl_s)
        k->answer.ttl_s = k->ttl_s;
    k->answer.is_secure = k->answer.is_secure && !k->is_insecure;
    lookup_ended(k);
}

static void lookup_send(struct dns *d, struct lookup *k)
{
    list_remove(&k->link);
    k->is_sent = true;
    if (dns_channel_send(d->channel, k->asked, k->type, on_packet, k) < 0)
        lookup_failed(k, DNS_NO_NAME); /* what no packet can carry cannot exist */
}

static uint64_t answer_keep_ms(const struct dns *d, const struct dns_answer *a)
{
    uint64_t ms = (uint64_t) a->ttl_s * 1000;
    if (a->result == DNS_AWAY)
        return 0;
    if (ms < d->min_ttl_ms)
        ms = d->min_ttl_ms;
    if (ms > d->max_ttl_ms)
        ms = d->max_ttl_ms;
    return a->result != DNS_OK && ms > d->negative_ttl_ms ? d->negative_ttl_ms : ms;
}

static void lookup_tell(struct dns *d, struct lookup *k)
{
    list_remove(&k->link);
    (void) map_remove(&d->lookups, span_of(k->key)); /* who asks from now on asks anew, or finds it cached */
    uint64_t keep_ms = answer_keep_ms(d, &k->answer);
    while (!list_is_empty(&k->questions) && !d->is_closed)
        question_answer(LIST_FIRST(&k->questions, struct dns_question, link), &k->answer);
    questions_free(&k->questions);
    if (keep_ms > 0 && !d->is_closed)
        dns_cache_put(&d->cache, span_of(k->key), &k->answer, loop_now_ms(d->loop) + keep_ms);
    dns_answer_done(&k->answer);
    mem_free(k);
}

/* ---- all of it */

static void dns_free(struct dns *d);

static void on_work(struct tail *t)
{
    struct dns *d = CONTAINER_OF(t, struct dns, work);
    d->is_busy = true;
    while (!list_is_empty(&d->ended) && !d->is_closed)
        lookup_tell(d, LIST_FIRST(&d->ended, struct lookup, link));
    while (!list_is_empty(&d->fresh)) { /* what callbacks ask now waits for the next round */
        struct list *first = d->fresh.next;
        list_remove(first);
        list_append(&d->batch, first);
    }
    while (!list_is_empty(&d->batch) && !d->is_closed)
        question_look(d, LIST_FIRST(&d->batch, struct dns_question, link));
    while (!list_is_empty(&d->queued) && !d->is_closed && dns_channel_has_room(d->channel))
        lookup_send(d, LIST_FIRST(&d->queued, struct lookup, link));
    d->is_busy = false;
    if (d->is_closed)
        dns_free(d);
}

int dns_open(struct loop *l, const struct dns_settings *settings, struct dns **ret_dns)
{
    struct dns *d = NEW(struct dns);
    int r = dns_channel_open(l, settings, &d->channel);
    if (r < 0) {
        mem_free(d);
        return r;
    }
    d->loop = l;
    d->min_ttl_ms = settings->min_ttl_ms;
    d->max_ttl_ms = settings->max_ttl_ms;
    d->negative_ttl_ms = settings->negative_ttl_ms;
    d->validates = settings->validates;
    dns_cache_init(&d->cache, settings->cache_max);
    list_init(&d->fresh);
    list_init(&d->batch);
    list_init(&d->queued);
    list_init(&d->ended);
    *ret_dns = d;
    return 0;
}

static void dns_free(struct dns *d)
{
    size_t cursor = 0;
    struct span key;
    void *value;
    tail_remove(&d->work);
    d->channel = dns_channel_close(d->channel);
    questions_free(&d->fresh);
    questions_free(&d->batch);
    while (map_next(&d->lookups, &cursor, &key, &value)) {
        struct lookup *k = value;
        questions_free(&k->questions);
        lookup_free(k);
    }
    map_done(&d->lookups);
    dns_cache_done(&d->cache);
    mem_free(d);
}

struct dns *dns_close(struct dns *d)
{
    if (!d)
        return NULL;
    d->is_closed = true;
    if (!d->is_busy)
        dns_free(d);
    return NULL;
}
