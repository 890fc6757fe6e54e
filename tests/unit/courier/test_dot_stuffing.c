/* Content as it goes over the wire, whatever the pieces it comes in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "courier/dot_stuffing.h"

static void assert_wire(struct span content, const char *wire)
{
    for (size_t piece = 1; piece <= content.len + 1; piece++) {
        AUTO_BUF struct buf out = {0};
        struct dot_stuffing d;

        dot_stuffing_begin(&d);
        for (size_t at = 0; at < content.len; at += piece)
            dot_stuffing_add(
                &d, (struct span){content.at + at, content.len - at < piece ? content.len - at : piece},
                &out);
        dot_stuffing_end(&d, &out);
        buf_add_char(&out, '\0');
        assert_string_equal(out.data, wire);
    }
}

/* proves: H12 B29 */
static void doubles_dots_at_line_starts_only(void **state UNUSED)
{
    assert_wire(SPAN(".\r\n..\r\na.b\r\n.x.\r\n"), "..\r\n...\r\na.b\r\n..x.\r\n");
}

/* proves: H12 */
static void ends_the_last_line(void **state UNUSED)
{
    assert_wire(SPAN("no end"), "no end\r\n");
    assert_wire(SPAN("end\r\n"), "end\r\n");
    assert_wire(SPAN(""), "");
    assert_wire(SPAN("\r"), "\r\n");
}

/* proves: B30 H12 */
static void never_emits_a_bare_cr_or_lf(void **state UNUSED)
{
    assert_wire(SPAN("a\n.\nb"), "a\r\n..\r\nb\r\n");
    assert_wire(SPAN("a\n.\r\nb"), "a\r\n..\r\nb\r\n");
    assert_wire(SPAN("a\r\n.\nb"), "a\r\n..\r\nb\r\n");
    assert_wire(SPAN("a\r.\rb"), "a\r\n..\r\nb\r\n");
    assert_wire(SPAN("a\r\r\n.\r\r\nb"), "a\r\n\r\n..\r\n\r\nb\r\n");
    assert_wire(SPAN("a\r\n.\rb"), "a\r\n..\r\nb\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_dots_at_line_starts_only),
        cmocka_unit_test(ends_the_last_line),
        cmocka_unit_test(never_emits_a_bare_cr_or_lf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
