/* Secrets of session tickets. One question for each epoch: make it if nobody has, and read it and the one before. */
#include "cluster/ticket.h"

#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "cluster/keys.h"
#include "io/crypto.h"

enum { LOOK_EVERY_MS = 1000, ASK_TIME_MS = 5000, EPOCHS_KEPT = 3 };

struct ticket_ask {
    struct store_call call;
    struct ticket *ticket; /* NULL: closed meanwhile */
    uint64_t epoch;
};

struct ticket {
    struct store *store;
    struct tls_tickets *tickets;
    struct timer look;
    struct ticket_ask *ask; /* under way */
    uint64_t epoch;         /* whose secret is in force; 0: none */
};

static bool to_secret(const struct redis_value *v, struct tls_ticket_secret *ret_secret)
{
    if (v->type != REDIS_STRING || v->text.len != sizeof ret_secret->bytes)
        return false; /* not there, or not ours */
    memcpy(ret_secret->bytes, v->text.at, sizeof ret_secret->bytes);
    return true;
}

static void on_answer(struct store_call *c, enum store_result result, const struct redis_value *values)
{
    struct ticket_ask *ask = CONTAINER_OF(c, struct ticket_ask, call);
    struct ticket *t = ask->ticket;
    struct tls_ticket_secret secrets[TLS_TICKET_SECRETS];
    if (t)
        t->ask = NULL;
    if (t && result == STORE_OK && to_secret(&values[1], &secrets[0])) {
        size_t count = to_secret(&values[2], &secrets[1]) ? 2 : 1;
        tls_tickets_set(t->tickets, secrets, count);
        t->epoch = ask->epoch;
    }
    explicit_bzero(secrets, sizeof secrets);
    if (c->request.bytes.len > 0)
        explicit_bzero(c->request.bytes.data, c->request.bytes.len);
    store_call_done(c);
    mem_free(ask);
}

static void add_key(struct buf *command, uint64_t epoch)
{
    AUTO_FREE char *key = mem_format(KEY_TICKET, (unsigned long long) epoch);
    resp_arg_text(command, key);
}

static void ticket_ask(struct ticket *t, uint64_t epoch, uint64_t epoch_ms)
{
    struct ticket_ask *ask = NEW(struct ticket_ask);
    struct buf *bytes = &ask->call.request.bytes;
    uint8_t secret[TLS_TICKET_SECRET_BYTES];
    ask->ticket = t;
    ask->epoch = epoch;
    ask->call.give_up_ms = clock_ms() + ASK_TIME_MS;
    ask->call.on_done = on_answer;
    ask->call.accepts_errors = true; /* a key of another type is no secret */
    crypto_random(secret, sizeof secret);
    call_begin(&ask->call, 6);
    resp_arg(bytes, SPAN("SET"));
    add_key(bytes, epoch);
    resp_arg(bytes, (struct span){.at = (const char *) secret, .len = sizeof secret});
    resp_arg(bytes, SPAN("NX"));
    resp_arg(bytes, SPAN("PX"));
    resp_arg_number(bytes, (int64_t) (EPOCHS_KEPT * epoch_ms));
    for (uint64_t back = 0; back < TLS_TICKET_SECRETS; back++) {
        call_begin(&ask->call, 2);
        resp_arg(bytes, SPAN("GET"));
        add_key(bytes, epoch - back);
    }
    explicit_bzero(secret, sizeof secret);
    t->ask = ask;
    store_send(t->store, &ask->call);
}

static void on_look(struct timer *timer)
{
    struct ticket *t = CONTAINER_OF(timer, struct ticket, look);
    uint64_t epoch_ms = conf_get()->tls.ticket_time_ms;
    uint64_t epoch = epoch_ms ? store_redis_ms(t->store) / epoch_ms : 0;
    timer_start(store_loop(t->store), timer, LOOK_EVERY_MS, on_look);
    if (t->epoch != 0 && t->epoch != epoch) {
        tls_tickets_set(t->tickets, NULL, 0);
        t->epoch = 0;
    }
    if (epoch != 0 && t->epoch == 0 && !t->ask && store_is_ready(t->store))
        ticket_ask(t, epoch, epoch_ms);
}

struct ticket *ticket_open(struct store *s, struct tls_tickets *tickets)
{
    struct ticket *t = NEW(struct ticket);
    t->store = s;
    t->tickets = tickets;
    timer_start(store_loop(s), &t->look, 0, on_look);
    return t;
}

struct ticket *ticket_close(struct ticket *t)
{
    if (!t)
        return NULL;
    timer_stop(&t->look);
    if (t->ask)
        t->ask->ticket = NULL;
    return mem_free(t);
}
