/* Look-ups against a scripted server on loopback, UDP and TCP. */
#include "io_test.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "dns_packet.h"
#include "io/dns.h"

struct query {
    unsigned id, flags;
    enum dns_type type;
    bool is_tcp, has_edns;
    char name[DOMAIN_MAX + 1];
};

static struct dns *dns;
static uint16_t port;
static char server_text[32];
static int udp = -1;
static struct watch *udp_watch;
static struct listener *listener;
static struct stream *tcp;
static unsigned queries, tcp_queries;
static struct query last;

/* Fills the reply; returns how often it is sent. */
static int (*respond)(const struct query *q, struct buf *out);

static void query_read(struct span s, bool is_tcp)
{
    const uint8_t *p = (const uint8_t *) s.at;
    size_t at = 12, len = 0;
    assert_true(s.len > 16);
    last = (struct query){
        .id = (unsigned) p[0] << 8 | p[1], .flags = (unsigned) p[2] << 8 | p[3], .is_tcp = is_tcp};
    last.has_edns = p[11] == 1;
    while (p[at]) {
        if (len)
            last.name[len++] = '.';
        memcpy(last.name + len, p + at + 1, p[at]);
        len += p[at];
        at += p[at] + 1U;
    }
    last.type = (enum dns_type)(p[at + 1] << 8 | p[at + 2]);
    queries++;
    tcp_queries += is_tcp;
}

static void on_udp(void *context, int events)
{
    (void) context;
    (void) events;
    char in[1500];
    struct sockaddr_in peer;
    socklen_t peer_len = sizeof(peer);
    ssize_t n = recvfrom(udp, in, sizeof(in), 0, (struct sockaddr *) &peer, &peer_len);
    if (n < 0)
        return;
    struct buf out AUTO_BUF = {.data = NULL};
    query_read((struct span){.at = in, .len = (size_t) n}, false);
    for (int copies = respond(&last, &out); copies > 0; copies--)
        (void) sendto(udp, out.data, out.len, 0, (struct sockaddr *) &peer, peer_len);
}

static size_t on_tcp_data(void *owner, struct span in)
{
    (void) owner;
    if (in.len < 2)
        return 0;
    size_t len = (size_t) (uint8_t) in.at[0] << 8 | (uint8_t) in.at[1];
    if (in.len < len + 2)
        return 0;
    struct buf out AUTO_BUF = {.data = NULL};
    query_read((struct span){.at = in.at + 2, .len = len}, true);
    if (respond(&last, &out) > 0) {
        packet_two(stream_output(tcp), (unsigned) out.len);
        stream_write(tcp, buf_span(&out));
    }
    return len + 2;
}

static void on_tcp_closed(void *owner, int reason)
{
    (void) owner;
    (void) reason;
    tcp = NULL;
}

static const struct stream_events tcp_events = {.on_data = on_tcp_data, .on_closed = on_tcp_closed};

static void on_tcp_accept(void *owner, int fd)
{
    (void) owner;
    assert_null(tcp);
    tcp = stream_adopt(loop, fd, &tcp_events, NULL);
}

static void server_open(void)
{
    struct ip ip = loopback();
    assert_int_equal(listener_open(loop, &ip, 0, on_tcp_accept, NULL, NULL, &listener), 0);
    port = listener_port(listener);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int size = 4 << 20;
    (void) setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    assert_int_equal(bind(udp, (struct sockaddr *) &address, sizeof(address)), 0);
    assert_int_equal(watch_open(loop, udp, on_udp, NULL, &udp_watch), 0);
    watch_set(udp_watch, LOOP_READ);
    (void) snprintf(server_text, sizeof(server_text), "127.0.0.1:%u", port);
}

static void server_close(void)
{
    listener = listener_close(listener);
    udp_watch = watch_close(udp_watch);
    if (udp >= 0)
        close(udp);
    udp = -1;
    if (tcp)
        stream_abort(tcp);
}

/* ---- questions */

struct ask {
    struct dns_question *question;
    int done;
    enum dns_result result;
    size_t count;
    char first[DOMAIN_MAX + 1], name[DOMAIN_MAX + 1];
    uint32_t ttl_s;
    bool is_secure, closes;
};

static unsigned answers_left;

static void on_answer(void *context, const struct dns_answer *answer)
{
    struct ask *a = context;
    a->question = NULL;
    a->done++;
    a->result = answer->result;
    a->count = answer->count;
    a->ttl_s = answer->ttl_s;
    a->is_secure = answer->is_secure;
    (void) snprintf(a->first, sizeof(a->first), "%s", answer->count ? answer->records[0].name : "");
    (void) snprintf(a->name, sizeof(a->name), "%s", answer->name);
    if (a->closes)
        dns = dns_close(dns);
    if (a->closes || --answers_left == 0)
        loop_stop(loop);
}

static void ask(struct ask *a, const char *name, enum dns_type type)
{
    *a = (struct ask){.question = dns_ask(dns, name, type, on_answer, a)};
    assert_int_equal(a->done, 0);
    answers_left++;
}

static struct ask asked(const char *name, enum dns_type type)
{
    struct ask a;
    ask(&a, name, type);
    loop_go();
    assert_int_equal(a.done, 1);
    return a;
}

static struct dns_settings settings;
static const char *servers[2];

static int setup(void **state)
{
    loop_setup(state);
    queries = tcp_queries = answers_left = 0;
    server_open();
    servers[0] = server_text;
    settings = (struct dns_settings){.servers = servers,
                                     .server_count = 1,
                                     .timeout_ms = 5000,
                                     .tries = 2,
                                     .min_ttl_ms = 0,
                                     .max_ttl_ms = 3600000,
                                     .negative_ttl_ms = 60000,
                                     .cache_max = 100,
                                     .validates = true};
    return 0;
}

static void start(void)
{
    assert_int_equal(dns_open(loop, &settings, &dns), 0);
}

static int teardown(void **state)
{
    dns = dns_close(dns);
    server_close();
    return loop_teardown(state);
}

static void reply_start(const struct query *q, unsigned flags, struct buf *out)
{
    packet_start(out, q->id, FLAGS_ANSWER | flags, q->name, q->type);
}

static int give_mx(const struct query *q, struct buf *out)
{
    reply_start(q, FLAG_AD, out);
    packet_mx(out, q->name, 300, 10, "mx.example");
    packet_opt(out);
    return 1;
}

static int give_mx_of_no_time(const struct query *q, struct buf *out)
{
    reply_start(q, 0, out);
    packet_mx(out, q->name, 0, 10, "mx.example");
    packet_opt(out);
    return 1;
}

static int give_nothing(const struct query *q, struct buf *out)
{
    (void) q;
    (void) out;
    return 0;
}

static int give_no_name(const struct query *q, struct buf *out)
{
    reply_start(q, RCODE_NO_NAME, out);
    packet_soa(out, "example", 600, 20);
    packet_opt(out);
    return 1;
}

static int give_failure(const struct query *q, struct buf *out)
{
    reply_start(q, RCODE_FAIL, out);
    packet_opt(out);
    return 1;
}

static void asks_well_and_answers_later(void **state)
{
    (void) state;
    respond = give_mx;
    start();
    struct ask a = asked("Example.ORG.", DNS_MX);
    assert_int_equal(a.result, DNS_OK);
    assert_string_equal(a.first, "mx.example");
    assert_string_equal(a.name, "example.org");
    assert_true(a.is_secure);
    assert_int_equal(a.ttl_s, 300);
    assert_string_equal(last.name, "example.org");
    assert_int_equal(last.flags, 0x0120); /* RD and AD */
    assert_true(last.has_edns);
    assert_false(last.is_tcp);
}

/* proves: L04 */
static void a_server_that_validates_for_nobody_is_not_believed(void **state)
{
    (void) state;
    respond = give_mx;
    settings.validates = false;
    start();
    struct ask a = asked("example.org", DNS_MX);
    assert_int_equal(a.result, DNS_OK);
    assert_false(a.is_secure);
    assert_int_equal(last.flags, 0x0100);                 /* RD alone */
    assert_false(asked("example.org", DNS_MX).is_secure); /* from the cache */
    assert_int_equal(queries, 1);
}

static void equal_questions_are_asked_once(void **state)
{
    (void) state;
    struct ask a[5];
    respond = give_mx;
    start();
    for (size_t i = 0; i < ARRAY_LEN(a); i++)
        ask(&a[i], i % 2 ? "EXAMPLE.org" : "example.org", DNS_MX);
    loop_go();
    for (size_t i = 0; i < ARRAY_LEN(a); i++)
        assert_int_equal(a[i].result, DNS_OK);
    assert_int_equal(queries, 1);
    struct ask later = asked("example.org.", DNS_MX); /* from the cache */
    assert_string_equal(later.first, "mx.example");
    assert_true(later.ttl_s <= 300 && later.ttl_s > 290);
    assert_int_equal(queries, 1);
    (void) asked("example.org", DNS_A); /* another type is another question */
    assert_int_equal(queries, 2);
}

/* proves: I15 */
static void an_answer_of_no_time_is_not_kept(void **state)
{
    (void) state;
    respond = give_mx_of_no_time;
    start();
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_OK);
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_OK);
    assert_int_equal(queries, 2);
    dns = dns_close(dns);
    settings.min_ttl_ms = 5000;
    start();
    (void) asked("example.org", DNS_MX);
    (void) asked("example.org", DNS_MX);
    assert_int_equal(queries, 3);
}

static void time_is_bounded_above(void **state)
{
    (void) state;
    respond = give_mx;
    settings.max_ttl_ms = 0;
    start();
    (void) asked("example.org", DNS_MX);
    (void) asked("example.org", DNS_MX);
    assert_int_equal(queries, 2);
}

static void that_there_is_none_is_kept_for_its_time(void **state)
{
    (void) state;
    respond = give_no_name;
    start();
    struct ask a = asked("example.org", DNS_MX);
    assert_int_equal(a.result, DNS_NO_NAME);
    assert_int_equal(a.ttl_s, 20);
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_NO_NAME);
    assert_int_equal(queries, 1);
    dns = dns_close(dns);
    settings.negative_ttl_ms = 0;
    start();
    (void) asked("example.org", DNS_MX);
    (void) asked("example.org", DNS_MX);
    assert_int_equal(queries, 3);
}

static void a_failure_is_told_at_once_and_not_kept(void **state)
{
    (void) state;
    respond = give_failure;
    settings.timeout_ms = 15000;
    start();
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_AWAY); /* or the guard ends it */
    assert_int_equal(queries, 1);
    respond = give_mx;
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_OK);
}

static void silence_is_nothing_known(void **state)
{
    (void) state;
    respond = give_nothing;
    settings.timeout_ms = 30;
    start();
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_AWAY);
    assert_int_equal(queries, 2);
    respond = give_mx;
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_OK);
}

static void no_server_at_all_is_nothing_known(void **state)
{
    (void) state;
    respond = give_mx;
    server_close();
    start();
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_AWAY);
}

static void the_second_server_is_tried(void **state)
{
    (void) state;
    respond = give_mx;
    servers[0] = "127.0.0.1:1";
    servers[1] = server_text;
    settings.server_count = 2;
    start();
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_OK);
}

static int give_long(const struct query *q, struct buf *out)
{
    if (!q->is_tcp) {
        reply_start(q, FLAG_TC, out);
        packet_opt(out);
        return 1;
    }
    reply_start(q, 0, out);
    for (unsigned i = 0; i < 200; i++)
        packet_mx(out, q->name, 300, i, "mx.example");
    packet_opt(out);
    return 1;
}

static void a_truncated_answer_comes_by_tcp(void **state)
{
    (void) state;
    respond = give_long;
    settings.timeout_ms = 2000;
    start();
    struct ask a = asked("example.org", DNS_MX);
    assert_int_equal(a.count, 200);
    assert_int_equal(tcp_queries, 1);
}

static int give_medium(const struct query *q, struct buf *out)
{
    reply_start(q, 0, out);
    for (unsigned i = 0; i < 20; i++)
        packet_mx(out, q->name, 300, i, "some.long.name.of.a.host.example");
    packet_opt(out);
    assert_true(out->len > 512 && out->len < 1232);
    return 1;
}

static void an_answer_within_edns_size_comes_by_udp(void **state)
{
    (void) state;
    respond = give_medium;
    start();
    assert_int_equal(asked("example.org", DNS_MX).count, 20);
    assert_int_equal(tcp_queries, 0);
}

/* The first link only; the rest is left to the asker. */
static int give_alias(const struct query *q, struct buf *out)
{
    unsigned n = 0;
    reply_start(q, q->name[0] == 'a' ? 0 : FLAG_AD, out);
    if (sscanf(q->name, "a%u.", &n) == 1 && n > 0) {
        char target[32];
        (void) snprintf(target, sizeof(target), "a%u.example", n - 1);
        packet_alias(out, q->name, 10 + n, target);
    } else {
        packet_a(out, q->name, 300, "192.0.2.1");
    }
    packet_opt(out);
    return 1;
}

static void an_alias_is_followed_by_further_questions(void **state)
{
    (void) state;
    respond = give_alias;
    start();
    struct ask a = asked("a3.example", DNS_A);
    assert_int_equal(a.result, DNS_OK);
    assert_string_equal(a.name, "a0.example");
    assert_int_equal(a.ttl_s, 11);
    assert_int_equal(queries, 4);
    assert_int_equal(asked("a8.example", DNS_A).result, DNS_OK);
    assert_int_equal(asked("a9.example", DNS_A).result, DNS_AWAY); /* too long a chain */
}

static int give_loop(const struct query *q, struct buf *out)
{
    reply_start(q, 0, out);
    packet_alias(out, q->name, 300, strcmp(q->name, "x.example") == 0 ? "y.example" : "x.example");
    packet_opt(out);
    return 1;
}

static void an_alias_in_a_circle_ends(void **state)
{
    (void) state;
    respond = give_loop;
    start();
    assert_int_equal(asked("x.example", DNS_A).result, DNS_AWAY);
    assert_int_equal(queries, DNS_CNAME_MAX + 1);
}

static void a_thousand_questions_are_all_answered(void **state)
{
    (void) state;
    static struct ask a[1000];
    char name[32];
    respond = give_mx;
    settings.timeout_ms = 3000;
    start();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        (void) snprintf(name, sizeof(name), "d%zu.example", i);
        ask(&a[i], name, DNS_MX);
    }
    loop_go();
    for (size_t i = 0; i < ARRAY_LEN(a); i++)
        assert_int_equal(a[i].result, DNS_OK);
    assert_int_equal(queries, 1000);
    (void) asked("d999.example", DNS_MX); /* kept */
    assert_int_equal(queries, 1000);
    (void) asked("d0.example", DNS_MX); /* gone: the cache holds 100 */
    assert_int_equal(queries, 1001);
}

static void a_cancelled_question_is_not_answered(void **state)
{
    (void) state;
    struct ask a[3];
    respond = give_mx;
    start();
    ask(&a[0], "example.org", DNS_MX);
    ask(&a[1], "example.org", DNS_MX);
    ask(&a[2], "other.example", DNS_MX);
    dns_cancel(a[0].question);
    dns_cancel(a[2].question);
    answers_left -= 2;
    loop_go();
    assert_int_equal(a[0].done, 0);
    assert_int_equal(a[1].done, 1);
    assert_int_equal(a[2].done, 0);
    assert_int_equal(queries, 1);
}

static struct ask *to_cancel;

static int give_mx_and_cancel(const struct query *q, struct buf *out)
{
    dns_cancel(to_cancel->question); /* while it is under way */
    return give_mx(q, out);
}

static void cancelling_under_way_keeps_the_answer_for_others(void **state)
{
    (void) state;
    struct ask a, b;
    respond = give_mx_and_cancel;
    start();
    to_cancel = &a;
    ask(&a, "example.org", DNS_MX);
    ask(&b, "example.org", DNS_MX);
    answers_left--;
    loop_go();
    assert_int_equal(a.done, 0);
    assert_int_equal(b.result, DNS_OK);
    respond = give_mx;
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_OK);
    assert_int_equal(queries, 1);
}

static void closing_in_a_callback_ends_all_the_others(void **state)
{
    (void) state;
    struct ask a[4];
    respond = give_mx;
    start();
    for (size_t i = 0; i < 3; i++)
        ask(&a[i], "example.org", DNS_MX);
    ask(&a[3], "other.example", DNS_MX);
    a[0].closes = true;
    loop_go();
    assert_int_equal(a[0].done, 1);
    assert_int_equal(a[1].done, 0);
    assert_int_equal(a[3].done, 0);
    assert_null(dns);
}

static int close_instead(const struct query *q, struct buf *out)
{
    (void) q;
    (void) out;
    dns = dns_close(dns);
    loop_stop(loop);
    return 0;
}

static void closing_with_questions_under_way_is_quiet(void **state)
{
    (void) state;
    struct ask sent, unsent;
    respond = close_instead;
    start();
    ask(&sent, "example.org", DNS_MX);
    loop_go();
    assert_int_equal(sent.done, 0);
    start();
    ask(&unsent, "example.org", DNS_MX);
    dns = dns_close(dns);
    assert_int_equal(unsent.done, 0);
}

static int give_edns_refusal(const struct query *q, struct buf *out)
{
    if (!q->has_edns)
        return give_mx(q, out);
    reply_start(q, RCODE_FORMAT, out);
    return 1;
}

static int give_without_edns(const struct query *q, struct buf *out)
{
    reply_start(q, q->has_edns ? RCODE_FORMAT : 0, out);
    if (!q->has_edns)
        packet_mx(out, q->name, 300, 10, "mx.example");
    return 1;
}

static void a_server_without_edns_is_asked_without(void **state)
{
    (void) state;
    struct ask a[20];
    char name[32];
    respond = give_without_edns;
    start();
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_OK);
    assert_int_equal(queries, 2);
    assert_int_equal(asked("b.example", DNS_MX).result, DNS_OK);
    assert_int_equal(queries, 3);
    assert_false(last.has_edns);
    dns = dns_close(dns);
    start();
    for (size_t i = 0; i < ARRAY_LEN(a); i++) {
        (void) snprintf(name, sizeof(name), "d%zu.example", i);
        ask(&a[i], name, DNS_MX);
    }
    loop_go();
    for (size_t i = 0; i < ARRAY_LEN(a); i++)
        assert_int_equal(a[i].result, DNS_OK);
    respond = give_edns_refusal;
    assert_int_equal(asked("c.example", DNS_MX).result, DNS_OK);
}

static int give_spoofed_first(const struct query *q, struct buf *out)
{
    struct query wrong = *q;
    wrong.id ^= 1;
    reply_start(&wrong, 0, out);
    packet_mx(out, q->name, 300, 10, "evil.example");
    return 1;
}

static int give_other_question(const struct query *q, struct buf *out)
{
    struct query wrong = *q;
    wrong.name[0] = 'z';
    reply_start(&wrong, 0, out);
    packet_mx(out, wrong.name, 300, 10, "evil.example");
    return 2;
}

static void answers_to_what_was_not_asked_are_ignored(void **state)
{
    (void) state;
    settings.timeout_ms = 30;
    start();
    respond = give_spoofed_first;
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_AWAY);
    respond = give_other_question;
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_AWAY);
}

static int give_garbage(const struct query *q, struct buf *out)
{
    reply_start(q, 0, out);
    out->data[7] = 9;
    buf_add_text(out, "garbage");
    return 1;
}

static void garbage_is_nothing_known(void **state)
{
    (void) state;
    respond = give_garbage;
    start();
    assert_int_equal(asked("example.org", DNS_MX).result, DNS_AWAY);
}

static void what_no_packet_can_carry_does_not_exist(void **state)
{
    (void) state;
    char name[400];
    respond = give_mx;
    start();
    memset(name, 'x', sizeof(name));
    name[64] = '\0';
    assert_int_equal(asked(name, DNS_MX).result, DNS_NO_NAME);
    name[64] = 'x';
    name[399] = '\0';
    assert_int_equal(asked(name, DNS_MX).result, DNS_NO_NAME);
    assert_int_equal(asked("", DNS_MX).result, DNS_NO_NAME);
    assert_int_equal(asked("a..b", DNS_MX).result, DNS_NO_NAME);
    assert_int_equal(queries, 0);
}

static void a_bad_server_is_refused(void **state)
{
    (void) state;
    struct dns *other;
    servers[0] = "no address";
    assert_int_equal(dns_open(loop, &settings, &other), -EINVAL);
    settings.server_count = 0; /* the system's */
    assert_int_equal(dns_open(loop, &settings, &other), 0);
    other = dns_close(other);
    assert_null(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(asks_well_and_answers_later, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_validates_for_nobody_is_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_questions_are_asked_once, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_of_no_time_is_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(time_is_bounded_above, setup, teardown),
        cmocka_unit_test_setup_teardown(that_there_is_none_is_kept_for_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_is_told_at_once_and_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_is_nothing_known, setup, teardown),
        cmocka_unit_test_setup_teardown(no_server_at_all_is_nothing_known, setup, teardown),
        cmocka_unit_test_setup_teardown(the_second_server_is_tried, setup, teardown),
        cmocka_unit_test_setup_teardown(a_truncated_answer_comes_by_tcp, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_within_edns_size_comes_by_udp, setup, teardown),
        cmocka_unit_test_setup_teardown(an_alias_is_followed_by_further_questions, setup, teardown),
        cmocka_unit_test_setup_teardown(an_alias_in_a_circle_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(a_thousand_questions_are_all_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_question_is_not_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelling_under_way_keeps_the_answer_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_in_a_callback_ends_all_the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_with_questions_under_way_is_quiet, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_without_edns_is_asked_without, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_to_what_was_not_asked_are_ignored, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_is_nothing_known, setup, teardown),
        cmocka_unit_test_setup_teardown(what_no_packet_can_carry_does_not_exist, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_server_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
