/* What is told of listeners' settings at the start, and what a service makes of them. */
#include "ingress/service.h"

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

/* settings: "LISTENERS_A_ADDRESS=127.0.0.1:25|..."; each is a variable behind BARID_. */
static struct conf *load(const char *settings)
{
    struct conf *conf = NULL;
    AUTO_FREE char *error = NULL;
    (void) clearenv(); /* fails never */
    for (struct span rest = span_of(settings); rest.len;) {
        struct span word = span_cut(&rest, '|'), name = span_cut(&word, '=');
        AUTO_FREE char *variable = mem_format("BARID_%.*s", SPAN_ARG(name));
        AUTO_FREE char *value = mem_format("%.*s", SPAN_ARG(word));
        assert_int_equal(setenv(variable, value, 1), 0);
    }
    if (conf_load(NULL, NULL, &conf, &error) < 0)
        fail_msg("%s", error);
    return conf;
}

/* wanted: NULL: nothing is wrong. */
static void assert_judged(const char *settings, const char *wanted)
{
    struct conf *conf = load(settings);
    AUTO_FREE char *error = NULL;
    int r = services_check(conf, &error);
    if (r < 0 && !wanted)
        fail_msg("%s", error);
    assert_int_equal(r < 0, wanted != NULL);
    if (wanted)
        assert_string_equal(error, wanted);
    conf_release(conf);
}

#define A "LISTENERS_A_ADDRESS=127.0.0.1:25|"
#define CERTIFICATE "TLS_CERTIFICATES=/etc/a.pem|"

static void what_goes_together_is_in_order(void **state UNUSED)
{
    assert_judged("", NULL);
    assert_judged("INGRESS_LISTEN=", NULL);
    assert_judged("INGRESS_LISTEN=127.0.0.1:0,127.0.0.1:0,[::1]:25,127.0.0.1:25", NULL);
    assert_judged(A, NULL);
    assert_judged(A CERTIFICATE "LISTENERS_A_ROLE=submission|LISTENERS_A_CHECK_FROM=on", NULL);
    assert_judged(A "LISTENERS_A_CERTIFICATES=/etc/a.pem|LISTENERS_A_ROLE=submissions", NULL);
    assert_judged(A "LISTENERS_A_AUTH=required|LISTENERS_A_AUTH_WITHOUT_TLS=yes", NULL);
    assert_judged(A "LISTENERS_A_PROXY=required|LISTENERS_A_BALANCERS=10.0.0.0/8,::1", NULL);
    assert_judged(A "LISTENERS_A_EXTENSIONS=chunking,DELIVERBY|LISTENERS_A_LIMITS=messages_per_client=5/1h",
                  NULL);
    assert_judged(A CERTIFICATE
                  "LISTENERS_A_CLIENT_CA=/etc/ca.pem|LISTENERS_A_CLIENT_FINGERPRINTS=verified,"
                  "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00112233445566778899aabbccddeeff",
                  NULL);
}

/* proves: E03 */
static void unusable_networks_and_domains_are_told(void **state UNUSED)
{
    assert_judged(
        A "LISTENERS_A_TRUSTED_NETWORKS=10.0.0.1/8",
        "listeners.a.trusted_networks: \"10.0.0.1/8\" is not a network; expected 192.0.2.0/24 or 2001:db8::/32");
    assert_judged(
        A "INGRESS_TRUSTED_NETWORKS=mx.example",
        "ingress.trusted_networks: \"mx.example\" is not a network; expected 192.0.2.0/24 or 2001:db8::/32");
    assert_judged(
        "INGRESS_TRUSTED_NETWORKS=10/8",
        "ingress.trusted_networks: \"10/8\" is not a network; expected 192.0.2.0/24 or 2001:db8::/32");
    assert_judged(A "LISTENERS_A_XCLIENT=*",
                  "listeners.a.xclient: \"*\" is not a network; expected 192.0.2.0/24 or 2001:db8::/32");
    assert_judged(A "LISTENERS_A_PROXY=required|LISTENERS_A_BALANCERS=lb",
                  "listeners.a.balancers: \"lb\" is not a network; expected 192.0.2.0/24 or 2001:db8::/32");
    assert_judged(
        A "LISTENERS_A_RELAY_DOMAINS=a..b",
        "listeners.a.relay_domains: \"a..b\" is not a domain; expected example.com or .example.com");
    assert_judged("INGRESS_RELAY_DOMAINS=*",
                  "ingress.relay_domains: \"*\" is not a domain; expected example.com or .example.com");
}

static void unusable_addresses_are_told(void **state UNUSED)
{
    assert_judged("LISTENERS_A_TLS=off",
                  "listeners.a.address: is not set; expected addresses such as 0.0.0.0:25 and [::]:25");
    assert_judged(
        "INGRESS_LISTEN=localhost:25",
        "ingress.listen: \"localhost:25\" is not an address; expected 192.0.2.1:25 or [2001:db8::1]:25");
    assert_judged(
        "LISTENERS_A_ADDRESS=127.0.0.1:70000",
        "listeners.a.address: \"127.0.0.1:70000\" is not an address; expected 192.0.2.1:25 or [2001:db8::1]:25");
    assert_judged("LISTENERS_A_ADDRESS=127.0.0.1,127.0.0.1:25",
                  "listeners.a.address: 127.0.0.1:25 is there twice");
    assert_judged(A "LISTENERS_B_ADDRESS=127.0.0.1:26,127.0.0.1:25",
                  "listeners.b.address: 127.0.0.1:25 is an address of the listener a too");
    assert_judged(A "INGRESS_LISTEN=127.0.0.1:25",
                  "ingress.listen: 127.0.0.1:25 is an address of the listener a too");
}

static void tls_that_cannot_be_is_told(void **state UNUSED)
{
    assert_judged(A "LISTENERS_A_TLS=required", "listeners.a.tls: required, but there is no certificate: set "
                                                "tls.certificates, or listeners.a.certificates");
    assert_judged(
        A "LISTENERS_A_AUTH_WITHOUT_TLS=yes|LISTENERS_A_ROLE=submissions",
        "listeners.a.tls: implicit, but there is no certificate: set tls.certificates, or listeners.a.certificates");
    assert_judged(
        A CERTIFICATE "LISTENERS_A_CLIENT_FINGERPRINTS=verified",
        "listeners.a.client_fingerprints: only a certificate that an authority vouches for permits to relay: set "
        "listeners.a.client_ca");
    assert_judged(
        A "LISTENERS_A_CLIENT_CA=/etc/ca.pem",
        "listeners.a.client_ca: clients have certificates in TLS only: set listeners.a.certificates and tls");
    assert_judged(
        A CERTIFICATE "LISTENERS_A_CLIENT_CA=/etc/ca.pem|LISTENERS_A_CLIENT_FINGERPRINTS=00:11",
        "listeners.a.client_fingerprints: \"00:11\" is neither the 64 hex digits of a SHA-256 nor \"verified\"");
}

/* proves: D01 */
static void auth_without_tls_is_told_unless_it_is_wanted(void **state UNUSED)
{
    static const char sentence[] =
        "listeners.a.auth: passwords are taken within TLS only, and there is none: set "
        "tls.certificates and listeners.a.tls, or, if you must, listeners.a.auth_without_tls";
    assert_judged(A "LISTENERS_A_AUTH=offered", sentence);
    assert_judged(A CERTIFICATE "LISTENERS_A_AUTH=required|LISTENERS_A_TLS=off", sentence);
}

static void other_contradictions_are_told(void **state UNUSED)
{
    assert_judged(A "LISTENERS_A_CHECK_FROM=on",
                  "listeners.a.check_from: there is no user whose address it could be: set listeners.a.auth");
    assert_judged(A "LISTENERS_A_PROXY=required",
                  "listeners.a.proxy: required, but of whom? set listeners.a.balancers to the "
                  "networks of the load balancers");
    assert_judged(A "LISTENERS_A_BALANCERS=10.0.0.0/8",
                  "listeners.a.balancers: are listed, but proxy is off: set listeners.a.proxy to required");
    assert_judged(
        A "LISTENERS_A_EXTENSIONS=8BITMIME",
        "listeners.a.extensions: \"8BITMIME\" is not one of CHUNKING DSN SMTPUTF8 REQUIRETLS LIMITS BINARYMIME "
        "FUTURERELEASE DELIVERBY");
}

/* proves: C10 */
static void only_a_verified_certificate_that_is_listed_permits(void **state UNUSED)
{
    char fingerprints[1][65] = {"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"};
    struct service s = {.fingerprints = fingerprints, .fingerprint_count = 1};
    struct tls_info info = {.is_client_verified = true};
    memcpy(info.fingerprint, fingerprints[0], 65);
    assert_true(service_permits_certificate(&s, &info));
    info.is_client_verified = false;
    assert_false(service_permits_certificate(&s, &info));
    info.is_client_verified = true;
    info.fingerprint[0] = '1';
    assert_false(service_permits_certificate(&s, &info));
    s.permits_verified = true;
    assert_true(service_permits_certificate(&s, &info));
    info.is_client_verified = false;
    assert_false(service_permits_certificate(&s, &info));
    assert_false(service_permits_certificate(&s, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_together_is_in_order),
        cmocka_unit_test(unusable_networks_and_domains_are_told),
        cmocka_unit_test(unusable_addresses_are_told),
        cmocka_unit_test(tls_that_cannot_be_is_told),
        cmocka_unit_test(auth_without_tls_is_told_unless_it_is_wanted),
        cmocka_unit_test(other_contradictions_are_told),
        cmocka_unit_test(only_a_verified_certificate_that_is_listed_permits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
