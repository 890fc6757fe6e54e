/* Domain names to A-labels. */
#include "io_test.h"

#include <errno.h>

#include "io/idn.h"

/* proves: N02 N12 I17 */
static void gives_a_labels(void **state)
{
    (void) state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"Example.COM", "example.com"},
        {"example.com.", "example.com"},
        {"b\xc3\xbc"
         "cher.example",
         "xn--bcher-kva.example"},
        {"B\xc3\x9c"
         "CHER.Example.",
         "xn--bcher-kva.example"},
        {"fa\xc3\x9f.example", "xn--fa-hia.example"}, /* non-transitional: not fass.example */
        {"bu\xcc\x88"
         "cher.example",
         "xn--bcher-kva.example"}, /* decomposed */
        {"\xe4\xbe\x8b\xe3\x80\x82\xe4\xb8\xad\xe5\x9b\xbd",
         "xn--fsq.xn--fiqs8s"}, /* the ideographic full stop */
        {"xn--bcher-kva.b\xc3\xbc"
         "cher",
         "xn--bcher-kva.xn--bcher-kva"},
    };
    char text[DOMAIN_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(idn_domain(span_of(rows[i].in), text), 0);
        assert_string_equal(text, rows[i].out);
    }
}

/* proves: N01 */
static void refuses_what_is_no_name(void **state)
{
    (void) state;
    static const struct span bad[] = {
        SPAN(""),
        SPAN("a b.example"),
        SPAN("b\xc3\xbc cher.example"),
        SPAN("b\xc3\xbc\0.example"),
        SPAN("\xff\xfe.example"),
        SPAN("\xc3"),
        SPAN("b\xc3\xbc..example"),
        SPAN("\xe2\x98\x83;.example"),
        SPAN("a\xe2\x80\xae.example"), /* a character that turns the text around */
    };
    char text[DOMAIN_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(idn_domain(bad[i], text), -EINVAL);
}

/* proves: N08 B23 */
static void refuses_what_is_too_long(void **state)
{
    (void) state;
    char text[DOMAIN_MAX + 1];
    struct buf name AUTO_BUF = {.data = NULL};
    for (int i = 0; i < 60; i++)
        buf_add_text(&name, "\xc3\xbc");
    buf_add_text(&name, "abcdefgh.example");
    assert_int_equal(idn_domain(buf_span(&name), text), -E2BIG);
    buf_clear(&name);
    for (int i = 0; i < 100; i++)
        buf_add_text(&name, "\xc3\xbc.");
    buf_add_text(&name, "example");
    assert_int_equal(idn_domain(buf_span(&name), text), -E2BIG);
    buf_clear(&name);
    for (int i = 0; i < 2000; i++)
        buf_add_text(&name, "\xc3\xbc");
    assert_int_equal(idn_domain(buf_span(&name), text), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_a_labels),
        cmocka_unit_test(refuses_what_is_no_name),
        cmocka_unit_test(refuses_what_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
