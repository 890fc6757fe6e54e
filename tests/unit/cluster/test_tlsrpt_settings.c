/* Who reports about TLS: by settings that were judged. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/tlsrpt_settings.h"

static struct conf conf_of(const char *contact, const char *from)
{
    struct conf conf;

    memset(&conf, 0, sizeof(conf));
    conf.tlsrpt.report = true;
    conf.tlsrpt.contact = (char *) (uintptr_t) contact;
    conf.tlsrpt.from = (char *) (uintptr_t) from;
    return conf;
}

static void nothing_is_on_without_a_contact(void **state UNUSED)
{
    struct conf conf = conf_of("", "nonsense");

    assert_false(tlsrpt_settings_are_on(&conf));
    assert_int_equal(tlsrpt_settings_check(&conf, NULL), 0);
    conf = conf_of("tls@example.com", "");
    assert_true(tlsrpt_settings_are_on(&conf));
    conf.tlsrpt.report = false;
    assert_false(tlsrpt_settings_are_on(&conf));
}

static void assert_from(const char *contact, const char *from, const char *address, const char *submitter)
{
    struct conf conf = conf_of(contact, from);
    char domain[DOMAIN_MAX + 1];
    char *why = NULL;

    assert_int_equal(tlsrpt_settings_check(&conf, &why), 0);
    assert_string_equal(tlsrpt_settings_from(&conf, domain), address);
    assert_string_equal(domain, submitter);
}

static void reports_come_from_contact_or_from(void **state UNUSED)
{
    assert_from("tls@Example.com", "", "tls@Example.com", "example.com");
    assert_from("tls@example.com", "noreply@mail.example.com", "noreply@mail.example.com",
                "mail.example.com");
}

static void assert_refused(const char *contact, const char *from, const char *name)
{
    struct conf conf = conf_of(contact, from);
    char *why = NULL;

    assert_int_equal(tlsrpt_settings_check(&conf, &why), -EINVAL);
    assert_memory_equal(why, name, strlen(name));
    mem_free(why);
}

static void what_is_no_address_is_refused(void **state UNUSED)
{
    static const char *const bad[] = {"x",
                                      "@example.com",
                                      "x@",
                                      "x@[192.0.2.1]",
                                      "x@example.com\r\nBcc: y",
                                      "\xc3\xa4@example.com",
                                      "<x@example.com>",
                                      "x@b\303\274cher.test"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_refused(bad[i], "", "tlsrpt.contact: ");
        assert_refused("tls@example.com", bad[i], "tlsrpt.from: ");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_on_without_a_contact),
        cmocka_unit_test(reports_come_from_contact_or_from),
        cmocka_unit_test(what_is_no_address_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
