/* A message's story as the status page gets it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/redact.h"
#include "dispatcher/story.h"

enum { NOW = 100000 };

static char said[65536];
static const char *say(const struct story *s)
{
    struct node_peer peer = {.incarnation = 17,
                             .stats = {.role = ROLE_COURIER, .name = (char *) (uintptr_t) "co1"}};
    const struct node_view view = {.peers = &peer, .count = 1};
    AUTO_BUF struct buf out = {.data = NULL};
    struct json *json = story_json(s, &view, NOW);
    json_print_line(json, &out);
    json_free(json);
    (void) snprintf(said, sizeof(said), "%.*s", SPAN_ARG(buf_span(&out)));
    return said;
}

static bool has(const char *words)
{
    return strstr(said, words) != NULL;
}

static struct story story_of(struct story_line *lines, size_t count)
{
    static char none[1];
    return (struct story){
        .id = id_new(NOW - 5000, 3), .lines = lines, .line_count = count, .queue = none, .because = none};
}

static void nothing_known_says_so(void **state UNUSED)
{
    struct story s = story_of(NULL, 0);
    (void) say(&s);
    assert_true(has("\"known\":false"));
    assert_true(has("\"events\":[]"));
}

static void events_are_told_in_order_with_the_courier_by_name(void **state UNUSED)
{
    char accepted[] = "accepted", claimed[] = "claimed", by[] = "17.1", old[] = "99.2", none[] = "";
    struct story_line lines[] = {{.ms = NOW - 4000, .event = accepted, .detail = none},
                                 {.ms = NOW - 3000, .event = claimed, .detail = by},
                                 {.ms = NOW - 2000, .event = claimed, .detail = old, .job = 4}};
    struct story s = story_of(lines, 3);
    (void) say(&s);
    assert_true(has("\"known\":true"));
    assert_true(has("\"since_ms\":1000,\"event\":\"claimed\",\"job\":0,\"detail\":\"by co1\""));
    assert_true(has("\"since_ms\":2000,\"event\":\"claimed\",\"job\":4,\"detail\":\"99.2\""));
}

static void a_held_job_tells_why(void **state UNUSED)
{
    char queue[] = "a.test", because[] = "\"<img src=x onerror=alert(1)>";
    struct story s = story_of(NULL, 0);
    s.is_there = true;
    s.queue = queue;
    s.because = because;
    s.place = STORY_HELD;
    s.score = NOW - 700;
    (void) say(&s);
    assert_true(has(
        "\"place\":\"held\",\"queue\":\"a.test\",\"because\":\"\\\"<img src=x onerror=alert(1)>\",\"held_ms\":700"));
    assert_true(has("\"readable\":false"));
}

static void addresses_are_shown_as_the_setting_says(void **state UNUSED)
{
    char sender[] = "anna@origin.test", to[] = "bob@a.test", none[] = "", queue[] = "a.test",
         *queues[] = {queue};
    struct recipient recipients[] = {{.addr = to}};
    struct recipient_state states[] = {{.is_done = false}};
    struct story s = story_of(NULL, 0);
    s.is_there = s.is_readable = true;
    s.queue = queue;
    s.place = STORY_WAITING;
    s.score = NOW + 60000;
    s.envelope = (struct envelope){.sender = sender,
                                   .recipients = recipients,
                                   .recipient_count = 1,
                                   .queues = queues,
                                   .queue_count = 1,
                                   .client = none};
    s.state = (struct job_state){.recipients = states, .recipient_count = 1, .attempts = 2};
    (void) say(&s);
    assert_true(has("\"from\":\"anna@origin.test\"") && has("\"address\":\"bob@a.test\"") &&
                has("\"due_ms\":60000"));
    redact_set(true);
    (void) say(&s);
    redact_set(false);
    assert_false(has("anna@") || has("bob@"));
    assert_true(has("@origin.test"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_known_says_so),
        cmocka_unit_test(events_are_told_in_order_with_the_courier_by_name),
        cmocka_unit_test(a_held_job_tells_why),
        cmocka_unit_test(addresses_are_shown_as_the_setting_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
