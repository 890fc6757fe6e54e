/* The HTTP port, by a client that writes what it likes. */
#include "io_test.h"

#include <errno.h>
#include <stdio.h>

#include "io/http_server.h"

static struct http_server *server;
static uint16_t port;
static struct stream *client;
static struct buf got;
static int calls;
static bool closes;

static struct http_exchange *kept; /* to be answered later */
static struct ip client_ip;
static char agent[64];

static void answer(struct http_exchange *x, unsigned status, const char *type, struct span body)
{
    static const char *const headers[] = {"X-One", "1", "X-Two", "2", NULL};
    const struct http_answer a = {.status = status, .type = type, .headers = headers, .body = body};
    http_exchange_answer(x, &a);
}

static void on_get(void *owner, struct http_exchange *x, const char *path)
{
    (void) owner;
    AUTO_BUF struct buf out = {.data = NULL};
    struct span header = http_exchange_header(x, "User-Agent");
    calls++;
    assert_true(http_exchange_client(x, &client_ip));
    (void) snprintf(agent, sizeof(agent), "%.*s", SPAN_ARG(header));
    if (closes)
        server = http_server_close(server);
    if (strcmp(path, "/later") == 0) {
        kept = x;
        loop_stop(loop);
        return;
    }
    if (strcmp(path, "/metrics") == 0) {
        answer(x, 200, "text/plain; version=0.0.4", SPAN("barid_up 1\n"));
        return;
    }
    if (strcmp(path, "/large") == 0)
        for (int i = 0; i < 100000; i++)
            buf_add_text(&out, "0123456789");
    answer(x, out.len ? 200 : strcmp(path, "/busy") == 0 ? 503 : 404, "text/plain", buf_span(&out));
}

static size_t on_data(void *owner, struct span in)
{
    (void) owner;
    buf_add_span(&got, in);
    return in.len;
}

static void on_closed(void *owner, int reason)
{
    (void) owner;
    (void) reason;
    client = NULL;
    loop_stop(loop);
}

static const struct stream_events events = {.on_data = on_data, .on_closed = on_closed};

/* Sends text and reads until the server closes. */
static const char *talk(const char *text)
{
    struct ip ip = loopback();
    buf_clear(&got);
    client = stream_connect(loop, &ip, port, NULL, &events, NULL);
    stream_write(client, span_of(text));
    loop_go();
    buf_add_char(&got, '\0');
    return got.data;
}

static int setup(void **state)
{
    loop_setup(state);
    calls = 0;
    closes = false;
    assert_int_equal(http_server_open(loop, "127.0.0.1:0", on_get, NULL, &server, &port), 0);
    return 0;
}

static int teardown(void **state)
{
    server = http_server_close(server);
    if (client)
        stream_abort(client);
    loop_teardown(state);
    buf_done(&got);
    return 0;
}

static void answers_get(void **state)
{
    (void) state;
    const char *reply = talk("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(reply, "HTTP/1.1 200 "));
    assert_non_null(strstr(reply, "Content-Type: text/plain; version=0.0.4\r\n"));
    assert_non_null(strstr(reply, "\r\n\r\nbarid_up 1\n"));
    assert_non_null(strstr(talk("GET /nothing HTTP/1.0\r\n\r\n"), " 404 "));
    assert_non_null(strstr(talk("GET /busy HTTP/1.0\r\n\r\n"), " 503 "));
    assert_non_null(strstr(talk("GET /metrics?x=1 HTTP/1.0\r\n\r\n"), " 200 "));
    assert_int_equal(calls, 4);
}

static void answers_head_without_a_body(void **state)
{
    (void) state;
    const char *reply = talk("HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(reply, "Content-Length: 11\r\n"));
    assert_null(strstr(reply, "barid_up"));
}

static void refuses_other_methods(void **state)
{
    (void) state;
    assert_non_null(
        strstr(talk("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"),
               " 405 "));
    assert_non_null(strstr(talk("DELETE /metrics HTTP/1.0\r\n\r\n"), " 405 "));
    assert_int_equal(calls, 0);
}

static void a_connection_serves_several_requests(void **state)
{
    (void) state;
    const char *reply = talk(
        "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_int_equal(calls, 2);
    assert_non_null(strstr(strstr(reply, "barid_up") + 1, "barid_up"));
}

static void sends_large_answers(void **state)
{
    (void) state;
    (void) talk("GET /large HTTP/1.0\r\n\r\n");
    assert_true(got.len > 1000000);
}

static void garbage_gets_an_error_or_the_door(void **state)
{
    (void) state;
    char text[20000];
    (void) talk("\x16\x03\x01\r\n\r\n");
    (void) talk("EHLO x\r\n\r\n");
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    text[sizeof(text) - 1] = '\0';
    (void) talk(text);
    assert_non_null(strstr(talk("GET /metrics HTTP/1.0\r\n\r\n"), " 200 "));
}

static void may_be_closed_while_it_answers(void **state)
{
    (void) state;
    closes = true;
    (void) talk("GET /metrics HTTP/1.0\r\n\r\n");
    assert_null(server);
    assert_int_equal(calls, 1);
}

static void escapes_in_a_path_are_not_read(void **state)
{
    (void) state;
    assert_non_null(strstr(talk("GET /%6detrics HTTP/1.0\r\n\r\n"), " 404 "));
    assert_non_null(strstr(talk("GET /metrics%00x HTTP/1.0\r\n\r\n"), " 404 "));
}

static void tells_who_asks_and_what_headers_it_sent(void **state)
{
    (void) state;
    struct ip ip = loopback();
    (void) talk("GET /metrics HTTP/1.0\r\nuser-agent: curl/8\r\n\r\n");
    assert_true(ip_equal(&client_ip, &ip));
    assert_string_equal(agent, "curl/8");
    (void) talk("GET /metrics HTTP/1.0\r\n\r\n");
    assert_string_equal(agent, "");
}

static void sends_the_headers_it_is_given(void **state)
{
    (void) state;
    const char *reply = talk("GET /busy HTTP/1.0\r\n\r\n");
    assert_non_null(strstr(reply, "\r\nX-One: 1\r\n"));
    assert_non_null(strstr(reply, "\r\nX-Two: 2\r\n"));
    assert_non_null(strstr(reply, "\r\n\r\n503\n"));
}

static void an_answer_may_come_later(void **state)
{
    (void) state;
    (void) talk("GET /later HTTP/1.0\r\n\r\n"); /* the loop stops when it was asked */
    assert_non_null(kept);
    buf_clear(&got);
    answer(STEAL(kept), 200, "text/plain", SPAN("at last"));
    loop_go();
    buf_add_char(&got, '\0');
    assert_non_null(strstr(got.data, "\r\n\r\nat last"));
    assert_int_equal(calls, 1);
}

static void others_are_served_while_one_waits(void **state)
{
    (void) state;
    (void) talk("GET /later HTTP/1.0\r\n\r\n");
    struct stream *waits = client;
    assert_non_null(strstr(talk("GET /metrics HTTP/1.0\r\n\r\n"), "barid_up"));
    client = waits;
    answer(STEAL(kept), 200, "text/plain", SPAN("at last"));
    loop_go();
    assert_int_equal(calls, 2);
}

static void may_be_closed_while_one_waits(void **state)
{
    (void) state;
    (void) talk("GET /later HTTP/1.0\r\n\r\n");
    server = http_server_close(server);
    kept = NULL;
    loop_go();
    assert_null(client);
}

static void refuses_a_taken_port_and_a_bad_address(void **state)
{
    (void) state;
    struct http_server *other;
    uint16_t other_port;
    char address[32];
    (void) snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    assert_int_equal(http_server_open(loop, address, on_get, NULL, &other, &other_port), -EADDRINUSE);
    assert_int_equal(http_server_open(loop, "somewhere:80", on_get, NULL, &other, &other_port), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_get, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_head_without_a_body, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_other_methods, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connection_serves_several_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(sends_large_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_gets_an_error_or_the_door, setup, teardown),
        cmocka_unit_test_setup_teardown(may_be_closed_while_it_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(escapes_in_a_path_are_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_who_asks_and_what_headers_it_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(sends_the_headers_it_is_given, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_may_come_later, setup, teardown),
        cmocka_unit_test_setup_teardown(others_are_served_while_one_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(may_be_closed_while_one_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_taken_port_and_a_bad_address, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
