/* Checks of passwords on libuv's threads. How many wait for one of these is bounded for the process: a flood of AUTH gets 454, and delays nobody for long. */
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "ingress/auth.h"
#include "ingress/reactor.h"

enum { CHECKS_MAX = 128 };
static _Atomic unsigned checks;

struct auth_check {
    struct verifier verifier;
    bool is_right;
    void (*on_checked)(void *context, bool is_right); /* NULL: nobody listens any more */
    void *context;
    size_t len;
    char password[];
};

static void run_check(void *context)
{
    struct auth_check *c = context;
    c->is_right = verifier_check(&c->verifier, (struct span){.at = c->password, .len = c->len});
}

static void on_check_done(void *context)
{
    struct auth_check *c = context;
    atomic_fetch_sub(&checks, 1);
    if (c->on_checked)
        c->on_checked(c->context, c->is_right);
    explicit_bzero(c, sizeof *c + c->len);
    mem_free(c);
}

struct auth_check *auth_check_password(struct loop *l, const struct verifier *v, struct span password,
                                       void (*on_checked)(void *context, bool is_right), void *context)
{
    if (atomic_fetch_add(&checks, 1) >= CHECKS_MAX) {
        atomic_fetch_sub(&checks, 1);
        return NULL;
    }
    struct auth_check *c = mem_alloc(sizeof *c + password.len);
    c->verifier = *v;
    c->on_checked = on_checked;
    c->context = context;
    c->len = password.len;
    memcpy(c->password, password.at, password.len);
    loop_work(l, run_check, on_check_done, c);
    return c;
}

struct auth_check *auth_check_cancel(struct auth_check *c)
{
    if (c)
        c->on_checked = NULL;
    return NULL;
}
