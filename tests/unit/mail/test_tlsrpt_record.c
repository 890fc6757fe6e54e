/* TLSRPT: where a domain wants its reports, whoever wrote the records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mail/tlsrpt_record.h"

/* "mails|urls", each separated by blanks; "none" when the record is none. */
static void assert_places_of(const char *const *texts, size_t count, const char *places)
{
    AUTO_BUF struct buf got = {.data = NULL};
    AUTO_FREE char *text = NULL;
    struct span records[8];
    struct tlsrpt_record r;

    assert_true(count <= ARRAY_LEN(records));
    for (size_t i = 0; i < count; i++)
        records[i] = span_of(texts[i]);
    if (!tlsrpt_record_parse(records, count, &r)) {
        assert_string_equal("none", places);
        return;
    }
    for (size_t i = 0; i < r.mail_count; i++)
        buf_printf(&got, "%s%s", i > 0 ? " " : "", r.mails[i]);
    buf_add_char(&got, '|');
    for (size_t i = 0; i < r.url_count; i++)
        buf_printf(&got, "%s%s", i > 0 ? " " : "", r.urls[i]);
    tlsrpt_record_done(&r);
    text = buf_steal_text(&got);
    assert_string_equal(text, places);
}

static void assert_places(const char *text, const char *places)
{
    assert_places_of(&text, 1, places);
}

/* proves: L13 */
static void reads_places_of_both_kinds(void **state UNUSED)
{
    assert_places("v=TLSRPTv1; rua=mailto:reports@example.com", "reports@example.com|");
    assert_places("v=TLSRPTv1;rua=mailto:reports@example.com;", "reports@example.com|");
    assert_places("v=TLSRPTv1 ;\t rua=https://reports.example.com/v1/tls",
                  "|https://reports.example.com/v1/tls");
    assert_places(
        "v=TLSRPTv1; rua=mailto:a@example.com , https://r.example.com:8443/x?y=1,mailto:b@example.org",
        "a@example.com b@example.org|https://r.example.com:8443/x?y=1");
    assert_places("v=TLSRPTv1; new-thing=1.2/3; rua=MailTo:a@example.com", "a@example.com|");
    assert_places("v=TLSRPTv1; rua=mailto:first@example.com; rua=mailto:second@example.com",
                  "first@example.com|");
    assert_places("v=TLSRPTv1; rua=mailto:a%2Cb%40c@example.com", "none"); /* no address */
    assert_places("v=TLSRPTv1; rua=mailto:a%2bb@example.com?subject=x", "a+b@example.com|");
}

/* proves: L13 */
static void passes_over_places_it_cannot_use(void **state UNUSED)
{
    assert_places("v=TLSRPTv1; rua=ftp://example.com/,mailto:a@example.com", "a@example.com|");
    assert_places("v=TLSRPTv1; rua=http://example.com/,mailto:a@example.com", "a@example.com|");
    assert_places("v=TLSRPTv1; rua=,,mailto:a@example.com,", "a@example.com|");
    assert_places(
        "v=TLSRPTv1; rua=mailto:no-address,mailto:@example.com,mailto:a@[192.0.2.1],mailto:a@b.example",
        "a@b.example|");
    assert_places(
        "v=TLSRPTv1; rua=mailto:a%0d%0aRCPT@example.com,mailto:a%@example.com,mailto:b@example.com%2",
        "none");
    assert_places(
        "v=TLSRPTv1; rua=https://,https:///x,https://u@example.com/,https://192.0.2.1/,https://[::1]/",
        "none");
    assert_places(
        "v=TLSRPTv1; rua=https://example.com:x/,https://example.com:99999/,https://example.com:1/ x", "none");
    assert_places(
        "v=TLSRPTv1; rua=mailto:a@x.test,mailto:b@x.test,mailto:c@x.test,mailto:d@x.test,mailto:e@x.test",
        "a@x.test b@x.test c@x.test d@x.test|");
}

/* proves: L13 */
static void refuses_what_is_no_record(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "v=TLSRPTv1",
        "v=TLSRPTv1;",
        "v=TLSRPTv1; rua=",
        "v=TLSRPTv1; rua",
        "v=TLSRPTv1; RUA=mailto:a@example.com",
        "v=TLSRPTv2; rua=mailto:a@example.com",
        "v=TLSRPTv10; rua=mailto:a@example.com",
        "V=TLSRPTv1; rua=mailto:a@example.com",
        "v=tlsrptv1; rua=mailto:a@example.com",
        "rua=mailto:a@example.com; v=TLSRPTv1",
        "v=TLSRPTv1, rua=mailto:a@example.com",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_places(bad[i], "none");
}

/* proves: L13 */
static void wants_exactly_one_record(void **state UNUSED)
{
    static const char *const two[] = {"v=TLSRPTv1; rua=mailto:a@example.com",
                                      "v=TLSRPTv1; rua=mailto:b@example.com"};
    static const char *const others[] = {"v=spf1 -all", "v=TLSRPTv2; rua=mailto:a@example.com",
                                         "v=TLSRPTv1; rua=mailto:b@example.com", "v=TLSRPTv1"};

    assert_places_of(two, 2, "none");
    assert_places_of(others, ARRAY_LEN(others), "b@example.com|");
    assert_places_of(NULL, 0, "none");
}

static void assert_host(const char *url, const char *host)
{
    char got[DOMAIN_MAX + 1];

    tlsrpt_url_host(url, got);
    assert_string_equal(got, host);
}

static void knows_the_host_of_a_url(void **state UNUSED)
{
    assert_host("https://Reports.Example.com/x", "reports.example.com");
    assert_host("https://example.com:8443?x", "example.com");
    assert_host("HTTPS://example.com", "example.com");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_places_of_both_kinds), cmocka_unit_test(passes_over_places_it_cannot_use),
        cmocka_unit_test(refuses_what_is_no_record),  cmocka_unit_test(wants_exactly_one_record),
        cmocka_unit_test(knows_the_host_of_a_url),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
