/* IP addresses, their kinds, and networks. */
#include <errno.h>

#include "mail/addr.h"
#include "mail_test.h"

static struct ip ip_of(const char *text)
{
    struct ip ip = {0};
    struct span copy = exact_copy(span_of(text));
    int r = ip_parse(copy, &ip);
    exact_free(copy);
    if (r < 0)
        fail_msg("%s is an address", text);
    return ip;
}

static void check_format(const char *text, const char *plain, const char *literal)
{
    AUTO_BUF struct buf out = {0};
    struct ip ip = ip_of(text);
    ip_format(&ip, &out);
    assert_span(buf_span(&out), plain);
    buf_clear(&out);
    ip_add_literal(&ip, &out);
    assert_span(buf_span(&out), literal);
}

/* proves: G01 */
static void formats_what_it_parsed(void **state)
{
    (void) state;
    check_format("192.0.2.1", "192.0.2.1", "[192.0.2.1]");
    check_format("2001:DB8:0:0::1", "2001:db8::1", "[IPv6:2001:db8::1]");
    check_format("IPv6:2001:db8::1", "2001:db8::1", "[IPv6:2001:db8::1]");
    check_format("::1", "::1", "[IPv6:::1]");
    check_format("::", "::", "[IPv6:::]");
    check_format("::ffff:192.0.2.1", "192.0.2.1", "[192.0.2.1]");
    check_format("fe80::1%1", "fe80::1%1", "[IPv6:fe80::1]");
    check_format("fe80::1%lo", "fe80::1%1", "[IPv6:fe80::1]");
    assert_true(ip_of("::ffff:192.0.2.1").is_v4);
    assert_false(ip_of("::1").is_v4);
}

static void refuses_what_is_no_address(void **state)
{
    (void) state;
    static const char *const wrong[] = {
        "",          "1",        "1.2.3",     "1.2.3.4.5",     "256.1.1.1", "01.2.3.4",
        " 1.2.3.4",  "1.2.3.4 ", "1.2.3.4%1", "2001:db8::1%1", "fe80::1%",  "fe80::1%nosuchif",
        "fe80::1%0", ":::",      "1::2::3",   "IPv6:1.2.3.4",  "IPv6:",     "[::1]",
        "0x7f.1",    "g::"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct ip ip;
        struct span copy = exact_copy(span_of(wrong[i]));
        if (ip_parse(copy, &ip) != -EINVAL)
            fail_msg("%s", wrong[i]);
        exact_free(copy);
    }
    struct ip ip;
    assert_int_equal(ip_parse((struct span){.at = "1.2.3.4\0", .len = 8}, &ip), -EINVAL);
    assert_int_equal(ip_parse((struct span){.at = NULL}, &ip), -EINVAL);
}

static void compares_addresses_with_their_scope(void **state)
{
    (void) state;
    struct ip a = ip_of("192.0.2.1"), b = ip_of("::ffff:192.0.2.1"), c = ip_of("fe80::1%1"),
              d = ip_of("fe80::1%2");
    assert_true(ip_equal(&a, &b));
    assert_false(ip_equal(&c, &d));
}

/* proves: H23 */
static void tells_the_kind_of_an_address(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        enum ip_kind kind;
    } rows[] = {
        {"8.8.8.8", IP_PUBLIC},
        {"2a00:1450::1", IP_PUBLIC},
        {"10.1.2.3", IP_PRIVATE},
        {"172.16.0.1", IP_PRIVATE},
        {"172.31.255.255", IP_PRIVATE},
        {"172.32.0.1", IP_PUBLIC},
        {"172.15.0.1", IP_PUBLIC},
        {"192.168.255.1", IP_PRIVATE},
        {"100.64.0.1", IP_PRIVATE},
        {"100.128.0.1", IP_PUBLIC},
        {"fd00:ec2::254", IP_PRIVATE},
        {"fec0::1", IP_PRIVATE},
        {"127.0.0.1", IP_LOOPBACK},
        {"127.255.255.254", IP_LOOPBACK},
        {"::1", IP_LOOPBACK},
        {"::ffff:127.0.0.1", IP_LOOPBACK},
        {"64:ff9b::7f00:1", IP_LOOPBACK},
        {"2002:7f00:1::", IP_LOOPBACK},
        {"64:ff9b::808:808", IP_PUBLIC},
        {"2002:808:808::1", IP_PUBLIC},
        {"169.254.169.254", IP_LINK_LOCAL},
        {"fe80::1", IP_LINK_LOCAL},
        {"febf::1", IP_LINK_LOCAL},
        {"0.0.0.0", IP_UNSPECIFIED},
        {"0.1.2.3", IP_UNSPECIFIED},
        {"::", IP_UNSPECIFIED},
        {"::2", IP_RESERVED},
        {"224.0.0.1", IP_MULTICAST},
        {"239.1.1.1", IP_MULTICAST},
        {"ff02::1", IP_MULTICAST},
        {"240.0.0.1", IP_RESERVED},
        {"255.255.255.255", IP_RESERVED},
        {"192.0.0.8", IP_RESERVED},
        {"192.0.2.1", IP_PRIVATE},
        {"2001:db8::1", IP_PRIVATE},
        {"4000::1", IP_RESERVED},
        {"::127.0.0.1", IP_RESERVED},
        {"198.18.0.1", IP_PRIVATE},
        {"198.20.0.1", IP_PUBLIC},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip ip = ip_of(rows[i].text);
        if (ip_kind(&ip) != rows[i].kind)
            fail_msg("%s is not of kind %d", rows[i].text, (int) rows[i].kind);
    }
}

static bool is_in(const char *network, const char *ip)
{
    struct network n;
    struct ip address = ip_of(ip);
    assert_int_equal(network_parse(span_of(network), &n), 0);
    return network_has(&n, &address);
}

/* proves: E03 */
static void networks_hold_their_addresses_and_no_others(void **state)
{
    (void) state;
    assert_true(is_in("127.0.0.0/8", "127.1.2.3"));
    assert_true(is_in("127.0.0.0/8", "::ffff:127.1.2.3"));
    assert_false(is_in("127.0.0.0/8", "128.0.0.1"));
    assert_false(is_in("127.0.0.0/8", "::1"));
    assert_true(is_in("::1/128", "::1"));
    assert_false(is_in("::1/128", "::2"));
    assert_true(is_in("192.0.2.128/25", "192.0.2.255"));
    assert_false(is_in("192.0.2.128/25", "192.0.2.127"));
    assert_true(is_in("192.0.2.1", "192.0.2.1"));
    assert_false(is_in("192.0.2.1", "192.0.2.2"));
    assert_true(is_in("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(is_in("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(is_in("0.0.0.0/0", "203.0.113.9"));
    assert_false(is_in("0.0.0.0/0", "2001:db8::1"));
    assert_true(is_in("::/0", "2001:db8::1"));
    assert_false(is_in("::/0", "203.0.113.9"));
    assert_true(is_in("fe80::/10", "fe80::1%1"));
}

/* proves: E03 */
static void refuses_bad_networks(void **state)
{
    (void) state;
    static const char *const wrong[] = {
        "",       "/8",          "10.0.0.0/",   "10.0.0.0/33",  "10.0.0.1/8",  "2001:db8::1/32",
        "::/129", "10.0.0.0/8x", "10.0.0.0/-1", "10.0.0.0/8/8", "example.org", "fe80::1%1",
        "10/8"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct network n;
        struct span copy = exact_copy(span_of(wrong[i]));
        if (network_parse(copy, &n) != -EINVAL)
            fail_msg("%s", wrong[i]);
        exact_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(formats_what_it_parsed),
        TEST(refuses_what_is_no_address),
        TEST(compares_addresses_with_their_scope),
        TEST(tells_the_kind_of_an_address),
        TEST(networks_hold_their_addresses_and_no_others),
        TEST(refuses_bad_networks),
    };
    return cmocka_run_group_tests_name("mail/ip", tests, NULL, NULL);
}
