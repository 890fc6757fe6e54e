/* The addresses of all listeners, opened by each reactor with SO_REUSEPORT. */
#include "ingress/listener.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/mem.h"
#include "ingress/service.h"
#include "ingress/session.h"

enum { TELL_FAULT_MS = 1000, START_WAIT_MS = 1000 };

static void on_accept(void *owner, int fd)
{
    session_open(owner, fd);
}

static void on_fault_over(struct timer *t UNUSED)
{
}

static void on_fault(void *owner, int error)
{
    struct reactor *r = ((struct service *) owner)->reactor;
    if (r->fault.place)
        return;
    timer_start(r->loop, &r->fault, TELL_FAULT_MS, on_fault_over);
    log_event(LOG_FD_EXHAUSTED, FN("reactor", r->index), FE("error", error),
              FN("sessions", r->session_count));
}

/* One more address of the service; in the reactors behind the first one port 0 is the port that it got. */
static int open_address(struct service *s, const char *text, const struct reactor *first, char **ret_error)
{
    struct reactor *r = s->reactor;
    struct ip ip;
    uint16_t port;
    must(service_parse_address(span_of(text), &ip, &port) == 0); /* services_check() has seen it */
    if (port == 0 && first)
        port = listener_port(first->listeners[r->listener_count]);
    int error = listener_open(r->loop, &ip, port, on_accept, on_fault, s, &r->listeners[r->listener_count]);
    if (error < 0) {
        AUTO_FREE char *setting = conf_member_path(&s->conf->as_member, "listeners", "address");
        *ret_error = mem_format("%s: cannot listen on %s: %s", setting, text, strerror(-error));
        return error;
    }
    listener_pause(r->listeners[r->listener_count++], START_WAIT_MS);
    return 0;
}

int listeners_open(struct reactor *r, const struct reactor *first, char **ret_error)
{
    size_t count = 0;
    for (size_t i = 0; i < r->service_count; i++)
        count += r->services[i]->conf->address.count;
    r->listeners = mem_array(count + 1, sizeof r->listeners[0]);
    for (size_t i = 0; i < r->service_count; i++)
        for (size_t k = 0; k < r->services[i]->conf->address.count; k++) {
            int error = open_address(r->services[i], r->services[i]->conf->address.items[k], first,
                                     ret_error);
            if (error < 0)
                return error;
        }
    return 0;
}

void listeners_begin(struct reactor *r)
{
    for (size_t i = 0; i < r->listener_count; i++)
        listener_resume(r->listeners[i]);
}

void listeners_close(struct reactor *r)
{
    for (size_t i = 0; i < r->listener_count; i++)
        r->listeners[i] = listener_close(r->listeners[i]);
    r->listener_count = 0;
    timer_stop(&r->fault);
}
