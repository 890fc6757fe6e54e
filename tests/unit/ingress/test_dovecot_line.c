/* Lines of Dovecot's auth service. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ingress/dovecot_line.h"

static int parse(const char *text, struct dovecot_line *l)
{
    int r = dovecot_line_parse(span_of(text), l);
    if (r < 0)
        dovecot_line_done(l);
    return r;
}

static void lines_as_dovecot_writes_them(void **s UNUSED)
{
    struct dovecot_line l;
    assert_int_equal(parse("VERSION\t1\t2", &l), 0);
    assert_true(l.word == DOVECOT_VERSION && l.major == 1);
    assert_int_equal(parse("MECH\tPLAIN\tplaintext", &l), 0);
    assert_true(l.word == DOVECOT_MECH && span_equal(l.mechanism, SPAN("PLAIN")));
    assert_int_equal(parse("DONE", &l), 0);
    assert_int_equal(l.word, DOVECOT_DONE);
    assert_int_equal(parse("CONT\t7\tZm9v", &l), 0);
    assert_true(l.word == DOVECOT_CONT && l.id == 7 && span_equal(buf_span(&l.challenge), SPAN("foo")));
    dovecot_line_done(&l);
    assert_int_equal(parse("OK\t4294967295\tuser=a\001tb\tnologin\tx=y", &l), 0);
    assert_true(l.word == DOVECOT_OK && l.id == UINT32_MAX && span_equal(buf_span(&l.user), SPAN("a\tb")));
    dovecot_line_done(&l);
    assert_int_equal(parse("FAIL\t1\tuser=x\treason=temp", &l), 0);
    assert_true(l.word == DOVECOT_FAIL && !l.is_temporary);
    dovecot_line_done(&l);
    assert_int_equal(parse("FAIL\t1\tuser=x\ttemp", &l), 0);
    assert_true(l.is_temporary);
    dovecot_line_done(&l);
    assert_int_equal(parse("COOKIE\tff", &l), 0);
    assert_int_equal(l.word, DOVECOT_OTHER);
    assert_int_equal(parse("", &l), 0);
    assert_int_equal(l.word, DOVECOT_OTHER);
}

static void what_is_not_of_the_protocol(void **s UNUSED)
{
    static const char *const wrong[] = {"VERSION",
                                        "VERSION\tx",
                                        "MECH",
                                        "MECH\t",
                                        "CONT",
                                        "CONT\t1\t!",
                                        "CONT\tx\tZm9v",
                                        "OK",
                                        "OK\t1",
                                        "OK\t1\tuser=",
                                        "OK\t1\tuser=a\001",
                                        "OK\t1\tuser=a\001x",
                                        "OK\t-1\tuser=a",
                                        "OK\t4294967296\tuser=a",
                                        "FAIL",
                                        "FAIL\t\ttemp",
                                        "CONT\t1\tZg"};
    struct dovecot_line l;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(parse(wrong[i], &l), -EBADMSG);
}

/* proves: D07 */
static void what_we_say_cannot_end_its_field(void **s UNUSED)
{
    AUTO_BUF struct buf out = {0};
    struct dovecot_line l;
    dovecot_add_escaped(&out, SPAN("a\tb\nc\rd\0e\001f"));
    assert_true(span_equal(buf_span(&out), SPAN("a\001tb\001nc\001rd\0010e\0011f")));
    AUTO_BUF struct buf line = {0};
    buf_add_text(&line, "OK\t1\tuser=");
    buf_add_span(&line, buf_span(&out));
    assert_int_equal(dovecot_line_parse(buf_span(&line), &l), 0);
    assert_true(span_equal(buf_span(&l.user), SPAN("a\tb\nc\rd\0e\001f")));
    dovecot_line_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_as_dovecot_writes_them),
        cmocka_unit_test(what_is_not_of_the_protocol),
        cmocka_unit_test(what_we_say_cannot_end_its_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
