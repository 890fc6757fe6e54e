/* What the tests of the client engine share. */
#include "client_scene.h"

static const char *const own_names[] = {"us.test"};
static const struct client_settings settings = {
    .helo_name = "us.test", .own_names = own_names, .own_name_count = 1};

static const struct client_terms plain_terms = {.tls = CLIENT_TLS_NEVER};

const uint32_t indexes[RECIPIENTS_MAX] = {0, 1, 2, 3};

void begin(struct scene *s)
{
    begin_with(s, &plain_terms);
}

void begin_with(struct scene *s, const struct client_terms *terms)
{
    *s = (struct scene){.client = smtp_client_new(&settings, terms, "mx.one.test [192.0.2.1]:25"),
                        .piece = SIZE_MAX};
}

void end(struct scene *s)
{
    if (smtp_client_current(s->client))
        smtp_client_end(s->client, FAULT_LOST, NULL);
    while (smtp_client_result(s->client))
        ;
    smtp_client_free(s->client);
    buf_done(&s->out);
    for (size_t i = 0; i < RECIPIENTS_MAX; i++)
        verdict_done(&s->verdicts[i]);
    verdict_done(&s->second_verdicts[0]);
    verdict_done(&s->message.fault_verdict);
    verdict_done(&s->second.fault_verdict);
}

/* The remote says text, in pieces. */
void hear(struct scene *s, const char *text)
{
    size_t len = strlen(text), used = 0;

    while (used < len) {
        size_t n = len - used < s->piece ? len - used : s->piece;
        size_t taken = smtp_client_feed(s->client, (struct span){text + used, n}, &s->out);

        if (taken == 0)
            break;
        used += taken;
    }
}

/* What the client said since the last time. */
void assert_said(struct scene *s, const char *text)
{
    buf_add_char(&s->out, '\0');
    assert_string_equal(s->out.data, text);
    buf_clear(&s->out);
}

struct client_message *message(struct scene *s, size_t count)
{
    static const char *const addrs[RECIPIENTS_MAX] = {"a@one.test", "b@one.test", "c@one.test", "d@one.test"};

    for (size_t i = 0; i < RECIPIENTS_MAX; i++)
        s->recipients[i] = (struct recipient){.addr = (char *) (uintptr_t) addrs[i]};
    s->envelope = (struct envelope){.sender = (char *) (uintptr_t) "s@us.test",
                                    .recipients = s->recipients,
                                    .recipient_count = RECIPIENTS_MAX,
                                    .size_bytes = 5};
    s->message = (struct client_message){
        .envelope = &s->envelope, .recipients = indexes, .verdicts = s->verdicts, .count = count};
    return &s->message;
}

void greet(struct scene *s, const char *ehlo_reply)
{
    hear(s, "220 mx.one.test ESMTP\r\n");
    assert_said(s, "EHLO us.test\r\n");
    hear(s, ehlo_reply);
    assert_int_equal(smtp_client_ask(s->client), ASK_MESSAGE);
}

void assert_fault(struct scene *s, enum client_fault fault, const char *status)
{
    assert_int_equal(smtp_client_ask(s->client), ASK_CLOSE);
    assert_int_equal(smtp_client_fault(s->client), fault);
    assert_verdict(smtp_client_fault_verdict(s->client), VERDICT_DEFERRED,
                   smtp_client_fault_verdict(s->client)->code, status);
    assert_string_equal(smtp_client_fault_verdict(s->client)->remote, "mx.one.test [192.0.2.1]:25");
}

void send_content(struct scene *s, const char *content)
{
    assert_int_equal(smtp_client_ask(s->client), ASK_CONTENT);
    smtp_client_content(s->client, span_of(content), &s->out);
    smtp_client_content_end(s->client, &s->out);
    assert_int_equal(smtp_client_ask(s->client), ASK_DOT);
    smtp_client_dot(s->client, &s->out);
}

void assert_verdict(const struct verdict *v, enum verdict_class class, unsigned code, const char *status)
{
    assert_int_equal(v->class, class);
    assert_int_equal(v->code, code);
    assert_string_equal(v->status, status);
}
