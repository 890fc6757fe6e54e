/* Who may send what to whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ingress/policy.h"

/* Settings as far as the policy reads them. */
static struct conf_listener conf_of(char **networks, size_t network_count, char **domains,
                                    size_t domain_count)
{
    struct conf_listener c;
    memset(&c, 0, sizeof c);
    c.name = (char[]){"public"};
    c.trusted_networks = (struct conf_list){networks, network_count};
    c.relay_domains = (struct conf_list){domains, domain_count};
    return c;
}

static struct policy *make(char **networks, size_t network_count, char **domains, size_t domain_count)
{
    struct conf_listener c = conf_of(networks, network_count, domains, domain_count);
    struct policy *p = NULL;
    AUTO_FREE char *error = NULL;
    assert_int_equal(policy_new(&c, &p, &error), 0);
    return p;
}

static struct policy *usual(void)
{
    char *networks[] = {(char[]){"127.0.0.0/8"}, (char[]){"::1/128"}};
    char *domains[] = {(char[]){"Relay.Example"}, (char[]){".below.example"},
                       (char[]){"xn--bcher-kva.example"}};
    return make(networks, ARRAY_LEN(networks), domains, ARRAY_LEN(domains));
}

/* The address as the engine hands it over; NULL for one that the grammar refuses. */
static const struct addr *addr_of(const char *path)
{
    static struct addr addr;
    return addr_parse_path(span_of(path), &addr) < 0 ? NULL : &addr;
}

static unsigned code_of_utf8(const struct policy *p, bool is_trusted, const char *path)
{
    struct smtp_answer a;
    struct addr addr;
    assert_true(addr_parse_path_utf8(span_of(path), &addr) >= 0);
    policy_recipient(p, is_trusted, &addr, &a);
    return a.code;
}

static struct smtp_answer ask(const struct policy *p, bool is_trusted, const char *path)
{
    struct smtp_answer a;
    const struct addr *addr = addr_of(path);
    assert_non_null(addr);
    policy_recipient(p, is_trusted, addr, &a);
    return a;
}

static struct ip ip_of(const char *text)
{
    struct ip ip;
    assert_int_equal(ip_parse(span_of(text), &ip), 0);
    return ip;
}

/* proves: E01 */
static void without_settings_nobody_relays(void **state UNUSED)
{
    struct policy *p = make(NULL, 0, NULL, 0);
    struct ip loopback = ip_of("127.0.0.1"), v6 = ip_of("::1");
    assert_false(policy_is_trusted(p, &loopback));
    assert_false(policy_is_trusted(p, &v6));
    struct smtp_answer a = ask(p, false, "<u@anywhere.example>");
    assert_int_equal(a.code, 550);
    assert_string_equal(a.status, "5.7.1");
    (void) policy_free(p);
}

/* proves: E01 E02 */
static void strangers_may_send_to_relay_domains_only(void **state UNUSED)
{
    static const char *const taken[] = {"<u@relay.example>",
                                        "<U@RELAY.EXAMPLE>",
                                        "<u@a.below.example>",
                                        "<u@b.a.Below.example>",
                                        "<u@xn--bcher-kva.example>",
                                        "<\"a b\"@relay.example>",
                                        "<@foreign.example:u@relay.example>",
                                        "<u+tag@relay.example>"};
    static const char *const refused[] = {"<u@foreign.example>",
                                          "<u@FOREIGN.EXAMPLE>",
                                          "<u@below.example>",
                                          "<u@relay.example.org>",
                                          "<u@notrelay.example>",
                                          "<u@a.relay.example>",
                                          "<u@xbelow.example>",
                                          "<@relay.example:u@foreign.example>",
                                          "<u%foreign.example@relay.example>",
                                          "<foreign.example!u@relay.example>",
                                          "<\"u@foreign.example\"@relay.example>",
                                          "<\"u%foreign.example\"@relay.example>",
                                          "<u@[127.0.0.1]>",
                                          "<u@[192.0.2.1]>",
                                          "<u@[IPv6:::1]>",
                                          "<u@xn--relay-1ta.example>",
                                          "<u@example>"};
    struct policy *p = usual();
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        assert_int_equal(ask(p, false, taken[i]).code, 250);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct smtp_answer a = ask(p, false, refused[i]);
        assert_int_equal(a.code, 550);
        assert_string_equal(a.status, "5.7.1");
        assert_int_equal(a.address_count, 0);
    }
    (void) policy_free(p);
}

/* proves: E02 */
static void grammar_refuses_the_other_tricks(void **state UNUSED)
{
    static const char *const none[] = {"<a@b@relay.example>",
                                       "<u@relay.example.>",
                                       "<u@relay.example\x80>",
                                       "<u@r\xc3\xa9lay.example>",
                                       "<u@relay.example,v@foreign.example>",
                                       "<u@relay.example:25>"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_null(addr_of(none[i]));
}

/* proves: E01 */
static void trusted_clients_may_send_anywhere(void **state UNUSED)
{
    struct policy *p = usual();
    assert_int_equal(ask(p, true, "<u@foreign.example>").code, 250);
    assert_int_equal(ask(p, true, "<u%x@foreign.example>").code, 250);
    struct smtp_answer a = ask(p, true, "<u@[192.0.2.1]>");
    assert_int_equal(a.code, 550);
    assert_string_equal(a.status, "5.1.2");
    (void) policy_free(p);
}

/* proves: E03 */
static void trust_goes_by_network(void **state UNUSED)
{
    static const char *const trusted[] = {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"};
    static const char *const others[] = {"172.17.0.1", "10.0.0.1", "192.168.0.1", "128.0.0.1", "::2",
                                         "fe80::1",    "fd00::1",  "0.0.0.0",     "::"};
    struct policy *p = usual();
    for (size_t i = 0; i < ARRAY_LEN(trusted); i++) {
        struct ip ip = ip_of(trusted[i]);
        assert_true(policy_is_trusted(p, &ip));
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct ip ip = ip_of(others[i]);
        assert_false(policy_is_trusted(p, &ip));
    }
    (void) policy_free(p);
}

/* proves: B19 */
static void postmaster_goes_to_the_first_relay_domain(void **state UNUSED)
{
    char *parents[] = {(char[]){".below.example"}};
    struct policy *p = usual();
    struct smtp_answer a = ask(p, false, "<PostMaster>");
    assert_int_equal(a.code, 250);
    assert_int_equal(a.address_count, 1);
    assert_string_equal(a.addresses[0], "postmaster@relay.example");
    (void) policy_free(p);
    p = make(NULL, 0, parents, 1);
    a = ask(p, true, "<postmaster>");
    assert_int_equal(a.code, 550);
    assert_string_equal(a.status, "5.1.1");
    (void) policy_free(p);
}

/* proves: B19 */
static void or_to_who_is_set(void **state UNUSED)
{
    char *domains[] = {(char[]){"relay.example"}};
    static const char *const wrong[] = {"postmaster", "@relay.example", "pm@[192.0.2.1]",
                                        "<pm@relay.example>"};
    struct conf_listener c = conf_of(NULL, 0, domains, 1);
    struct policy *p = NULL;
    AUTO_FREE char *none = NULL;
    c.postmaster = (char[]){"pm@admin.example"};
    assert_int_equal(policy_new(&c, &p, &none), 0);
    struct smtp_answer a = ask(p, false, "<PostMaster>");
    assert_string_equal(a.addresses[0], "pm@admin.example");
    (void) policy_free(p);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        AUTO_FREE char *text = mem_string(wrong[i]), *error = NULL;
        c.postmaster = text;
        assert_true(policy_new(&c, &p, &error) < 0);
        assert_non_null(strstr(error, "postmaster: \""));
    }
}

/* proves: N02 N12 */
static void u_labels_are_the_same_domain(void **state UNUSED)
{
    struct policy *p = usual();
    assert_int_equal(code_of_utf8(p, false, "<u@b\xc3\xbc\x63her.example>"), 250);
    assert_int_equal(code_of_utf8(p, false, "<u@B\xc3\x9c\x43HER.example>"), 250);
    assert_int_equal(code_of_utf8(p, false, "<u@xn--bcher-kva.example>"), 250);
    assert_int_equal(code_of_utf8(p, false, "<u@buecher.example>"), 550);
    assert_true(policy_is_ours(p, "xn--bcher-kva.example"));
    assert_false(policy_is_ours(p, "buecher.example"));
    (void) policy_free(p);
}

static void unusable_settings_are_told(void **state UNUSED)
{
    char *bad_network[] = {(char[]){"10.0.0.0/33"}}, *bad_domain[] = {(char[]){"*"}},
         *bad_label[] = {(char[]){"a..b"}};
    const struct conf_listener confs[] = {conf_of(bad_network, 1, NULL, 0), conf_of(NULL, 0, bad_domain, 1),
                                          conf_of(NULL, 0, bad_label, 1)};
    for (size_t i = 0; i < ARRAY_LEN(confs); i++) {
        struct policy *p = NULL;
        AUTO_FREE char *error = NULL;
        assert_true(policy_new(&confs[i], &p, &error) < 0);
        assert_null(p);
        assert_non_null(strstr(error, "expected"));
    }
}

static void u_labels_in_settings_are_a_labels(void **state UNUSED)
{
    char *domains[] = {(char[]){"B\xc3\xbc"
                                "cher.example"}};
    struct policy *p = make(NULL, 0, domains, 1);
    assert_int_equal(ask(p, false, "<u@xn--bcher-kva.example>").code, 250);
    (void) policy_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_settings_nobody_relays),
        cmocka_unit_test(strangers_may_send_to_relay_domains_only),
        cmocka_unit_test(grammar_refuses_the_other_tricks),
        cmocka_unit_test(trusted_clients_may_send_anywhere),
        cmocka_unit_test(trust_goes_by_network),
        cmocka_unit_test(postmaster_goes_to_the_first_relay_domain),
        cmocka_unit_test(or_to_who_is_set),
        cmocka_unit_test(u_labels_are_the_same_domain),
        cmocka_unit_test(unusable_settings_are_told),
        cmocka_unit_test(u_labels_in_settings_are_a_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
