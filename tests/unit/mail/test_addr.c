/* Paths and addresses. */
#include <errno.h>

#include "mail/addr.h"
#include "mail_test.h"

static int parse_path(struct span text, struct addr *ret_addr)
{
    struct span copy = exact_copy(text);
    struct addr addr = {0};
    int r = addr_parse_path(copy, &addr);
    /* The spans point into the copy, which goes: move them over to the text they were copied from. */
    if (r >= 0) {
        struct span *spans[] = {&addr.whole, &addr.local, &addr.domain};
        for (size_t i = 0; i < ARRAY_LEN(spans); i++)
            if (spans[i]->at)
                spans[i]->at = text.at + (spans[i]->at - copy.at);
        *ret_addr = addr;
    }
    exact_free(copy);
    return r;
}

static int path_error(const char *text)
{
    struct addr addr;
    return parse_path(span_of(text), &addr);
}

static void check_path(const char *text, int taken, const char *whole, const char *local, const char *domain)
{
    struct addr addr = {0};
    int r = parse_path(span_of(text), &addr);
    if (r != taken) {
        print_error("%s: got %d, want %d\n", text, r, taken);
        fail();
    }
    assert_span(addr.whole, whole);
    assert_span(addr.local, local);
    assert_span(addr.domain, domain);
}

/* proves: B21 B22 */
static void takes_a_path_up_to_its_closing_bracket(void **state)
{
    (void) state;
    check_path("<Bob.Smith@Example.ORG>", 23, "Bob.Smith@Example.ORG", "Bob.Smith", "Example.ORG");
    check_path("<a@b> SIZE=1", 5, "a@b", "a", "b");
    check_path("<>", 2, "", "", "");
    check_path("<> BODY=8BITMIME", 2, "", "", "");
    check_path("<!#$%&'*+-/=?^_`{|}~@x>", 23, "!#$%&'*+-/=?^_`{|}~@x", "!#$%&'*+-/=?^_`{|}~", "x");
    check_path("<a@under_score.example>", 23, "a@under_score.example", "a", "under_score.example");
    check_path("<a@xn--mnchen-3ya.example>", 26, "a@xn--mnchen-3ya.example", "a", "xn--mnchen-3ya.example");
    check_path("<a@1.2.3.example>", 17, "a@1.2.3.example", "a", "1.2.3.example");
}

/* proves: B22 */
static void takes_quoted_local_parts(void **state)
{
    (void) state;
    check_path("<\"a b\"@x>", 9, "\"a b\"@x", "\"a b\"", "x");
    check_path("<\"a\\\"b\"@x>", 10, "\"a\\\"b\"@x", "\"a\\\"b\"", "x");
    check_path("<\"a@b\"@c>", 9, "\"a@b\"@c", "\"a@b\"", "c");
    check_path("<\">\"@c>", 7, "\">\"@c", "\">\"", "c");
    check_path("<\"\"@c>", 6, "\"\"@c", "\"\"", "c");
    assert_int_equal(path_error("<\"a\\"), -EINVAL);
    assert_int_equal(path_error("<\"a"), -EINVAL);
    assert_int_equal(path_error("<\"a\"b@c>"), -EINVAL);
    assert_int_equal(path_error("<\"a\rb\"@c>"), -EINVAL);
    assert_int_equal(path_error("<\"a\\\nb\"@c>"), -EINVAL);
    assert_int_equal(path_error("<\"\xc3\xa4\"@c>"), -EINVAL);
}

/* proves: B22 */
static void takes_address_literals(void **state)
{
    (void) state;
    struct addr addr;
    check_path("<user@[192.0.2.1]>", 18, "user@[192.0.2.1]", "user", "[192.0.2.1]");
    check_path("<u@[IPv6:2001:db8::1]>", 22, "u@[IPv6:2001:db8::1]", "u", "[IPv6:2001:db8::1]");
    assert_true(parse_path(SPAN("<u@[ipv6:::1]>"), &addr) > 0);
    assert_true(addr.is_literal);
    static const char *const wrong[] = {"<u@[]>",
                                        "<u@[192.0.2.1>",
                                        "<u@[192.0.2.256]>",
                                        "<u@[2001:db8::1]>",
                                        "<u@[IPv6:1.2.3.4]>",
                                        "<u@[IPv6:fe80::1%1]>",
                                        "<u@[tag:x]>",
                                        "<u@[192.0.2.1]x>",
                                        "<u@[192.0.2.1",
                                        "<u@["};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(path_error(wrong[i]), -EINVAL);
}

/* proves: B20 E02 */
static void ignores_source_routes(void **state)
{
    (void) state;
    check_path("<@a,@b:u@c>", 11, "u@c", "u", "c");
    check_path("<@local.example:a@b>", 20, "a@b", "a", "b");
    static const char *const wrong[] = {
        "<@a:>",      "<@a:b>", "<@a>",  "<@a,b:u@c>",       "<@a,:u@c>",   "<@a,@b u@c>",    "<@:u@c>",
        "<@a@b:u@c>", "<@",     "<@a,@", "<@[1.2.3.4]:u@c>", "<@a:@b:u@c>", "<@a:postmaster>"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(path_error(wrong[i]), -EINVAL);
}

/* proves: E02 B22 */
static void refuses_tricks_and_broken_syntax(void **state)
{
    (void) state;
    static const char *const wrong[] = {
        "",        "<",       "a@b",     "<a>",       "<a@>",          "<@b>",          "<a@b",
        "<a@b@c>", "<a@b.>",  "<a@.b>",  "<a@b..c>",  "<.a@b>",        "<a.@b>",        "<a..b@c>",
        "<a b@c>", "< a@b>",  "<a@b >",  "<a@-b>",    "<a@b->",        "<a@b-.c>",      "<a@1.2.3.4>",
        "<a@1>",   "<a@b,c>", "<a@b;c>", "<a@(c)b>",  "<a@b\\c>",      "<;sleep 66;>",  "<a@b/c>",
        "<<a@b>>", "<a@b%c>", "<a@ b>",  "<a\xff@b>", "<a@b\xc3\xa4>", "<postmaster@>", "<hostmaster>",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (path_error(wrong[i]) != -EINVAL)
            print_error("%s\n", wrong[i]);
        assert_int_equal(path_error(wrong[i]), -EINVAL);
    }
}

/* proves: B31 */
static void refuses_nul_bytes_anywhere(void **state)
{
    (void) state;
    char text[] = "<\"a.b\"@c.de>";
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char with_nul[sizeof text];
        memcpy(with_nul, text, sizeof text);
        with_nul[i] = '\0';
        struct addr addr;
        assert_int_equal(parse_path((struct span){.at = with_nul, .len = sizeof text - 1}, &addr), -EINVAL);
    }
}

/* proves: B19 */
static void takes_postmaster_without_domain(void **state)
{
    (void) state;
    check_path("<Postmaster>", 12, "Postmaster", "Postmaster", "");
    check_path("<POSTMASTER>", 12, "POSTMASTER", "POSTMASTER", "");
    assert_int_equal(path_error("<postmaster"), -EINVAL);
    assert_int_equal(path_error("<postmaste>"), -EINVAL);
    struct addr addr;
    assert_int_equal(addr_parse(SPAN("postmaster"), &addr), -EINVAL);
}

static void add_run(struct buf *b, char c, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_add_char(b, c);
}

/* Three labels of 63 and one more make a domain of len bytes. */
static void add_domain(struct buf *b, size_t len)
{
    while (len > 64) {
        add_run(b, 'd', 63);
        buf_add_char(b, '.');
        len -= 64;
    }
    add_run(b, 'd', len);
}

static int path_of_parts(size_t local, size_t domain)
{
    AUTO_BUF struct buf text = {0};
    buf_add_char(&text, '<');
    add_run(&text, 'a', local);
    buf_add_char(&text, '@');
    add_domain(&text, domain);
    buf_add_char(&text, '>');
    struct addr addr;
    return parse_path(buf_span(&text), &addr);
}

/* proves: B23 */
static void refuses_what_is_too_long(void **state)
{
    (void) state;
    assert_true(path_of_parts(LOCAL_MAX, 60) > 0);
    assert_int_equal(path_of_parts(LOCAL_MAX + 1, 60), -E2BIG);
    assert_true(path_of_parts(1, LABEL_MAX) > 0);
    assert_int_equal(path_of_parts(1, LABEL_MAX + 1), -E2BIG);
    assert_int_equal(path_of_parts(10, 243), PATH_MAX_LEN);
    assert_int_equal(path_of_parts(10, 244), -E2BIG);
    assert_int_equal(path_of_parts(1, DOMAIN_MAX + 1), -E2BIG);
    assert_int_equal(path_of_parts(100000, 100000), -E2BIG);
    AUTO_BUF struct buf routed = {0};
    buf_add_text(&routed, "<@");
    add_domain(&routed, 200);
    buf_add_text(&routed, ":aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b>");
    struct addr addr;
    assert_int_equal(parse_path(buf_span(&routed), &addr), -E2BIG);
}

static void parses_a_bare_address_whole(void **state)
{
    (void) state;
    struct addr addr;
    assert_int_equal(addr_parse(SPAN("a@b.example"), &addr), 0);
    assert_span(addr.domain, "b.example");
    assert_int_equal(addr_parse(SPAN("a@b.example "), &addr), -EINVAL);
    assert_int_equal(addr_parse(SPAN("<a@b>"), &addr), -EINVAL);
    assert_int_equal(addr_parse(SPAN(""), &addr), -EINVAL);
    assert_int_equal(addr_parse((struct span){.at = NULL}, &addr), -EINVAL);
}

/* proves: E02 */
static void tells_local_parts_that_ask_for_relaying(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        bool has_route;
    } rows[] = {{"a%b@local", true}, {"b!a@local", true},    {"\"a@b\"@local", true}, {"\"a:b\"@local", true},
                {"a@local", false},  {"a+b=c@local", false}, {"\"a b\"@local", false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct addr addr;
        assert_int_equal(addr_parse(span_of(rows[i].text), &addr), 0);
        assert_int_equal(addr_has_route(&addr), rows[i].has_route);
    }
}

/* proves: N01 N08 */
static void takes_utf8_only_where_it_is_asked_for(void **state)
{
    (void) state;
    static const char *const good[] = {"\xc3\xa5@b.example",
                                       "a@\xc3\xa5.example",
                                       "\xf0\x9f\x98\x80@b",
                                       "\"\xc3\xa5 b\"@c",
                                       "\xe4\xb8\xad.\xe6\x96\x87@\xe4\xb8\xad\xe6\x96\x87.example",
                                       "a@b.\xc3\xa5",
                                       "plain@b.example",
                                       "a@[192.0.2.1]"};
    static const char *const bad[] = {
        "\xc3@b",     "\xc3(@b",       "\xc0\xaf@b",    "\xed\xa0\x80@b", "\xff@b",     "\xf5\x80\x80\x80@b",
        "a@\xc3",     "a@\xc3\xa5..b", "a@-\xc3\xa5.b", "a@.\xc3\xa5",    "\xc2\x80@b", "\xe2\x80\xae@b",
        "\"\xc3\"@b", "\xc3\xa5"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct addr addr;
        AUTO_FREE char *path = mem_format("<%s> x", good[i]);
        assert_int_equal(addr_parse_utf8(span_of(good[i]), &addr), 0);
        assert_span(addr.whole, good[i]);
        assert_int_equal(addr_parse_path_utf8(span_of(path), &addr), strlen(good[i]) + 2);
        assert_int_equal(addr_parse(span_of(good[i]), &addr), i < 6 ? -EINVAL : 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct addr addr;
        struct span copy = exact_copy(span_of(bad[i]));
        assert_int_equal(addr_parse_utf8(copy, &addr), -EINVAL);
        exact_free(copy);
    }
}

/* A U-label is as long as its A-label, which nobody here knows. */
/* proves: N08 B23 */
static void counts_utf8_in_bytes(void **state)
{
    (void) state;
    struct addr addr;
    AUTO_BUF struct buf local = {0}, label = {0};
    for (int i = 0; i < 32; i++) {
        buf_add_text(&local, "\xc3\xa5");
        buf_add_text(&label, "\xc3\xa5");
    }
    AUTO_FREE char *most = mem_format("%.*s@b", SPAN_ARG(buf_span(&local)));
    AUTO_FREE char *more = mem_format("%.*sa@b", SPAN_ARG(buf_span(&local)));
    AUTO_FREE char *wide = mem_format("a@%.*s.b", SPAN_ARG(buf_span(&label)));
    assert_int_equal(addr_parse_utf8(span_of(most), &addr), 0);
    assert_int_equal(addr_parse_utf8(span_of(more), &addr), -E2BIG);
    assert_int_equal(addr_parse_utf8(span_of(wide), &addr), 0);
    AUTO_FREE char *far = mem_format("a@%.*s%.*s%.*s%.*s.b", SPAN_ARG(buf_span(&label)),
                                     SPAN_ARG(buf_span(&label)), SPAN_ARG(buf_span(&label)),
                                     SPAN_ARG(buf_span(&label)));
    assert_int_equal(addr_parse_utf8(span_of(far), &addr), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(takes_a_path_up_to_its_closing_bracket),
        TEST(takes_quoted_local_parts),
        TEST(takes_address_literals),
        TEST(ignores_source_routes),
        TEST(refuses_tricks_and_broken_syntax),
        TEST(refuses_nul_bytes_anywhere),
        TEST(takes_postmaster_without_domain),
        TEST(refuses_what_is_too_long),
        TEST(parses_a_bare_address_whole),
        TEST(tells_local_parts_that_ask_for_relaying),
        TEST(takes_utf8_only_where_it_is_asked_for),
        TEST(counts_utf8_in_bytes),
    };
    return cmocka_run_group_tests_name("mail/addr", tests, NULL, NULL);
}
