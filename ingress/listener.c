/* The addresses of ingress.listen: parsed once, opened by each reactor with SO_REUSEPORT. */
#include "ingress/listener.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingress/session.h"

enum { DEFAULT_PORT = 25, TELL_FAULT_MS = 1000 };

static void on_accept(void *owner, int fd)
{
    session_open(owner, fd);
}

static void on_fault_over(struct timer *t UNUSED)
{
}

static void on_fault(void *owner, int error)
{
    struct reactor *r = owner;
    if (r->fault.place)
        return;
    timer_start(r->loop, &r->fault, TELL_FAULT_MS, on_fault_over);
    log_event(LOG_FD_EXHAUSTED, FN("reactor", r->index), FE("error", error),
              FN("sessions", r->session_count));
}

/* "host:port" with a numeric host; port 0 (tests) is not what hostport_parse() takes. */
static int parse_listen(struct span text, struct ip *ret_ip, uint16_t *ret_port)
{
    char host[DOMAIN_MAX + 1];
    struct span name = text;
    const char *colon = memrchr(text.at, ':', text.len);
    bool is_any_port = colon &&
                       span_equal((struct span){.at = colon, .len = text.len - (size_t) (colon - text.at)},
                                  SPAN(":0"));
    if (is_any_port)
        name.len = (size_t) (colon - text.at);
    int r = hostport_parse(name, DEFAULT_PORT, host, ret_port);
    if (r < 0)
        return r;
    if (is_any_port)
        *ret_port = 0;
    return ip_parse(span_of(host), ret_ip);
}

int listeners_open(struct reactor *r, const struct reactor *first, char **ret_error)
{
    const struct conf_list *list = &conf_get()->ingress.listen;
    r->listeners = mem_array(list->count + 1, sizeof r->listeners[0]);
    for (size_t i = 0; i < list->count; i++) {
        struct ip ip;
        uint16_t port;
        int error = list->items[i][0] == '\0' ? -EINVAL : parse_listen(span_of(list->items[i]), &ip, &port);
        if (error < 0) {
            *ret_error = mem_format(
                "ingress.listen: \"%s\" is not an address; expected 192.0.2.1:25 or [2001:db8::1]:25",
                list->items[i]);
            return error;
        }
        if (port == 0 && first)
            port = listener_port(first->listeners[i]);
        error = listener_open(r->loop, &ip, port, on_accept, on_fault, r, &r->listeners[i]);
        if (error < 0) {
            *ret_error = mem_format("ingress.listen: cannot listen on %s: %s", list->items[i],
                                    strerror(-error));
            return error;
        }
        r->listener_count++;
    }
    return 0;
}

void listeners_close(struct reactor *r)
{
    for (size_t i = 0; i < r->listener_count; i++)
        r->listeners[i] = listener_close(r->listeners[i]);
    r->listener_count = 0;
    timer_stop(&r->fault);
}
