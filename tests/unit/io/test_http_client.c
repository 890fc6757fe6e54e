/* HTTP requests: nothing of them holds up the loop. The names of hosts come from a getaddrinfo() of our own, which libcurl's threads call. */
#include "io/http_client.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>

#include "io_test.h"

enum { STUCK_MS = 5000 }; /* longer than any request of ours may last */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned asked, answered;
static bool is_released;

/* A name server that does not answer, until it is released. */
int getaddrinfo(const char *restrict name UNUSED, const char *restrict service UNUSED,
                const struct addrinfo *restrict hints UNUSED, struct addrinfo **restrict ret)
{
    struct timespec until;
    int r = 0;

    must(clock_gettime(CLOCK_REALTIME, &until) == 0);
    until.tv_sec += STUCK_MS / 1000;
    pthread_mutex_lock(&lock);
    asked++;
    pthread_cond_broadcast(&changed);
    while (!is_released && r == 0)
        r = pthread_cond_timedwait(&changed, &lock, &until);
    answered++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    *ret = NULL;
    return EAI_AGAIN;
}

static void wait_until_asked(void)
{
    pthread_mutex_lock(&lock);
    while (asked == 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static unsigned answered_so_far(void)
{
    pthread_mutex_lock(&lock);
    unsigned n = answered;
    pthread_mutex_unlock(&lock);
    return n;
}

static int setup(void **state)
{
    asked = answered = 0;
    is_released = false;
    return loop_setup(state);
}

/* No thread is left behind in a test that is over. */
static int teardown(void **state)
{
    pthread_mutex_lock(&lock);
    is_released = true;
    pthread_cond_broadcast(&changed);
    while (answered < asked)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return loop_teardown(state);
}

static const struct http_request request = {
    .url = "http://stuck.test/", .timeout_ms = 200, .max_bytes = 1000};

static void on_answer(void *context, const struct http_answer *answer)
{
    unsigned *told = context;

    assert_int_equal(answer->status, 0);
    assert_true(answer->error[0] != '\0');
    ++*told;
    loop_stop(loop);
}

static void a_name_that_is_not_found_in_time_ends_its_request_in_time(void **state UNUSED)
{
    struct http_client *c = http_client_new(loop);
    unsigned told = 0;

    (void) http_send(c, &request, on_answer, &told);
    loop_go();
    assert_int_equal(told, 1);
    assert_int_equal(answered_so_far(), 0);
    c = http_client_free(c);
    assert_int_equal(answered_so_far(), 0);
}

static void on_time(struct timer *t UNUSED)
{
    loop_stop(loop);
}

static void a_request_is_cancelled_while_its_name_is_looked_up(void **state UNUSED)
{
    struct http_client *c = http_client_new(loop);
    struct timer soon = {0};
    unsigned told = 0;
    struct http_call *call = http_send(c, &request, on_answer, &told);

    timer_start(loop, &soon, 50, on_time);
    loop_go();
    wait_until_asked();
    call = http_cancel(call);
    assert_int_equal(answered_so_far(), 0);
    c = http_client_free(c);
    assert_int_equal(answered_so_far(), 0);
    assert_int_equal(told, 0);
}

/* ---- a server of one answer */

static struct watch *door;
static int listener;
static unsigned seen;
static const char *reply;

static void on_arrival(void *context UNUSED, int events UNUSED)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    size_t len = strlen(reply);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, reply, len), (ssize_t) len);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    seen++;
    assert_true(seen <= 2);
    /* kept open until the process ends: closing it with the request unread would reset the answer */
}

static uint16_t serve(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;

    reply = text;
    seen = 0;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0 && bind(listener, (struct sockaddr *) &address, len) == 0 &&
                listen(listener, 5) == 0 && getsockname(listener, (struct sockaddr *) &address, &len) == 0);
    assert_int_equal(watch_open(loop, listener, on_arrival, NULL, &door), 0);
    watch_set(door, LOOP_READ);
    return ntohs(address.sin_port);
}

static void end_serving(void)
{
    door = watch_close(door);
    assert_int_equal(close(listener), 0);
}

struct told {
    unsigned answers, status;
    bool is_untrusted;
    char words[200];
};

static void on_told(void *context, const struct http_answer *answer)
{
    struct told *told = context;
    struct span words = answer->status ? answer->body : span_of(answer->error);

    told->answers++;
    told->status = answer->status;
    told->is_untrusted = answer->is_untrusted;
    (void) snprintf(told->words, sizeof told->words, "%.*s", SPAN_ARG(words));
    loop_stop(loop);
}

static struct told fetch(const char *scheme, uint16_t port)
{
    struct http_client *c = http_client_new(loop);
    AUTO_FREE char *url = mem_format("%s://nowhere.test:%u/file", scheme, port);
    const struct ip addresses[] = {loopback()};
    struct told told = {.answers = 0};
    struct http_request q = {.url = url,
                             .addresses = addresses,
                             .address_count = 1,
                             .is_alone = true,
                             .timeout_ms = 5000,
                             .max_bytes = 10};

    (void) http_send(c, &q, on_told, &told);
    loop_go();
    assert_int_equal(told.answers, 1);
    c = http_client_free(c);
    return told;
}

/* proves: L09 */
static void a_host_whose_addresses_are_given_is_not_looked_up(void **state UNUSED)
{
    uint16_t port = serve("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    struct told told = fetch("http", port);

    end_serving();
    assert_int_equal(told.status, 200);
    assert_string_equal(told.words, "hello");
    assert_int_equal(asked, 0);
}

/* proves: L09 */
static void a_redirect_is_the_answer_and_not_followed(void **state UNUSED)
{
    uint16_t port = serve("HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n");
    struct told told = fetch("http", port);

    end_serving();
    assert_int_equal(told.status, 302);
    assert_int_equal(seen, 1);
}

/* proves: L09 */
static void an_answer_of_more_than_asked_for_is_none(void **state UNUSED)
{
    AUTO_BUF struct buf headers = {.data = NULL};
    uint16_t port = serve("HTTP/1.1 200 OK\r\n\r\nhello, hello");
    struct told told = fetch("http", port);

    end_serving();
    assert_int_equal(told.status, 0);
    assert_string_equal(told.words, "the answer is too long");
    buf_add_text(&headers, "HTTP/1.1 200 OK\r\n");
    for (unsigned i = 0; i < 2800; i++)
        buf_printf(&headers, "X-%u: something more\r\n", i);
    buf_add_text(&headers, "\r\nhello");
    buf_add_char(&headers, '\0');
    port = serve(headers.data);
    told = fetch("http", port);
    end_serving();
    assert_int_equal(told.status, 0);
    assert_string_equal(told.words, "the answer is too long");
}

/* proves: L09 */
static void plain_bytes_are_no_https(void **state UNUSED)
{
    uint16_t port = serve("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    struct told told = fetch("https", port);

    end_serving();
    assert_int_equal(told.status, 0);
    assert_false(told.is_untrusted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_that_is_not_found_in_time_ends_its_request_in_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_request_is_cancelled_while_its_name_is_looked_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_host_whose_addresses_are_given_is_not_looked_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_redirect_is_the_answer_and_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_of_more_than_asked_for_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(plain_bytes_are_no_https, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
