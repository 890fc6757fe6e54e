/* Frames: what goes in comes out, and what is damaged, cut, joined or too large does not. */
#include "io_test.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "io/zstd.h"

enum { BLOCK = 262000 };

/* The same for the same seed: half words, half noise. */
static void fill(struct buf *b, size_t len, uint32_t seed, bool is_noise)
{
    static const char *const words[] = {"the ",     "queue ", "holds ", "a ",
                                        "message ", "until ", "it ",    "ends\r\n"};

    while (b->len < len) {
        seed = seed * 1664525 + 1013904223;
        if (is_noise)
            buf_add_char(b, (char) (uint8_t) (seed >> 24));
        else
            buf_add_text(b, words[seed >> 29]);
    }
    b->len = len;
}

static void what_is_packed_comes_back_whole(void **state)
{
    static const size_t sizes[] = {1, 2, 100, 4096, 65536, 131072, 131073, BLOCK};
    struct zstd *z = zstd_new();

    (void) state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (int is_noise = 0; is_noise < 2; is_noise++) {
            AUTO_BUF struct buf block = {0}, frame = {0}, back = {0};

            fill(&block, sizes[i], (uint32_t) i, is_noise);
            zstd_pack(z, buf_span(&block), &frame);
            assert_true(frame.len <= block.len + ZSTD_OVERHEAD);
            assert_true(is_noise || block.len < 4096 || frame.len < block.len / 2);
            assert_int_equal(zstd_unpack(z, buf_span(&frame), block.len, &back), 0);
            assert_true(span_equal(buf_span(&back), buf_span(&block)));
        }
    }
    zstd_free(z);
}

static void both_append(void **state)
{
    struct zstd *z = zstd_new();
    AUTO_BUF struct buf frame = {0}, back = {0};

    (void) state;
    buf_add_text(&frame, "before");
    zstd_pack(z, SPAN("content"), &frame);
    buf_add_text(&back, "before ");
    assert_int_equal(zstd_unpack(z, (struct span){frame.data + 6, frame.len - 6}, 100, &back), 0);
    assert_true(span_equal(buf_span(&back), SPAN("before content")));
    zstd_free(z);
}

static void nothing_larger_than_allowed_is_unpacked(void **state)
{
    struct zstd *z = zstd_new();
    AUTO_BUF struct buf block = {0}, frame = {0}, back = {0};

    (void) state;
    memset(buf_reserve(&block, 1 << 20), 'x', 1 << 20);
    buf_commit(&block, 1 << 20);
    zstd_pack(z, buf_span(&block), &frame);
    assert_true(frame.len < 1000);
    assert_int_equal(zstd_unpack(z, buf_span(&frame), (1 << 20) - 1, &back), -EBADMSG);
    assert_int_equal(back.len, 0);
    assert_int_equal(back.cap, 0); /* it did not even get room */
    assert_int_equal(zstd_unpack(z, buf_span(&frame), 1 << 20, &back), 0);
    zstd_free(z);
}

static void damage_is_noticed_wherever_it_is(void **state)
{
    struct zstd *z = zstd_new();
    AUTO_BUF struct buf block = {0}, frame = {0}, back = {0};

    (void) state;
    fill(&block, 3000, 7, false);
    zstd_pack(z, buf_span(&block), &frame);
    for (size_t i = 0; i < frame.len * 8; i++) {
        frame.data[i / 8] = (char) (frame.data[i / 8] ^ 1 << i % 8);
        if (zstd_unpack(z, buf_span(&frame), block.len, &back) == 0) /* a bit that means nothing */
            assert_true(span_equal(buf_span(&back), buf_span(&block)));
        else
            assert_int_equal(back.len, 0);
        back.len = 0;
        frame.data[i / 8] = (char) (frame.data[i / 8] ^ 1 << i % 8);
    }
    for (size_t len = 0; len < frame.len; len++)
        assert_int_equal(zstd_unpack(z, (struct span){frame.data, len}, block.len, &back), -EBADMSG);
    zstd_free(z);
}

static void only_one_whole_frame_is_taken(void **state)
{
    static const char skippable[] = "\x50\x2a\x4d\x18\x04\x00\x00\x00skip";
    struct zstd *z = zstd_new();
    AUTO_BUF struct buf frame = {0}, back = {0};

    (void) state;
    zstd_pack(z, SPAN("one"), &frame);
    size_t one = frame.len;
    zstd_pack(z, SPAN("two"), &frame);
    assert_int_equal(zstd_unpack(z, buf_span(&frame), 100, &back), -EBADMSG);
    frame.len = one;
    buf_add_char(&frame, 'x');
    assert_int_equal(zstd_unpack(z, buf_span(&frame), 100, &back), -EBADMSG);
    assert_int_equal(zstd_unpack(z, (struct span){skippable, sizeof skippable - 1}, 100, &back), -EBADMSG);
    assert_int_equal(zstd_unpack(z, SPAN("Received: from"), 100, &back), -EBADMSG);
    assert_int_equal(zstd_unpack(z, (struct span){.at = NULL}, 100, &back), -EBADMSG);
    assert_int_equal(back.len, 0);
    zstd_free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_comes_back_whole),
        cmocka_unit_test(both_append),
        cmocka_unit_test(nothing_larger_than_allowed_is_unpacked),
        cmocka_unit_test(damage_is_noticed_wherever_it_is),
        cmocka_unit_test(only_one_whole_frame_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
