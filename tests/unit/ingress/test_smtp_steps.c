/*
 * Plays a dialogue that test_dialogs_in_memory.py has made of a .smtp file: whole, cut at every position, byte by byte, and with late answers.
 * SMTP_STEPS names the file: lines of "set name number", "C hex", "S hex", "M hex", "N number" (messages stored), "X".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/ingress/dialogue.h"

enum { STEPS_MAX = 1000, LINE_MAX_BYTES = 1 << 20 };

static const char built_in[] =
    "set recipients 2\nS 323230\nC 515549540d0a\nS 323231\nX\nN 0\n"; /* 220, QUIT, 221 */

/* What a line may set. */
static const struct {
    const char *name;
    uint64_t *number;
} settings[] = {
    {"message_bytes", &test_profile.limits.message_bytes},
    {"line_bytes", &test_profile.limits.line_bytes},
    {"hops", &test_profile.limits.header.hops},
    {"header_bytes", &test_profile.limits.header.size_bytes},
    {"header_fields", &test_profile.limits.header.fields},
    {"recipients", &test_profile.limits.recipients},
    {"transactions", &test_profile.limits.transactions},
    {"errors", &test_profile.limits.errors},
    {"junk", &test_profile.limits.junk},
    {"future_max_ms", &test_profile.future_max_ms},
    {"by_min_s", &test_profile.by_min_s},
};

static void set(struct span line)
{
    uint64_t number = 0;
    struct span name = span_cut(&line, ' ');
    assert_int_equal(span_number(line, UINT64_MAX, &number), 0);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (span_equal(name, span_of(settings[i].name))) {
            *settings[i].number = number;
            return;
        }
    if (span_equal(name, SPAN("extensions")))
        test_profile.extensions = (unsigned) number;
    else if (span_equal(name, SPAN("tls")))
        test_profile.tls = (enum smtp_tls) number;
    else if (span_equal(name, SPAN("is_secured")))
        test_owner.is_secured = number != 0;
    else if (span_equal(name, SPAN("is_xclient_allowed")))
        test_owner.is_xclient_allowed = number != 0;
    else if (span_equal(name, SPAN("normalises_lf")))
        test_profile.normalises_lf = number != 0;
    else
        fail_msg("nothing is named %.*s", SPAN_ARG(name));
}

static int hex_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Into memory that lives as long as the steps. */
static struct step decode(char kind, struct span hex)
{
    char *bytes = mem_alloc(hex.len / 2 + 1);
    assert_int_equal(hex.len % 2, 0);
    for (size_t i = 0; i < hex.len; i += 2) {
        assert_true(hex_of(hex.at[i]) >= 0 && hex_of(hex.at[i + 1]) >= 0);
        bytes[i / 2] = (char) (hex_of(hex.at[i]) << 4 | hex_of(hex.at[i + 1]));
    }
    return (struct step){kind, bytes, hex.len / 2};
}

static size_t read_steps(struct span text, struct step steps[static STEPS_MAX])
{
    size_t count = 0;
    while (text.len > 0) {
        struct span rest = span_cut(&text, '\n');
        struct span word = span_cut(&rest, ' ');
        uint64_t number = 0;
        assert_true(count < STEPS_MAX);
        if (span_equal(word, SPAN("set"))) {
            set(rest);
        } else if (span_equal(word, SPAN("N"))) {
            assert_int_equal(span_number(rest, SIZE_MAX, &number), 0);
            steps[count++] = (struct step){'N', NULL, number};
        } else if (word.len == 1 && strchr("CSMX", word.at[0])) {
            steps[count++] = decode(word.at[0], rest);
        } else {
            fail_msg("no step: %.*s", SPAN_ARG(word));
        }
    }
    return count;
}

static void read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (size_t got = 1; got > 0;) {
        got = fread(buf_reserve(out, LINE_MAX_BYTES), 1, LINE_MAX_BYTES, file);
        buf_commit(out, got);
    }
    assert_int_equal(fclose(file), 0);
}

/* proves: B35 */
static void dialogue_is_the_same_however_it_is_cut(void **state UNUSED)
{
    static struct step steps[STEPS_MAX];
    const char *path = getenv("SMTP_STEPS");
    AUTO_BUF struct buf text = {0};
    test_limits_reset();
    test_separates = true;
    if (path)
        read_file(path, &text);
    else
        buf_add_text(&text, built_in);
    size_t count = read_steps(buf_span(&text), steps);
    if (path && getenv("SMTP_ONCE"))
        play_once(steps, count);
    else
        play(steps, count);
    for (size_t i = 0; i < count; i++)
        if (steps[i].kind != 'N')
            free((void *) (uintptr_t) steps[i].bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialogue_is_the_same_however_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
