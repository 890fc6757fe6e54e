/* Rings of couriers go to every dispatcher, gathered and merged: one that does not own the partition lets them pass. */
#include "courier/ring.h"

#include "cluster/wire.h"
#include "courier/grant.h"

static struct {
    struct courier *courier;
    struct ring rings[FRAME_ENTRIES];
    char *names[FRAME_ENTRIES];
    size_t count;
    struct tail tail;
} waiting;

static void send_waiting(void)
{
    const struct frame f = {.rings = waiting.rings, .ring_count = waiting.count};

    if (waiting.count == 0)
        return;
    grant_send(waiting.courier, &f);
    for (size_t i = 0; i < waiting.count; i++)
        waiting.names[i] = mem_free(waiting.names[i]);
    waiting.count = 0;
}

static void on_tail(struct tail *t UNUSED)
{
    send_waiting();
}

void ring_queue(struct courier *c, unsigned partition, struct span queue)
{
    waiting.courier = c;
    for (size_t i = 0; i < waiting.count; i++) {
        struct ring *r = &waiting.rings[i];

        if (r->partition == partition && span_equal(r->queue, queue)) {
            r->count++;
            return;
        }
    }
    if (waiting.count == FRAME_ENTRIES)
        send_waiting();
    waiting.names[waiting.count] = mem_text(queue.at, queue.len);
    waiting.rings[waiting.count] = (struct ring){partition, span_of(waiting.names[waiting.count]), 1};
    waiting.count++;
    tail_add(c->loop, &waiting.tail, on_tail);
}
