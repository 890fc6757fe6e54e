/* gzip: read back by zlib itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "io/gzip.h"

static void assert_read_back(struct span bytes)
{
    AUTO_BUF struct buf packed = {.data = NULL}, again = {.data = NULL};
    char *room = mem_alloc(bytes.len + 1);
    z_stream z = {.next_out = (Bytef *) room, .avail_out = (uInt) bytes.len + 1};

    buf_add_text(&packed, "before");
    gzip_pack(bytes, &packed);
    gzip_pack(bytes, &again);
    assert_memory_equal(packed.data, "before", 6);
    assert_int_equal(packed.len, again.len + 6);
    assert_memory_equal(packed.data + 6, again.data, again.len);
    z.next_in = (Bytef *) again.data;
    z.avail_in = (uInt) again.len;
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, bytes.len);
    assert_int_equal(z.avail_in, 0);
    assert_memory_equal(room, bytes.at, bytes.len);
    (void) inflateEnd(&z);
    mem_free(room);
}

static void what_was_packed_is_read_back(void **state UNUSED)
{
    static char large[200000];

    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char) (i * i % 251);
    assert_read_back(SPAN("x"));
    assert_read_back(SPAN("a report about TLS, a report about TLS"));
    assert_read_back((struct span){large, sizeof(large)});
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_packed_is_read_back)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
