/* Stored MTA-STS policies: what is written is read back, and nothing else is. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/wire.h"

static struct sts_record made(const char *domain, const char *id, const char *text, uint64_t fetched_ms,
                              uint64_t until_ms)
{
    return (struct sts_record){.domain = mem_string(domain),
                               .id = mem_string(id),
                               .text = mem_string(text),
                               .fetched_ms = fetched_ms,
                               .until_ms = until_ms};
}

static int write_and_read(struct sts_record r, struct sts_record *ret_record)
{
    AUTO_BUF struct buf record = {.data = NULL};

    wire_put_sts(&r, &record);
    sts_record_done(&r);
    return wire_get_sts(buf_span(&record), ret_record);
}

/* proves: L11 */
static void reads_back_what_was_written(void **state UNUSED)
{
    struct sts_record back = {.domain = NULL};

    assert_int_equal(write_and_read(made("example.com", "2026", "version: STSv1\r\n", 1000, 86401000), &back),
                     0);
    assert_string_equal(back.domain, "example.com");
    assert_string_equal(back.id, "2026");
    assert_string_equal(back.text, "version: STSv1\r\n");
    assert_int_equal(back.fetched_ms, 1000);
    assert_int_equal(back.until_ms, 86401000);
    sts_record_done(&back);
    assert_int_equal(write_and_read(made("example.com", "", "x", 0, 1), &back), 0);
    assert_string_equal(back.id, "");
    sts_record_done(&back);
}

/* proves: L11 */
static void refuses_what_could_harm(void **state UNUSED)
{
    static const uint64_t late = UINT64_C(1) << 48;
    struct sts_record back = {.until_ms = 7};

    assert_int_equal(write_and_read(made("", "1", "x", 0, 1), &back), -EBADMSG);
    assert_int_equal(write_and_read(made("a b", "1", "x", 0, 1), &back), -EBADMSG);
    assert_int_equal(write_and_read(made("example.com", "1;2", "x", 0, 1), &back), -EBADMSG);
    assert_int_equal(
        write_and_read(made("example.com", "123456789012345678901234567890123", "x", 0, 1), &back), -EBADMSG);
    assert_int_equal(write_and_read(made("example.com", "1", "", 0, 1), &back), -EBADMSG);
    assert_int_equal(write_and_read(made("example.com", "1", "x", 2, 1), &back), -EBADMSG);
    assert_int_equal(write_and_read(made("example.com", "1", "x", 0, late), &back), -EBADMSG);
    assert_null(back.domain);
    assert_int_equal(back.until_ms, 7);
}

/* proves: L11 */
static void refuses_every_changed_byte_and_every_cut(void **state UNUSED)
{
    AUTO_BUF struct buf record = {.data = NULL};
    struct sts_record r = made("example.com", "1", "version: STSv1\n", 1, 2), back;

    wire_put_sts(&r, &record);
    sts_record_done(&r);
    for (size_t i = 0; i < record.len; i++) {
        record.data[i] = (char) (record.data[i] ^ 4);
        assert_int_equal(wire_get_sts(buf_span(&record), &back), i == 0 ? -EPROTONOSUPPORT : -EBADMSG);
        record.data[i] = (char) (record.data[i] ^ 4);
        assert_int_equal(wire_get_sts((struct span){.at = record.data, .len = i}, &back), -EBADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_what_was_written),
        cmocka_unit_test(refuses_what_could_harm),
        cmocka_unit_test(refuses_every_changed_byte_and_every_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
