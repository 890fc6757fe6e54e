/* The record of a user. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/user.h"
#include "cluster/wire.h"
#include "cluster/wire_private.h"
#include "proto/mail.pb-c.h"

static const uint64_t quota_max = UINT64_C(1) << 40;

static ProtobufCBinaryData bytes_of_key(const uint8_t *key, size_t len)
{
    return bytes_of_span((struct span){.at = (const char *) key, .len = len});
}

static void put_verifier(const struct verifier *v, Barid__User *m)
{
    WIRE_PUT(m, verifier, (uint32_t) v->kind);
    if (v->kind == VERIFIER_NONE)
        return;
    m->salt = bytes_of_key(v->salt, v->salt_len);
    m->stored_key = bytes_of_key(v->stored_key, sizeof v->stored_key);
    m->has_salt = m->has_stored_key = true;
    if (v->kind == VERIFIER_SCRAM) {
        m->server_key = bytes_of_key(v->server_key, sizeof v->server_key);
        m->has_server_key = true;
    }
    WIRE_PUT(m, iterations, v->iterations);
    WIRE_PUT(m, log2_n, v->log2_n);
    WIRE_PUT(m, r, v->r);
    WIRE_PUT(m, p, v->p);
}

void wire_put_user(const struct user *u, struct buf *out)
{
    struct arena a;
    Barid__User m = BARID__USER__INIT;

    arena_init(&a, SIZE_MAX / 2);
    m.name = bytes_of(u->name);
    m.has_name = true;
    m.tenant = bytes_of(u->tenant);
    m.has_tenant = m.tenant.len > 0;
    m.n_senders = u->sender_count;
    m.senders = arena_array(&a, u->sender_count, sizeof(*m.senders));
    for (size_t i = 0; i < u->sender_count; i++)
        m.senders[i] = bytes_of(u->senders[i]);
    WIRE_PUT(&m, is_disabled, u->is_disabled);
    WIRE_PUT(&m, messages_per_hour, u->messages_per_hour);
    WIRE_PUT(&m, messages_per_day, u->messages_per_day);
    WIRE_PUT(&m, recipients_per_hour, u->recipients_per_hour);
    WIRE_PUT(&m, recipients_per_day, u->recipients_per_day);
    WIRE_PUT(&m, changed_ms, u->changed_ms);
    put_verifier(&u->verifier, &m);
    record_put(&m.base, out);
    arena_done(&a);
}

static bool get_key(ProtobufCBinaryData b, uint8_t ret_key[static VERIFIER_KEY_BYTES])
{
    if (b.len != VERIFIER_KEY_BYTES)
        return false;
    memcpy(ret_key, b.data, VERIFIER_KEY_BYTES);
    return true;
}

static bool get_verifier(const Barid__User *m, struct verifier *ret_verifier)
{
    struct verifier v = {.iterations = m->iterations, .log2_n = m->log2_n, .r = m->r, .p = m->p};
    if (m->verifier >= VERIFIER_KIND_COUNT || m->salt.len > VERIFIER_SALT_MAX)
        return false;
    v.kind = (enum verifier_kind) m->verifier;
    if (v.kind != VERIFIER_NONE) {
        v.salt_len = (uint32_t) m->salt.len;
        if (m->salt.len > 0)
            memcpy(v.salt, m->salt.data, m->salt.len);
        if (!get_key(m->stored_key, v.stored_key) ||
            (v.kind == VERIFIER_SCRAM && !get_key(m->server_key, v.server_key)))
            return false;
    }
    *ret_verifier = v;
    return verifier_is_sound(&v);
}

static bool user_is_sound(const Barid__User *m)
{
    char sender[USER_SENDER_MAX + 1];

    if (user_name_check(bytes_span(m->name)) < 0 || !bytes_fit(m->tenant, 0, USER_TENANT_MAX) ||
        !span_is_text(bytes_span(m->tenant)) || m->n_senders > USER_SENDERS_MAX)
        return false;
    for (size_t i = 0; i < m->n_senders; i++)
        if (user_sender_check(bytes_span(m->senders[i]), sender) < 0)
            return false;
    return m->messages_per_hour <= quota_max && m->messages_per_day <= quota_max &&
           m->recipients_per_hour <= quota_max && m->recipients_per_day <= quota_max &&
           m->changed_ms <= WIRE_TIME_MAX;
}

int wire_get_user(struct span in, struct user **ret_user)
{
    struct arena a;
    void *message;
    struct verifier verifier;

    int r = record_get(in, &barid__user__descriptor, &a, &message);
    if (!r && (!user_is_sound(message) || !get_verifier(message, &verifier)))
        r = -EBADMSG;
    if (!r) {
        const Barid__User *m = message;
        char sender[USER_SENDER_MAX + 1];
        struct user *u = user_new(bytes_span(m->name));
        if (m->tenant.len > 0)
            u->tenant = bytes_text(m->tenant);
        for (size_t i = 0; i < m->n_senders; i++) {
            must(user_sender_check(bytes_span(m->senders[i]), sender) >= 0);
            user_add_sender(u, sender);
        }
        u->is_disabled = m->is_disabled;
        u->messages_per_hour = m->messages_per_hour;
        u->messages_per_day = m->messages_per_day;
        u->recipients_per_hour = m->recipients_per_hour;
        u->recipients_per_day = m->recipients_per_day;
        u->changed_ms = m->changed_ms;
        u->verifier = verifier;
        explicit_bzero(&verifier, sizeof verifier);
        *ret_user = u;
    }
    arena_done(&a);
    return r;
}
