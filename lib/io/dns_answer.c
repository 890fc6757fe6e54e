/*
 * One DNS message to records (RFC 1035 section 4). Everything in it is a stranger's: offsets only grow or, in compressed names, only fall;
 * counts are believed only as far as there are bytes; a record that is not well formed inside is left out; the message is refused only
 * when its frame is broken. If all records of the type were left out, the answer is DNS_AWAY: never mistaken for "there is none".
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "io/dns.h"

enum {
    HEADER_BYTES = 12,
    RECORD_FIXED_BYTES = 10,
    CLASS_IN = 1,
    TYPE_OPT = 41,
    FLAG_RESPONSE = 0x8000,
    FLAG_AUTHORITATIVE = 0x0400,
    FLAG_TRUNCATED = 0x0200,
    FLAG_RECURSION = 0x0080,
    FLAG_AUTHENTIC = 0x0020,
    OPCODE_MASK = 0x7800,
    RCODE_MASK = 0x000f,
    RCODE_NO_NAME = 3,
    NAME_WIRE_MAX = 254, /* without the last, empty label */
    SOA_FIXED_BYTES = 20,
};

struct name {
    char text[DOMAIN_MAX + 1];
    bool is_usable; /* its text says what it is: nothing odd in it */
    bool is_host;   /* letters, digits, hyphen, underscore */
};

struct record {
    struct name owner;
    unsigned type, class;
    uint32_t ttl_s;
    size_t data, len; /* within the packet */
    size_t section;
};

/* A walk over all records of a packet. */
struct walk {
    struct span packet;
    size_t at;
    size_t section; /* 0 answer, 1 authority, 2 additional */
    unsigned left[3];
};

static unsigned byte_at(struct span p, size_t at)
{
    return (unsigned char) p.at[at];
}

static unsigned two_at(struct span p, size_t at)
{
    return byte_at(p, at) << 8 | byte_at(p, at + 1);
}

static uint32_t four_at(struct span p, size_t at)
{
    return (uint32_t) two_at(p, at) << 16 | two_at(p, at + 2);
}

static void name_add(struct name *name, size_t *len, char c)
{
    if (c >= 'A' && c <= 'Z')
        c = (char) (c | 0x20);
    bool is_host = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    name->is_host = name->is_host && is_host;
    name->is_usable = name->is_usable && (is_host || c == '/'); /* RFC 2317: 0/25.2.0.192.in-addr.arpa */
    name->text[(*len)++] = c;
}

/* Reads a name and moves *at behind it. Pointers must lead to lower and lower offsets, so it ends. */
static int name_read(struct span p, size_t *at, struct name *ret_name)
{
    size_t from = *at, lowest = *at, after = 0, wire = 0, len = 0;
    ret_name->is_usable = ret_name->is_host = true;
    for (;;) {
        if (from >= p.len)
            return -EBADMSG;
        unsigned n = byte_at(p, from);
        if (n == 0)
            break;
        if ((n & 0xc0) == 0xc0) {
            if (from + 1 >= p.len)
                return -EBADMSG;
            size_t target = two_at(p, from) & 0x3fff;
            if (target >= lowest)
                return -EBADMSG;
            after = after ? after : from + 2;
            from = lowest = target;
            continue;
        }
        wire += n + 1;
        if ((n & 0xc0) || wire > NAME_WIRE_MAX || from + 1 + n > p.len)
            return -EBADMSG;
        if (len > 0)
            ret_name->text[len++] = '.';
        for (size_t i = 1; i <= n; i++)
            name_add(ret_name, &len, p.at[from + i]);
        from += n + 1;
    }
    ret_name->text[len] = '\0';
    *at = after ? after : from + 1;
    return 0;
}

/* 1: *ret_record is the next; 0: no more; -EBADMSG. */
static int walk_next(struct walk *w, struct record *ret_record)
{
    while (w->section < ARRAY_LEN(w->left) && w->left[w->section] == 0)
        w->section++;
    if (w->section == ARRAY_LEN(w->left))
        return 0;
    w->left[w->section]--;
    size_t at = w->at;
    if (name_read(w->packet, &at, &ret_record->owner) < 0 || w->packet.len - at < RECORD_FIXED_BYTES)
        return -EBADMSG;
    ret_record->type = two_at(w->packet, at);
    ret_record->class = two_at(w->packet, at + 2);
    ret_record->ttl_s = four_at(w->packet, at + 4);
    ret_record->len = two_at(w->packet, at + 8);
    ret_record->data = at + RECORD_FIXED_BYTES;
    ret_record->section = w->section;
    if (w->packet.len - ret_record->data < ret_record->len)
        return -EBADMSG;
    w->at = ret_record->data + ret_record->len;
    return 1;
}

/* A name that fills the data from `skip` on to its end. */
static bool data_name(struct span p, const struct record *r, size_t skip, struct name *ret_name)
{
    size_t at = r->data + skip;
    struct span upto = {.at = p.at, .len = r->data + r->len};
    return skip < r->len && name_read(upto, &at, ret_name) == 0 && at == upto.len;
}

/* Character strings, each with its length before it, that fill the data; joined. */
static bool data_texts(struct span p, const struct record *r, struct span *ret_data)
{
    size_t at = 0;
    while (at < r->len)
        at += byte_at(p, r->data + at) + 1;
    if (r->len == 0 || at != r->len)
        return false;
    struct buf joined = {.data = NULL};
    for (at = 0; at < r->len; at += byte_at(p, r->data + at) + 1)
        buf_add(&joined, p.at + r->data + at + 1, byte_at(p, r->data + at));
    ret_data->len = joined.len;
    ret_data->at = buf_steal_text(&joined);
    return true;
}

static bool is_mapped(const uint8_t bytes[static 16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(bytes, mapped, sizeof(mapped)) == 0;
}

/* One record's data; false: not well formed, or nothing that may be shown to others. */
static bool record_parse(struct span p, const struct record *r, struct dns_record *ret)
{
    const char *data = p.at + r->data;
    struct name name;
    size_t at = r->data;
    switch (r->type) {
    case DNS_A:
        if (r->len != 4)
            return false;
        ret->ip.is_v4 = true;
        ret->ip.bytes[10] = ret->ip.bytes[11] = 0xff;
        memcpy(ret->ip.bytes + 12, data, 4);
        return true;
    case DNS_AAAA:
        if (r->len != 16 || is_mapped((const uint8_t *) data))
            return false;
        memcpy(ret->ip.bytes, data, 16);
        return true;
    case DNS_MX:
        if (r->len < 3 || !data_name(p, r, 2, &name) || !name.is_host)
            return false;
        ret->preference = (uint16_t) two_at(p, r->data);
        break;
    case DNS_PTR:
        if (!data_name(p, r, 0, &name) || !name.is_host || name.text[0] == '\0')
            return false;
        break;
    case DNS_CNAME:
        if (!data_name(p, r, 0, &name) || !name.is_usable || name.text[0] == '\0')
            return false;
        break;
    case DNS_SOA:
        if (name_read((struct span){.at = p.at, .len = r->data + r->len}, &at, &name) < 0 || !name.is_host)
            return false;
        break;
    case DNS_TXT: return data_texts(p, r, &ret->data);
    case DNS_TLSA: /* one too short to be used is still one: the host has said something about its TLS */
        ret->data = (struct span){.at = mem_copy(data, r->len), .len = r->len};
        return true;
    default: return false;
    }
    memcpy(ret->name, name.text, sizeof(ret->name));
    return true;
}

/* RFC 2181 section 8: with the top bit set it is no time at all. */
static void answer_ttl(struct dns_answer *a, uint32_t ttl_s)
{
    if (ttl_s > INT32_MAX)
        ttl_s = 0;
    if (ttl_s < a->ttl_s)
        a->ttl_s = ttl_s;
}

/* The time a negative answer holds: the SOA's own and its last field, whichever is less (RFC 2308 section 5). */
static void answer_soa(struct dns_answer *a, struct span p, const struct record *r)
{
    struct name name;
    size_t at = r->data;
    struct span upto = {.at = p.at, .len = r->data + r->len};
    if (name_read(upto, &at, &name) < 0 || name_read(upto, &at, &name) < 0 ||
        upto.len - at != SOA_FIXED_BYTES)
        return;
    answer_ttl(a, r->ttl_s);
    answer_ttl(a, four_at(p, at + 16));
}

/* Goes one step along the aliases of a->name. 1: a step; 0: there is none; -EBADMSG. */
static int answer_follow(struct dns_answer *a, struct walk w)
{
    struct record r;
    int more;
    while ((more = walk_next(&w, &r)) > 0) {
        struct dns_record alias = {.preference = 0};
        if (r.section != 0 || r.type != DNS_CNAME || r.class != CLASS_IN || !r.owner.is_usable ||
            strcmp(r.owner.text, a->name) != 0)
            continue;
        if (!record_parse(w.packet, &r, &alias))
            return -EBADMSG; /* an alias of nothing that can be asked for */
        memcpy(a->name, alias.name, sizeof(a->name));
        answer_ttl(a, r.ttl_s);
        return 1;
    }
    return more;
}

struct summary {
    bool has_bad; /* records of the type that were left out */
    bool has_soa;
    unsigned extended; /* the response code's upper bits */
};

static int answer_collect(struct dns_answer *a, enum dns_type type, struct walk w, struct summary *ret)
{
    struct record r;
    size_t room = 0;
    int more;
    while ((more = walk_next(&w, &r)) > 0) {
        struct dns_record parsed = {.preference = 0};
        if (r.section == 2 && r.type == TYPE_OPT)
            ret->extended = r.ttl_s >> 24;
        if (r.section == 1 && r.type == DNS_SOA && r.class == CLASS_IN && a->count == 0) {
            answer_soa(a, w.packet, &r);
            ret->has_soa = true;
        }
        if (r.section != 0 || r.type != (unsigned) type || r.class != CLASS_IN || !r.owner.is_usable ||
            strcmp(r.owner.text, a->name) != 0 || a->count == DNS_RECORDS_MAX)
            continue;
        if (!record_parse(w.packet, &r, &parsed)) {
            ret->has_bad = true;
            continue;
        }
        if (a->count == room) {
            room = room ? room * 2 : 4;
            a->records = mem_resize(a->records, room * sizeof(*a->records));
        }
        a->records[a->count++] = parsed;
        answer_ttl(a, r.ttl_s);
    }
    return more;
}

static int answer_read(struct dns_answer *a, enum dns_type type, struct walk start, unsigned flags)
{
    struct summary summary = {.has_bad = false};
    int r = 1, steps = 0;
    while (type != DNS_CNAME && r > 0) {
        r = steps++ > DNS_CNAME_MAX ? -EBADMSG : answer_follow(a, start);
        if (r < 0)
            return r;
    }
    r = answer_collect(a, type, start, &summary);
    if (r < 0)
        return r;
    unsigned rcode = (flags & RCODE_MASK) | summary.extended << 4;
    bool is_referral = a->count == 0 && steps <= 1 && !summary.has_soa &&
                       !(flags & (FLAG_AUTHORITATIVE | FLAG_RECURSION));
    if (rcode == RCODE_NO_NAME)
        a->result = DNS_NO_NAME;
    else if (rcode != 0 || (a->count == 0 && (summary.has_bad || is_referral)))
        a->result = DNS_AWAY;
    else
        a->result = a->count > 0 ? DNS_OK : DNS_NO_DATA;
    if (a->ttl_s == UINT32_MAX || a->result == DNS_AWAY ||
        (a->result != DNS_OK && !summary.has_soa && steps <= 1))
        a->ttl_s = 0;
    a->is_secure = (flags & FLAG_AUTHENTIC) && a->result != DNS_AWAY;
    return 0;
}

int dns_answer_parse(struct span packet, const char *name, enum dns_type type, struct dns_answer *ret_answer,
                     bool *ret_is_truncated)
{
    struct dns_answer a = {.result = DNS_AWAY, .ttl_s = UINT32_MAX};
    struct name question;
    size_t at = HEADER_BYTES;
    if (packet.len < HEADER_BYTES)
        return -EBADMSG;
    unsigned flags = two_at(packet, 2), questions = two_at(packet, 4);
    if (!(flags & FLAG_RESPONSE) || (flags & OPCODE_MASK) || questions > 1)
        return -EBADMSG;
    if (questions == 1) {
        if (name_read(packet, &at, &question) < 0 || packet.len - at < 4)
            return -EBADMSG;
        if (!question.is_usable || !span_equal_nocase(span_of(question.text), span_of(name)) ||
            two_at(packet, at) != (unsigned) type || two_at(packet, at + 2) != CLASS_IN)
            return -EBADMSG;
        memcpy(a.name, question.text, sizeof(a.name));
        at += 4;
    } else if ((flags & RCODE_MASK) == 0 || (flags & RCODE_MASK) == RCODE_NO_NAME) {
        return -EBADMSG; /* says something about an unknown name */
    }
    *ret_is_truncated = (flags & FLAG_TRUNCATED) != 0;
    if (questions == 0 || *ret_is_truncated) {
        a.ttl_s = 0;
        *ret_answer = a;
        return 0;
    }
    struct walk start = {
        .packet = packet, .at = at, .left = {two_at(packet, 6), two_at(packet, 8), two_at(packet, 10)}};
    int r = answer_read(&a, type, start, flags);
    if (r < 0) {
        dns_answer_done(&a);
        return r;
    }
    if (a.result != DNS_OK) {
        uint32_t ttl_s = a.ttl_s;
        dns_answer_done(&a); /* records beside an error mean nothing */
        a.ttl_s = ttl_s;
    }
    *ret_answer = a;
    return 0;
}

void dns_answer_done(struct dns_answer *a)
{
    for (size_t i = 0; i < a->count; i++)
        mem_free((char *) a->records[i].data.at); /* const for users only */
    a->records = mem_free(a->records);
    a->count = 0;
}
