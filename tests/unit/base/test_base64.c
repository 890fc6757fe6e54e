/* Base64: RFC 4648's vectors, and what is not base64. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/mem.h"

static const char *const pairs[][2] = {{"", ""},
                                       {"f", "Zg=="},
                                       {"fo", "Zm8="},
                                       {"foo", "Zm9v"},
                                       {"foob", "Zm9vYg=="},
                                       {"fooba", "Zm9vYmE="},
                                       {"foobar", "Zm9vYmFy"}};

static void agrees_with_rfc_4648(void **s UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        AUTO_BUF struct buf text = {0}, bytes = {0};
        base64_encode(span_of(pairs[i][0]), &text);
        assert_true(span_equal(buf_span(&text), span_of(pairs[i][1])));
        assert_int_equal(base64_decode(buf_span(&text), &bytes), 0);
        assert_true(span_equal(buf_span(&bytes), span_of(pairs[i][0])));
    }
}

static void every_byte_at_every_length_comes_back(void **s UNUSED)
{
    char all[300];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char) (i * 37 + i / 256);
    for (size_t len = 0; len <= sizeof all; len++) {
        AUTO_BUF struct buf text = {0}, bytes = {0};
        base64_encode((struct span){.at = all, .len = len}, &text);
        assert_int_equal(text.len, (len + 2) / 3 * 4);
        assert_int_equal(base64_decode(buf_span(&text), &bytes), 0);
        assert_int_equal(bytes.len, len);
        assert_true(len == 0 || memcmp(bytes.data, all, len) == 0);
    }
}

/* proves: D06 */
static void refuses_what_is_not_whole(void **s UNUSED)
{
    static const char *const wrong[] = {
        "Z",        "Zg",      "Zg=",   "Zm9vY", "Zm9vYg",   "Zm9vYg=", "=",
        "==",       "===",     "====",  "Z===",  "Zg==Zg==", "Zm=8",    "Zm9v=",
        "Zm9v====", " Zg==",   "Zg== ", "Z g=",  "Zg=\n",    "Zm9v\n",  "Zm9v\r\n",
        "Zm-_",     "Zm9\x80", "Zh==",  "Zm9=",  "Zm8=Zm8=", "Zm,v",    "Zm9v,AAA"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        AUTO_BUF struct buf bytes = {0};
        buf_add_text(&bytes, "x");
        assert_int_equal(base64_decode(span_of(wrong[i]), &bytes), -EINVAL);
        assert_int_equal(bytes.len, 1);
    }
    AUTO_BUF struct buf bytes = {0};
    assert_int_equal(base64_decode(SPAN("Zm9\0"), &bytes), -EINVAL);
}

/* proves: D06 */
static void one_text_for_each_bytes(void **s UNUSED)
{
    unsigned taken = 0;
    for (char c = '0'; c <= 'z'; c++) { /* only A, Q, g, w leave no bit over */
        AUTO_BUF struct buf bytes = {0};
        const char text[] = {'Z', c, '=', '='};
        taken += base64_decode((struct span){.at = text, .len = 4}, &bytes) == 0;
    }
    assert_int_equal(taken, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_rfc_4648),
        cmocka_unit_test(every_byte_at_every_length_comes_back),
        cmocka_unit_test(refuses_what_is_not_whole),
        cmocka_unit_test(one_text_for_each_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
