/* Dialogues in a real Redis: which sessions fit, what is kept of their beginnings, and that all of it is bounded. */
#include "cluster_test.h"

#include "cluster/keys.h"
#include "cluster/transcript.h"

static struct transcripts *transcripts;
static struct rule rows[TRACES_MAX + 1];
static struct rules rules;

static struct rule *rule(const char *client, const char *sender)
{
    struct rule *r = &rows[rules.count++];

    *r = (struct rule){
        .number = rules.count, .action = RULE_TRACE, .is_standing = true, .to = "", .by = "", .because = ""};
    r->filter = (struct rule_filter){.queue = "", .client = client, .sender = sender};
    rules.items = rows;
    rules.actions = UINT64_C(1) << RULE_TRACE;
    return r;
}

static int setup(void **state)
{
    int r = store_setup(state);

    WAIT_FOR(store_is_ready(store));
    rules = (struct rules){.items = NULL};
    transcripts = transcripts_open(store, "mx1", 20);
    return r;
}

static int teardown(void **state)
{
    transcripts = transcripts_close(transcripts);
    return store_teardown(state);
}

static void say(struct transcript *tr, const char *text)
{
    dialog_command(transcript_dialog(tr), DIALOG_HEARD, span_of(text), true);
}

/* What is known of the session so far; NULL: not yet. */
static void judge(struct transcript *tr, const char *client, const char *sender, const char *queue,
                  const char *host)
{
    const struct envelope e = {.client = (char *) (uintptr_t) client,
                               .sender = (char *) (uintptr_t) (sender ? sender : "?")};

    transcript_judge(tr, &(struct rule_subject){.queue = queue ? queue : "", .job = "", .envelope = &e},
                     host);
}

static long long lines(void)
{
    return count_of(&server, "XRANGE %s - +", KEY_DIALOG);
}

static bool is_in_redis(const char *text)
{
    bool is_there = false;
    redisReply *reply = ask(&server, "XRANGE %s - +", KEY_DIALOG);

    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *fields = reply->element[i]->element[1];
        is_there |= strcmp(fields->element[11]->str, text) == 0;
    }
    freeReplyObject(reply);
    return is_there;
}

/* proves: D12 */
static void without_a_rule_there_is_no_stream(void **state)
{
    (void) state;
    assert_false(transcripts_take(transcripts, &rules));
    struct transcript *tr = transcript_open(transcripts, "s1");
    judge(tr, "c [192.0.2.1]", NULL, NULL, NULL);
    say(tr, "EHLO c");
    tr = transcript_close(tr);
    loop_pass();
    assert_int_equal(count_of(&server, "EXISTS %s", KEY_DIALOG), 0);
}

static void a_session_that_fits_is_told_as_it_speaks(void **state)
{
    (void) state;
    rule("192.0.2.0/24", NULL);
    assert_true(transcripts_take(transcripts, &rules));
    struct transcript *tr = transcript_open(transcripts, "s1"), *other = transcript_open(transcripts, "s2");
    judge(tr, "c [192.0.2.1]", NULL, NULL, NULL);
    judge(other, "c [198.51.100.1]", NULL, NULL, NULL);
    say(tr, "EHLO c");
    say(other, "EHLO d");
    say(tr, "AUTH PLAIN c2VjcmV0");
    WAIT_FOR(lines() == 2);
    assert_true(is_in_redis("EHLO c") && is_in_redis("AUTH PLAIN ***"));
    assert_in_range(count_of(&server, "PTTL %s", KEY_DIALOG), 1, 60000);
    transcript_close(tr);
    transcript_close(other);
}

static void the_beginning_is_told_when_it_fits(void **state)
{
    (void) state;
    rule(NULL, "@b.test");
    rule(NULL, "<>");
    assert_true(transcripts_take(transcripts, &rules));
    struct transcript *tr = transcript_open(transcripts, "s1");
    say(tr, "EHLO c");
    judge(tr, "c [192.0.2.1]", NULL, NULL, NULL); /* no sender was said: not even the null one */
    say(tr, "MAIL FROM:<a@b.test>");
    judge(tr, "c [192.0.2.1]", "a@b.test", NULL, NULL);
    say(tr, "RSET");
    WAIT_FOR(lines() == 3);
    judge(tr, "c [192.0.2.1]", "", NULL, NULL); /* the other rule hears it all, too */
    WAIT_FOR(lines() == 6);
    transcript_close(tr);
}

/* Of a session that speaks long before it fits the last lines are kept, and what is missing is told. */
static void no_more_is_kept_than_the_limit(void **state)
{
    (void) state;
    char line[DIALOG_LINE_MAX];

    transcripts_close(transcripts);
    transcripts = transcripts_open(store, "mx1", 1000);
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\0';
    rule(NULL, "@b.test");
    assert_true(transcripts_take(transcripts, &rules));
    struct transcript *tr = transcript_open(transcripts, "s1");
    for (unsigned i = 0; i < 100; i++)
        say(tr, line);
    say(tr, "MAIL FROM:<a@b.test>");
    judge(tr, "c [192.0.2.1]", "a@b.test", NULL, NULL);
    WAIT_FOR(lines() > 0);
    assert_in_range(lines(), 2, TRANSCRIPT_KEPT_MAX / DIALOG_LINE_MAX + 2);
    assert_true(is_in_redis("MAIL FROM:<a@b.test>"));
    transcript_close(tr);
}

static void hosts_and_queues_choose_connections(void **state)
{
    (void) state;
    rule(NULL, NULL)->to = ".one.test";
    rule(NULL, NULL)->filter.queue = "two.test";
    assert_true(transcripts_take(transcripts, &rules));
    struct transcript *one = transcript_open(transcripts, "k1"), *two = transcript_open(transcripts, "k2"),
                      *in = transcript_open(transcripts, "s1");
    judge(one, "", "", "one.test", "mx.one.test");
    judge(two, "", "", "two.test", "mx.two.test");
    judge(in, "c [192.0.2.1]", NULL, NULL, NULL);
    say(one, "EHLO one");
    say(two, "EHLO two");
    say(in, "EHLO in");
    WAIT_FOR(lines() == 2);
    assert_true(is_in_redis("EHLO one") && is_in_redis("EHLO two"));
    transcript_close(one);
    transcript_close(two);
    transcript_close(in);
}

/* proves: D12 */
static void lines_above_the_rate_are_counted(void **state)
{
    (void) state;
    rule(NULL, NULL);
    assert_true(transcripts_take(transcripts, &rules));
    struct transcript *tr = transcript_open(transcripts, "s1");
    judge(tr, "c [192.0.2.1]", NULL, NULL, NULL);
    for (unsigned i = 0; i < 100; i++)
        say(tr, "NOOP");
    WAIT_FOR(lines() > 0);
    assert_in_range(lines(), 21, 41); /* a second may have gone by meanwhile */
    assert_true(
        is_in_redis(
            "80 lines were left out: more than a node tells in a second, or Redis did not take them") ||
        is_in_redis(
            "60 lines were left out: more than a node tells in a second, or Redis did not take them"));
    transcript_close(tr);
}

static void rules_end_and_a_ninth_is_not_obeyed(void **state)
{
    (void) state;
    for (unsigned i = 0; i < TRACES_MAX; i++)
        rule("nobody", NULL);
    rule(NULL, NULL);
    assert_true(transcripts_take(transcripts, &rules));
    struct transcript *tr = transcript_open(transcripts, "s1");
    judge(tr, "c [192.0.2.1]", NULL, NULL, NULL);
    say(tr, "NOOP ninth");
    rules.count = 0;
    rule(NULL, NULL)->number = 20;
    assert_true(transcripts_take(transcripts, &rules));
    assert_false(transcript_is_judged(tr));
    judge(tr, "c [192.0.2.1]", NULL, NULL, NULL);
    say(tr, "NOOP heard");
    rules.count = 0;
    rule("nobody", NULL)->number = 21;
    assert_true(transcripts_take(transcripts, &rules));
    say(tr, "NOOP over");
    WAIT_FOR(lines() > 0);
    assert_true(is_in_redis("NOOP heard"));
    assert_false(is_in_redis("NOOP over"));
    transcript_close(tr);
}

/* The node ends while sessions are still there, or a batch is under way. */
static void sessions_may_outlive_it(void **state)
{
    (void) state;
    rule(NULL, NULL);
    assert_true(transcripts_take(transcripts, &rules));
    struct transcript *tr = transcript_open(transcripts, "s1");
    judge(tr, "c [192.0.2.1]", NULL, NULL, NULL);
    say(tr, "NOOP");
    WAIT_FOR(lines() == 1);
    say(tr, "NOOP");
    transcripts = transcripts_close(transcripts);
    say(tr, "NOOP");
    transcript_close(tr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_rule_there_is_no_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_that_fits_is_told_as_it_speaks, setup, teardown),
        cmocka_unit_test_setup_teardown(the_beginning_is_told_when_it_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(no_more_is_kept_than_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(hosts_and_queues_choose_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_above_the_rate_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(rules_end_and_a_ninth_is_not_obeyed, setup, teardown),
        cmocka_unit_test_setup_teardown(sessions_may_outlive_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
