/* Unit tests of base/log and base/log_line. */
#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log_line.h"
#include "base/mem.h"
#include "base/metric.h"

static void assert_text(const struct buf *b, const char *wanted)
{
    AUTO_FREE char *text = mem_text(b->data, b->len);
    assert_string_equal(text, wanted);
}

static const uint64_t moment = UINT64_C(1795331745123);

static struct log_line line_of(const struct log_field *fields, size_t count)
{
    return (struct log_line){.wall_ms = moment,
                             .level = "info",
                             .event = "accepted",
                             .node = "a",
                             .fields = fields,
                             .count = count};
}

static void text_lines_have_keys_and_values(void **state)
{
    (void) state;
    AUTO_BUF struct buf out = {.data = NULL};
    const struct log_field fields[] = {F("msg", "01ABC"), F("none", NULL), FN("size", 12),
                                       FN("delta", INT64_MIN),
                                       FS("part", ((struct span){.at = "abcdef", .len = 3}))};
    struct log_line line = line_of(fields, ARRAY_LEN(fields));
    log_line_text(&out, &line);
    assert_text(
        &out,
        "2026-11-22T07:15:45.123Z info event=accepted node=a msg=01ABC size=12 delta=-9223372036854775808 "
        "part=abc\n");
    buf_clear(&out);
    line = (struct log_line){.wall_ms = moment + 1000, .level = "warn", .event = "held"};
    log_line_text(&out, &line);
    assert_text(&out, "2026-11-22T07:15:46.123Z warn event=held\n");
}

/* proves: M09 */
static void no_value_can_forge_a_line_or_field(void **state)
{
    (void) state;
    static const struct {
        const char *value, *text, *json;
    } cases[] = {
        {"", "\"\"", "\"\""},
        {"plain@example.com", "plain@example.com", "\"plain@example.com\""},
        {"two words", "\"two words\"", "\"two words\""},
        {"a=b", "\"a=b\"", "\"a=b\""},
        {"x\r\nevent=accepted", "\"x\\r\\nevent=accepted\"", "\"x\\r\\nevent=accepted\""},
        {"say \"hi\" \\", "\"say \\\"hi\\\" \\\\\"", "\"say \\\"hi\\\" \\\\\""},
        {"\x1b[2J\x7f", "\"\\x1b[2J\\x7f\"", "\"\\u001b[2J\\u007f\""},
        {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"", "\"gr\xc3\xbc\xc3\x9f\""},
        {"\xf0\x9f\x93\xae", "\"\xf0\x9f\x93\xae\"", "\"\xf0\x9f\x93\xae\""},
        {"\xff\xc3", "\"\\xff\\xc3\"", "\"\\\\xff\\\\xc3\""},
        {"\xc0\xae", "\"\\xc0\\xae\"", "\"\\\\xc0\\\\xae\""},                 /* an overlong dot */
        {"\xed\xa0\x80", "\"\\xed\\xa0\\x80\"", "\"\\\\xed\\\\xa0\\\\x80\""}, /* half of a surrogate pair */
        {"\xc2\x85", "\"\\xc2\\x85\"", "\"\\\\xc2\\\\x85\""},                 /* a C1 control: next line */
        {"\xe2\x80\xa8", "\"\\xe2\\x80\\xa8\"", "\"\\\\xe2\\\\x80\\\\xa8\""}, /* a line separator */
        {"\xe2\x80\xae", "\"\\xe2\\x80\\xae\"", "\"\\\\xe2\\\\x80\\\\xae\""}, /* right-to-left override */
        {"\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\"", "\"\\\\xf4\\\\x90\\\\x80\\\\x80\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF struct buf out = {.data = NULL};
        const struct log_field field = F("v", cases[i].value);
        struct log_line line = line_of(&field, 1);
        log_line_text(&out, &line);
        AUTO_FREE char *text = mem_format("2026-11-22T07:15:45.123Z info event=accepted node=a v=%s\n",
                                          cases[i].text);
        assert_text(&out, text);
        buf_clear(&out);
        log_line_json(&out, &line);
        AUTO_FREE char *json = mem_format(
            "{\"time\":\"2026-11-22T07:15:45.123Z\",\"level\":\"info\",\"event\":\"accepted\","
            "\"node\":\"a\",\"v\":%s}\n",
            cases[i].json);
        assert_text(&out, json);
    }
}

static void zero_bytes_inside_a_span_are_escaped(void **state)
{
    (void) state;
    AUTO_BUF struct buf out = {.data = NULL};
    const struct log_field field = FS("v", ((struct span){.at = "a\0b", .len = 3}));
    struct log_line line = line_of(&field, 1);
    log_line_json(&out, &line);
    assert_non_null(memmem(out.data, out.len, "\"v\":\"a\\u0000b\"", 14));
}

/* What is logged between begin() and end() goes to a file in memory. */
struct capture {
    int saved, file;
};

static struct capture begin(void)
{
    struct capture c;
    (void) fflush(stdout);
    c.saved = dup(STDOUT_FILENO);
    c.file = memfd_create("log", 0);
    assert_true(c.saved >= 0 && c.file >= 0);
    assert_int_equal(dup2(c.file, STDOUT_FILENO), STDOUT_FILENO);
    return c;
}

static char *written(const struct capture *c)
{
    struct buf out = {.data = NULL};
    ssize_t got;
    off_t at = 0;
    while ((got = pread(c->file, buf_reserve(&out, 65536), 65536, at)) > 0) {
        buf_commit(&out, (size_t) got);
        at += got;
    }
    return buf_steal_text(&out);
}

static char *end(const struct capture *c)
{
    log_flush();
    assert_int_equal(dup2(c->saved, STDOUT_FILENO), STDOUT_FILENO);
    char *text = written(c);
    (void) close(c->saved); /* done with both */
    (void) close(c->file);
    return text;
}

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;
    while ((text = strstr(text, word))) {
        count++;
        text++;
    }
    return count;
}

static void lines_wait_until_flushed_or_urgent(void **state)
{
    (void) state;
    struct capture c = begin();
    log_event(LOG_ACCEPTED, F("msg", "1"));
    AUTO_FREE char *first = written(&c);
    log_event(LOG_HELD, F("msg", "2"));
    AUTO_FREE char *second = written(&c);
    log_event(LOG_STOPPED);
    log_flush();
    AUTO_FREE char *third = end(&c);
    assert_string_equal(first, "");
    assert_int_equal(count_of(second, "\n"), 2);
    assert_non_null(strstr(second, "msg=1"));
    assert_non_null(strstr(second, " warn event=held msg=2\n"));
    assert_int_equal(count_of(third, "\n"), 3);
    assert_non_null(strstr(third, "Z info event=stopped\n"));
}

static void a_full_buffer_is_written(void **state)
{
    (void) state;
    struct capture c = begin();
    for (int i = 0; i < 1000; i++)
        log_event(LOG_ACCEPTED, FN("i", i));
    AUTO_FREE char *before = written(&c);
    AUTO_FREE char *after = end(&c);
    assert_true(strlen(before) >= 32768);
    assert_int_equal(count_of(after, "\n"), 1000);
}

static void levels_are_obeyed(void **state)
{
    (void) state;
    struct capture c = begin();
    log_event(LOG_CLAIMED, F("job", "x"));
    assert_false(log_is_on(LOG_CLAIMED));
    log_setup("n1", LOG_DEBUG, false);
    assert_true(log_is_on(LOG_CLAIMED));
    log_event(LOG_CLAIMED, F("job", "y"));
    log_setup("n1", LOG_ERROR, true);
    log_event(LOG_ACCEPTED);
    log_event(LOG_CONFIG_REFUSED, F("why", "z"));
    log_setup("", LOG_INFO, false);
    AUTO_FREE char *text = end(&c);
    assert_int_equal(count_of(text, "\n"), 2);
    assert_non_null(strstr(text, "Z debug event=claimed node=n1 job=y\n"));
    assert_non_null(
        strstr(text, "\"level\":\"error\",\"event\":\"config_refused\",\"node\":\"n1\",\"why\":\"z\"}\n"));
}

static void *log_many(void *name)
{
    for (int i = 0; i < 5000; i++)
        log_event(LOG_DELIVERED, F("who", name), FN("i", i), F("end", "x"));
    return NULL;
}

static void threads_do_not_mix_lines_and_lose_none(void **state)
{
    (void) state;
    static char names[4][8] = {"one", "two", "three", "four"};
    pthread_t threads[4];
    struct capture c = begin();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    AUTO_FREE char *text = end(&c);
    struct span rest = span_of(text);
    for (int i = 0; i < 20000; i++) {
        struct span line = span_cut(&rest, '\n');
        assert_true(line.len > 6);
        assert_memory_equal(line.at, "20", 2);
        assert_memory_equal(line.at + line.len - 6, " end=x", 6);
    }
    assert_int_equal(rest.len, 0);
}

static void pipes_get_whole_lines_in_each_write(void **state)
{
    (void) state;
    int ends[2];
    struct buf got = {.data = NULL};
    assert_int_equal(pipe2(ends, O_DIRECT), 0); /* a packet for each write */
    (void) fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    assert_int_equal(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
    for (int i = 0; i < 300; i++)
        log_event(LOG_DELIVERED, FN("i", i), F("end", "x"));
    log_flush();
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    (void) close(saved);
    (void) close(ends[1]);
    size_t lines = 0;
    for (;;) {
        ssize_t n = read(ends[0], buf_reserve(&got, 65536), 65536);
        if (n <= 0)
            break;
        assert_true(n <= 4096);
        assert_int_equal(got.data[n - 1], '\n');
        for (ssize_t i = 0; i < n; i++)
            lines += got.data[i] == '\n';
    }
    assert_int_equal(lines, 300);
    (void) close(ends[0]);
    buf_done(&got);
}

static void a_reader_that_is_gone_costs_lines_not_the_process(void **state)
{
    (void) state;
    int64_t dropped = metric_get(METRIC_LOG_DROPPED_TOTAL);
    (void) fflush(stdout);
    int saved = dup(STDOUT_FILENO), nowhere = open("/dev/full", O_WRONLY);
    assert_int_equal(dup2(nowhere, STDOUT_FILENO), STDOUT_FILENO);
    log_event(LOG_ACCEPTED);
    log_event(LOG_HELD);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    (void) close(saved);
    (void) close(nowhere);
    assert_int_equal(metric_get(METRIC_LOG_DROPPED_TOTAL) - dropped, 2);
}

static void lines_come_out_before_a_bug_ends_the_process(void **state)
{
    (void) state;
    struct capture c = begin();
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        (void) freopen("/dev/null", "w", stderr);
        (void) signal(SIGABRT, SIG_DFL); /* cmocka catches it */
        log_event(LOG_ACCEPTED, F("msg", "last words"));
        must(status == 12345);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    AUTO_FREE char *text = end(&c);
    assert_true(WIFSIGNALED(status));
    assert_non_null(strstr(text, "msg=\"last words\"\n"));
}

static void lines_come_out_when_the_process_exits(void **state)
{
    (void) state;
    struct capture c = begin();
    int status;
    pid_t child = fork();
    if (child == 0) {
        log_event(LOG_ACCEPTED, F("msg", "exit"));
        exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    AUTO_FREE char *text = end(&c);
    assert_int_equal(count_of(text, "msg=exit\n"), 1);
}

static void names_and_helps_come_from_the_rows(void **state)
{
    (void) state;
    assert_string_equal(log_event_name(LOG_DOOR_IN_DOUBT), "door_in_doubt");
    assert_true(strlen(log_event_help(LOG_ACCEPTED)) > 0);
    assert_int_equal(log_event_level(LOG_CLAIMED), LOG_DEBUG);
    assert_string_equal(log_errno_text(2), "No such file or directory");
    assert_string_equal(log_errno_text(99999), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines_have_keys_and_values),
        cmocka_unit_test(no_value_can_forge_a_line_or_field),
        cmocka_unit_test(zero_bytes_inside_a_span_are_escaped),
        cmocka_unit_test(lines_wait_until_flushed_or_urgent),
        cmocka_unit_test(a_full_buffer_is_written),
        cmocka_unit_test(levels_are_obeyed),
        cmocka_unit_test(threads_do_not_mix_lines_and_lose_none),
        cmocka_unit_test(pipes_get_whole_lines_in_each_write),
        cmocka_unit_test(a_reader_that_is_gone_costs_lines_not_the_process),
        cmocka_unit_test(lines_come_out_before_a_bug_ends_the_process),
        cmocka_unit_test(lines_come_out_when_the_process_exits),
        cmocka_unit_test(names_and_helps_come_from_the_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
