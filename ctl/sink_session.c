/* A sink's side of SMTP. The end of content is looked for with memmem(): no state but the last few bytes, which wait for more. */
#include "ctl/sink_session.h"

#include "base/mem.h"

enum { LINE_MAX_BYTES = 4096, HEADER_MAX_BYTES = 65536, DOT_LEN = 5 };

#define END_OF_CONTENT "\r\n.\r\n"

/* What each action says at each stage; connect and helo close the connection too. */
static const char *const texts[STAGE_COUNT][ACTION_DROP] = {
    [STAGE_CONNECT] = {"220 sink ESMTP\r\n", "421 4.3.2 try again later, as told\r\n",
                       "554 5.3.2 no, as told\r\n"},
    [STAGE_HELO] = {NULL, "421 4.3.2 try again later, as told\r\n", "550 5.7.1 no, as told\r\n"},
    [STAGE_MAIL] = {"250 2.1.0 ok\r\n", "451 4.3.0 try again later, as told\r\n",
                    "550 5.7.1 no, as told\r\n"},
    [STAGE_RCPT] = {"250 2.1.5 ok\r\n", "450 4.2.1 try again later, as told\r\n",
                    "550 5.1.1 no, as told\r\n"},
    [STAGE_DATA] = {"354 go on\r\n", "451 4.3.0 try again later, as told\r\n", "554 5.7.1 no, as told\r\n"},
    [STAGE_DOT] = {"250 2.0.0 taken\r\n", "451 4.3.0 try again later, as told\r\n",
                   "554 5.6.0 no, as told\r\n"},
};

static void say(struct sink_session *s, const char *text)
{
    buf_add_text(&s->out, text);
}

/* Does what the rules say at this stage. True: go on, and say what success is. */
static bool passes(struct sink_session *s, enum sink_stage stage, struct span domain)
{
    struct sink_counts *counts = &s->sink->counts;
    enum sink_action action = sink_rules_ask(&s->sink->rules, stage, domain);

    switch (action) {
    case ACTION_NONE: return true;
    case ACTION_STALL:
        counts->stalled++;
        s->is_stalled = true;
        return false;
    case ACTION_DROP:
        counts->dropped++;
        s->is_dropped = true;
        return false;
    case ACTION_DEFER: counts->deferred++; break;
    case ACTION_REJECT: counts->rejected++; break;
    }
    say(s, texts[stage][action]);
    s->is_over = stage == STAGE_CONNECT || (stage == STAGE_HELO && action == ACTION_DEFER);
    return false;
}

static void transaction_clear(struct sink_session *s)
{
    buf_clear(&s->sender);
    buf_clear(&s->recipients);
    buf_clear(&s->header);
    buf_clear(&s->content);
    s->recipient_count = 0;
    s->has_sender = s->is_in_data = s->is_header_over = s->is_after_cr = false;
    s->size_bytes = 0;
}

void sink_session_init(struct sink_session *s, struct sink *sink)
{
    *s = (struct sink_session){.sink = sink};
    sink->counts.connections++;
    if (passes(s, STAGE_CONNECT, span_of("")))
        say(s, texts[STAGE_CONNECT][ACTION_NONE]);
}

void sink_session_done(struct sink_session *s)
{
    buf_done(&s->out);
    buf_done(&s->helo);
    buf_done(&s->sender);
    buf_done(&s->recipients);
    buf_done(&s->header);
    buf_done(&s->content);
}

/* ---- commands */

/* The address between the angle brackets of "FROM:<a@b> ..."; all behind the colon if there are none. */
static struct span path_of(struct span rest)
{
    struct span path = rest;
    (void) span_cut(&path, '<'); /* what is before it */
    if (path.at) {
        struct span inside = path;
        return span_cut(&inside, '>');
    }
    path = rest;
    (void) span_cut(&path, ':'); /* FROM or TO */
    path = span_trim(path);
    return span_cut(&path, ' ');
}

static struct span domain_of(struct span address)
{
    const char *at = address.len ? memrchr(address.at, '@', address.len) : NULL;

    return at ? (struct span){.at = at + 1, .len = address.len - (size_t) (at + 1 - address.at)}
              : span_of("");
}

static void on_helo(struct sink_session *s, struct span rest, bool is_extended)
{
    transaction_clear(s);
    buf_clear(&s->helo);
    buf_add_span(&s->helo, span_trim(rest));
    if (!passes(s, STAGE_HELO, buf_span(&s->helo)))
        return;
    if (!is_extended) {
        say(s, "250 sink\r\n");
        return;
    }
    say(s, "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n");
    say(s, s->sink->offers_tls && !s->is_secured ? "250-STARTTLS\r\n250 SIZE 0\r\n" : "250 SIZE 0\r\n");
}

static void on_starttls(struct sink_session *s)
{
    if (!s->sink->offers_tls || s->is_secured) {
        say(s, "502 5.5.1 no TLS here\r\n");
        return;
    }
    say(s, "220 2.0.0 go on\r\n");
    s->is_tls_next = true;
}

void sink_session_secured(struct sink_session *s)
{
    transaction_clear(s);
    buf_clear(&s->helo);
    s->is_tls_next = false;
    s->is_secured = true;
}

static void on_mail(struct sink_session *s, struct span rest)
{
    struct span path = path_of(rest);

    if (s->has_sender) {
        say(s, "503 5.5.1 there is a sender already\r\n");
        return;
    }
    if (!passes(s, STAGE_MAIL, domain_of(path)))
        return;
    buf_add_span(&s->sender, path);
    s->has_sender = true;
    say(s, texts[STAGE_MAIL][ACTION_NONE]);
}

static void on_rcpt(struct sink_session *s, struct span rest)
{
    struct span path = path_of(rest);

    if (!s->has_sender) {
        say(s, "503 5.5.1 first MAIL\r\n");
        return;
    }
    if (!passes(s, STAGE_RCPT, domain_of(path)))
        return;
    buf_add_span(&s->recipients, path);
    buf_add_char(&s->recipients, '\n');
    s->recipient_count++;
    say(s, texts[STAGE_RCPT][ACTION_NONE]);
}

/* The domain that rules for DATA and the dot look at: of the first recipient. */
static struct span first_domain(const struct sink_session *s)
{
    struct span all = buf_span(&s->recipients);

    return domain_of(span_cut(&all, '\n'));
}

static void on_data_command(struct sink_session *s)
{
    if (s->recipient_count == 0) {
        say(s, s->has_sender ? "554 5.5.1 no recipient\r\n" : "503 5.5.1 first MAIL\r\n");
        return;
    }
    if (!passes(s, STAGE_DATA, first_domain(s)))
        return;
    say(s, texts[STAGE_DATA][ACTION_NONE]);
    s->is_in_data = s->at_start = true;
}

static void on_line(struct sink_session *s, struct span line)
{
    struct span rest = line, verb = span_cut(&rest, ' ');

    if (span_equal_nocase(verb, SPAN("EHLO")) || span_equal_nocase(verb, SPAN("HELO"))) {
        on_helo(s, rest, verb.at[0] == 'E' || verb.at[0] == 'e');
    } else if (span_equal_nocase(verb, SPAN("MAIL"))) {
        on_mail(s, rest);
    } else if (span_equal_nocase(verb, SPAN("RCPT"))) {
        on_rcpt(s, rest);
    } else if (span_equal_nocase(verb, SPAN("DATA"))) {
        on_data_command(s);
    } else if (span_equal_nocase(verb, SPAN("STARTTLS"))) {
        on_starttls(s);
    } else if (span_equal_nocase(verb, SPAN("RSET"))) {
        transaction_clear(s);
        say(s, "250 2.0.0 ok\r\n");
    } else if (span_equal_nocase(verb, SPAN("NOOP"))) {
        say(s, "250 2.0.0 ok\r\n");
    } else if (span_equal_nocase(verb, SPAN("QUIT"))) {
        say(s, "221 2.0.0 bye\r\n");
        s->is_over = true;
    } else {
        say(s, "500 5.5.2 not understood\r\n");
    }
}

/* ---- content */

/* The value of a header field of that name, empty when it has none. */
static struct span field_value(struct span header, struct span name)
{
    while (header.len > 0) {
        struct span line = span_cut(&header, '\n');
        if (line.len <= 1)
            break; /* the body follows */
        if (!span_starts_nocase(line, name))
            continue;
        struct span value = {.at = line.at + name.len, .len = line.len - name.len};
        if (value.len && value.at[value.len - 1] == '\r')
            value.len--;
        return span_trim(value);
    }
    return span_of("");
}

/* Content as it came, with its final CRLF if it has one; all of it or a part. */
static void keep_content(struct sink_session *s, struct span part)
{
    if (s->sink->keeps_content) {
        bool at_line = s->at_start;
        for (size_t i = 0; i < part.len; i++) {
            char c = part.at[i];
            if (!(at_line && c == '.'))
                buf_add_char(&s->content, c);
            at_line = c == '\n' && (i ? part.at[i - 1] == '\r' : s->is_after_cr);
        }
        s->is_after_cr = part.len ? part.at[part.len - 1] == '\r' : s->is_after_cr;
        s->at_start = part.len ? at_line : s->at_start;
    }
    s->size_bytes += part.len;
}

static void content_ended(struct sink_session *s, struct span header)
{
    struct sink_counts *counts = &s->sink->counts;

    s->is_in_data = false;
    if (passes(s, STAGE_DOT, first_domain(s))) {
        struct sink_message m = {
            .helo = buf_span(&s->helo),
            .sender = buf_span(&s->sender),
            .recipients = buf_span(&s->recipients),
            .recipient_count = s->recipient_count,
            .id = field_value(header, SPAN("X-Ledger-Id:")),
            .size_bytes = s->size_bytes,
            .content = buf_span(&s->content),
        };
        if (m.id.len == 0)
            m.id = field_value(header, SPAN("Message-ID:"));
        counts->messages++;
        counts->recipients += s->recipient_count;
        counts->bytes += s->size_bytes;
        if (s->sink->on_message)
            s->sink->on_message(s->sink->owner, &m);
        say(s, texts[STAGE_DOT][ACTION_NONE]);
    }
    transaction_clear(s);
}

/* Content in parts: its header is kept until its end is seen, so that the id is found. */
static void keep_header(struct sink_session *s, struct span part)
{
    if (s->is_header_over)
        return;
    size_t from = s->header.len < 3 ? 0 : s->header.len - 3;
    buf_add(&s->header, part.at, part.len < HEADER_MAX_BYTES ? part.len : HEADER_MAX_BYTES);
    s->is_header_over = s->header.len >= HEADER_MAX_BYTES ||
                        memmem(s->header.data + from, s->header.len - from, "\r\n\r\n", 4);
}

/* All of `in` is content, up to its end. Returns how much was consumed. */
static size_t feed_content(struct sink_session *s, struct span in)
{
    /* A message without a line: the dot comes first. */
    if (s->size_bytes == 0 && in.at[0] == '.') {
        if (in.len < 3)
            return 0;
        if (in.at[1] == '\r' && in.at[2] == '\n') {
            content_ended(s, span_of(""));
            return 3;
        }
    }
    const char *end = memmem(in.at, in.len, END_OF_CONTENT, DOT_LEN);
    if (end) {
        struct span last = {.at = in.at, .len = (size_t) (end - in.at) + 2};
        if (s->header.len > 0)
            keep_header(s, last);
        keep_content(s, last);
        content_ended(s, s->header.len > 0 ? buf_span(&s->header) : last);
        return (size_t) (end - in.at) + DOT_LEN;
    }
    if (in.len < DOT_LEN)
        return 0;
    struct span part = {.at = in.at, .len = in.len - (DOT_LEN - 1)};
    keep_header(s, part);
    keep_content(s, part);
    return part.len;
}

size_t sink_session_feed(struct sink_session *s, struct span in)
{
    size_t used = 0;

    while (used < in.len && !s->is_stalled && !s->is_dropped && !s->is_over && !s->is_tls_next) {
        struct span rest = {.at = in.at + used, .len = in.len - used};
        if (s->is_in_data) {
            size_t taken = feed_content(s, rest);
            used += taken;
            if (taken == 0 || s->is_in_data)
                break;
            continue;
        }
        const char *end = memchr(rest.at, '\n', rest.len);
        if (!end && rest.len < LINE_MAX_BYTES)
            break;
        struct span line = {.at = rest.at, .len = end ? (size_t) (end - rest.at) : rest.len};
        used += line.len + (end != NULL);
        if (line.len && line.at[line.len - 1] == '\r')
            line.len--;
        if (end)
            on_line(s, line);
        else
            say(s, "500 5.5.2 line too long\r\n");
    }
    return used;
}
