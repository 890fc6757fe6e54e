/* A hub and two links with keys, who is let in, and peers made of libzmq itself. */
#pragma once

#include "io_test.h"

#include "io/bus.h"

enum { ONE = 1001, TWO = 1002 };

struct bus_scene {
    struct hub *hub;
    uint16_t port;
    char address[32];
    struct bus_keys hub_keys, keys[2]; /* keys[i]: of the node ONE + i */
    bool is_barred[2];                 /* not let in */
    struct link *link[2];
    struct buf hub_got, got[2]; /* "<node>:<frame> " each; what the links got */
    struct buf from;            /* the connection last heard */
    size_t hub_frames, frames[2], refused, unknown, crowded, uncrowded;
    size_t stop_at_hub, stop_at_link; /* the loop stops at so many */
    bool stops_at_refusal, echoes, closes;
};
extern struct bus_scene s;

int bus_setup(void **state); /* with a hub and new keys */
int bus_teardown(void **state);
void open_hub(size_t descriptors_max);
void open_link(int i);
/* Sends until the hub hears something, and stops there. */
void connect_link(int i);
/* Lets the loop run so long. */
void loop_go_for(unsigned ms);
/* Waits until is_so() of *context, looking again and again. */
void loop_go_until(bool (*is_so)(void));

/* A DEALER of libzmq; keys NULL: without CURVE; name NULL: none. */
struct stranger {
    void *context, *socket;
};
struct stranger stranger_open(const struct bus_keys *keys, const char *hub_key, const void *name,
                              size_t name_len);
bool stranger_say(struct stranger *x, const void *bytes, size_t len, bool is_last);
void stranger_close(struct stranger *x); /* what was not sent is lost */
