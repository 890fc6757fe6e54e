/* send: test messages to an SMTP server. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "ctl/print.h"
#include "ctl/sender.h"
#include "ctl/verb.h"

enum { SMTP_PORT = 25, SESSIONS_MAX = 1000, READ_BYTES = 65536, BODY_LINE = 70, TO_SHOWN = 5 };
#define COUNT_MAX UINT64_C(100000000)
#define SIZE_MAX_BYTES UINT64_C(1073741824)

struct sending {
    const struct arguments *arguments;
    struct sender sender;
    const char *to[GIVEN_MAX];
    uint64_t size_bytes;
    struct buf file;
    bool has_file;
    char *login;                     /* AUTH PLAIN's words, wiped at the end */
    char run[ID_TEXT_LEN + 1];       /* in every Message-ID */
    struct json *messages, *refused; /* with --json */
    uint64_t refused_count;
};

/* ---- content */

static void add_content(void *owner, uint64_t number, struct buf *out)
{
    const struct sending *s = owner;

    if (s->has_file) {
        buf_add_span(out, buf_span(&s->file));
        return;
    }
    buf_printf(out, "From: <%s>\r\nTo: ", *s->sender.from ? s->sender.from : "baridctl@sink.test");
    for (size_t i = 0; i < s->sender.to_count && i < TO_SHOWN; i++)
        buf_printf(out, "%s<%s>", i ? ",\r\n " : "", s->to[i]);
    buf_add_text(out, "\r\nDate: ");
    clock_add_date(out, clock_wall_ms());
    buf_printf(out,
               "\r\nMessage-ID: <%s.%llu@baridctl.localhost>\r\nSubject: Test message %llu of %llu\r\n\r\n",
               s->run, (unsigned long long) number, (unsigned long long) number + 1,
               (unsigned long long) s->sender.count);
    buf_add_text(out, "A test message by baridctl.\r\n");
    for (size_t line = 0; out->len < s->size_bytes; line++) {
        char text[BODY_LINE + 1];
        for (size_t i = 0; i < BODY_LINE; i++)
            text[i] = (char) ('a' + (line + i) % 26);
        text[BODY_LINE] = '\0';
        buf_add_text(out, text);
        buf_add_text(out, "\r\n");
    }
}

static int read_file(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (;;) {
        ssize_t n = read(fd, buf_reserve(out, READ_BYTES), READ_BYTES);
        if (n <= 0 || out->len > SIZE_MAX_BYTES) {
            int r = n < 0 ? -errno : n > 0 ? -EFBIG : 0;
            (void) close(fd); /* it was only read */
            return r;
        }
        buf_commit(out, (size_t) n);
    }
}

/* ---- outcomes */

static void on_outcome(void *owner, uint64_t number, bool accepted, struct span reply, const char *id)
{
    struct sending *s = owner;

    s->refused_count += !accepted;
    if (s->arguments->is_json) {
        if (accepted)
            json_put_text(s->messages, NULL, *id ? span_of(id) : reply);
        else
            json_put_text(s->refused, NULL, reply);
    } else if (accepted && *id) {
        printf("queued as %s\n", id);
    } else if (accepted) {
        printf("accepted: ");
        print_safe(reply);
        printf("\n");
    } else {
        (void) say_failed("message %llu was not accepted: %.*s", (unsigned long long) number + 1,
                          SPAN_ARG(reply)); /* the sum decides the status */
    }
}

static void print_sum(struct sending *s, uint64_t accepted, uint64_t took_ms)
{
    double seconds = (double) (took_ms ? took_ms : 1) / 1000;

    if (s->arguments->is_json) {
        struct json *json = json_new_object();
        json_put_number(json, "accepted", (int64_t) accepted);
        json_put_number(json, "refused", (int64_t) s->refused_count);
        json_put_real(json, "seconds", seconds);
        json_put(json, "messages", STEAL(s->messages));
        json_put(json, "replies", STEAL(s->refused));
        print_json(json);
    } else if (s->sender.count > 1) {
        printf("%llu accepted, %llu not, in %.2f s: %.0f a second\n", (unsigned long long) accepted,
               (unsigned long long) s->refused_count, seconds, (double) accepted / seconds);
    }
}

/* ---- the verb */

static int read_addresses(struct sending *s)
{
    const struct arguments *a = s->arguments;
    struct sender *sender = &s->sender;
    struct addr addr;
    char host[DOMAIN_MAX + 1];
    const char *server = argument_text(a, "server", "127.0.0.1:2525"), *to;

    if (hostport_parse(span_of(server), SMTP_PORT, host, &sender->port) < 0 ||
        ip_parse(span_of(host), &sender->ip) < 0)
        return say_usage("--server %s: expected a numeric address and a port, such as 127.0.0.1:2525",
                         server);
    sender->from = argument_text(a, "from", "baridctl@sink.test");
    if (*sender->from && addr_parse(span_of(sender->from), &addr) < 0)
        return say_usage("--from %s: not an address", sender->from);
    for (size_t cursor = 0; (to = argument_next(a, "to", &cursor));) {
        if (addr_parse(span_of(to), &addr) < 0)
            return say_usage("--to %s: not an address", to);
        s->to[sender->to_count++] = to;
    }
    if (sender->to_count == 0)
        return say_usage("send needs --to ADDRESS");
    return EXIT_OK;
}

static int read_numbers(struct sending *s)
{
    const struct arguments *a = s->arguments;
    uint64_t sessions, timeout_s;

    if (argument_number(a, "count", 1, COUNT_MAX, 1, &s->sender.count) < 0 ||
        argument_number(a, "sessions", 1, SESSIONS_MAX, 1, &sessions) < 0 ||
        argument_number(a, "size", 0, SIZE_MAX_BYTES, 0, &s->size_bytes) < 0 ||
        argument_number(a, "timeout", 1, 86400, 60, &timeout_s) < 0)
        return EXIT_BAD_USAGE;
    s->sender.sessions = (unsigned) sessions;
    s->sender.timeout_ms = timeout_s * 1000;
    return EXIT_OK;
}

/* ---- TLS and AUTH */

static int read_tls(struct sending *s)
{
    const char *tls = argument_text(s->arguments, "tls", "off");
    const struct tls_client_settings settings = {.protocol = "smtp"};
    AUTO_FREE char *error = NULL;

    s->sender.is_tls_first = strcmp(tls, "implicit") == 0;
    if (strcmp(tls, "off") == 0)
        return EXIT_OK;
    if (!s->sender.is_tls_first && strcmp(tls, "starttls") != 0)
        return say_usage("--tls %s: expected starttls, implicit or off", tls);
    if (tls_client_new(&settings, &s->sender.tls, &error) < 0)
        return say_failed("%s", error);
    return EXIT_OK;
}

/* The password is the first line of a file: what stands on a command line is seen by everybody. */
static int read_login(struct sending *s)
{
    const char *user = argument_text(s->arguments, "user", NULL);
    const char *file = argument_text(s->arguments, "password-file", NULL);
    AUTO_BUF struct buf password = {.data = NULL};
    AUTO_BUF struct buf words = {.data = NULL};
    struct buf text = {.data = NULL};

    if (!user && !file)
        return EXIT_OK;
    if (!user || !file)
        return say_usage("--user and --password-file go together");
    int r = read_file(file, &password);
    if (r < 0)
        return say_failed("%s: %s", file, strerror(-r));
    struct span rest = buf_span(&password);
    buf_printf(&words, "%c%s%c", '\0', user, '\0');
    buf_add_span(&words, span_cut(&rest, '\n'));
    base64_encode(buf_span(&words), &text);
    s->login = buf_steal_text(&text);
    s->sender.login = s->login;
    if (password.len > 0)
        explicit_bzero(password.data, password.len);
    explicit_bzero(words.data, words.len);
    return EXIT_OK;
}

int verb_send(const struct arguments *a)
{
    struct sending *s = NEW(struct sending);
    const char *file = argument_text(a, "file", NULL);
    struct id run = id_new(clock_wall_ms(), 0);

    s->arguments = a;
    s->sender = (struct sender){.to = s->to, .content = add_content, .on_outcome = on_outcome, .owner = s};
    id_format(&run, s->run);
    int status = read_addresses(s);
    if (status == EXIT_OK)
        status = read_numbers(s);
    if (status == EXIT_OK)
        status = read_tls(s);
    if (status == EXIT_OK)
        status = read_login(s);
    if (status == EXIT_OK && file) {
        int r = read_file(file, &s->file);
        s->has_file = true;
        if (r < 0)
            status = say_failed("%s: %s", file, strerror(-r));
    }
    if (status == EXIT_OK) {
        s->messages = json_new_array();
        s->refused = json_new_array();
        uint64_t began_ms = clock_ms();
        uint64_t accepted = sender_run(&s->sender);
        print_sum(s, accepted, clock_ms() - began_ms);
        status = accepted == s->sender.count ? EXIT_OK : EXIT_ASKED_FAILED;
    }
    if (s->messages)
        json_free(s->messages);
    if (s->refused)
        json_free(s->refused);
    (void) tls_client_release(s->sender.tls); /* always NULL */
    if (s->login)
        explicit_bzero(s->login, strlen(s->login));
    mem_free(s->login);
    buf_done(&s->file);
    mem_free(s);
    return status;
}
