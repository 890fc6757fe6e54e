/* Bus frames: any bytes are refused, or read and in range; what was read, written again, reads the same; and none harms a dispatcher. */
#include <string.h>

#include "base/mem.h"
#include "cluster/wire.h"
#include "dispatcher/grant.h"
#include "dispatcher/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COURIER = 1001, QUEUES_MAX = 500, STEP_MS = 40 };

static struct {
    struct partitions partitions;
    struct couriers couriers;
    struct schedule schedule;
    struct node_peer peer;
    struct node_view view;
    uint64_t now_ms;
} world;

static int on_send(void *owner UNUSED, struct span to UNUSED, struct span frame)
{
    struct frame f;
    must(!wire_get_frame(frame, &f) && f.grant_count);
    frame_done(&f);
    return 0;
}

static void on_gone(void *context UNUSED, struct courier *gone)
{
    schedule_courier_gone(&world.schedule, gone, world.now_ms);
}

static void on_pause(void *owner UNUSED, unsigned partition, struct span queue, struct span error)
{
    must(partition < PARTITION_COUNT && queue.len <= QUEUE_TEXT_MAX && error.len <= TROUBLE_MAX);
}

static void on_resume(void *owner UNUSED, unsigned partition, struct span queue)
{
    must(partition < PARTITION_COUNT && queue.len <= QUEUE_TEXT_MAX);
}

/* A dispatcher that owns every other partition, and knows one courier. */
static void make_world(void)
{
    const struct conf c = {.dispatcher = {.queue_connections = 20, .queue_rate = 600}};
    struct limits *limits;
    char *error;

    must(!limits_new(&c, &limits, &error));
    world.now_ms = 1000000;
    world.peer = (struct node_peer){.incarnation = COURIER, .stats = {.role = ROLE_COURIER, .capacity = 1}};
    world.view = (struct node_view){.last = COURIER, .peers = &world.peer, .count = 1};
    schedule_init(&world.schedule, &world.partitions, &world.couriers);
    world.schedule.limits = limits;
    world.schedule.most = QUEUES_MAX;
    world.schedule.start = 5;
    world.schedule.on_pause = on_pause;
    world.schedule.on_resume = on_resume;
    for (unsigned i = 0; i < PARTITION_COUNT; i += 2)
        world.partitions.of[i] = (struct partition){
            .is_held = true, .is_named = true, .token = UINT64_C(1700000000000000)};
}

/* The key is that of who it says to be. */
static uint64_t who_says(struct span bytes)
{
    struct frame f;

    if (wire_get_frame(bytes, &f) < 0)
        return COURIER;
    uint64_t incarnation = f.hello.incarnation;
    frame_done(&f);
    return incarnation;
}

static void disturb_a_dispatcher(struct span frame)
{
    const struct hello hello = {.incarnation = COURIER, .clock_ms = world.now_ms, .free_jobs = 100};

    if (!world.now_ms)
        make_world();
    world.now_ms += STEP_MS;
    for (unsigned i = 0; i < PARTITION_COUNT; i += 2) {
        world.partitions.of[i].sent_ms = world.now_ms;
        world.partitions.of[i].floor = 0;
    }
    /* Refused or not. */
    (void) ring_take_frame(&world.schedule, NULL, SPAN("1001.0"), who_says(frame), frame, world.now_ms);
    must(world.schedule.works.count <= QUEUES_MAX);
    if (world.now_ms % (STEP_MS * 16) == 0)
        must(couriers_hello(&world.couriers, SPAN("1001.0"), &hello, world.now_ms) ||
             world.couriers.count == COURIERS_MAX);
    if (world.now_ms % (STEP_MS * 8) == 0)
        couriers_view(&world.couriers, &world.view, world.now_ms, on_gone, NULL);
    schedule_check(&world.schedule, world.now_ms);
    schedule_run(&world.schedule, world.now_ms);
    grants_flush(&world.schedule, on_send, NULL);
}

static void check_entry(unsigned partition, struct span queue, uint64_t token)
{
    must(partition < PARTITION_COUNT && token < UINT64_C(1) << 53 && queue.len > 0 &&
         queue.len <= QUEUE_TEXT_MAX);
    for (size_t i = 0; i < queue.len; i++)
        must((uint8_t) queue.at[i] > ' ' && queue.at[i] != 0x7f);
}

static void check_frame(const struct frame *f)
{
    must(f->ring_count <= FRAME_ENTRIES && f->grant_count <= FRAME_ENTRIES &&
         f->report_count <= FRAME_ENTRIES);
    must(!f->has_hello || (f->hello.incarnation > 0 && f->hello.incarnation < UINT64_C(1) << 53));
    for (size_t i = 0; i < f->ring_count; i++)
        check_entry(f->rings[i].partition, f->rings[i].queue, 0);
    for (size_t i = 0; i < f->grant_count; i++)
        check_entry(f->grants[i].partition, f->grants[i].queue, f->grants[i].token);
    for (size_t i = 0; i < f->report_count; i++)
        check_entry(f->reports[i].partition, f->reports[i].queue, f->reports[i].token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct frame nothing = {.ring_count = 77};
    AUTO_BUF struct buf again = {0}, third = {0};
    struct span in = {.at = (const char *) data, .len = size};
    struct frame f = nothing, same;

    disturb_a_dispatcher(in);
    if (wire_get_frame(in, &f)) {
        must(memcmp(&f, &nothing, sizeof(f)) == 0);
        return 0;
    }
    check_frame(&f);
    wire_put_frame(&f, &again);
    if (again.len <= BUS_FRAME_MAX) {
        must(!wire_get_frame(buf_span(&again), &same));
        wire_put_frame(&same, &third);
        must(span_equal(buf_span(&again), buf_span(&third)));
        frame_done(&same);
    }
    frame_done(&f);
    return 0;
}
