/* The operator's rules: what is written is read, what is damaged is passed over, and each means those it names and nobody else. */
#include "cluster/rule.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cluster/wire.h"
#include "io/hash.h"

#define JOB "01KATQ5S8Z4G5W0V0E3HJ2M9XK.2"
enum { NOW = 1000000, ROWS_MAX = 20000 };

static struct rule sample(uint64_t number)
{
    return (struct rule){.number = number,
                         .action = RULE_HOLD,
                         .filter = {.queue = "*/bulk",
                                    .message = "",
                                    .sender = "@shop.example",
                                    .recipient = "bob@example.com",
                                    .user = "anna",
                                    .tenant = "shop",
                                    .error = "full",
                                    .class = "full",
                                    .client = "192.0.2.1",
                                    .older_ms = 60000},
                         .to = "",
                         .value = 7,
                         .since_ms = 5,
                         .until_ms = NOW + 10,
                         .is_standing = true,
                         .by = "anna@host",
                         .because = "who knows",
                         .done = 12};
}

static void what_is_written_is_read(void **state)
{
    struct buf record AUTO_BUF = {.data = NULL};
    struct rule r = sample(17), read;

    (void) state;
    rule_write(&r, &record);
    assert_int_equal(rule_read(SPAN("r17"), buf_span(&record), &read), 0);
    assert_int_equal(read.number, 17);
    assert_int_equal(read.action, RULE_HOLD);
    assert_string_equal(read.filter.queue, "*/bulk");
    assert_string_equal(read.filter.message, "");
    assert_string_equal(read.filter.sender, "@shop.example");
    assert_string_equal(read.filter.recipient, "bob@example.com");
    assert_string_equal(read.filter.user, "anna");
    assert_string_equal(read.filter.tenant, "shop");
    assert_string_equal(read.filter.error, "full");
    assert_string_equal(read.filter.class, "full");
    assert_string_equal(read.filter.client, "192.0.2.1");
    assert_int_equal(read.filter.older_ms, 60000);
    assert_int_equal(read.value, 7);
    assert_int_equal(read.since_ms, 5);
    assert_int_equal(read.until_ms, NOW + 10);
    assert_int_equal(read.undone_ms, 0);
    assert_true(read.is_standing);
    assert_string_equal(read.by, "anna@host");
    assert_string_equal(read.because, "who knows");
    assert_int_equal(read.done, 12);
    rule_done(&read);
}

static void damaged_records_are_refused(void **state)
{
    struct buf record AUTO_BUF = {.data = NULL};
    struct rule r = sample(17), read;

    (void) state;
    rule_write(&r, &record);
    assert_int_equal(rule_read(SPAN("r18"), buf_span(&record), &read), -EBADMSG);
    for (size_t i = 0; i < record.len; i++) { /* any byte, and any length */
        record.data[i] = (char) (record.data[i] ^ 0x11);
        assert_true(rule_read(SPAN("r17"), buf_span(&record), &read) < 0);
        record.data[i] = (char) (record.data[i] ^ 0x11);
        struct span cut = {.at = record.data, .len = i};
        assert_int_equal(rule_read(SPAN("r17"), cut, &read), -EBADMSG);
    }
    struct buf large AUTO_BUF = {.data = NULL};
    (void) buf_reserve(&large, RULE_BYTES_MAX + 1);
    memset(large.data, 1, RULE_BYTES_MAX + 1);
    buf_commit(&large, RULE_BYTES_MAX + 1);
    assert_int_equal(rule_read(SPAN("r17"), buf_span(&large), &read), -EBADMSG);
}

static void texts_that_are_no_line_are_refused(void **state)
{
    static const char *const bad[] = {"two\nlines", "bell\a", "\xff\xfe"};
    struct rule read;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf record AUTO_BUF = {.data = NULL};
        struct rule r = sample(1);
        r.because = bad[i];
        rule_write(&r, &record);
        assert_int_equal(rule_read(SPAN("r1"), buf_span(&record), &read), -EBADMSG);
    }
    AUTO_FREE char *longest = mem_alloc(RULE_TEXT_MAX + 2);
    memset(longest, 'x', RULE_TEXT_MAX + 1);
    struct buf record AUTO_BUF = {.data = NULL};
    struct rule r = sample(1);
    r.to = longest;
    rule_write(&r, &record);
    assert_int_equal(rule_read(SPAN("r1"), buf_span(&record), &read), -EBADMSG);
}

static void ids_are_an_r_and_a_number(void **state)
{
    static const char *const bad[] = {"",        "r",    "17",  "R1",
                                      "r0",      "r01",  "r-1", "r1 ",
                                      "rule 17", "r1\n", "rx",  "r9007199254740993",
                                      "r1.0",    "r+1",  " r1", "r99999999999999999999"};
    uint64_t number = 0;

    (void) state;
    assert_int_equal(rule_id_parse(SPAN("r17"), &number), 0);
    assert_int_equal(number, 17);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(rule_id_parse(span_of(bad[i]), &number), -EINVAL);
}

/* ---- lists of them, as Redis answers HGETALL */

struct reply {
    struct redis_value *items;
    struct buf *texts;
    struct redis_value value;
};

static void reply_init(struct reply *r, size_t rows)
{
    r->items = mem_array(2 * rows + 1, sizeof *r->items);
    r->texts = mem_array(2 * rows + 1, sizeof *r->texts);
    r->value = (struct redis_value){.type = REDIS_ARRAY, .items = r->items, .count = 0};
}

static void reply_add(struct reply *r, struct span field, const struct rule *rule)
{
    for (int i = 0; i < 2; i++) {
        struct buf *text = &r->texts[r->value.count];
        if (i == 0)
            buf_add_span(text, field);
        else if (rule)
            rule_write(rule, text);
        r->items[r->value.count++] = (struct redis_value){.type = REDIS_STRING, .text = buf_span(text)};
    }
}

static void reply_done(struct reply *r)
{
    for (size_t i = 0; i < r->value.count; i++)
        buf_done(&r->texts[i]);
    mem_free(r->items);
    mem_free(r->texts);
}

static void rules_are_sorted_and_unreadable_ones_passed_over(void **state)
{
    struct rule nine = sample(9), ten = sample(10);
    struct reply reply;
    struct rules rules;

    (void) state;
    ten.action = RULE_SUSPEND;
    reply_init(&reply, 4);
    reply_add(&reply, SPAN("r10"), &ten);
    reply_add(&reply, SPAN("r9"), &nine);
    reply_add(&reply, SPAN("r500"), NULL);
    reply_add(&reply, SPAN("what is this"), &nine);
    assert_int_equal(rules_read(&reply.value, 0, &rules), 0);
    assert_int_equal(rules.count, 2);
    assert_int_equal(rules.items[0].number, 9);
    assert_int_equal(rules.items[1].number, 10);
    assert_int_equal(rules.unreadable, 2);
    assert_int_equal(rules.last, 500); /* nobody gives that number again */
    assert_true(rules_has(&rules, RULE_SUSPEND) && rules_has(&rules, RULE_HOLD));
    assert_false(rules_has(&rules, RULE_DELETE) || rules_has(NULL, RULE_HOLD));
    rules_done(&rules);
    reply_done(&reply);
}

/* Of a later version: nobody here obeys it, others are obeyed as before, and its number is taken. */
static void a_rule_of_an_unknown_action_is_passed_over(void **state)
{
    struct rule later = sample(11), known = sample(10);
    struct reply reply;
    struct rules rules;

    (void) state;
    later.action = RULE_ACTION_COUNT;
    reply_init(&reply, 2);
    reply_add(&reply, SPAN("r11"), &later);
    reply_add(&reply, SPAN("r10"), &known);
    assert_int_equal(rules_read(&reply.value, 0, &rules), 0);
    assert_int_equal(rules.count, 1);
    assert_int_equal(rules.items[0].number, 10);
    assert_int_equal(rules.unreadable, 1);
    assert_int_equal(rules.last, 11);
    rules_done(&rules);
    reply_done(&reply);
}

static void only_rules_in_force_are_given_to_nodes(void **state)
{
    struct rule over = sample(1), undone = sample(2), once = sample(3), now = sample(4), always = sample(5);
    struct reply reply;
    struct rules rules;

    (void) state;
    over.until_ms = NOW;
    undone.undone_ms = NOW - 5;
    once.is_standing = false;
    always.until_ms = 0;
    reply_init(&reply, 5);
    reply_add(&reply, SPAN("r1"), &over);
    reply_add(&reply, SPAN("r2"), &undone);
    reply_add(&reply, SPAN("r3"), &once);
    reply_add(&reply, SPAN("r4"), &now);
    reply_add(&reply, SPAN("r5"), &always);
    assert_int_equal(rules_read(&reply.value, NOW, &rules), 0);
    assert_int_equal(rules.count, 2);
    assert_int_equal(rules.items[0].number, 4);
    assert_int_equal(rules.items[1].number, 5);
    rules_done(&rules);
    reply_done(&reply);
    assert_int_equal(rule_ended_ms(&over, NOW), NOW);
    assert_int_equal(rule_ended_ms(&undone, NOW), NOW - 5);
    assert_int_equal(rule_ended_ms(&once, NOW), 5);
    assert_int_equal(rule_ended_ms(&now, NOW), 0);
    assert_int_equal(rule_ended_ms(&always, NOW), 0);
}

static void what_is_no_table_of_rules_is_refused(void **state)
{
    struct redis_value text = {.type = REDIS_STRING, .text = SPAN("x")};
    struct redis_value odd = {.type = REDIS_ARRAY, .items = &text, .count = 1};
    struct redis_value error = {.type = REDIS_ERROR_REPLY, .text = SPAN("WRONGTYPE")};
    struct redis_value none = {.type = REDIS_ARRAY, .count = 0};
    struct rules rules;
    struct reply many;

    (void) state;
    assert_int_equal(rules_read(&text, 0, &rules), -EBADMSG);
    assert_int_equal(rules_read(&odd, 0, &rules), -EBADMSG);
    assert_int_equal(rules_read(&error, 0, &rules), -EBADMSG);
    assert_int_equal(rules_read(&none, 0, &rules), 0);
    assert_int_equal(rules.count, 0);
    assert_null(rules_find(&rules, RULE_HOLD, &(struct rule_subject){.queue = "a"}, NOW));
    rules_done(&rules);
    reply_init(&many, ROWS_MAX);
    for (size_t i = 0; i < ROWS_MAX; i++)
        reply_add(&many, SPAN("r1"), NULL);
    assert_int_equal(rules_read(&many.value, 0, &rules), -E2BIG);
    reply_done(&many);
}

/* ---- whom they mean */

static char one[] = "One@a.test", two[] = "two@B.test", from[] = "Me@c.test",
            helo[] = "mx.c.test [192.0.2.1]";
static char anna[] = "anna", shop[] = "shop", words[] = "Mailbox full", remote[] = "mx.a.test [192.0.2.9]:25";

struct scene {
    struct recipient recipients[2];
    struct recipient_state states[2];
    struct envelope envelope;
    struct job_state state;
    struct rule_subject subject;
};

static struct scene *scene(void)
{
    static struct scene s;

    s = (struct scene){.recipients = {{.addr = one}, {.addr = two}}};
    s.states[0].last = (struct verdict){.class = VERDICT_DEFERRED,
                                        .code = 452,
                                        .status = "4.2.2",
                                        .text = words,
                                        .remote = remote,
                                        .bounce = BOUNCE_FULL};
    s.envelope = (struct envelope){.sender = from,
                                   .recipients = s.recipients,
                                   .recipient_count = 2,
                                   .client = helo,
                                   .user = anna,
                                   .tenant = shop};
    s.state = (struct job_state){.recipients = s.states, .recipient_count = 2};
    s.subject = (struct rule_subject){
        .queue = "a.test/bulk", .job = JOB, .envelope = &s.envelope, .state = &s.state};
    return &s;
}

static bool fits(struct rule_filter f)
{
    return rule_filter_fits(&f, &scene()->subject, UINT64_C(1) << 47);
}

#define FITS(...) assert_true(fits((struct rule_filter){__VA_ARGS__}))
#define FITS_NOT(...) assert_false(fits((struct rule_filter){__VA_ARGS__}))

static void queues_fit_by_name_and_pattern(void **state)
{
    (void) state;
    FITS(.queue = NULL);
    FITS(.queue = "");
    FITS(.queue = "a.test/bulk");
    FITS_NOT(.queue = "a.test"); /* a name is that queue alone */
    FITS_NOT(.queue = "a.test/other");
    FITS(.queue = "*");
    FITS(.queue = "*/bulk");
    FITS_NOT(.queue = "*/other");
    FITS(.queue = ".test");
    FITS(.queue = ".test/bulk");
    FITS_NOT(.queue = ".b.test");
}

static void jobs_fit_by_each_of_their_marks(void **state)
{
    (void) state;
    FITS(.sender = "@C.test");
    FITS(.sender = "Me@c.test");
    FITS_NOT(.sender = "me@c.test");
    FITS_NOT(.sender = "<>");
    FITS_NOT(.sender = "nobody");
    FITS(.recipient = "two@b.test");
    FITS_NOT(.recipient = "three@b.test");
    FITS(.user = "anna", .tenant = "shop");
    FITS_NOT(.user = "Anna");
    FITS_NOT(.tenant = "shops");
    FITS(.error = "mailbox FULL");
    FITS(.error = "452 4.2.2");
    FITS_NOT(.error = "550");
    FITS(.class = "full");
    FITS_NOT(.class = "rate");
    FITS(.client = "192.0.2.1");
    FITS(.client = "MX.c.test");
    FITS_NOT(.client = "192.0.2");
    FITS_NOT(.client = "[192.0.2.1]");
    FITS(.message = "01KATQ5S8Z4G5W0V0E3HJ2M9XK");
    FITS(.message = "01katq5s8z4g5w0v0e3hj2m9xk.2");
    FITS_NOT(.message = "01KATQ5S8Z4G5W0V0E3HJ2M9XK.1");
    FITS_NOT(.message = "01KATQ5S8Z4G5W0V0E3HJ2M9X");
    FITS(.queue = "*", .sender = "@c.test", .recipient = "@a.test", .user = "anna", .error = "full");
    FITS_NOT(.queue = "*", .sender = "@c.test", .recipient = "@a.test", .user = "otto", .error = "full");
}

static void only_old_ones_fit_by_age(void **state)
{
    struct scene *s = scene();
    const struct rule_filter f = {.older_ms = 60000};
    struct id id;
    uint32_t index;

    (void) state;
    assert_int_equal(job_parse(span_of(JOB), &id, &index), 0);
    assert_true(rule_filter_fits(&f, &s->subject, id_time_ms(&id) + 60000));
    assert_false(rule_filter_fits(&f, &s->subject, id_time_ms(&id) + 59999));
    s->subject.job = "no job";
    assert_false(rule_filter_fits(&f, &s->subject, UINT64_C(1) << 47));
}

static void what_is_not_known_fits_no_filter_by_it(void **state)
{
    const struct rule_filter by_queue = {.queue = ".test"}, by_sender = {.sender = "@c.test"},
                             by_error = {.error = "full"}, by_user = {.user = "anna"};
    struct scene *s = scene();

    (void) state;
    s->subject.envelope = NULL; /* a record that cannot be read */
    assert_true(rule_filter_fits(&by_queue, &s->subject, NOW));
    assert_false(rule_filter_fits(&by_sender, &s->subject, NOW));
    s = scene();
    s->subject.job = NULL; /* a queue alone */
    assert_true(rule_filter_fits(&by_queue, &s->subject, NOW));
    assert_false(rule_filter_fits(&by_sender, &s->subject, NOW));
    s = scene();
    s->states[0].last.class = VERDICT_NONE; /* never tried */
    s->envelope.user = NULL;
    assert_false(rule_filter_fits(&by_error, &s->subject, NOW));
    assert_false(rule_filter_fits(&by_user, &s->subject, NOW));
}

static void settled_recipients_do_not_count(void **state)
{
    const struct rule_filter some = {.recipient = "@a.test"};
    struct scene *s = scene();

    (void) state;
    assert_true(rule_filter_fits(&some, &s->subject, NOW));
    assert_false(rule_filter_fits_all(&some, &s->subject, NOW)); /* the other one goes on */
    s->states[1].is_done = true;
    assert_true(rule_filter_fits_all(&some, &s->subject, NOW));
    s->states[0].is_done = true;
    assert_false(rule_filter_fits(&some, &s->subject, NOW));
}

static void the_first_rule_in_force_that_fits_is_found(void **state)
{
    struct rule items[] = {sample(1), sample(2), sample(3)};
    struct rules rules = {.items = items, .count = 3, .actions = 1 << RULE_HOLD};
    struct scene *s = scene();

    (void) state;
    for (size_t i = 0; i < 3; i++)
        items[i].filter = (struct rule_filter){.queue = "a.test/bulk"};
    items[0].filter.queue = "b.test";
    assert_int_equal(rules_find(&rules, RULE_HOLD, &s->subject, NOW)->number, 2);
    items[1].undone_ms = NOW;
    assert_int_equal(rules_find(&rules, RULE_HOLD, &s->subject, NOW)->number, 3);
    assert_null(rules_find(&rules, RULE_HOLD, &s->subject, NOW + 10)); /* its time is over */
    assert_null(rules_find(&rules, RULE_SUSPEND, &s->subject, NOW));
    assert_null(rules_find(NULL, RULE_HOLD, &s->subject, NOW));
}

/* Found by their queue's name, and among those that mean many: the same, in the same order, as by looking at each. */
static void rules_are_found_by_queue_as_by_looking_at_each(void **state)
{
    static const char *const wanted[] = {"a.test",      "b.test", "",        ".test",      "a.test/bulk",
                                         "*/bulk",      "c.test", "#fanout", "a.test",     "c.test",
                                         ".other.test", "*",      ".test",   "b.test/bulk"};
    static const char *const queues[] = {
        "a.test",       "a.test/bulk", "b.test", "x.test",     "c.test/bulk",    "#fanout",        "other",
        "y.other.test", "b.test/bulk", "",       "a.test/~r5", "a.test/bulk~r5", "b.test/bulk~r12"};
    struct rule items[ARRAY_LEN(wanted)];
    struct rules rules = {.items = items, .count = ARRAY_LEN(items)};

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(items); i++)
        items[i] = (struct rule){.number = i + 1, .filter.queue = wanted[i]};
    rules_index(&rules);
    assert_true(rules.named > 0 && rules.named < rules.count);
    for (size_t q = 0; q < ARRAY_LEN(queues); q++) {
        struct rule_walk w;
        const struct rule *r;
        uint64_t last = 0;
        size_t i = 0;
        rule_walk_begin(&w, &rules, queues[q]);
        while ((r = rule_walk_next(&w))) {
            assert_true(r->number > last);
            last = r->number;
            if (!rule_queue_fits(r->filter.queue, queues[q]))
                continue;
            while (!rule_queue_fits(items[i].filter.queue, queues[q]))
                i++;
            assert_int_equal(r->number, items[i++].number);
        }
        for (; i < ARRAY_LEN(items); i++)
            assert_false(rule_queue_fits(items[i].filter.queue, queues[q]));
    }
    mem_free(rules.by_queue);
}

static void a_bounce_leaves_our_reports_alone_unless_it_names_the_null_sender(void **state)
{
    struct rule items[2] = {sample(1), sample(2)};
    struct rules rules = {
        .items = items, .count = 1, .actions = UINT64_C(1) << RULE_BOUNCE | UINT64_C(1) << RULE_HOLD};
    struct envelope report = {.sender = (char[]){""}, .is_dsn = true}, foreign = {.sender = (char[]){""}};
    struct rule_subject s = {.queue = "example.com", .job = JOB, .envelope = &report};

    (void) state;
    for (size_t i = 0; i < 2; i++) {
        items[i].filter = (struct rule_filter){.queue = "*"};
        items[i].action = RULE_BOUNCE;
    }
    assert_null(rules_find(&rules, RULE_BOUNCE, &s, NOW));
    s.envelope = &foreign;
    assert_ptr_equal(rules_find(&rules, RULE_BOUNCE, &s, NOW), &items[0]);
    items[1].filter.sender = "<>";
    rules.count = 2;
    s.envelope = &report;
    assert_ptr_equal(rules_find(&rules, RULE_BOUNCE, &s, NOW), &items[1]);
    items[0].action = RULE_HOLD;
    assert_ptr_equal(rules_find(&rules, RULE_HOLD, &s, NOW), &items[0]);
}

/* By a newer version it may say whom it means: without that it would mean more. */
static void a_rule_that_says_more_than_we_know_is_refused(void **state)
{
    static const char fields[][5] = {{(char) 0xa2, 0x06, 2, 'm', 'e'},
                                     {(char) 0xc2, 0x3e, 2, 'm', 'e'}}; /* 100, 1000 */
    static const int answers[] = {-EPROTONOSUPPORT, 0};
    struct rule r = sample(17), read;

    (void) state;
    for (size_t i = 0; i < 2; i++) {
        AUTO_BUF struct buf record = {.data = NULL};
        rule_write(&r, &record);
        buf_add(&record, fields[i], sizeof(fields[i]));
        uint32_t sum = hash32((struct span){.at = record.data + 5, .len = record.len - 5});
        for (unsigned k = 0; k < 4; k++)
            record.data[1 + k] = (char) (uint8_t) (sum >> 8 * k);
        assert_int_equal(rule_read(SPAN("r17"), buf_span(&record), &read), answers[i]);
        if (answers[i] == 0)
            rule_done(&read);
    }
}

static void a_reason_names_the_rule(void **state)
{
    struct buf text AUTO_BUF = {.data = NULL};
    struct rule r = sample(17);

    (void) state;
    rule_reason_add(&r, &text);
    assert_true(span_equal(buf_span(&text), SPAN("rule r17: who knows")));
    buf_clear(&text);
    r.because = "";
    rule_reason_add(&r, &text);
    assert_true(span_equal(buf_span(&text), SPAN("rule r17")));
}

static void a_release_is_known_by_the_note_it_leaves(void **state)
{
    static const char *const others[] = {"",         "r7",         "r7 ",      "r7 h",    "r7 q h 12",
                                         "r7 c q 0", "r07 h q 12", "7 h q 12", "x h q 12"};

    (void) state;
    assert_int_equal(rule_released(SPAN("r7 h q 1700000000000 rule r5")), 7);
    assert_int_equal(rule_released(SPAN("r7 h q 0")), 7);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(rule_released(span_of(others[i])), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(damaged_records_are_refused),
        cmocka_unit_test(texts_that_are_no_line_are_refused),
        cmocka_unit_test(ids_are_an_r_and_a_number),
        cmocka_unit_test(rules_are_sorted_and_unreadable_ones_passed_over),
        cmocka_unit_test(a_rule_of_an_unknown_action_is_passed_over),
        cmocka_unit_test(only_rules_in_force_are_given_to_nodes),
        cmocka_unit_test(what_is_no_table_of_rules_is_refused),
        cmocka_unit_test(queues_fit_by_name_and_pattern),
        cmocka_unit_test(jobs_fit_by_each_of_their_marks),
        cmocka_unit_test(only_old_ones_fit_by_age),
        cmocka_unit_test(what_is_not_known_fits_no_filter_by_it),
        cmocka_unit_test(settled_recipients_do_not_count),
        cmocka_unit_test(the_first_rule_in_force_that_fits_is_found),
        cmocka_unit_test(rules_are_found_by_queue_as_by_looking_at_each),
        cmocka_unit_test(a_bounce_leaves_our_reports_alone_unless_it_names_the_null_sender),
        cmocka_unit_test(a_rule_that_says_more_than_we_know_is_refused),
        cmocka_unit_test(a_reason_names_the_rule),
        cmocka_unit_test(a_release_is_known_by_the_note_it_leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
