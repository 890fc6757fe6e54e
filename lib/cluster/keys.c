/* Names of the keys: hash tags that spread 256 partitions evenly over the 16384 slots of a Redis Cluster. */
#include "cluster/keys.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/hash.h"

enum { SLOTS_EACH = SLOT_COUNT / PARTITION_COUNT, TAG_MAX = 7, PREFIX_MAX = 8, NUMBER_MAX = 10 };

/* A row of keys.def taken apart: prefix, tag, '}', then ":subject" and ":index" where it has them. */
struct shape {
    const char *format;
    char prefix[PREFIX_MAX];
    size_t prefix_len;
    bool has_subject, has_index;
};

static struct shape shapes[KEY_COUNT] = {
#define KEY(name, format_, help) [KEY_OF_##name] = {.format = (format_)},
#include "cluster/keys.def"
#undef KEY
};
static char tags[PARTITION_COUNT][TAG_MAX + 1];
static size_t tag_lens[PARTITION_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* CRC16 as Redis Cluster's specification has it (CCITT, polynomial 0x1021, from 0). */
static unsigned slot_of(const char *text, size_t len)
{
    unsigned crc = 0;

    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned) (unsigned char) text[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
    }
    return crc % SLOT_COUNT;
}

unsigned key_slot(struct span key)
{
    struct span rest = key, tag = {.at = NULL};

    (void) span_cut(&rest, '{'); /* what is before it */
    if (rest.len > 0) {
        const char *end = memchr(rest.at, '}', rest.len);
        if (end)
            tag = (struct span){.at = rest.at, .len = (size_t) (end - rest.at)};
    }
    return tag.len ? slot_of(tag.at, tag.len) : slot_of(key.at, key.len);
}

unsigned partition_slot(unsigned partition)
{
    const char *tag = partition_tag(partition); /* first: it sets up the lengths too */

    return slot_of(tag, tag_lens[partition]);
}

unsigned common_slot(void)
{
    return slot_of("c", 1);
}

static void shape_parse(struct shape *shape)
{
    const char *tag = strstr(shape->format, "%t}");

    must(tag && tag - shape->format < PREFIX_MAX);
    shape->prefix_len = (size_t) (tag - shape->format);
    memcpy(shape->prefix, shape->format, shape->prefix_len);
    shape->has_subject = strncmp(tag + 3, ":%s", 3) == 0;
    shape->has_index = shape->has_subject && strncmp(tag + 6, ":%i", 3) == 0;
    must(tag[3 + 3 * shape->has_subject + 3 * shape->has_index] == '\0');
}

static void set_up(void)
{
    unsigned found = 0;

    for (unsigned counter = 0; found < PARTITION_COUNT; counter++) {
        char text[TAG_MAX + 1];
        int len = snprintf(text, sizeof text, "%x", counter);
        must(len > 0 && len <= TAG_MAX);
        unsigned partition = slot_of(text, (size_t) len) / SLOTS_EACH;
        if (tag_lens[partition])
            continue;
        memcpy(tags[partition], text, (size_t) len + 1);
        tag_lens[partition] = (size_t) len;
        found++;
    }
    for (size_t i = 0; i < KEY_COUNT; i++)
        shape_parse(&shapes[i]);
}

const char *partition_tag(unsigned partition)
{
    must(partition < PARTITION_COUNT);
    (void) pthread_once(&once, set_up); /* cannot fail with a valid control */
    return tags[partition];
}

unsigned partition_of(struct span queue)
{
    struct span domain = span_cut(&queue, '/');

    return (unsigned) (hash64(domain) % PARTITION_COUNT);
}

bool queue_is_name(struct span queue)
{
    if (queue.len == 0 || queue.len > QUEUE_TEXT_MAX)
        return false;
    for (size_t i = 0; i < queue.len; i++)
        if ((uint8_t) queue.at[i] <= ' ' || queue.at[i] == 0x7f)
            return false;
    return true;
}

static size_t number_put(uint32_t n, char ret_text[static NUMBER_MAX])
{
    char reversed[NUMBER_MAX];
    size_t len = 0;

    do
        reversed[len++] = (char) ('0' + n % 10);
    while (n /= 10);
    for (size_t i = 0; i < len; i++)
        ret_text[i] = reversed[len - 1 - i];
    return len;
}

static char *bytes_put(char *at, const char *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

/* The key, as a RESP argument if asked for: one reservation, no formatting functions, because every call names six keys or more. */
static void key_put(struct buf *out, enum key key, unsigned partition, struct span subject, uint32_t index,
                    bool as_argument)
{
    const char *tag = partition_tag(partition);
    const struct shape *shape = &shapes[key];
    char digits[NUMBER_MAX];
    size_t digits_len = shape->has_index ? number_put(index, digits) : 0;
    size_t len = shape->prefix_len + tag_lens[partition] + 1;

    must(shape->has_subject || subject.len == 0);
    len += shape->has_subject ? 1 + subject.len : 0;
    len += shape->has_index ? 1 + digits_len : 0;
    must(len <= UINT32_MAX);
    char *start = buf_reserve(out, len + NUMBER_MAX + 5), *at = start;
    if (as_argument) {
        *at++ = '$';
        at += number_put((uint32_t) len, at);
        at = bytes_put(at, "\r\n", 2);
    }
    at = bytes_put(at, shape->prefix, shape->prefix_len);
    at = bytes_put(at, tag, tag_lens[partition]);
    *at++ = '}';
    if (shape->has_subject) {
        *at++ = ':';
        at = bytes_put(at, subject.at, subject.len);
    }
    if (shape->has_index) {
        *at++ = ':';
        at = bytes_put(at, digits, digits_len);
    }
    if (as_argument)
        at = bytes_put(at, "\r\n", 2);
    buf_commit(out, (size_t) (at - start));
}

void key_arg(struct buf *command, enum key key, unsigned partition, struct span subject, uint32_t index)
{
    key_put(command, key, partition, subject, index, true);
}

void key_format(struct buf *out, enum key key, unsigned partition, struct span subject, uint32_t index)
{
    key_put(out, key, partition, subject, index, false);
}
