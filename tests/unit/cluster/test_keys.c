/* Hash tags, partitions and keys. */
#include "cluster/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

/* Byte by byte with the polynomial, another way than keys.c does it: bits fed from the top of the message. */
static unsigned crc16(const char *text)
{
    unsigned crc = 0;

    for (; *text; text++)
        for (int bit = 7; bit >= 0; bit--) {
            unsigned in = (unsigned) *text >> bit & 1, top = crc >> 15 & 1;
            crc = (crc << 1 & 0xffff) ^ (in ^ top ? 0x1021 : 0);
        }
    return crc;
}

static void the_checksum_is_the_one_of_redis_cluster(void **state)
{
    (void) state;
    assert_int_equal(crc16("123456789"), 0x31c3); /* the check value in the cluster specification */
}

static void every_tag_falls_in_its_64_slots(void **state)
{
    (void) state;
    for (unsigned p = 0; p < PARTITION_COUNT; p++) {
        unsigned slot = crc16(partition_tag(p)) % 16384;
        assert_in_range(slot, 64 * p, 64 * p + 63);
    }
}

static void every_tag_is_the_first_hex_counter_of_its_slots(void **state)
{
    bool found[PARTITION_COUNT] = {false};
    unsigned count = 0;

    (void) state;
    for (unsigned n = 0; count < PARTITION_COUNT; n++) {
        char text[16];
        (void) snprintf(text, sizeof text, "%x", n);
        unsigned p = crc16(text) % 16384 / 64;
        if (found[p])
            continue;
        found[p] = true;
        count++;
        assert_string_equal(partition_tag(p), text);
    }
}

/* Stored data depends on them: they never change. */
static void tags_and_partitions_are_frozen(void **state)
{
    (void) state;
    assert_string_equal(partition_tag(0), "2b7");
    assert_string_equal(partition_tag(255), "2ad");
    assert_int_equal(partition_of(SPAN("example.com")), 115);
}

static void a_lane_shares_the_partition_of_its_domain(void **state)
{
    (void) state;
    assert_int_equal(partition_of(SPAN("example.com/bulk")), partition_of(SPAN("example.com")));
    assert_int_not_equal(partition_of(SPAN("example.com")), partition_of(SPAN("example.org")));
}

static void partitions_share_domains_evenly(void **state)
{
    unsigned counts[PARTITION_COUNT] = {0};

    (void) state;
    for (unsigned n = 0; n < 256 * 100; n++) {
        char domain[32];
        int len = snprintf(domain, sizeof domain, "domain%u.example", n);
        counts[partition_of((struct span){.at = domain, .len = (size_t) len})]++;
    }
    for (unsigned p = 0; p < PARTITION_COUNT; p++)
        assert_in_range(counts[p], 50, 150);
}

static void check_key(enum key key, struct span subject, uint32_t index, const char *format)
{
    for (unsigned p = 0; p < PARTITION_COUNT; p += 51) {
        struct buf plain AUTO_BUF = {.data = NULL}, argument AUTO_BUF = {.data = NULL},
                         wanted AUTO_BUF = {.data = NULL};
        char text[256];
        const char *tag = strstr(format, "%t");
        int len = snprintf(text, sizeof text, "%.*s%s%s", (int) (tag - format), format, partition_tag(p),
                           tag + 2);
        key_format(&plain, key, p, subject, index);
        assert_true(span_equal(buf_span(&plain), span_of(text)));
        buf_printf(&wanted, "$%d\r\n%s\r\n", len, text);
        buf_add_text(&argument, "before");
        key_arg(&argument, key, p, subject, index);
        buf_consume(&argument, 6);
        assert_true(span_equal(buf_span(&argument), buf_span(&wanted)));
    }
}

static void keys_read_as_the_table_says(void **state)
{
    struct span none = {.at = NULL};

    (void) state;
    check_key(KEY_OF_JOB, SPAN("01J.0"), 0, "j:{%t}:01J.0");
    check_key(KEY_OF_QUEUE, SPAN("example.com/bulk"), 0, "q:{%t}:example.com/bulk");
    check_key(KEY_OF_CLAIMED, none, 0, "c:{%t}");
    check_key(KEY_OF_HELD, none, 0, "h:{%t}");
    check_key(KEY_OF_DUE, none, 0, "d:{%t}");
    check_key(KEY_OF_SEEN, SPAN("01J.0"), 0, "seen:{%t}:01J.0");
    check_key(KEY_OF_CHUNK, SPAN("01J.0"), 0, "b:{%t}:01J.0:0");
    check_key(KEY_OF_CHUNK, SPAN("01J.0"), 4294967295, "b:{%t}:01J.0:4294967295");
    check_key(KEY_OF_STATE, SPAN("example.com"), 0, "s:{%t}:example.com");
    check_key(KEY_OF_OWNER, none, 0, "o:{%t}");
    check_key(KEY_OF_EVENTS, none, 0, "ev:{%t}");
    check_key(KEY_OF_NEVER, none, 0, "never:{%t}");
    check_key(KEY_OF_PROBE, SPAN("x"), 0, "probe:{%t}:x");
}

/* proves: M07 */
static void no_subject_makes_the_key_of_another(void **state)
{
    static const struct span subjects[] = {
        SPAN("a"),      SPAN("a:0"), SPAN("a:0:1"), SPAN(""),     SPAN("}"),          SPAN("{0}:a"),
        SPAN("a}:{0}"), SPAN("*"),   SPAN("a\r\n"), SPAN("a\0b"), SPAN("\xff\xfe{}"), SPAN("'"),
    };
    struct buf made[2 * ARRAY_LEN(subjects) * 3] = {{.data = NULL}};
    size_t count = 0;

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(subjects); i++) {
        for (unsigned partition = 0; partition < 2; partition++) {
            key_format(&made[count++], KEY_OF_JOB, partition, subjects[i], 0);
            key_format(&made[count++], KEY_OF_QUEUE, partition, subjects[i], 0);
            key_format(&made[count++], KEY_OF_SEEN, partition, subjects[i], 0);
        }
    }
    for (size_t i = 0; i < count; i++) {
        /* Redis takes what is between the first brace and the next closing one: always the partition's tag. */
        struct span rest = buf_span(&made[i]), tag;
        (void) span_cut(&rest, '{');
        tag = span_cut(&rest, '}');
        assert_true(span_equal(tag, span_of(partition_tag(i / 3 % 2))));
        for (size_t j = 0; j < i; j++)
            assert_false(span_equal(buf_span(&made[i]), buf_span(&made[j])));
    }
    for (size_t i = 0; i < count; i++)
        buf_done(&made[i]);
}

/* proves: M06 M07 */
static void only_printable_names_of_bounded_length_are_queues(void **state)
{
    char longest[QUEUE_TEXT_MAX + 1];

    (void) state;
    memset(longest, 'x', sizeof longest);
    assert_true(queue_is_name((struct span){.at = longest, .len = QUEUE_TEXT_MAX}));
    assert_false(queue_is_name((struct span){.at = longest, .len = QUEUE_TEXT_MAX + 1}));
    assert_true(queue_is_name(SPAN("example.com/bulk")) && queue_is_name(SPAN(QUEUE_FANOUT)));
    assert_false(queue_is_name(SPAN("")) || queue_is_name(SPAN("a b")) || queue_is_name(SPAN("a\0")) ||
                 queue_is_name(SPAN("a\r\n")) || queue_is_name(SPAN("\x7f")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_the_one_of_redis_cluster),
        cmocka_unit_test(every_tag_falls_in_its_64_slots),
        cmocka_unit_test(every_tag_is_the_first_hex_counter_of_its_slots),
        cmocka_unit_test(tags_and_partitions_are_frozen),
        cmocka_unit_test(a_lane_shares_the_partition_of_its_domain),
        cmocka_unit_test(partitions_share_domains_evenly),
        cmocka_unit_test(keys_read_as_the_table_says),
        cmocka_unit_test(no_subject_makes_the_key_of_another),
        cmocka_unit_test(only_printable_names_of_bounded_length_are_queues),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
