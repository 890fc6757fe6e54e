/*
 * CURVE: keys, and who may connect. libzmq asks a socket at an address of its own (ZAP, RFC 27 of ZeroMQ) for each handshake, and lets everybody
 * in while there is none: so the guard is there before the hub's door is, and a frame without a key (part_key()) is none of ours.
 *
 * 400 would end libzmq's trying for ever, and after 300 it tries only once the time of the handshake is over. So a question about a key that is not
 * known waits until it is, for QUESTION_MS: a node that has just joined is let in as soon as its first beat was read.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "io/bus_private.h"

/* Parts of a question: from whom, nothing, version, number, domain, address, identity, mechanism, key. The number is always 1. */
enum { MECHANISM = 7, CREDENTIALS, QUESTION_PARTS, KEY_BYTES = 32, QUESTIONS_MAX = 256, QUESTION_MS = 1000 };

struct question {
    struct list entry;
    struct buf from;
    char key[BUS_KEY_LEN + 1]; /* "": not CURVE */
    uint64_t until_ms;
};

void bus_keys_make(struct bus_keys *ret_keys)
{
    must(zmq_curve_keypair(ret_keys->public_key, ret_keys->secret_key) == 0);
}

void bus_keys_wipe(struct bus_keys *k)
{
    explicit_bzero(k, sizeof(*k));
}

bool bus_is_key(struct span text)
{
    char key[BUS_KEY_LEN + 1];
    uint8_t bytes[KEY_BYTES];
    if (text.len != BUS_KEY_LEN)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~')
            return false;
    memcpy(key, text.at, text.len);
    key[BUS_KEY_LEN] = '\0';
    return zmq_z85_decode(bytes, key) != NULL;
}

int end_set_server(struct end *e, const struct bus_keys *keys)
{
    int r = end_set(e, ZMQ_CURVE_SERVER, 1);
    if (r == 0)
        r = end_set_text(e, ZMQ_ZAP_DOMAIN, "barid");
    return r < 0 ? r : end_set_text(e, ZMQ_CURVE_SECRETKEY, keys->secret_key);
}

int end_set_client(struct end *e, const struct bus_keys *keys, const char *hub_key)
{
    int r = end_set_text(e, ZMQ_CURVE_SERVERKEY, hub_key);
    if (r == 0)
        r = end_set_text(e, ZMQ_CURVE_PUBLICKEY, keys->public_key);
    return r < 0 ? r : end_set_text(e, ZMQ_CURVE_SECRETKEY, keys->secret_key);
}

struct span part_key(zmq_msg_t *part)
{
    return span_of(zmq_msg_gets(part, "User-Id")); /* as the guard said it */
}

/* ---- the guard */

static struct span key_of(const struct question *q)
{
    return span_of(q->key);
}

static void question_end(struct guard *g, struct question *q)
{
    list_remove(&q->entry);
    g->count--;
    buf_done(&q->from);
    mem_free(q);
}

static void guard_answer(struct guard *g, struct question *q, const char *status)
{
    bool is_good = *status == '2';
    const struct span answer[] = {buf_span(&q->from),
                                  SPAN(""),
                                  SPAN("1.0"),
                                  SPAN("1"),
                                  span_of(status),
                                  SPAN(""),
                                  is_good ? key_of(q) : SPAN(""),
                                  SPAN("")};
    for (size_t i = 0; i < ARRAY_LEN(answer); i++)
        (void) end_send(g->end, answer[i], i + 1 == ARRAY_LEN(answer)); /* who asked may have gone */
    if (!is_good)
        g->events->on_refused(g->events->owner, key_of(q));
    question_end(g, q);
}

static bool guard_lets_in(struct guard *g, struct question *q)
{
    if (!*q->key || !g->events->node_of(g->events->owner, key_of(q)))
        return false;
    guard_answer(g, q, "200");
    return true;
}

static void on_late(struct timer *t)
{
    struct guard *g = CONTAINER_OF(t, struct guard, timer);
    while (!list_is_empty(&g->open)) {
        struct question *q = LIST_FIRST(&g->open, struct question, entry);
        uint64_t now = loop_now_ms(g->loop);
        if (now < q->until_ms) {
            timer_start(g->loop, t, q->until_ms - now, on_late);
            return;
        }
        guard_answer(g, q, "300");
    }
}

void guard_ask_again(struct guard *g)
{
    LIST_EACH(&g->open, it, save)
        (void) guard_lets_in(g, LIST_ENTRY(it, struct question, entry)); /* or later, maybe */
}

static void on_question(void *owner, zmq_msg_t *parts)
{
    struct guard *g = owner;
    struct span mechanism = part_span(&parts[MECHANISM]), credentials = part_span(&parts[CREDENTIALS]);
    struct question *q = NEW(struct question);

    buf_add_span(&q->from, part_span(&parts[0]));
    q->until_ms = loop_now_ms(g->loop) + QUESTION_MS;
    list_append(&g->open, &q->entry);
    g->count++;
    if (span_equal(mechanism, SPAN("CURVE")) && credentials.len == KEY_BYTES)
        must(zmq_z85_encode(q->key, (const uint8_t *) credentials.at, KEY_BYTES) != NULL);
    if (guard_lets_in(g, q))
        return;
    if (g->count > QUESTIONS_MAX) {
        guard_answer(g, q, "300");
        return;
    }
    if (!g->timer.place)
        timer_start(g->loop, &g->timer, QUESTION_MS, on_late);
    g->events->on_unknown(g->events->owner);
}

int guard_open(struct guard *g, struct loop *l, void *context, const struct hub_events *events)
{
    g->loop = l;
    g->events = events;
    list_init(&g->open);
    int r = end_open(l, context, ZMQ_ROUTER, QUESTION_PARTS, on_question, g, &g->end);
    if (r == 0 && zmq_bind(g->end->socket, "inproc://zeromq.zap.01") < 0)
        r = bus_errno();
    return r < 0 ? r : end_start(g->end);
}

void guard_close(struct guard *g)
{
    timer_stop(&g->timer);
    while (g->count > 0)
        question_end(g, LIST_FIRST(&g->open, struct question, entry));
    g->end = end_close(g->end);
}
