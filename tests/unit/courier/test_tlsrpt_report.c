/* TLSRPT: from sessions to rows, from rows to the report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "courier/sts.h"
#include "courier/tlsrpt_report.h"
#include "courier/tlsrpt_row.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ROW(field_, value_)                          \
    {                                                \
        .field = SPAN(field_), .value = SPAN(value_) \
    }

static const struct tlsrpt_report day = {
    .id = "ID", .organization = "Relay", .contact = "tls@relay.example", .day_ms = 1795305600000};

static void assert_report(const struct tlsrpt_row *rows, size_t count, bool is_brief, const char *expected)
{
    struct tlsrpt_report r = day;
    AUTO_BUF struct buf out = {.data = NULL};
    AUTO_FREE char *text = NULL;

    r.is_brief = is_brief;
    assert_int_equal(tlsrpt_report_write(&r, rows, count, &out), *expected != '\0');
    text = buf_steal_text(&out);
    assert_string_equal(text, expected);
}

#define HEAD                                                                                                  \
    "{\"organization-name\":\"Relay\",\"date-range\":{\"start-datetime\":\"2026-11-22T00:00:00Z\","           \
    "\"end-datetime\":\"2026-11-22T23:59:59Z\"},\"contact-info\":\"tls@relay.example\",\"report-id\":\"ID\"," \
    "\"policies\":["

/* proves: L13 */
static void says_what_was_counted(void **state UNUSED)
{
    static const struct tlsrpt_row rows[] = {
        ROW(".taken", "17"),
        ROW("S" B, "5"),
        ROW("P" B, "no-policy-found\nexample.com\n"),
        ROW("D" A "\ncertificate-expired\n192.0.2.1\nmx.example.com\n2001:db8::1\ncertificate has expired",
            "2"),
        ROW("P" A, "sts\nexample.com\nmx.example.com *.example.net\nversion: STSv1\nmode: enforce"),
        ROW("F" A, "3"),
        ROW("D" A "\nsts-policy-fetch-error\n\n\n\n", "1"),
    };
    struct tlsrpt_row turned[ARRAY_LEN(rows)];
    static const char whole[] = HEAD
        "{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\",\"mode: enforce\"],"
        "\"policy-domain\":\"example.com\",\"mx-host\":[\"mx.example.com\",\"*.example.net\"]},"
        "\"summary\":{\"total-successful-session-count\":0,\"total-failure-session-count\":3},"
        "\"failure-details\":[{\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"192.0.2.1\","
        "\"receiving-mx-hostname\":\"mx.example.com\",\"receiving-ip\":\"2001:db8::1\","
        "\"failed-session-count\":2,\"failure-reason-code\":\"certificate has expired\"},"
        "{\"result-type\":\"sts-policy-fetch-error\",\"failed-session-count\":1}]},"
        "{\"policy\":{\"policy-type\":\"no-policy-found\",\"policy-domain\":\"example.com\"},"
        "\"summary\":{\"total-successful-session-count\":5,\"total-failure-session-count\":0}}]}\n";

    assert_report(rows, ARRAY_LEN(rows), false, whole);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        turned[i] = rows[ARRAY_LEN(rows) - 1 - i];
    assert_report(turned, ARRAY_LEN(rows), false, whole);
}

static void leaves_kinds_out_when_it_is_brief(void **state UNUSED)
{
    static const struct tlsrpt_row rows[] = {ROW("P" A, "tlsa\nmx.example.com\n\n3 1 1 AB"), ROW("F" A, "1"),
                                             ROW("D" A "\ntlsa-invalid\n\n\n\n", "1")};

    assert_report(rows, ARRAY_LEN(rows), true,
                  HEAD
                  "{\"policy\":{\"policy-type\":\"tlsa\",\"policy-string\":[\"3 1 1 AB\"],"
                  "\"policy-domain\":\"mx.example.com\"},\"summary\":{\"total-successful-session-count\":0,"
                  "\"total-failure-session-count\":1}}]}\n");
}

static void nothing_counted_is_no_report(void **state UNUSED)
{
    static const struct tlsrpt_row rows[] = {ROW("P" A, "no-policy-found\nexample.com\n"),
                                             ROW(".token", "1.1"),
                                             ROW("S" B, "5"),
                                             ROW("F" A, "x"),
                                             ROW("", ""),
                                             ROW("P", "y")};

    assert_report(rows, ARRAY_LEN(rows), false, "");
    assert_report(rows, 0, false, "");
}

/* ---- rows ---- */

static void assert_rows(const struct tlsrpt_session *s, const char *policy, const char *sum,
                        const char *detail)
{
    struct buf out[3] = {{.data = NULL}};
    const char *const expected[] = {policy, sum, detail};

    tlsrpt_policy_text(s, &out[0]);
    tlsrpt_session_fields(s, A, &out[1], &out[2]);
    for (size_t i = 0; i < ARRAY_LEN(out); i++) {
        AUTO_FREE char *text = buf_steal_text(&out[i]);

        assert_string_equal(text, expected[i]);
    }
}

/* proves: L13 */
static void sessions_make_rows(void **state UNUSED)
{
    struct ip from, to;
    struct tls_policy dane = {.source = TLS_SOURCE_DANE, .sni = (char[]){"mx.example.com"}};
    struct tls_association record = {.usage = 3, .selector = 1, .matching = 1, .data = SPAN("\x01\xfe")};
    struct tls_policy sts = {.source = TLS_SOURCE_STS};
    struct sts_policy said = {.mx_count = 2,
                              .mx = (char *[]){(char[]){"mx.example.com"}, (char[]){"*.example.net"}},
                              .text = (char[]){"version: STSv1\r\nmode: enforce\nmx: mx.example.com\r\n"}};
    struct tlsrpt_session s = {.domain = "example.com", .policy = tls_policy_may(), .host = "mx.example.com"};

    assert_int_equal(ip_parse(SPAN("192.0.2.1"), &from), 0);
    assert_int_equal(ip_parse(SPAN("2001:db8::1"), &to), 0);
    assert_rows(&s, "no-policy-found\nexample.com\n", "S" A, "");
    s = (struct tlsrpt_session){.domain = "example.com", .is_sts = true, .result = TLSRPT_STS_FETCH_ERROR};
    assert_rows(&s, "sts\nexample.com\n", "F" A, "D" A "\nsts-policy-fetch-error\n\n\n\n");
    dane.associations = &record;
    dane.association_count = 1;
    s = (struct tlsrpt_session){.domain = "example.com",
                                .policy = &dane,
                                .host = "mx.example.com",
                                .from = &from,
                                .to = &to,
                                .result = TLSRPT_VALIDATION_FAILURE,
                                .reason = "no\nmatch"};
    assert_rows(&s, "tlsa\nmx.example.com\n\n3 1 1 01FE", "F" A,
                "D" A "\nvalidation-failure\n192.0.2.1\nmx.example.com\n2001:db8::1\nno\\x0amatch");
    sts.sts = &said;
    s = (struct tlsrpt_session){.domain = "example.com", .policy = &sts, .host = "mx.example.com"};
    assert_rows(
        &s,
        "sts\nexample.com\nmx.example.com *.example.net\nversion: STSv1\nmode: enforce\nmx: mx.example.com",
        "S" A, "");
}

/* proves: L13 */
static void results_have_the_registered_words(void **state UNUSED)
{
    struct sts_policy said = {.mx_count = 1, .mx = (char *[]){(char[]){"mx.example.com"}}};
    struct tls_policy sts = {.source = TLS_SOURCE_STS, .sts = &said};
    struct tls_policy none = {.source = TLS_SOURCE_DEFAULT}, dane = {.source = TLS_SOURCE_DANE};
    const char *mx = "mx.example.com";

    assert_int_equal(tlsrpt_result_of(&sts, mx, TLS_FAILURE_NONE), TLSRPT_SUCCESSFUL);
    assert_int_equal(tlsrpt_result_of(&sts, "other.example.com", TLS_FAILURE_NONE),
                     TLSRPT_VALIDATION_FAILURE);
    assert_int_equal(tlsrpt_result_of(&sts, mx, TLS_FAILURE_HOST_MISMATCH), TLSRPT_HOST_MISMATCH);
    assert_int_equal(tlsrpt_result_of(&sts, mx, TLS_FAILURE_EXPIRED), TLSRPT_EXPIRED);
    assert_int_equal(tlsrpt_result_of(&sts, mx, TLS_FAILURE_NOT_TRUSTED), TLSRPT_NOT_TRUSTED);
    assert_int_equal(tlsrpt_result_of(&sts, mx, TLS_FAILURE_NOT_OFFERED), TLSRPT_STARTTLS_NOT_SUPPORTED);
    assert_int_equal(tlsrpt_result_of(&sts, mx, TLS_FAILURE_HANDSHAKE), TLSRPT_VALIDATION_FAILURE);
    assert_int_equal(tlsrpt_result_of(&dane, mx, TLS_FAILURE_NO_DANE_MATCH), TLSRPT_VALIDATION_FAILURE);
    assert_int_equal(tlsrpt_result_of(&dane, mx, TLS_FAILURE_NONE), TLSRPT_TLSA_INVALID);
    assert_int_equal(tlsrpt_result_of(&none, mx, TLS_FAILURE_NONE), TLSRPT_SUCCESSFUL);
    assert_int_equal(tlsrpt_result_of(&none, mx, TLS_FAILURE_HOST_MISMATCH),
                     TLSRPT_SUCCESSFUL); /* nobody asked */
    assert_int_equal(tlsrpt_result_of(&none, mx, TLS_FAILURE_HANDSHAKE), TLSRPT_VALIDATION_FAILURE);
    verdict_set(&dane.barred, STATUS_TLSA_AWAY, "mx.example.com");
    assert_int_equal(tlsrpt_result_of_barred(&dane), TLSRPT_DNSSEC_INVALID);
    verdict_set(&dane.barred, STATUS_NO_DANE, "mx.example.com");
    assert_int_equal(tlsrpt_result_of_barred(&dane), TLSRPT_DANE_REQUIRED);
    assert_int_equal(tlsrpt_result_of_barred(&sts), TLSRPT_VALIDATION_FAILURE);
    verdict_done(&dane.barred);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_was_counted),
        cmocka_unit_test(leaves_kinds_out_when_it_is_brief),
        cmocka_unit_test(nothing_counted_is_no_report),
        cmocka_unit_test(sessions_make_rows),
        cmocka_unit_test(results_have_the_registered_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
