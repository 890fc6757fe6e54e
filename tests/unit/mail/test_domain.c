/* Domain names and host:port texts. */
#include <errno.h>

#include "mail/addr.h"
#include "mail_test.h"

/* proves: I17 */
static void normalises_to_lower_case_without_trailing_dot(void **state)
{
    (void) state;
    char text[DOMAIN_MAX + 1];
    assert_int_equal(domain_normalise(SPAN("Mail.EXAMPLE.Org."), text), 0);
    assert_string_equal(text, "mail.example.org");
    assert_int_equal(domain_normalise(SPAN("XN--MNCHEN-3YA.example"), text), 0);
    assert_string_equal(text, "xn--mnchen-3ya.example");
    assert_int_equal(domain_normalise(SPAN("localhost"), text), 0);
    assert_string_equal(text, "localhost");
}

/* proves: I17 B23 */
static void refuses_what_is_no_domain(void **state)
{
    (void) state;
    char text[DOMAIN_MAX + 1] = "untouched";
    static const char *const wrong[] = {
        "",    ".",   "..",  "a..",    "a..b",      ".a",  "a b",
        "a@b", "-a",  "a-",  "a.-b.c", "192.0.2.1", "a.1", "m\xc3\xbcnchen.example",
        "[1]", "a,b", "a:b", "a/b",    "a\nb"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(domain_normalise(span_of(wrong[i]), text), -EINVAL);
    assert_int_equal(domain_normalise((struct span){.at = "a\0b", .len = 3}, text), -EINVAL);
    assert_int_equal(domain_normalise((struct span){.at = NULL}, text), -EINVAL);
    assert_string_equal(text, "untouched");
}

/* proves: B23 */
static void keeps_the_length_limits(void **state)
{
    (void) state;
    char text[DOMAIN_MAX + 1], name[DOMAIN_MAX + 2];
    memset(name, 'a', sizeof name);
    for (size_t i = 63; i < sizeof name; i += 64)
        name[i] = '.';
    assert_int_equal(domain_normalise((struct span){.at = name, .len = DOMAIN_MAX}, text), 0);
    assert_int_equal(strlen(text), DOMAIN_MAX);
    name[255] = 'a';
    assert_int_equal(domain_normalise((struct span){.at = name, .len = DOMAIN_MAX + 1}, text), -E2BIG);
    assert_int_equal(domain_normalise((struct span){.at = name, .len = 63}, text), 0);
    name[63] = 'a';
    assert_int_equal(domain_normalise((struct span){.at = name, .len = 64}, text), -E2BIG);
    /* A trailing dot is not counted. */
    name[63] = name[255] = '.';
    assert_int_equal(domain_normalise((struct span){.at = name, .len = DOMAIN_MAX + 1}, text), 0);
}

static void matches_names_subdomains_and_the_star(void **state)
{
    (void) state;
    assert_true(domain_matches("example.com", "example.com"));
    assert_true(domain_matches("example.com", "EXAMPLE.com"));
    assert_true(domain_matches("a.example.com", ".example.com"));
    assert_true(domain_matches("a.b.example.com", ".Example.com"));
    assert_true(domain_matches("anything", "*"));
    assert_false(domain_matches("example.com", ".example.com"));
    assert_false(domain_matches("a.example.com", "example.com"));
    assert_false(domain_matches("badexample.com", ".example.com"));
    assert_false(domain_matches("example.com.evil", "example.com"));
    assert_false(domain_matches("example.com", ""));
}

static void check_hostport(const char *text, const char *host, uint16_t port)
{
    char got[DOMAIN_MAX + 1];
    uint16_t got_port = 0;
    struct span copy = exact_copy(span_of(text));
    assert_int_equal(hostport_parse(copy, 25, got, &got_port), 0);
    assert_string_equal(got, host);
    assert_int_equal(got_port, port);
    exact_free(copy);
}

static void parses_hosts_with_and_without_port(void **state)
{
    (void) state;
    check_hostport("MX.example.org", "mx.example.org", 25);
    check_hostport("mx.example.org:2525", "mx.example.org", 2525);
    check_hostport("[mx.example.org]:2525", "mx.example.org", 2525);
    check_hostport("[mx.example.org]", "mx.example.org", 25);
    check_hostport("192.0.2.1:65535", "192.0.2.1", 65535);
    check_hostport("192.0.2.1", "192.0.2.1", 25);
    check_hostport("[2001:DB8::1]:26", "2001:db8::1", 26);
    check_hostport("2001:db8::1", "2001:db8::1", 25);
    check_hostport("::1", "::1", 25);
    check_hostport("redis_1:6379", "redis_1", 6379);
}

static void refuses_bad_hosts_and_ports(void **state)
{
    (void) state;
    static const char *const wrong[] = {"",
                                        ":25",
                                        "a:",
                                        "a:0",
                                        "a:65536",
                                        "a:-1",
                                        "a:+1",
                                        "a:2 5",
                                        "[a",
                                        "[a]25",
                                        "[]:25",
                                        "[a]:",
                                        "a b",
                                        "a:25:26",
                                        "1.2.3",
                                        "[::1]x",
                                        "a:99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char host[DOMAIN_MAX + 1];
        uint16_t port;
        struct span copy = exact_copy(span_of(wrong[i]));
        if (hostport_parse(copy, 25, host, &port) != -EINVAL)
            fail_msg("%s", wrong[i]);
        exact_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(normalises_to_lower_case_without_trailing_dot),
        TEST(refuses_what_is_no_domain),
        TEST(keeps_the_length_limits),
        TEST(matches_names_subdomains_and_the_star),
        TEST(parses_hosts_with_and_without_port),
        TEST(refuses_bad_hosts_and_ports),
    };
    return cmocka_run_group_tests_name("mail/domain", tests, NULL, NULL);
}
