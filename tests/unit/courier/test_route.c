/* The pure parts of routing: where a courier never connects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "courier/route.h"

static bool may(const char *address, const char *own, const char *allow, bool refuse_private)
{
    char *owns[] = {(char *) (uintptr_t) own}, *allows[] = {(char *) (uintptr_t) allow};
    const struct conf_list own_list = {owns, own != NULL}, allow_list = {allows, allow != NULL};
    struct ip ip;

    assert_int_equal(ip_parse(span_of(address), &ip), 0);
    return route_may_connect(&ip, &own_list, &allow_list, refuse_private);
}

/* proves: H23 */
static void never_connects_to_addresses_that_are_no_mail_hosts(void **state UNUSED)
{
    static const char *const refused[] = {
        "127.0.0.1", "127.9.9.9", "169.254.169.254", "0.0.0.0", "224.0.0.1",       "255.255.255.255",
        "::1",       "::",        "fe80::1",         "ff02::1", "::ffff:127.0.0.1"};

    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        assert_false(may(refused[i], NULL, NULL, false));
    assert_true(may("192.0.43.8", NULL, NULL, false));
    assert_true(may("2606:4700::1", NULL, NULL, false));
    assert_true(may("127.0.0.1", NULL, "127.0.0.0/8", false));
    assert_false(may("192.0.43.8", "192.0.43.8", NULL, false));
}

/* proves: H23 */
static void refuses_private_networks_only_when_told(void **state UNUSED)
{
    static const char *const private[] = {"10.1.2.3", "172.16.0.1", "192.168.1.1", "fd00::1"};

    for (size_t i = 0; i < ARRAY_LEN(private); i++) {
        assert_true(may(private[i], NULL, NULL, false));
        assert_false(may(private[i], NULL, NULL, true));
    }
}

static size_t cap(const char *families, size_t most, char *ret_families)
{
    struct target targets[32] = {0};
    size_t count = strlen(families), kept;

    for (size_t i = 0; i < count; i++) {
        targets[i].ip.is_v4 = families[i] == '4';
        targets[i].group = (unsigned) i;
    }
    kept = route_cap(targets, count, most);
    for (size_t i = 0; i < kept; i++) {
        ret_families[i] = targets[i].ip.is_v4 ? '4' : '6';
        assert_true(i == 0 || targets[i].group > targets[i - 1].group);
    }
    ret_families[kept] = '\0';
    return kept;
}

/* proves: I10 I09 */
static void no_address_family_takes_the_whole_cap(void **state UNUSED)
{
    char kept[33];

    assert_int_equal(cap("666666664", 5, kept), 5);
    assert_string_equal(kept, "66664");
    assert_int_equal(cap("444444466", 5, kept), 5);
    assert_string_equal(kept, "44466");
    assert_int_equal(cap("64646464", 5, kept), 5);
    assert_string_equal(kept, "64646");
    assert_int_equal(cap("44444444", 5, kept), 5);
    assert_string_equal(kept, "44444");
    assert_int_equal(cap("4466", 5, kept), 4);
    assert_string_equal(kept, "4466");
    assert_int_equal(cap("4466", 1, kept), 1);
    assert_string_equal(kept, "4");
}

static void a_site_has_limits_by_its_name_or_a_suffix(void **state UNUSED)
{
    char *keys[] = {"mx.example.com", ".provider.test"}, *values[] = {"connections=2", "rate=60"};
    const struct conf_map limits = {keys, values, ARRAY_LEN(keys)}, none = {0};

    assert_true(route_site_is_limited("mx.example.com", &limits));
    assert_false(route_site_is_limited("a.mx.example.com", &limits));
    assert_true(route_site_is_limited("mx1.provider.test", &limits));
    assert_false(route_site_is_limited("provider.test", &limits));
    assert_false(route_site_is_limited("", &limits));
    assert_false(route_site_is_limited("mx.example.com", &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_connects_to_addresses_that_are_no_mail_hosts),
        cmocka_unit_test(refuses_private_networks_only_when_told),
        cmocka_unit_test(no_address_family_takes_the_whole_cap),
        cmocka_unit_test(a_site_has_limits_by_its_name_or_a_suffix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
