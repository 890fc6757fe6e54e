/*
 * c-ares with questions of our own: it cannot ask for the AD bit, and its EDNS is a property of the channel that one FORMERR turns off for
 * good. So an answer without EDNS to a question with it makes us do without for a while, on a channel opened anew when it is idle.
 */
#define CARES_NO_DEPRECATED /* ares_send() is what exists in all versions */
#include <ares.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/metric.h"
#include "io/dns_channel.h"

enum {
    EDNS_BYTES = 1232,
    EDNS_PAUSE_MS = 600000,
    QUESTION_MAX_BYTES = 512,
    HEADER_BYTES = 12,
    TYPE_OPT = 41,
    CLASS_IN = 1,
    FLAG_RECURSE = 0x01,   /* third byte of the header */
    FLAG_AUTHENTIC = 0x20, /* fourth byte: "I understand AD" (RFC 6840 section 5.7) */
    RCODE_MASK = 0x0f,
    RCODE_FORMAT = 1,
    TICK_MS = 20,
};

struct socket_watch {
    struct list link;
    struct dns_channel *channel;
    struct watch *watch;
    ares_socket_t fd;
};

struct dns_channel {
    struct loop *loop;
    ares_channel ares;
    char *servers; /* comma separated, or NULL for the system's */
    int timeout_ms, tries;
    struct list sockets;
    struct timer tick; /* ares_timeout() walks all questions: looking now and then is cheaper */
    unsigned outstanding;
    uint64_t edns_off_until_ms;
    bool asks_authentic;
    bool has_edns;   /* of the channel that is open */
    bool is_spoilt;  /* to be opened anew when nothing is under way */
    bool is_closing; /* callbacks mean nothing any more */
};

struct exchange {
    struct dns_channel *channel;
    dns_on_packet *on_packet;
    void *context;
    enum dns_type type;
    bool had_edns;
    char name[DOMAIN_MAX + 1];
};

static void exchange_send(struct exchange *x);

/* ---- sockets */

static void on_ready(void *context, int events)
{
    struct socket_watch *w = context;
    ares_process_fd(w->channel->ares, events & LOOP_READ ? w->fd : ARES_SOCKET_BAD,
                    events & LOOP_WRITE ? w->fd : ARES_SOCKET_BAD);
}

static void on_socket(void *context, ares_socket_t fd, int is_reading, int is_writing)
{
    struct dns_channel *c = context;
    struct socket_watch *found = NULL;
    LIST_EACH(&c->sockets, it, save) {
        struct socket_watch *w = LIST_ENTRY(it, struct socket_watch, link);
        if (w->fd == fd)
            found = w;
    }
    if (!is_reading && !is_writing) {
        if (!found)
            return;
        list_remove(&found->link);
        found->watch = watch_close(found->watch);
        mem_free(found);
        return;
    }
    if (!found) {
        found = NEW(struct socket_watch);
        found->channel = c;
        found->fd = fd;
        if (watch_open(c->loop, fd, on_ready, found, &found->watch) < 0) {
            mem_free(found); /* not heard: the question times out */
            return;
        }
        list_append(&c->sockets, &found->link);
    }
    watch_set(found->watch, (is_reading ? LOOP_READ : 0) | (is_writing ? LOOP_WRITE : 0));
}

static void on_tick(struct timer *t)
{
    struct dns_channel *c = CONTAINER_OF(t, struct dns_channel, tick);
    ares_process_fd(c->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (c->outstanding > 0)
        timer_start(c->loop, t, TICK_MS, on_tick);
}

/* ---- the library's channel */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_init(void)
{
    must(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
}

static int channel_start(struct dns_channel *c)
{
    char lookups[] = "b"; /* the DNS only, whatever resolv.conf says; no search is ever made here anyway */
    struct ares_options options = {.flags = ARES_FLAG_NOCHECKRESP | ARES_FLAG_NOSEARCH,
                                   .timeout = c->timeout_ms,
                                   .tries = c->tries,
                                   .ednspsz = EDNS_BYTES,
                                   .lookups = lookups,
                                   .sock_state_cb = on_socket,
                                   .sock_state_cb_data = c};
    c->has_edns = loop_now_ms(c->loop) >= c->edns_off_until_ms;
    c->is_spoilt = false;
    if (c->has_edns)
        options.flags |= ARES_FLAG_EDNS; /* adds nothing to our questions, but lets long answers through */
    int r = ares_init_options(&c->ares, &options,
                              ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
                                  ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);
    must(r != ARES_ENOMEM);
    if (r != ARES_SUCCESS) {
        c->ares = NULL;
        return -EIO;
    }
    return c->servers && ares_set_servers_ports_csv(c->ares, c->servers) != ARES_SUCCESS ? -EINVAL : 0;
}

static void channel_stop(struct dns_channel *c)
{
    if (c->ares)
        ares_destroy(c->ares); /* ends what is under way with ARES_EDESTRUCTION */
    c->ares = NULL;
    while (!list_is_empty(&c->sockets)) {
        struct socket_watch *w = LIST_FIRST(&c->sockets, struct socket_watch, link);
        list_remove(&w->link);
        w->watch = watch_close(w->watch);
        mem_free(w);
    }
}

int dns_channel_open(struct loop *l, const struct dns_settings *settings, struct dns_channel **ret_channel)
{
    must(pthread_once(&library_once, library_init) == 0);
    struct dns_channel *c = NEW(struct dns_channel);
    struct buf servers = {.data = NULL};
    c->loop = l;
    c->asks_authentic = settings->validates;
    c->timeout_ms = settings->timeout_ms > 0 && settings->timeout_ms < INT32_MAX ? (int) settings->timeout_ms
                                                                                 : 2000;
    c->tries = settings->tries > 0 && settings->tries < 100 ? (int) settings->tries : 2;
    list_init(&c->sockets);
    for (size_t i = 0; i < settings->server_count; i++) {
        if (i > 0)
            buf_add_char(&servers, ',');
        buf_add_text(&servers, settings->servers[i]);
    }
    if (settings->server_count > 0)
        c->servers = buf_steal_text(&servers);
    int r = channel_start(c);
    if (r < 0) {
        (void) dns_channel_close(c); /* always NULL */
        return r;
    }
    *ret_channel = c;
    return 0;
}

struct dns_channel *dns_channel_close(struct dns_channel *c)
{
    if (!c)
        return NULL;
    c->is_closing = true;
    timer_stop(&c->tick);
    channel_stop(c);
    mem_free(c->servers);
    return mem_free(c);
}

bool dns_channel_has_room(const struct dns_channel *c)
{
    return c->outstanding < DNS_OUTSTANDING_MAX && !(c->is_spoilt && c->outstanding > 0);
}

/* ---- questions and packets */

static void add_two(struct buf *b, unsigned n)
{
    buf_add_char(b, (char) (n >> 8));
    buf_add_char(b, (char) n);
}

static int question_build(struct buf *b, const char *name, enum dns_type type, bool asks_authentic,
                          bool has_edns)
{
    uint16_t id;
    struct span rest = span_of(name);
    if (rest.len == 0 || rest.len > DOMAIN_MAX - 2)
        return -EINVAL;
    must(getrandom(&id, sizeof(id), 0) == sizeof(id));
    add_two(b, id);
    buf_add_char(b, FLAG_RECURSE);
    buf_add_char(b, asks_authentic ? FLAG_AUTHENTIC : 0);
    add_two(b, 1); /* one question */
    add_two(b, 0);
    add_two(b, 0);
    add_two(b, has_edns);
    while (rest.at) {
        struct span label = span_cut(&rest, '.');
        if (label.len == 0 || label.len > LABEL_MAX)
            return -EINVAL;
        buf_add_char(b, (char) label.len);
        buf_add_span(b, label);
    }
    buf_add_char(b, 0);
    add_two(b, (unsigned) type);
    add_two(b, CLASS_IN);
    if (has_edns) {
        buf_add_char(b, 0); /* the root (RFC 6891 section 6.1.2) */
        add_two(b, TYPE_OPT);
        add_two(b, EDNS_BYTES);
        buf_add(b, "\0\0\0\0\0\0", 6); /* version 0, no flags, no options */
    }
    return 0;
}

/* Whether the packet ends with an OPT record without options, which is all that servers have to say to ours; or has any additional record. */
static bool packet_may_have_edns(struct span packet)
{
    return packet.len >= HEADER_BYTES && (packet.at[10] != 0 || packet.at[11] != 0);
}

static void exchange_end(struct exchange *x, struct span packet)
{
    x->on_packet(x->context, packet);
    mem_free(x);
}

static void on_answer(void *context, int status, int timeouts UNUSED, unsigned char *bytes, int len)
{
    struct exchange *x = context;
    struct dns_channel *c = x->channel;
    if (c->is_closing) {
        mem_free(x);
        return;
    }
    c->outstanding--;
    struct span packet = {.at = NULL};
    if (status == ARES_SUCCESS && bytes && len > 0)
        packet = (struct span){.at = (const char *) bytes, .len = (size_t) len};
    if (x->had_edns && packet.len > 0 && !packet_may_have_edns(packet)) {
        c->is_spoilt = true;
        c->edns_off_until_ms = loop_now_ms(c->loop) + EDNS_PAUSE_MS;
        if (packet.len >= HEADER_BYTES && (packet.at[3] & RCODE_MASK) == RCODE_FORMAT) {
            exchange_send(x); /* once more, without */
            return;
        }
    }
    exchange_end(x, packet);
}

static void exchange_send(struct exchange *x)
{
    struct dns_channel *c = x->channel;
    struct buf question AUTO_BUF = {.data = NULL};
    x->had_edns = loop_now_ms(c->loop) >= c->edns_off_until_ms;
    must(question_build(&question, x->name, x->type, c->asks_authentic, x->had_edns) == 0);
    c->outstanding++;
    metric_add(METRIC_DNS_QUERIES_TOTAL, 1);
    if (!c->tick.place)
        timer_start(c->loop, &c->tick, TICK_MS, on_tick);
    ares_send(c->ares, (const unsigned char *) question.data, (int) question.len, on_answer, x);
}

int dns_channel_send(struct dns_channel *c, const char *name, enum dns_type type, dns_on_packet *on_packet,
                     void *context)
{
    struct buf trial AUTO_BUF = {.data = NULL};
    int r = question_build(&trial, name, type, false, false);
    if (r < 0)
        return r;
    bool is_edns_due = !c->has_edns && loop_now_ms(c->loop) >= c->edns_off_until_ms;
    if (c->outstanding == 0 && (c->is_spoilt || is_edns_due || !c->ares)) {
        channel_stop(c);
        if (channel_start(c) < 0) {
            on_packet(context, (struct span){.at = NULL});
            return 0;
        }
    }
    struct exchange *x = NEW(struct exchange);
    x->channel = c;
    x->on_packet = on_packet;
    x->context = context;
    x->type = type;
    memcpy(x->name, name, strlen(name) + 1);
    exchange_send(x);
    return 0;
}
