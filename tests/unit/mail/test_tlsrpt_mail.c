/* The mail around a TLS report, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "mail/tlsrpt_mail.h"

static const char *const to[] = {"a@example.com", "b@example.org"};

static struct tlsrpt_mail sample(void)
{
    return (struct tlsrpt_mail){
        .id = "01KATQ5S8Z4G5W0V0E3HJ2M9XK",
        .domain = "example.com",
        .submitter = "relay.example.net",
        .from = "tls@relay.example.net",
        .contact = "tls@relay.example.net",
        .organization = "Relay",
        .to = to,
        .to_count = 2,
        .start_s = 1795305600,
        .end_s = 1795391999,
        .wall_ms = 1795392301000,
        .packed = SPAN("not really packed"),
    };
}

/* proves: L13 */
static void is_written_as_the_rfc_says(void **state UNUSED)
{
    static const char expected[] =
        "Date: Mon, 23 Nov 2026 00:05:01 +0000\r\n"
        "From: tls@relay.example.net\r\n"
        "To: a@example.com, b@example.org\r\n"
        "Subject: Report Domain: example.com Submitter: relay.example.net Report-ID:\r\n"
        " <01KATQ5S8Z4G5W0V0E3HJ2M9XK@relay.example.net>\r\n"
        "Message-ID: <01KATQ5S8Z4G5W0V0E3HJ2M9XK@relay.example.net>\r\n"
        "TLS-Report-Domain: example.com\r\n"
        "TLS-Report-Submitter: relay.example.net\r\n"
        "TLS-Required: No\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
        " boundary=\"=_01KATQ5S8Z4G5W0V0E3HJ2M9XK\"\r\n"
        "\r\n"
        "--=_01KATQ5S8Z4G5W0V0E3HJ2M9XK\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n"
        "This is a report about TLS sessions with the mail hosts of\r\n"
        "example.com\r\n"
        "on 2026-11-22 (UTC), by\r\n"
        "Relay.\r\n"
        "The attached file has it in the format of RFC 8460.\r\n"
        "\r\n"
        "Contact: tls@relay.example.net\r\n"
        "\r\n"
        "--=_01KATQ5S8Z4G5W0V0E3HJ2M9XK\r\n"
        "Content-Type: application/tlsrpt+gzip\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment;\r\n"
        " filename=\"relay.example.net!example.com!1795305600!1795391999!01KATQ5S8Z4G5W0V0E3HJ2M9XK.json.gz\"\r\n"
        "\r\n"
        "bm90IHJlYWxseSBwYWNrZWQ=\r\n"
        "\r\n"
        "--=_01KATQ5S8Z4G5W0V0E3HJ2M9XK--\r\n";
    struct tlsrpt_mail m = sample();
    AUTO_BUF struct buf out = {.data = NULL};
    AUTO_FREE char *text = NULL;

    tlsrpt_mail_write(&m, &out);
    text = buf_steal_text(&out);
    assert_string_equal(text, expected);
}

static void no_line_is_long_whatever_the_settings_say(void **state UNUSED)
{
    struct tlsrpt_mail m = sample();
    AUTO_BUF struct buf out = {.data = NULL};
    char organization[3000], packed[5000];
    struct span rest;

    memset(organization, 'o', sizeof(organization));
    memcpy(organization, "\xc3\xb6", 2);
    organization[sizeof(organization) - 1] = '\0';
    memset(packed, 0, sizeof(packed));
    m.organization = organization;
    m.packed = (struct span){packed, sizeof(packed)};
    tlsrpt_mail_write(&m, &out);
    rest = buf_span(&out);
    while (rest.len > 0) {
        struct span line = span_cut(&rest, '\n');

        assert_in_range(line.len, 1, 999);
        assert_int_equal(line.at[line.len - 1], '\r');
        assert_false(span_has_8bit(line));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_written_as_the_rfc_says),
        cmocka_unit_test(no_line_is_long_whatever_the_settings_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
