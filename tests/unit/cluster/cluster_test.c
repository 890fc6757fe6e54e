/* What the tests of cluster/ share. */
#include "cluster_test.h"

#include "base/log.h"

enum { GUARD_MS = 60000, PASS_MS = 2 };

struct loop *loop;
struct redis_server server;
struct store *store;
struct proxy *proxy;
unsigned ready_count, lost_count;
static struct timer guard, pass;
static uint64_t pass_guard_ms;

static void on_guard(struct timer *t UNUSED)
{
    must_fail("the test hangs", __FILE__, __LINE__);
}

void loop_go(void)
{
    timer_start(loop, &guard, GUARD_MS, on_guard);
    loop_run(loop);
    timer_stop(&guard);
    pass_guard_ms = clock_ms() + GUARD_MS;
}

static void on_pass(struct timer *t UNUSED)
{
    loop_stop(loop);
}

void loop_pass(void)
{
    must(clock_ms() < pass_guard_ms);
    timer_start(loop, &pass, PASS_MS, on_pass);
    loop_run(loop);
    timer_stop(&pass);
}

void loop_patience(void)
{
    pass_guard_ms = clock_ms() + GUARD_MS;
}

int server_setup(void **state)
{
    (void) state;
    redis_server_start(&server);
    return 0;
}

int server_teardown(void **state)
{
    (void) state;
    redis_server_end(&server);
    return 0;
}

void set(const char *name, const char *value)
{
    if (value)
        must(setenv(name, value, 1) == 0);
    else
        must(unsetenv(name) == 0);
}

static void on_ready(void *owner)
{
    (void) owner;
    ready_count++;
}

static void on_lost(void *owner, const char *reason)
{
    (void) owner;
    must(reason[0] &&
         (store_is_ready(store) || store_has_slots(store) || strcmp(reason, store_trouble(store)) == 0));
    lost_count++;
}

void open_store(void)
{
    static const struct store_events events = {.on_ready = on_ready, .on_lost = on_lost};
    char *error = NULL;
    struct conf *conf;

    must(conf_load(NULL, NULL, &conf, &error) == 0);
    conf_set(conf);
    ready_count = lost_count = 0;
    must(store_open(loop, &events, &store, &error) == 0);
}

int loop_setup(void **state)
{
    char address[128];

    (void) state;
    if (!server.pid)
        redis_server_start(&server);
    tell(
        &server,
        "CONFIG SET appendonly yes appendfsync always no-appendfsync-on-rewrite no maxmemory 0 maxmemory-policy noeviction");
    tell(&server, "FLUSHALL");
    loop = loop_new();
    pass_guard_ms = clock_ms() + GUARD_MS;
    (void) snprintf(address, sizeof address, "%s/proxy.sock", server.dir);
    proxy = proxy_open(loop, address, server.socket);
    (void) snprintf(address, sizeof address, "unix:%s/proxy.sock", server.dir);
    set("BARID_STORE_ADDRESS", address);
    set("BARID_STORE_CONNECTIONS", "2");
    log_setup("test", LOG_ERROR, false);
    return 0;
}

int store_setup(void **state)
{
    loop_setup(state);
    open_store();
    WAIT_FOR(store_is_ready(store));
    return 0;
}

int store_teardown(void **state)
{
    (void) state;
    store = store_close(store);
    proxy_close(proxy);
    loop = loop_free(loop);
    return 0;
}
