/* Base64. The decoder's last group is checked bit by bit, so that each text of bytes is the only one: what is compared cannot be disguised. */
#include "base/base64.h"

#include <errno.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct span bytes, struct buf *out)
{
    char *to = buf_reserve(out, (bytes.len + 2) / 3 * 4);
    size_t len = 0;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t) (uint8_t) bytes.at[i] << 16;
        if (left > 1)
            group |= (uint32_t) (uint8_t) bytes.at[i + 1] << 8;
        if (left > 2)
            group |= (uint8_t) bytes.at[i + 2];
        to[len++] = alphabet[group >> 18];
        to[len++] = alphabet[group >> 12 & 63];
        to[len++] = left > 1 ? alphabet[group >> 6 & 63] : '=';
        to[len++] = left > 2 ? alphabet[group & 63] : '=';
    }
    buf_commit(out, len);
}

/* 0 to 63, or -1. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(struct span text, struct buf *out)
{
    size_t padding = 0, len = 0;
    if (text.len % 4 != 0)
        return -EINVAL;
    while (padding < 2 && padding < text.len && text.at[text.len - 1 - padding] == '=')
        padding++;
    size_t digits = text.len - padding;
    char *to = buf_reserve(out, text.len / 4 * 3);
    uint32_t group = 0;
    for (size_t i = 0; i < digits; i++) {
        int value = value_of(text.at[i]);
        if (value < 0)
            return -EINVAL;
        group = group << 6 | (uint32_t) value;
        if (i % 4 != 3)
            continue;
        to[len++] = (char) (uint8_t) (group >> 16);
        to[len++] = (char) (uint8_t) (group >> 8);
        to[len++] = (char) (uint8_t) group;
        group = 0;
    }
    if (padding == 1) {
        if (group & 3)
            return -EINVAL;
        to[len++] = (char) (uint8_t) (group >> 10);
        to[len++] = (char) (uint8_t) (group >> 2);
    } else if (padding == 2) {
        if (group & 15)
            return -EINVAL;
        to[len++] = (char) (uint8_t) (group >> 4);
    }
    buf_commit(out, len);
    return 0;
}
