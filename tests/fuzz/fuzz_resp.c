/*
 * Redis' language: any bytes as replies, in pieces that make no difference; what comes out is within bounds all the way down, and a reply that
 * is refused ends it. Written by ourselves, commands read back as what was written. First byte: the size of a piece.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/redis_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH_MAX = 8 };

/* A tree as text, every byte of it looked at; false: deeper than a reply may be. */
static void show(const struct redis_value *v, unsigned depth, struct buf *out)
{
    int64_t n = 0;

    must(depth < DEPTH_MAX);
    must(v->type <= REDIS_ERROR_REPLY);
    must((v->type == REDIS_ARRAY) || (!v->items && v->count == 0));
    bool is_text = v->type == REDIS_STRING || v->type == REDIS_STATUS || v->type == REDIS_ERROR_REPLY;
    must(is_text ? v->text.at && v->text.at[v->text.len] == '\0' : !v->text.at);
    must(redis_text(v).at == (v->type == REDIS_ERROR_REPLY ? NULL : v->text.at));
    buf_printf(out, "%d:%zu:%zu", v->type, v->text.len, v->count);
    if (redis_number(v, &n) == 0)
        buf_printf(out, "=%" PRId64, n);
    buf_add_span(out, v->text);
    buf_add_char(out, redis_is_text(v, "ok") ? '!' : ',');
    for (size_t i = 0; i < v->count; i++)
        show(&v->items[i], depth + 1, out);
    buf_add_char(out, '.');
}

/* All replies in `in` as text, then how it ended. */
static void read_all(struct span in, size_t piece, struct buf *out)
{
    struct reply_reader *r = reply_reader_new();
    struct redis_value v;
    int more = 0;

    while (in.len > 0 && more >= 0) {
        size_t len = in.len < piece ? in.len : piece;
        char *copy = mem_copy(in.at, len);

        reply_reader_feed(r, (struct span){.at = copy, .len = len});
        mem_free(copy);
        in = (struct span){.at = in.at + len, .len = in.len - len};
        while ((more = reply_reader_next(r, &v)) > 0) {
            show(&v, 0, out);
            if (v.count % 2 == 0)
                reply_reader_clear(r); /* between two replies only */
        }
    }
    buf_printf(out, "%d", more);
    reply_reader_free(r);
}

/* A command of the input's words, and a number. */
static void check_command(struct span in)
{
    AUTO_BUF struct buf command = {0}, read = {0}, wanted = {0};
    struct redis_value items[5] = {{0}},
                       whole = {.type = REDIS_ARRAY, .items = items, .count = ARRAY_LEN(items)};
    int64_t n = 0;
    char number[32];

    memcpy(&n, in.at, in.len < sizeof(n) ? in.len : sizeof(n));
    (void) snprintf(number, sizeof(number), "%" PRId64, n); /* fits */
    resp_command(&command, ARRAY_LEN(items));
    for (size_t i = 0; i + 1 < ARRAY_LEN(items); i++) {
        struct span arg = span_cut(&in, ' ');
        resp_arg(&command, arg);
        items[i] = (struct redis_value){.type = REDIS_STRING, .text = span_of("")};
        if (arg.len > 0)
            items[i].text = (struct span){.at = mem_text(arg.at, arg.len), .len = arg.len};
    }
    resp_arg_number(&command, n);
    items[ARRAY_LEN(items) - 1] = (struct redis_value){.type = REDIS_STRING, .text = span_of(number)};
    show(&whole, 0, &wanted);
    buf_add_char(&wanted, '0');
    read_all(buf_span(&command), command.len, &read);
    must(span_equal(buf_span(&read), buf_span(&wanted)));
    for (size_t i = 0; i + 1 < ARRAY_LEN(items); i++)
        if (items[i].text.len > 0)
            mem_free((char *) (uintptr_t) items[i].text.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_BUF struct buf whole = {0}, parts = {0};

    if (size < 2 || size > REPLY_SLICE_BYTES)
        return 0;
    struct span in = {.at = (const char *) data + 1, .len = size - 1};
    read_all(in, in.len, &whole);
    read_all(in, data[0] + 1u, &parts);
    must(span_equal(buf_span(&whole), buf_span(&parts)));
    check_command(in);
    return 0;
}
