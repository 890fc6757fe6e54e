/* Which jobs a filter lets pass. */
#include "ctl/selection.h"
#include "ctl_test.h"

#define JOB "01KATQ5S8Z4G5W0V0E3HJ2M9XK.0"

static char first[] = "One@a.test", second[] = "two@B.test", sender[] = "Me@c.test", empty[] = "";
static char words[] = "Mailbox full", remote[] = "mx.a.test [192.0.2.1]:25";

struct scene {
    struct record record;
    struct recipient recipients[2];
    struct recipient_state states[2];
};

static struct scene *scene_of(void **state)
{
    static struct scene s;

    (void) state;
    s = (struct scene){.recipients = {{.addr = first}, {.addr = second}}};
    s.states[0].last = (struct verdict){.class = VERDICT_DEFERRED,
                                        .code = 452,
                                        .status = "4.2.2",
                                        .text = words,
                                        .remote = remote,
                                        .bounce = BOUNCE_FULL,
                                        .from_remote = true};
    s.record = (struct record){.is_there = true, .is_readable = true};
    s.record.envelope = (struct envelope){.sender = sender, .recipients = s.recipients, .recipient_count = 2};
    s.record.state = (struct job_state){.recipients = s.states, .recipient_count = 2};
    return &s;
}

static bool passes(const struct scene *s, struct filter f)
{
    return filter_passes(&f, JOB, &s->record, UINT64_C(1) << 47);
}

static void a_filter_without_words_lets_all_pass(void **state)
{
    struct scene *s = scene_of(state);

    assert_true(passes(s, (struct filter){.sender = NULL}));
    s->record.is_readable = false;
    assert_true(passes(s, (struct filter){.sender = NULL}));
    assert_false(passes(s, (struct filter){.sender = "Me@c.test"}));
}

static void the_local_part_is_exact_and_the_domain_in_any_case(void **state)
{
    struct scene *s = scene_of(state);

    assert_true(passes(s, (struct filter){.sender = "Me@C.TEST"}));
    assert_false(passes(s, (struct filter){.sender = "me@c.test"}));
    assert_true(passes(s, (struct filter){.sender = "@c.test"}));
    assert_false(passes(s, (struct filter){.sender = "@test"}));
    assert_false(passes(s, (struct filter){.sender = "e@c.test"}));
    assert_false(passes(s, (struct filter){.sender = "<>"}));
    s->record.envelope.sender = empty;
    assert_true(passes(s, (struct filter){.sender = "<>"}));
    assert_false(passes(s, (struct filter){.sender = "@c.test"}));
}

static void a_recipient_that_is_settled_does_not_count(void **state)
{
    struct scene *s = scene_of(state);

    assert_true(passes(s, (struct filter){.recipient = "two@b.test"}));
    assert_true(passes(s, (struct filter){.recipient = "@a.test"}));
    s->states[1].is_done = true;
    assert_false(passes(s, (struct filter){.recipient = "two@b.test"}));
}

static void errors_are_searched_by_code_status_host_and_words(void **state)
{
    struct scene *s = scene_of(state);

    assert_true(passes(s, (struct filter){.error = "mailbox FULL"}));
    assert_true(passes(s, (struct filter){.error = "452 4.2.2"}));
    assert_true(passes(s, (struct filter){.error = "192.0.2.1"}));
    assert_false(passes(s, (struct filter){.error = "5.1.1"}));
    s->states[0].last.class = VERDICT_NONE;
    assert_false(passes(s, (struct filter){.error = "full"}));
}

/* proves: J10 */
static void a_class_is_that_of_the_last_error(void **state)
{
    struct scene *s = scene_of(state);

    assert_true(passes(s, (struct filter){.bounce = BOUNCE_FULL}));
    assert_false(passes(s, (struct filter){.bounce = BOUNCE_RATE}));
    s->record.is_readable = false;
    assert_false(passes(s, (struct filter){.bounce = BOUNCE_FULL}));
    s->record.is_readable = true;
    s->states[0].last.class = VERDICT_NONE;
    assert_false(passes(s, (struct filter){.bounce = BOUNCE_FULL}));
}

static void age_is_that_of_the_id(void **state)
{
    struct scene *s = scene_of(state);
    const struct filter f = {.older_ms = 60000};
    struct id id;
    uint32_t index;

    assert_int_equal(job_parse(span_of(JOB), &id, &index), 0);
    assert_true(filter_passes(&f, JOB, &s->record, id_time_ms(&id) + 60000));
    assert_false(filter_passes(&f, JOB, &s->record, id_time_ms(&id) + 59999));
    assert_false(filter_passes(&f, "no id", &s->record, UINT64_C(1) << 47));
}

static void names_that_cannot_be_queues_are_refused(void **state)
{
    char longest[QUEUE_TEXT_MAX + 2];

    (void) state;
    memset(longest, 'x', sizeof(longest));
    longest[QUEUE_TEXT_MAX + 1] = '\0';
    assert_int_equal(queue_name_check(""), EXIT_BAD_USAGE);
    assert_int_equal(queue_name_check("*/"), EXIT_BAD_USAGE); /* its lane was to follow: never all queues */
    assert_int_equal(queue_name_check(".test/"), EXIT_BAD_USAGE);
    assert_int_equal(queue_name_check("*/bulk"), EXIT_OK);
    assert_int_equal(queue_name_check(longest), EXIT_BAD_USAGE);
    longest[QUEUE_TEXT_MAX] = '\0';
    assert_int_equal(queue_name_check(longest), EXIT_OK);
}

static void who_submitted_it_is_compared_whole(void **state)
{
    struct scene *s = scene_of(state);
    char user[] = "anna", tenant[] = "shop", because[] = "by operator: user disabled", none[] = "";

    s->record.held_because = none;
    assert_false(passes(s, (struct filter){.user = "anna"}));
    s->record.envelope.user = user;
    s->record.envelope.tenant = tenant;
    assert_true(passes(s, (struct filter){.user = "anna"}));
    assert_true(passes(s, (struct filter){.user = "anna", .tenant = "shop"}));
    assert_false(passes(s, (struct filter){.user = "Anna"}));
    assert_false(passes(s, (struct filter){.user = "ann"}));
    assert_false(passes(s, (struct filter){.user = "anna", .tenant = "other"}));
    assert_false(passes(s, (struct filter){.because = because}));
    s->record.held_because = because;
    assert_true(passes(s, (struct filter){.because = because, .user = "anna"}));
    assert_false(passes(s, (struct filter){.because = "by operator"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_submitted_it_is_compared_whole),
        cmocka_unit_test(a_filter_without_words_lets_all_pass),
        cmocka_unit_test(the_local_part_is_exact_and_the_domain_in_any_case),
        cmocka_unit_test(a_recipient_that_is_settled_does_not_count),
        cmocka_unit_test(errors_are_searched_by_code_status_host_and_words),
        cmocka_unit_test(a_class_is_that_of_the_last_error),
        cmocka_unit_test(age_is_that_of_the_id),
        cmocka_unit_test(names_that_cannot_be_queues_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
