/* sink: an SMTP server that takes mail and forgets it, or misbehaves as told. One loop, one thread. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "ctl/print.h"
#include "ctl/sink_session.h"
#include "ctl/verb.h"
#include "io/stream.h"

enum { IDLE_MS = 600000, SECOND_MS = 1000, PATIENCE_MS = 1000, TICKET_MS = 3600000, SMTP_PORT = 25 };

struct server {
    struct loop *loop;
    struct listener *listener;
    struct sink sink;
    struct map seen; /* id -> how often, as a pointer */
    uint64_t duplicates, without_id, target;
    struct tls_server *tls; /* NULL: none is offered */
    struct tls_tickets *tickets;
    const char *folder; /* NULL: nothing is kept */
    struct list connections;
    struct timer second, patience;
    uint64_t told, started_ms;
    uint64_t last_wall_ms; /* when the last message came */
    bool must_end, is_ending;
    char *trouble; /* why it ended early; NULL */
};

struct connection {
    struct list link;
    struct server *server;
    struct stream *stream;
    struct sink_session session;
};

static void end(struct server *s);

/* ---- messages */

static int write_file(const char *folder, uint64_t number, const char *ending, struct span content)
{
    AUTO_FREE char *path = mem_format("%s/%06llu.%s", folder, (unsigned long long) number, ending);

    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    while (content.len > 0) {
        ssize_t n = write(fd, content.at, content.len);
        if (n < 0) {
            int error = errno;
            (void) close(fd); /* the write's error is told */
            return -error;
        }
        content = (struct span){.at = content.at + n, .len = content.len - (size_t) n};
    }
    return close(fd) < 0 ? -errno : 0;
}

static int store_message(const struct server *s, const struct sink_message *m)
{
    struct json *json = json_new_object(), *to = json_new_array();
    struct span rest = m->recipients;
    AUTO_BUF struct buf envelope = {.data = NULL};
    uint64_t number = s->sink.counts.messages;

    while (rest.len > 0)
        json_put_text(to, NULL, span_cut(&rest, '\n'));
    json_put_text(json, "helo", m->helo);
    json_put_text(json, "from", m->sender);
    json_put(json, "to", to);
    json_put_text(json, "id", m->id);
    json_print(json, &envelope);
    json_free(json);
    int r = write_file(s->folder, number, "eml", m->content);
    return r < 0 ? r : write_file(s->folder, number, "json", buf_span(&envelope));
}

static void on_message(void *owner, const struct sink_message *m)
{
    struct server *s = owner;

    if (m->id.len == 0) {
        s->without_id++;
    } else {
        uintptr_t before = (uintptr_t) map_get(&s->seen, m->id);
        map_set(&s->seen, m->id, (void *) (before + 1));
        s->duplicates += before > 0;
    }
    if (s->folder) {
        int r = store_message(s, m);
        if (r < 0 && !s->trouble)
            s->trouble = mem_format("%s: %s", s->folder, strerror(-r));
    }
    s->last_wall_ms = clock_wall_ms();
    s->must_end |= s->trouble || s->sink.counts.messages == s->target; /* after the reply */
}

/* ---- connections */

static void connection_say(struct connection *c)
{
    struct sink_session *session = &c->session;

    if (session->out.len > 0) {
        buf_add_span(stream_output(c->stream), buf_span(&session->out));
        stream_written(c->stream);
        buf_clear(&session->out);
    }
    if (session->is_tls_next)
        stream_start_tls(c->stream, c->server->tls);
    if (session->is_dropped)
        stream_abort(c->stream);
    else if (session->is_over)
        stream_finish(c->stream);
    else if (session->is_stalled)
        stream_pause(c->stream);
}

static size_t on_data(void *owner, struct span in)
{
    struct connection *c = owner;

    size_t used = sink_session_feed(&c->session, in);
    stream_deadline(c->stream, IDLE_MS);
    connection_say(c);
    if (c->server->must_end)
        end(c->server);
    return used;
}

static void on_secured(void *owner)
{
    struct connection *c = owner;

    sink_session_secured(&c->session);
}

static void on_closed(void *owner, int reason)
{
    struct connection *c = owner;
    struct server *s = c->server;

    (void) reason; /* a sink does not care how its clients leave */
    list_remove(&c->link);
    sink_session_done(&c->session);
    mem_free(c);
    if (s->is_ending && list_is_empty(&s->connections))
        loop_stop(s->loop);
}

static const struct stream_events stream_events = {
    .on_data = on_data, .on_secured = on_secured, .on_closed = on_closed};

static void on_accept(void *owner, int fd)
{
    struct server *s = owner;
    struct connection *c = NEW(struct connection);

    c->server = s;
    list_append(&s->connections, &c->link);
    c->stream = stream_adopt(s->loop, fd, &stream_events, c);
    stream_deadline(c->stream, IDLE_MS);
    sink_session_init(&c->session, &s->sink);
    connection_say(c);
}

static void on_fault(void *owner, int error)
{
    (void) owner;
    (void) say_failed("a connection could not be accepted: %s", strerror(error)); /* it goes on */
}

/* ---- its life */

static void close_all(struct server *s)
{
    LIST_EACH(&s->connections, it, save) {
        struct connection *c = LIST_ENTRY(it, struct connection, link);
        stream_finish(c->stream);
    }
}

static void on_patience_over(struct timer *t)
{
    close_all(CONTAINER_OF(t, struct server, patience));
}

/* No more connections; those there are may say goodbye. */
static void end(struct server *s)
{
    if (s->is_ending)
        return;
    s->is_ending = true;
    s->listener = listener_close(s->listener);
    timer_start(s->loop, &s->patience, PATIENCE_MS, on_patience_over);
    if (list_is_empty(&s->connections))
        loop_stop(s->loop);
}

static void on_signal(void *context, int signal)
{
    struct server *s = context;

    (void) signal; /* both end it; a second one at once */
    if (s->is_ending)
        loop_stop(s->loop);
    end(s);
    close_all(s);
}

static void on_second(struct timer *t)
{
    struct server *s = CONTAINER_OF(t, struct server, second);
    uint64_t messages = s->sink.counts.messages;

    timer_start(s->loop, t, SECOND_MS, on_second);
    if (messages != s->told)
        fprintf(stderr, "%llu messages, %llu in the last second\n", (unsigned long long) messages,
                (unsigned long long) (messages - s->told));
    s->told = messages;
}

static void print_summary(const struct server *s)
{
    const struct sink_counts *counts = &s->sink.counts;
    struct json *json = json_new_object();

    json_put_number(json, "messages", (int64_t) counts->messages);
    json_put_number(json, "recipients", (int64_t) counts->recipients);
    json_put_number(json, "bytes", (int64_t) counts->bytes);
    json_put_number(json, "connections", (int64_t) counts->connections);
    json_put_number(json, "distinct", (int64_t) s->seen.count);
    json_put_number(json, "duplicates", (int64_t) s->duplicates);
    json_put_number(json, "without_id", (int64_t) s->without_id);
    json_put_number(json, "deferred", (int64_t) counts->deferred);
    json_put_number(json, "rejected", (int64_t) counts->rejected);
    json_put_number(json, "stalled", (int64_t) counts->stalled);
    json_put_number(json, "dropped", (int64_t) counts->dropped);
    json_put_real(json, "seconds", (double) (clock_ms() - s->started_ms) / 1000);
    json_put_real(json, "last_at", (double) s->last_wall_ms / 1000);
    print_json(json);
}

static int read_rules(const struct arguments *a, struct sink_rules *rules)
{
    static const struct {
        const char *option;
        enum sink_action action;
    } kinds[] = {
        {"defer", ACTION_DEFER}, {"reject", ACTION_REJECT}, {"stall", ACTION_STALL}, {"drop", ACTION_DROP}};

    if (getrandom(&rules->random, sizeof(rules->random), 0) != (ssize_t) sizeof(rules->random))
        rules->random = clock_us();
    rules->random |= 1;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *text;
        for (size_t cursor = 0; (text = argument_next(a, kinds[i].option, &cursor));)
            if (sink_rule_add(rules, kinds[i].action, text) < 0)
                return say_usage(
                    "--%s %s: expected STAGE[=PROBABILITY][@DOMAIN], STAGE one of connect helo mail rcpt data dot, "
                    "PROBABILITY from 0 to 1",
                    kinds[i].option, text);
    }
    return EXIT_OK;
}

static int read_certificate(const struct arguments *a, struct server *s)
{
    char *file = (char *) (uintptr_t) argument_text(a, "tls", NULL); /* the list only reads it */
    const struct conf_list certificates = {.items = &file, .count = 1};
    struct tls_server_settings settings = {.certificates = &certificates, .ticket_ms = TICKET_MS};
    struct tls_ticket_secret secret;
    AUTO_FREE char *error = NULL;

    if (file && getrandom(secret.bytes, sizeof(secret.bytes), 0) == (ssize_t) sizeof(secret.bytes)) {
        settings.tickets = s->tickets = tls_tickets_new();
        tls_tickets_set(s->tickets, &secret, 1);
    }
    if (file && tls_server_new(&settings, &s->tls, &error) < 0)
        return say_failed("--tls: %s", error);
    s->sink.offers_tls = s->tls != NULL;
    return EXIT_OK;
}

static int listen_on(struct server *s, const char *address)
{
    char host[DOMAIN_MAX + 1];
    struct ip ip;
    uint16_t port;

    if (hostport_parse(span_of(address), SMTP_PORT, host, &port) < 0 || ip_parse(span_of(host), &ip) < 0)
        return say_usage("--listen %s: expected a numeric address and a port, such as 127.0.0.1:2526",
                         address);
    int r = listener_open(s->loop, &ip, port, on_accept, on_fault, s, &s->listener);
    if (r < 0)
        return say_failed("%s: %s", address, strerror(-r));
    fprintf(stderr, "baridctl: sink listens on %s:%u\n", host, listener_port(s->listener));
    return EXIT_OK;
}

static int run(struct server *s, const struct arguments *a)
{
    must(loop_on_signal(s->loop, SIGTERM, on_signal, s) == 0);
    must(loop_on_signal(s->loop, SIGINT, on_signal, s) == 0);
    int status = listen_on(s, argument_text(a, "listen", "127.0.0.1:2526"));
    if (status != EXIT_OK)
        return status;
    if (argument_is_given(a, "verbose"))
        timer_start(s->loop, &s->second, SECOND_MS, on_second);
    s->started_ms = clock_ms();
    loop_run(s->loop);
    timer_stop(&s->second);
    timer_stop(&s->patience);
    print_summary(s);
    return s->trouble ? say_failed("%s", s->trouble) : EXIT_OK;
}

int verb_sink(const struct arguments *a)
{
    struct server s = {.folder = argument_text(a, "store", NULL)};

    s.sink = (struct sink){.keeps_content = s.folder != NULL, .on_message = on_message, .owner = &s};
    list_init(&s.connections);
    int status = read_rules(a, &s.sink.rules);
    if (status == EXIT_OK && argument_number(a, "count", 1, UINT64_MAX, 0, &s.target) < 0)
        status = EXIT_BAD_USAGE;
    if (status == EXIT_OK)
        status = read_certificate(a, &s);
    if (status == EXIT_OK && s.folder && mkdir(s.folder, 0755) < 0 && errno != EEXIST)
        status = say_failed("%s: %s", s.folder, strerror(errno));
    if (status == EXIT_OK) {
        s.loop = loop_new();
        status = run(&s, a);
        LIST_EACH(&s.connections, it, save) { /* ended by a second signal */
            stream_abort(LIST_ENTRY(it, struct connection, link)->stream);
        }
        s.loop = loop_free(s.loop);
    }
    sink_rules_done(&s.sink.rules);
    (void) tls_server_release(s.tls);   /* always NULL */
    (void) tls_tickets_free(s.tickets); /* always NULL */
    map_done(&s.seen);
    mem_free(s.trouble);
    return status;
}
