/* What records and frames have in common: the arena, and checks of texts. */
#include "cluster/wire.h"

#include <string.h>

#include "base/mem.h"
#include "cluster/wire_private.h"

enum { ARENA_BLOCK_BYTES = 8192, ARENA_ALIGN = 16, BUDGET_SPARE = 65536, BUDGET_PER_BYTE = 96 };
static const size_t budget_max = (size_t) 256 << 20;

struct arena_block {
    struct arena_block *next;
    _Alignas(ARENA_ALIGN) char bytes[];
};

static void *on_alloc(void *context, size_t size_bytes)
{
    return arena_take(context, size_bytes);
}

static void on_free(void *context UNUSED, void *pointer UNUSED)
{
}

void arena_init(struct arena *a, size_t budget)
{
    a->allocator = (ProtobufCAllocator){.alloc = on_alloc, .free = on_free, .allocator_data = a};
    a->blocks = NULL;
    a->at = a->first;
    a->left = sizeof(a->first);
    a->budget = budget;
}

void *arena_take(struct arena *a, size_t size_bytes)
{
    if (size_bytes > a->budget + sizeof(a->first))
        return NULL;
    size_t need = (size_bytes + ARENA_ALIGN - 1) & ~(size_t) (ARENA_ALIGN - 1);
    if (need > a->left) {
        size_t room = need > ARENA_BLOCK_BYTES ? need : ARENA_BLOCK_BYTES;
        if (room > a->budget)
            return NULL;
        struct arena_block *block = mem_resize(NULL, sizeof(*block) + room);
        block->next = a->blocks;
        a->blocks = block;
        a->budget -= room;
        a->at = block->bytes;
        a->left = room;
    }
    void *taken = a->at;
    a->at += need;
    a->left -= need;
    return taken;
}

void *arena_array(struct arena *a, size_t count, size_t member_bytes)
{
    size_t size_bytes;
    must(!__builtin_mul_overflow(count, member_bytes, &size_bytes));
    void *array = arena_take(a, size_bytes);
    must(array);
    return array;
}

void arena_done(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *next = a->blocks->next;
        mem_free(a->blocks);
        a->blocks = next;
    }
}

size_t arena_budget(size_t len)
{
    return len > (budget_max - BUDGET_SPARE) / BUDGET_PER_BYTE ? budget_max
                                                               : BUDGET_SPARE + len * BUDGET_PER_BYTE;
}

#ifdef NEXT /* programs that play a later version, for the tests of upgrades: all they say has fields that nobody knows yet */
static void grow(ProtobufCMessage *message)
{
    static uint8_t number[] = {0x2a}, text[] = {0x05, 'l', 'a', 't', 'e', 'r'};
    static ProtobufCMessageUnknownField fields[] = {
        {.tag = 1001, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = sizeof(number), .data = number},
        {.tag = 1002, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = sizeof(text), .data = text},
    };

    message->n_unknown_fields = ARRAY_LEN(fields);
    message->unknown_fields = fields;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &message->descriptor->fields[i];
        char *at = (char *) message + f->offset;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(size_t *) (void *) ((char *) message + f->quantifier_offset);
            for (size_t k = 0; k < count; k++)
                grow((*(ProtobufCMessage ***) (void *) at)[k]);
        } else if (*(ProtobufCMessage **) (void *) at) {
            grow(*(ProtobufCMessage **) (void *) at);
        }
    }
}
#endif

void wire_pack(const ProtobufCMessage *message, struct buf *out)
{
#ifdef NEXT
    grow((ProtobufCMessage *) (uintptr_t)
             message); /* all messages are made by ours, on the stack or in an arena */
#endif
    size_t len = protobuf_c_message_get_packed_size(message);
    protobuf_c_message_pack(message, (uint8_t *) buf_reserve(out, len));
    buf_commit(out, len);
}

void *wire_unpack(struct arena *a, const ProtobufCMessageDescriptor *descriptor, struct span in)
{
    return protobuf_c_message_unpack(descriptor, &a->allocator, in.len, (const uint8_t *) in.at);
}

ProtobufCBinaryData bytes_of_span(struct span s)
{
    return (ProtobufCBinaryData){.len = s.len, .data = (uint8_t *) (uintptr_t) s.at};
}

ProtobufCBinaryData bytes_of(const char *text)
{
    return bytes_of_span(span_of(text));
}

ProtobufCBinaryData bytes_of_start(const char *text, size_t max_len)
{
    struct span s = span_of(text);
    if (s.len > max_len)
        s.len = max_len;
    return bytes_of_span(s);
}

bool bytes_fit(ProtobufCBinaryData b, size_t min_len, size_t max_len)
{
    return b.len >= min_len && b.len <= max_len && (!b.len || !memchr(b.data, '\0', b.len));
}

bool bytes_are_line(ProtobufCBinaryData b)
{
    return !b.len || (!memchr(b.data, '\r', b.len) && !memchr(b.data, '\n', b.len));
}

bool bytes_are_queue(ProtobufCBinaryData b)
{
    return queue_is_name(bytes_span(b));
}

char *bytes_text(ProtobufCBinaryData b)
{
    return mem_text((const char *) b.data, b.len);
}

struct span bytes_span(ProtobufCBinaryData b)
{
    return (struct span){.at = (const char *) b.data, .len = b.len};
}
