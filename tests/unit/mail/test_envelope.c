/* Envelopes, their children, and job states. */
#include "mail/envelope.h"
#include "mail_test.h"

static struct envelope make_parent(void)
{
    static const char *const addrs[] = {"a@one", "b@two", "c@one", "d@two", "e@three"};
    static const uint32_t queues[] = {0, 1, 0, 1, 2};
    struct envelope e = {
        .sender = mem_string("s@x"),
        .recipients = mem_array(5, sizeof *e.recipients),
        .recipient_count = 5,
        .queues = mem_array(3, sizeof *e.queues),
        .queue_count = 3,
        .arrival_ms = 1234,
        .size_bytes = 99,
        .chunk_count = 1,
        .content_partition = 7,
        .content_job = mem_string("JOB.0"),
        .is_8bit = true,
        .is_parent = true,
        .keeps_content = true,
        .client = mem_string("helo [192.0.2.1]"),
    };
    for (size_t i = 0; i < 5; i++)
        e.recipients[i] = (struct recipient){.addr = mem_string(addrs[i]), .queue = queues[i]};
    e.queues[0] = mem_string("one");
    e.queues[1] = mem_string("two");
    e.queues[2] = mem_string("three");
    return e;
}

static void a_child_has_its_queues_recipients_only(void **state)
{
    (void) state;
    struct envelope parent = make_parent(), child;
    envelope_child(&parent, 1, &child);
    envelope_done(&parent); /* the child stands alone */
    assert_int_equal(child.recipient_count, 2);
    assert_string_equal(child.recipients[0].addr, "b@two");
    assert_string_equal(child.recipients[1].addr, "d@two");
    assert_int_equal(child.recipients[1].queue, 0);
    assert_int_equal(child.queue_count, 1);
    assert_string_equal(child.queues[0], "two");
    assert_string_equal(child.sender, "s@x");
    assert_string_equal(child.content_job, "JOB.0");
    assert_string_equal(child.client, "helo [192.0.2.1]");
    assert_int_equal(child.arrival_ms, 1234);
    assert_int_equal(child.content_partition, 7);
    assert_true(child.is_8bit);
    assert_false(child.is_parent);
    assert_false(child.keeps_content);
    envelope_done(&child);
    assert_null(child.sender);
    envelope_done(&child); /* twice is harmless */
}

static void a_new_state_has_nothing_attempted(void **state)
{
    (void) state;
    struct envelope parent = make_parent();
    struct job_state s;
    job_state_init(&s, &parent);
    assert_int_equal(s.recipient_count, 5);
    assert_int_equal(s.attempts, 0);
    for (size_t i = 0; i < 5; i++) {
        assert_false(s.recipients[i].is_done);
        assert_int_equal(s.recipients[i].last.class, VERDICT_NONE);
    }
    verdict_set(&s.recipients[2].last, STATUS_TIMED_OUT, NULL);
    s.unknown = mem_array(3, sizeof *s.unknown);
    job_state_done(&s);
    assert_null(s.recipients);
    envelope_done(&parent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_has_its_queues_recipients_only),
        TEST(a_new_state_has_nothing_attempted),
    };
    return cmocka_run_group_tests_name("mail/envelope", tests, NULL, NULL);
}
