/* The parser of DNS answers, on packets good and bad. */
#include "io_test.h"

#include <errno.h>
#include <stdio.h>

#include "dns_packet.h"
#include "io/dns.h"

static struct buf packet;
static struct dns_answer answer;
static bool is_truncated;

static int setup(void **state)
{
    (void) state;
    answer = (struct dns_answer){.count = 0};
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    dns_answer_done(&answer);
    buf_done(&packet);
    return 0;
}

/* Parses a copy that ends where the packet ends, so that the sanitizer sees any byte read beyond. */
static int parse_span(struct span s, const char *name, enum dns_type type)
{
    char *copy = mem_copy(s.at, s.len);
    dns_answer_done(&answer);
    int r = dns_answer_parse((struct span){.at = copy, .len = s.len}, name, type, &answer, &is_truncated);
    mem_free(copy);
    return r;
}

static int parse(const char *name, enum dns_type type)
{
    return parse_span(buf_span(&packet), name, type);
}

static void start(enum dns_type type)
{
    packet_start(&packet, 1, FLAGS_ANSWER, "Example.ORG", type);
}

static void reads_mx_records_in_any_case(void **state)
{
    (void) state;
    start(DNS_MX);
    packet_mx(&packet, "example.ORG", 300, 10, "MX1.Example.org");
    packet_mx(&packet, "EXAMPLE.org", 200, 65535, "");
    packet_mx(&packet, "other.example", 1, 5, "not.asked.for");
    assert_int_equal(parse("example.org", DNS_MX), 0);
    assert_int_equal(answer.result, DNS_OK);
    assert_int_equal(answer.count, 2);
    assert_string_equal(answer.records[0].name, "mx1.example.org");
    assert_int_equal(answer.records[0].preference, 10);
    assert_string_equal(answer.records[1].name, "");
    assert_int_equal(answer.records[1].preference, 65535);
    assert_int_equal(answer.ttl_s, 200);
    assert_false(answer.is_secure);
    assert_string_equal(answer.name, "example.org");
}

static void follows_compressed_names(void **state)
{
    (void) state;
    start(DNS_MX);
    /* owner: pointer to the question (offset 12); host: "mx" and a pointer to it */
    buf_add(&packet, "\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x3c\x00\x07\x00\x0a\x02mx\xc0\x0c", 19);
    packet.data[7] = 1;
    assert_int_equal(parse("example.org", DNS_MX), 0);
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.records[0].name, "mx.example.org");
}

static void reads_addresses(void **state)
{
    (void) state;
    struct buf text = {0};
    start(DNS_A);
    packet_a(&packet, "example.org", 0, "192.0.2.7");
    packet_record(&packet, 0, "example.org", DNS_A, 0, SPAN("\1\2\3")); /* too short: left out */
    assert_int_equal(parse("example.org", DNS_A), 0);
    assert_int_equal(answer.count, 1);
    assert_true(answer.records[0].ip.is_v4);
    ip_format(&answer.records[0].ip, &text);
    assert_true(buf_is(&text, "192.0.2.7"));
    assert_int_equal(answer.ttl_s, 0);
    start(DNS_AAAA);
    packet_record(&packet, 0, "example.org", DNS_AAAA, 60, SPAN("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"));
    packet_record(&packet, 0, "example.org", DNS_AAAA, 60, SPAN("\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1"));
    packet_record(&packet, 0, "example.org", DNS_AAAA, 60,
                  SPAN("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0"));
    assert_int_equal(parse("example.org", DNS_AAAA), 0);
    assert_int_equal(answer.count, 1); /* no address of one kind in the other's clothes */
    buf_clear(&text);
    ip_format(&answer.records[0].ip, &text);
    assert_true(buf_is(&text, "2001:db8::1"));
    buf_done(&text);
}

static void joins_the_strings_of_a_text(void **state)
{
    (void) state;
    start(DNS_TXT);
    packet_record(&packet, 0, "example.org", DNS_TXT, 60, SPAN("\3abc\0\2de"));
    packet_record(&packet, 0, "example.org", DNS_TXT, 60, SPAN("\0"));
    packet_record(&packet, 0, "example.org", DNS_TXT, 60, SPAN(""));
    packet_record(&packet, 0, "example.org", DNS_TXT, 60, SPAN("\4abc"));
    packet_record(&packet, 0, "example.org", DNS_TXT, 60, SPAN("\1a\xff"));
    assert_int_equal(parse("example.org", DNS_TXT), 0);
    assert_int_equal(answer.count, 2);
    assert_true(span_equal(answer.records[0].data, SPAN("abcde")));
    assert_int_equal(answer.records[1].data.len, 0);
}

/* proves: I15 */
static void data_of_any_length_is_read_within_its_bounds(void **state)
{
    (void) state;
    static const enum dns_type types[] = {DNS_A,  DNS_CNAME, DNS_SOA,  DNS_PTR,
                                          DNS_MX, DNS_TXT,   DNS_AAAA, DNS_TLSA};
    char data[64];
    memset(data, 1, sizeof(data));
    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        for (size_t len = 0; len <= sizeof(data); len++) {
            start(types[t]);
            packet_record(&packet, 0, "example.org", types[t], 60, (struct span){.at = data, .len = len});
            int r = parse("example.org", types[t]);
            assert_true(r == 0 || r == -EBADMSG);
            if (r == 0 && answer.result == DNS_OK)
                assert_true(len >= 4 || types[t] == DNS_TXT || types[t] == DNS_TLSA);
            else if (r == 0)
                assert_int_equal(answer.result, DNS_AWAY); /* never "there is none" */
        }
    }
    start(DNS_TLSA); /* all are told: who has one that nobody can use has one */
    for (size_t len = 0; len <= 4; len++)
        packet_record(&packet, 0, "example.org", DNS_TLSA, 60, (struct span){.at = "\3\1\1\xab", .len = len});
    assert_int_equal(parse("example.org", DNS_TLSA), 0);
    assert_int_equal(answer.count, 5);
    for (size_t len = 0; len <= 4; len++)
        assert_true(span_equal(answer.records[len].data, (struct span){.at = "\3\1\1\xab", .len = len}));
}

/* proves: I15 */
static void names_with_odd_bytes_are_left_out(void **state)
{
    (void) state;
    static const char *const odd[] = {"a b.example",   "a;b.example",   "a\\b.example",
                                      "a\x01.example", "a\xff.example", "$(x).example",
                                      "a\"b.example",  "a@b.example",   "a/b.example"};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        start(DNS_MX);
        packet_mx(&packet, "example.org", 60, 10, odd[i]);
        assert_int_equal(parse("example.org", DNS_MX), 0);
        assert_int_equal(answer.result, DNS_AWAY);
        packet_mx(&packet, "example.org", 60, 20, "good_1-2.example");
        assert_int_equal(parse("example.org", DNS_MX), 0);
        assert_int_equal(answer.count, 1);
        start(DNS_PTR);
        packet_start(&packet, 1, FLAGS_ANSWER, "1.2.0.192.in-addr.arpa", DNS_PTR);
        struct buf data = {0};
        packet_name(&data, odd[i]);
        packet_record(&packet, 0, "1.2.0.192.in-addr.arpa", DNS_PTR, 60, buf_span(&data));
        buf_done(&data);
        assert_int_equal(parse("1.2.0.192.in-addr.arpa", DNS_PTR), 0);
        assert_int_equal(answer.result, DNS_AWAY);
    }
    start(DNS_MX); /* a dot and a NUL inside labels */
    packet_record(&packet, 0, "example.org", DNS_MX, 60, SPAN("\0\1\3a.b\7example\0"));
    packet_record(&packet, 0, "example.org", DNS_MX, 60, SPAN("\0\1\3a\0b\7example\0"));
    assert_int_equal(parse("example.org", DNS_MX), 0);
    assert_int_equal(answer.result, DNS_AWAY);
}

static void follows_aliases_in_any_order(void **state)
{
    (void) state;
    packet_start(&packet, 1, FLAGS_ANSWER | FLAG_AD, "example.org", DNS_A);
    packet_a(&packet, "c.example", 100, "192.0.2.1");
    packet_alias(&packet, "b.example", 50, "C.example");
    packet_alias(&packet, "example.org", 70, "b.Example");
    packet_a(&packet, "b.example", 1, "192.0.2.2");
    assert_int_equal(parse("EXAMPLE.org", DNS_A), 0);
    assert_int_equal(answer.result, DNS_OK);
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.name, "c.example");
    assert_int_equal(answer.ttl_s, 50);
    assert_true(answer.is_secure);
}

static void aliases_through_classless_delegation_work(void **state)
{
    (void) state;
    packet_start(&packet, 1, FLAGS_ANSWER, "1.2.0.192.in-addr.arpa", DNS_PTR);
    packet_alias(&packet, "1.2.0.192.in-addr.arpa", 50, "1.0/25.2.0.192.in-addr.arpa");
    struct buf data = {0};
    packet_name(&data, "host.example");
    packet_record(&packet, 0, "1.0/25.2.0.192.in-addr.arpa", DNS_PTR, 60, buf_span(&data));
    buf_done(&data);
    assert_int_equal(parse("1.2.0.192.in-addr.arpa", DNS_PTR), 0);
    assert_int_equal(answer.count, 1);
    assert_string_equal(answer.records[0].name, "host.example");
}

static void alias_loops_end(void **state)
{
    (void) state;
    char from[16], to[16];
    start(DNS_A);
    packet_alias(&packet, "example.org", 50, "b.example");
    packet_alias(&packet, "b.example", 50, "example.org");
    assert_int_equal(parse("example.org", DNS_A), -EBADMSG);
    for (unsigned n = DNS_CNAME_MAX; n <= DNS_CNAME_MAX + 1; n++) {
        start(DNS_A);
        packet_alias(&packet, "example.org", 50, "a1");
        for (unsigned i = 1; i < n; i++) {
            (void) snprintf(from, sizeof(from), "a%u", i);
            (void) snprintf(to, sizeof(to), "a%u", i + 1);
            packet_alias(&packet, from, 50, to);
        }
        (void) snprintf(to, sizeof(to), "a%u", n);
        packet_a(&packet, to, 50, "192.0.2.1");
        assert_int_equal(parse("example.org", DNS_A), n == DNS_CNAME_MAX ? 0 : -EBADMSG);
    }
}

static void an_alias_without_an_end_names_it(void **state)
{
    (void) state;
    start(DNS_A);
    packet_alias(&packet, "example.org", 50, "elsewhere.example");
    assert_int_equal(parse("example.org", DNS_A), 0);
    assert_int_equal(answer.result, DNS_NO_DATA);
    assert_string_equal(answer.name, "elsewhere.example");
}

static void tells_no_name_from_no_data_and_from_nothing_known(void **state)
{
    (void) state;
    static const struct {
        unsigned flags;
        bool has_soa;
        enum dns_result result;
        uint32_t ttl_s;
    } rows[] = {
        {FLAGS_ANSWER, true, DNS_NO_DATA, 30},
        {FLAGS_ANSWER, false, DNS_NO_DATA, 0},
        {FLAGS_ANSWER | RCODE_NO_NAME, true, DNS_NO_NAME, 30},
        {FLAGS_ANSWER | RCODE_NO_NAME, false, DNS_NO_NAME, 0},
        {FLAGS_ANSWER | RCODE_FAIL, true, DNS_AWAY, 0},
        {FLAGS_ANSWER | RCODE_REFUSED, false, DNS_AWAY, 0},
        {FLAGS_ANSWER | RCODE_FORMAT, false, DNS_AWAY, 0},
        {FLAGS_ANSWER | 15, false, DNS_AWAY, 0},
        {0x8000, false, DNS_AWAY, 0}, /* a referral: no authority, no recursion */
        {0x8400, false, DNS_NO_DATA, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        packet_start(&packet, 1, rows[i].flags, "example.org", DNS_MX);
        if (rows[i].has_soa)
            packet_soa(&packet, "org", 60, 30);
        assert_int_equal(parse("example.org", DNS_MX), 0);
        assert_int_equal(answer.result, rows[i].result);
        assert_int_equal(answer.ttl_s, rows[i].ttl_s);
        assert_int_equal(answer.count, 0);
    }
}

static void an_extended_error_is_one(void **state)
{
    (void) state;
    start(DNS_MX);
    packet_record(&packet, 2, "", 41, 0x01000000, SPAN(""));
    assert_int_equal(parse("example.org", DNS_MX), 0);
    assert_int_equal(answer.result, DNS_AWAY);
}

static void an_answer_to_another_question_is_none(void **state)
{
    (void) state;
    start(DNS_MX);
    assert_int_equal(parse("example.com", DNS_MX), -EBADMSG);
    assert_int_equal(parse("example.org", DNS_A), -EBADMSG);
    packet.data[2] = 1; /* a query */
    assert_int_equal(parse("example.org", DNS_MX), -EBADMSG);
    start(DNS_MX);
    packet.data[2] = (char) 0xa1; /* another opcode */
    assert_int_equal(parse("example.org", DNS_MX), -EBADMSG);
    start(DNS_MX);
    packet.data[5] = 2;
    assert_int_equal(parse("example.org", DNS_MX), -EBADMSG);
    start(DNS_MX);
    packet.data[packet.len - 1] = 3; /* class CHAOS */
    assert_int_equal(parse("example.org", DNS_MX), -EBADMSG);
    static const char no_question[] = "\0\1\x81\x80\0\0\0\0\0\0\0\0";
    assert_int_equal(parse_span((struct span){.at = no_question, .len = 12}, "example.org", DNS_MX),
                     -EBADMSG);
    static const char only_error[] = "\0\1\x81\x81\0\0\0\0\0\0\0\0";
    assert_int_equal(parse_span((struct span){.at = only_error, .len = 12}, "example.org", DNS_MX), 0);
    assert_int_equal(answer.result, DNS_AWAY);
}

static void counts_that_lie_are_refused(void **state)
{
    (void) state;
    for (unsigned section = 0; section < 3; section++) {
        start(DNS_MX);
        packet_mx(&packet, "example.org", 60, 10, "mx.example");
        packet.data[6 + 2 * section] = (char) 0xff;
        assert_int_equal(parse("example.org", DNS_MX), -EBADMSG);
    }
}

static void every_cut_of_a_packet_is_harmless(void **state)
{
    (void) state;
    start(DNS_MX);
    packet_mx(&packet, "example.org", 60, 10, "mx.example");
    packet_soa(&packet, "org", 60, 30);
    packet_opt(&packet);
    for (size_t len = 0; len < packet.len; len++)
        assert_int_equal(parse_span((struct span){.at = packet.data, .len = len}, "example.org", DNS_MX),
                         -EBADMSG);
    assert_int_equal(parse("example.org", DNS_MX), 0);
}

static void pointers_that_do_not_lead_back_are_refused(void **state)
{
    (void) state;
    static const char *const pointers[] = {"\xc0\x1d",      "\xc0\x1e", "\xff\xff", "\xc0\x20",
                                           "\x01a\xc0\x1d", "\x40x",    "\x80x"};
    for (size_t i = 0; i < ARRAY_LEN(pointers); i++) {
        start(DNS_MX); /* the owner's name is at offset 29 = 0x1d */
        assert_int_equal(packet.len, 0x1d);
        buf_add_text(&packet, pointers[i]);
        buf_add(&packet, "\x00\x0f\x00\x01\x00\x00\x00\x3c\x00\x00", 10);
        packet.data[7] = 1;
        assert_int_equal(parse("example.org", DNS_MX), -EBADMSG);
    }
    start(DNS_MX); /* pointers to pointers, all backwards, end at the root of the question */
    buf_add(&packet, "\xc0\x18\xc0\x1d\x00\x0f", 6);
    (void) parse("example.org", DNS_MX);
}

static void a_name_of_the_greatest_length_fits(void **state)
{
    (void) state;
    char name[300] = "";
    for (int extra = 0; extra < 2; extra++) {
        size_t len = 0;
        memset(name, 'x', sizeof(name));
        for (int label = 0; label < 4; label++) {
            len += label < 3 ? 63 : (size_t) (61 + extra);
            name[len++] = '.';
        }
        name[len - 1] = '\0'; /* 253 characters, or one more */
        start(DNS_MX);
        packet_mx(&packet, "example.org", 60, 10, name);
        assert_int_equal(parse("example.org", DNS_MX), 0);
        assert_int_equal(answer.result, extra ? DNS_AWAY : DNS_OK);
        if (!extra)
            assert_string_equal(answer.records[0].name, name);
    }
}

/* proves: I15 */
static void too_many_records_are_cut(void **state)
{
    (void) state;
    start(DNS_A);
    for (unsigned i = 0; i < 500; i++)
        packet_a(&packet, "example.org", 60, "192.0.2.1");
    assert_int_equal(parse("example.org", DNS_A), 0);
    assert_int_equal(answer.count, DNS_RECORDS_MAX);
}

static void truncation_is_told(void **state)
{
    (void) state;
    packet_start(&packet, 1, FLAGS_ANSWER | FLAG_TC, "example.org", DNS_MX);
    assert_int_equal(parse("example.org", DNS_MX), 0);
    assert_true(is_truncated);
    assert_int_equal(answer.result, DNS_AWAY);
}

static void a_time_with_its_top_bit_is_none(void **state)
{
    (void) state;
    start(DNS_A);
    packet_a(&packet, "example.org", 0x80000000, "192.0.2.1");
    assert_int_equal(parse("example.org", DNS_A), 0);
    assert_int_equal(answer.ttl_s, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_mx_records_in_any_case, setup, teardown),
        cmocka_unit_test_setup_teardown(follows_compressed_names, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(joins_the_strings_of_a_text, setup, teardown),
        cmocka_unit_test_setup_teardown(data_of_any_length_is_read_within_its_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(names_with_odd_bytes_are_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(follows_aliases_in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(aliases_through_classless_delegation_work, setup, teardown),
        cmocka_unit_test_setup_teardown(alias_loops_end, setup, teardown),
        cmocka_unit_test_setup_teardown(an_alias_without_an_end_names_it, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_no_name_from_no_data_and_from_nothing_known, setup, teardown),
        cmocka_unit_test_setup_teardown(an_extended_error_is_one, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_to_another_question_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_that_lie_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(every_cut_of_a_packet_is_harmless, setup, teardown),
        cmocka_unit_test_setup_teardown(pointers_that_do_not_lead_back_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_of_the_greatest_length_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_records_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(truncation_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_time_with_its_top_bit_is_none, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
