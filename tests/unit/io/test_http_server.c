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

static unsigned on_get(void *owner, const char *path, struct buf *out, const char **ret_type)
{
    (void) owner;
    calls++;
    if (closes)
        server = http_server_close(server);
    if (strcmp(path, "/metrics") == 0) {
        *ret_type = "text/plain; version=0.0.4";
        buf_add_text(out, "barid_up 1\n");
        return 200;
    }
    if (strcmp(path, "/large") == 0) {
        for (int i = 0; i < 100000; i++)
            buf_add_text(out, "0123456789");
        return 200;
    }
    return strcmp(path, "/busy") == 0 ? 503 : 404;
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
        cmocka_unit_test_setup_teardown(refuses_a_taken_port_and_a_bad_address, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
