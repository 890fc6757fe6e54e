/* What the sender asked for, in the envelope's record: read back as it was written, and refused when it is out of range. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cluster/wire.h"

static char *text(const char *literal)
{
    return (char *) (uintptr_t) literal;
}

static struct recipient recipients[3];
static char *queues[1];
static struct envelope envelope;

static int setup(void **state UNUSED)
{
    queues[0] = text("one.test");
    recipients[0] = (struct recipient){.addr = text("a@one.test"),
                                       .notify = NOTIFY_SUCCESS | NOTIFY_DELAY,
                                       .orcpt = text("rfc822;A+2B@one.test")};
    recipients[1] = (struct recipient){
        .addr = text("b@one.test"), .notify = NOTIFY_NEVER, .orcpt = text("utf-8;\xc3\xa4@one.test")};
    recipients[2] = (struct recipient){.addr = text("c@one.test")};
    envelope = (struct envelope){
        .id = id_new(1700000000000, 200),
        .sender = text("s@us.test"),
        .recipients = recipients,
        .recipient_count = ARRAY_LEN(recipients),
        .queues = queues,
        .queue_count = 1,
        .content_job = text(""),
        .client = text("c"),
        .envid = text("QQ+20314"),
        .ret = RET_HDRS,
        .is_utf8 = true,
        .has_utf8_header = true,
        .is_binary = true,
        .requires_tls = true,
        .release_ms = 1700000060000,
        .by_ms = 1700000120000,
        .by_mode = BY_NOTIFY,
        .by_trace = true,
        .user = text("alice"),
        .tenant = text("acme"),
        .auth = text(""),
    };
    return 0;
}

static int read_back(struct envelope *ret_envelope)
{
    AUTO_BUF struct buf record = {0};
    char *exact;
    int r;

    wire_put_envelope(&envelope, &record);
    exact = mem_copy(record.data, record.len); /* ends where the record ends */
    r = wire_get_envelope((struct span){exact, record.len}, ret_envelope);
    mem_free(exact);
    return r;
}

static void assert_texts_equal(const char *a, const char *b)
{
    assert_true(!a == !b);
    if (a)
        assert_string_equal(a, b);
}

static void assert_read_back(void)
{
    struct envelope e;

    assert_int_equal(read_back(&e), 0);
    assert_texts_equal(e.envid, envelope.envid);
    assert_texts_equal(e.user, envelope.user);
    assert_texts_equal(e.tenant, envelope.tenant);
    assert_texts_equal(e.auth, envelope.auth);
    assert_int_equal(e.ret, envelope.ret);
    assert_int_equal(e.is_utf8, envelope.is_utf8);
    assert_int_equal(e.has_utf8_header, envelope.has_utf8_header);
    assert_int_equal(e.is_binary, envelope.is_binary);
    assert_int_equal(e.requires_tls, envelope.requires_tls);
    assert_int_equal(e.tls_optional, envelope.tls_optional && !envelope.requires_tls);
    assert_int_equal(e.release_ms, envelope.release_ms);
    assert_int_equal(e.by_ms, envelope.by_ms);
    assert_int_equal(e.by_mode, envelope.by_mode);
    assert_int_equal(e.by_trace, envelope.by_trace);
    for (size_t i = 0; i < ARRAY_LEN(recipients); i++) {
        assert_int_equal(e.recipients[i].notify, recipients[i].notify);
        assert_texts_equal(e.recipients[i].orcpt, recipients[i].orcpt);
    }
    envelope_done(&e);
}

/* proves: A19 K13 K14 */
static void all_of_it_is_read_back(void **state UNUSED)
{
    assert_read_back();
    envelope.auth = text("a b@one.test");
    assert_read_back();
    envelope.auth = envelope.envid = envelope.user = envelope.tenant = NULL;
    assert_read_back();
    envelope.tls_optional = true; /* REQUIRETLS goes before it */
    assert_read_back();
    envelope.requires_tls = false;
    assert_read_back();
}

/* proves: A19 */
static void who_asks_for_nothing_costs_nothing(void **state UNUSED)
{
    AUTO_BUF struct buf plain = {0}, asked = {0};

    wire_put_envelope(&envelope, &asked);
    for (size_t i = 0; i < ARRAY_LEN(recipients); i++)
        recipients[i] = (struct recipient){.addr = recipients[i].addr};
    envelope = (struct envelope){.id = envelope.id,
                                 .sender = text("s@us.test"),
                                 .recipients = recipients,
                                 .recipient_count = ARRAY_LEN(recipients),
                                 .queues = queues,
                                 .queue_count = 1,
                                 .content_job = text(""),
                                 .client = text("c")};
    wire_put_envelope(&envelope, &plain);
    assert_true(plain.len + 100 < asked.len);
    assert_read_back();
}

/* proves: A19 */
static void what_an_older_courier_would_do_wrong_it_is_not_given(void **state)
{
    struct envelope plain = {.id = envelope.id,
                             .sender = text("s@us.test"),
                             .recipients = recipients,
                             .recipient_count = 1,
                             .queues = queues,
                             .queue_count = 1,
                             .content_job = text(""),
                             .client = text("c"),
                             .envid = text("x"),
                             .by_mode = BY_NOTIFY};
    struct envelope demanding[] = {plain, plain, plain, plain, plain};

    (void) state;
    demanding[0].is_binary = demanding[1].requires_tls = demanding[2].has_utf8_header = true;
    demanding[3].by_mode = BY_RETURN;
    demanding[4].sender = text("\xc3\xa4@us.test");
    for (size_t i = 0; i <= ARRAY_LEN(demanding); i++) {
        AUTO_BUF struct buf record = {0};

        wire_put_envelope(i < ARRAY_LEN(demanding) ? &demanding[i] : &plain, &record);
        assert_int_equal(record.data[0], i < ARRAY_LEN(demanding) ? 2 : 1);
    }
}

static void assert_refused(void **state)
{
    static const struct envelope nothing = {.arrival_ms = 77};
    struct envelope e = nothing;

    assert_int_equal(read_back(&e), -EBADMSG);
    assert_memory_equal(&e, &nothing, sizeof(e));
    setup(state);
}

/* proves: M06 K14 */
static void values_out_of_range_are_refused(void **state)
{
    static const char *const no_xtext[] = {"a b",  "a\tb", "a\r\nb", "a=b",  "a+2", "a+2g",
                                           "a+2b", "+",    "\x7f",   "a+0A", "+00"};
    char *long_text = mem_array(ORCPT_MAX + 2, 1);

    for (size_t i = 0; i < ARRAY_LEN(no_xtext); i++) {
        AUTO_FREE char *orcpt = mem_format("rfc822;%s", no_xtext[i]);

        envelope.envid = text(no_xtext[i]);
        assert_refused(state);
        recipients[0].orcpt = orcpt;
        assert_refused(state);
    }
    recipients[0].orcpt = text("a@one.test");
    assert_refused(state);
    recipients[0].orcpt = text(";a@one.test");
    assert_refused(state);
    memset(long_text, 'a', ORCPT_MAX + 1);
    memcpy(long_text, "rfc822;", 7);
    recipients[0].orcpt = long_text;
    assert_refused(state);
    envelope.envid = long_text + ORCPT_MAX + 1 - (ENVID_MAX + 1);
    assert_refused(state);
    for (uint32_t notify = 1; notify < 40; notify++) {
        bool is_good = notify == NOTIFY_NEVER || (notify <= NOTIFY_ALL && !(notify & NOTIFY_NEVER));

        recipients[1].notify = notify;
        if (is_good)
            assert_read_back();
        else
            assert_refused(state);
    }
    envelope.ret = RET_COUNT;
    assert_refused(state);
    envelope.by_mode = BY_MODE_COUNT;
    assert_refused(state);
    envelope.by_ms = UINT64_C(1) << 48;
    assert_refused(state);
    envelope.release_ms = UINT64_MAX;
    assert_refused(state);
    envelope.user = text("a\nb");
    assert_refused(state);
    envelope.tenant = text("");
    assert_refused(state);
    envelope.auth = text("a\r\nRSET");
    assert_refused(state);
    mem_free(long_text);
}

static void what_is_still_to_be_told_is_kept(void **state UNUSED)
{
    AUTO_BUF struct buf record = {0};
    struct job_state s, back;

    job_state_init(&s, &envelope);
    verdict_set(&s.recipients[0].last, STATUS_NO_CONNECTION, NULL);
    s.recipients[0].is_done = s.recipients[0].is_report_due = true;
    verdict_set(&s.recipients[2].last, STATUS_NO_CONNECTION, NULL);
    s.recipients[2].is_delay_told = true;
    s.is_past_hold = true;
    s.past_rule = 17;
    wire_put_state(&s, &record);
    assert_int_equal(wire_get_state(buf_span(&record), &envelope, &back), 0);
    assert_true(back.recipients[0].is_report_due && !back.recipients[0].is_delay_told);
    assert_true(!back.recipients[2].is_report_due && back.recipients[2].is_delay_told);
    assert_true(back.is_past_hold && back.past_rule == 17);
    job_state_done(&s);
    job_state_done(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_of_it_is_read_back, setup),
        cmocka_unit_test_setup(who_asks_for_nothing_costs_nothing, setup),
        cmocka_unit_test_setup(what_an_older_courier_would_do_wrong_it_is_not_given, setup),
        cmocka_unit_test_setup(values_out_of_range_are_refused, setup),
        cmocka_unit_test_setup(what_is_still_to_be_told_is_kept, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
