/* PROXY headers: versions 1 and 2, whole and at every split. */
#include "ingress/proxy.h"

#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"

static struct ip ip_of(const char *text)
{
    struct ip ip;
    assert_int_equal(ip_parse(span_of(text), &ip), 0);
    return ip;
}

/* The header of len bytes is taken with what is behind it, at its last byte and not before; bytes it may not read are not there. */
static struct proxy_header taken(struct span header)
{
    struct proxy_header h = {.port = 1}, again;
    for (size_t i = 0; i < header.len; i++) {
        AUTO_FREE char *part = mem_alloc(i ? i : 1); /* exactly so long: the sanitizer sees who reads on */
        memcpy(part, header.at, i);
        assert_int_equal(proxy_parse((struct span){.at = part, .len = i}, &h), 0);
        assert_int_equal(h.port, 1);
    }
    assert_int_equal(proxy_parse(header, &h), header.len);
    AUTO_BUF struct buf more = {.data = NULL};
    buf_add_span(&more, header);
    buf_add_text(&more, "EHLO client.example\r\nPROXY TCP4 9.9.9.9 9.9.9.9 9 9\r\n");
    assert_int_equal(proxy_parse(buf_span(&more), &again), header.len);
    assert_true(ip_equal(&h.ip, &again.ip));
    assert_int_equal(h.port, again.port);
    return h;
}

static void assert_client(struct span header, const char *ip, uint16_t port)
{
    struct ip wanted = ip_of(ip);
    struct proxy_header h = taken(header);
    assert_false(h.is_local);
    assert_true(ip_equal(&h.ip, &wanted));
    assert_int_equal(h.ip.is_v4, wanted.is_v4);
    assert_int_equal(h.ip.scope, 0);
    assert_int_equal(h.port, port);
}

/* Refused at some byte, and at every later one. */
static void assert_broken(struct span header)
{
    struct proxy_header h;
    bool is_broken = false;
    for (size_t i = 0; i <= header.len; i++) {
        int r = proxy_parse((struct span){.at = header.at, .len = i}, &h);
        assert_true(r == (is_broken ? -EBADMSG : 0) || (!is_broken && r == -EBADMSG));
        is_broken = r < 0;
    }
    assert_true(is_broken);
}

/* proves: E05 */
static void lines_of_version_1_are_taken(void **state UNUSED)
{
    assert_client(SPAN("PROXY TCP4 192.0.2.1 198.51.100.7 56324 25\r\n"), "192.0.2.1", 56324);
    assert_client(SPAN("PROXY TCP6 2001:db8::1 2001:DB8::7 0 65535\r\n"), "2001:db8::1", 0);
    assert_client(SPAN("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"), "192.0.2.1", 1);
    assert_client(
        SPAN("PROXY TCP6 2001:0db8:ffff:ffff:ffff:ffff:ffff:ffff 2001:0db8:ffff:ffff:ffff:ffff:ffff:fffe "
             "65535 65535\r\n"),
        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
}

/* proves: E05 */
static void unknown_means_the_sockets_address(void **state UNUSED)
{
    assert_true(taken(SPAN("PROXY UNKNOWN\r\n")).is_local);
    assert_true(taken(SPAN("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n")).is_local);
}

/* proves: E05 */
static void a_line_of_version_1_has_107_bytes_at_most(void **state UNUSED)
{
    char line[PROXY_LINE_MAX + 2];
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + PROXY_LINE_MAX - 2, "\r\n", 2);
    assert_true(taken((struct span){.at = line, .len = PROXY_LINE_MAX}).is_local);
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + PROXY_LINE_MAX - 1, "\r\n", 2);
    assert_broken((struct span){.at = line, .len = PROXY_LINE_MAX + 1});
    memset(line + 14, 'x', sizeof line - 14);
    assert_broken((struct span){.at = line, .len = sizeof line});
}

/* proves: E05 */
static void broken_lines_of_version_1_are_refused(void **state UNUSED)
{
    static const char *const lines[] = {
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 25\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 25\r\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 25 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 25 26\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.7 56324 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 65536 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 056 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 -1 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 \r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.7 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.1 1 2\r\n",
        "PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
        "PROXY TCP6 fe80::1 fe80::1%eth0 1 2\r\n",
        "PROXY TCP6 IPv6:::1 ::1 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP4 mx.example.com 192.0.2.1 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.1 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.1 1 2\r\n",
        "proxy TCP4 192.0.2.1 192.0.2.1 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOWN\t\r\n",
        "PROXY UNKNOWN \x80\r\n",
        "PROXY \r\n",
        "PROXY\r\n",
        " PROXY TCP4 192.0.2.1 192.0.2.1 1 2\r\n",
        "EHLO client.example\r\n",
        "\x16\x03\x01\x02",
        "\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_broken(span_of(lines[i]));
}

/* proves: E05 */
static void headers_of_version_2_are_taken(void **state UNUSED)
{
    assert_client(SPAN(V2 "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\7\xdc\4\0\x19"), "192.0.2.1", 56324);
    assert_client(SPAN(V2 "\x21\x21\0\x24\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                          "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
                          "\0\1\0\2"),
                  "2001:db8::1", 1);
    assert_client(SPAN(V2 "\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1"
                          "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\2"
                          "\0\1\0\2"),
                  "192.0.2.1", 1);
}

/* proves: E05 */
static void what_follows_the_addresses_is_skipped_by_its_length(void **state UNUSED)
{
    /* a TLV that is whole, one that says more than there is, and rubbish */
    assert_client(SPAN(V2 "\x21\x11\0\x11\xc0\0\2\1\xc6\x33\x64\7\xdc\4\0\x19"
                          "\4\0\2ab"),
                  "192.0.2.1", 56324);
    assert_client(SPAN(V2 "\x21\x11\0\x0f\xc0\0\2\1\xc6\x33\x64\7\xdc\4\0\x19"
                          "\4\xff\xff"),
                  "192.0.2.1", 56324);
    assert_client(SPAN(V2 "\x21\x11\0\x0d\xc0\0\2\1\xc6\x33\x64\7\xdc\4\0\x19"
                          "\r"),
                  "192.0.2.1", 56324);
}

/* proves: E05 */
static void local_and_unspecified_mean_the_sockets_address(void **state UNUSED)
{
    assert_true(taken(SPAN(V2 "\x20\0\0\0")).is_local);
    assert_true(taken(SPAN(V2 "\x20\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\7\xdc\4\0\x19")).is_local);
    assert_true(taken(SPAN(V2 "\x20\x7f\0\3abc")).is_local);
    assert_true(taken(SPAN(V2 "\x21\0\0\0")).is_local);
    assert_true(taken(SPAN(V2 "\x21\0\0\4abcd")).is_local);
}

/* proves: E05 */
static void broken_headers_of_version_2_are_refused(void **state UNUSED)
{
    assert_broken(SPAN("\r\n\r\n\r\r\nQUIT\n\x21\x11\0\x0c"));
    assert_broken(SPAN("\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c"));
    assert_broken(SPAN("\r\nEHLO"));
    assert_broken(SPAN(V2 "\x11\x11\0\x0c"));
    assert_broken(SPAN(V2 "\x22\x11\0\x0c"));
    assert_broken(SPAN(V2 "\x31\x11\0\x0c"));
    assert_broken(SPAN(V2 "\x21\x11\0\x0b"));
    assert_broken(SPAN(V2 "\x21\x21\0\x23"));
    assert_broken(SPAN(V2 "\x21\x12\0\x0c"));
    assert_broken(SPAN(V2 "\x21\x31\0\xd8"));
    assert_broken(SPAN(V2 "\x21\x41\0\xd8"));
    assert_broken(SPAN(V2 "\x21\x01\0\x0c"));
    assert_broken(SPAN(V2 "\x20\0\xff\xff"));
    assert_broken(SPAN(V2 "\x21\x11\x0f\xf1"));
}

static void a_header_of_version_2_has_4096_bytes_at_most(void **state UNUSED)
{
    char header[PROXY_HEADER_MAX] = V2 "\x21\x11\x0f\xf0\xc0\0\2\1\xc6\x33\x64\7\xdc\4\0\x19";
    struct proxy_header h;
    assert_int_equal(proxy_parse((struct span){.at = header, .len = sizeof header - 1}, &h), 0);
    assert_int_equal(proxy_parse((struct span){.at = header, .len = sizeof header}, &h), PROXY_HEADER_MAX);
    assert_int_equal(h.port, 56324);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_version_1_are_taken),
        cmocka_unit_test(unknown_means_the_sockets_address),
        cmocka_unit_test(a_line_of_version_1_has_107_bytes_at_most),
        cmocka_unit_test(broken_lines_of_version_1_are_refused),
        cmocka_unit_test(headers_of_version_2_are_taken),
        cmocka_unit_test(what_follows_the_addresses_is_skipped_by_its_length),
        cmocka_unit_test(local_and_unspecified_mean_the_sockets_address),
        cmocka_unit_test(broken_headers_of_version_2_are_refused),
        cmocka_unit_test(a_header_of_version_2_has_4096_bytes_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
