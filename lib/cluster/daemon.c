/* The life of a program: command line, settings, signals, HTTP, end. */
#include "cluster/daemon.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/redact.h"
#include "cluster/keys.h"
#include "cluster/settings_check.h"
#include "io/http_server.h"
#include "io/yaml.h"

#ifndef BARID_VERSION
#define BARID_VERSION "0"
#endif

enum { EXIT_USAGE = 2, HOST_NAME_MAX_LEN = 255 };

static const struct daemon *role;
static struct loop *main_loop;
static struct http_server *http;
static const char *config_file;
static char *node_name;
static char *http_address;
static struct timer drain_timer;
static bool is_draining;

/* ---- names ---- */

/* The full name of this machine. A name server that is away may not hold a start up for long. */
static char *host_name(void)
{
    char name[HOST_NAME_MAX_LEN + 1] = "localhost";
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM};
    bool is_limited = !getenv("RES_OPTIONS") && setenv("RES_OPTIONS", "timeout:1 attempts:1", 0) == 0;

    (void) gethostname(name, sizeof(name) - 1); /* it stays localhost then */
    char *full = NULL;
    /* rule: at the start, before there is a loop, and bounded by the option above */
    if (!strchr(name, '.') && getaddrinfo(name, NULL, &hints, &found) == 0 && found->ai_canonname &&
        strchr(found->ai_canonname, '.'))
        full = mem_string(found->ai_canonname);
    if (found)
        freeaddrinfo(found);
    if (is_limited)
        (void) unsetenv("RES_OPTIONS"); /* fails for a bad name only */
    return full ? full : mem_string(name);
}

char *daemon_host_label(void)
{
    char name[HOST_NAME_MAX_LEN + 1] = "localhost";

    (void) gethostname(name, sizeof(name) - 1); /* it stays localhost then */
    return mem_format("%.*s", (int) strcspn(name, "."), name);
}

/* As node.name says: itself, a domain behind the label of this machine, or nothing. */
static char *name_of_node(const char *setting)
{
    if (!*setting)
        return host_name();
    if (*setting != '.')
        return mem_string(setting);
    AUTO_FREE char *label = daemon_host_label();
    return mem_format("%s%s", label, setting);
}

const char *daemon_node_name(void)
{
    return node_name;
}

const char *daemon_http_address(void)
{
    return http_address ? http_address : "";
}

const char *daemon_version(void)
{
    return BARID_VERSION;
}

/* ---- settings ---- */

static void setup_log(const struct conf *c)
{
    log_setup(node_name, (enum log_level) c->log.level, c->log.format == 1);
    redact_set(c->log.redact);
}

/* A new snapshot that passed all checks, or -EINVAL and a sentence. */
static int load(struct conf **ret_conf, char **ret_error)
{
    struct conf *c;
    int r = conf_load(config_file, yaml_read_settings, &c, ret_error);
    if (r < 0)
        return r;
    r = settings_check(c, ret_error);
    if (r == 0 && role->check)
        r = role->check(c, ret_error);
    if (r < 0) {
        conf_release(c);
        return r;
    }
    *ret_conf = c;
    return 0;
}

static void reload(void)
{
    struct conf *next;
    AUTO_FREE char *error = NULL;
    AUTO_BUF struct buf restart = {0};

    if (load(&next, &error) < 0) {
        log_event(LOG_CONFIG_REFUSED, F("file", config_file), F("error", error));
        return;
    }
    conf_reload(next, &restart);
    setup_log(conf_get());
    log_event(LOG_CONFIG_LOADED, F("file", config_file));
    if (restart.len)
        log_event(LOG_CONFIG_RESTART, FS("settings", buf_span(&restart)));
    if (role->reload)
        role->reload();
}

/* ---- signals and the end ---- */

static void end_now(const char *why) __attribute__((noreturn));
static void end_now(const char *why)
{
    log_event(LOG_STOPPED, F("program", role->program), F("why", why));
    log_flush_all();
    _exit(1);
}

static void on_drain_time_over(struct timer *t UNUSED)
{
    end_now("node.drain_time is over");
}

static void on_signal(void *context UNUSED, int signal)
{
    if (signal == SIGHUP) {
        reload();
        return;
    }
    if (is_draining)
        end_now("a second signal");
    is_draining = true;
    log_event(LOG_STOPPING, F("signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"));
    timer_start(main_loop, &drain_timer, conf_get()->node.drain_time_ms, on_drain_time_over);
    role->drain();
}

void daemon_end(void)
{
    loop_stop(main_loop);
}

/* ---- HTTP ---- */

static unsigned say_metrics(struct buf *out)
{
    metric_set(METRIC_MEMORY_BYTES, (int64_t) mem_resident_bytes());
    metric_set(METRIC_PARTITIONS_OF_CLUSTER, PARTITION_COUNT);
    metric_print(out);
    return 200;
}

static unsigned say_ready(struct buf *out)
{
    bool is_ready = !is_draining && role->is_ready(out);

    if (is_draining) {
        buf_clear(out);
        buf_add_text(out, "draining");
    } else if (is_ready) {
        buf_clear(out);
        buf_add_text(out, "ready");
    }
    buf_add_char(out, '\n');
    return is_ready ? 200 : 503;
}

static void on_get(void *owner UNUSED, struct http_exchange *x, const char *path)
{
    AUTO_BUF struct buf body = {.data = NULL};
    struct http_answer answer = {.status = 404, .type = "text/plain; charset=utf-8"};

    if (role->serve && role->serve(x, path))
        return;
    if (strcmp(path, "/metrics") == 0) {
        answer.type = "text/plain; version=0.0.4; charset=utf-8";
        answer.status = say_metrics(&body);
    } else if (strcmp(path, "/healthz") == 0) {
        answer.status = 200;
        buf_add_text(&body, "ok\n");
    } else if (strcmp(path, "/readyz") == 0) {
        answer.status = say_ready(&body);
    } else {
        buf_add_text(&body, "not here: /metrics, /healthz, /readyz\n");
    }
    answer.body = buf_span(&body);
    http_exchange_answer(x, &answer);
}

/* "host:port" as asked for, with the port that was bound. */
static int open_http(const char *address)
{
    uint16_t port;

    int r = http_server_open(main_loop, address, on_get, NULL, &http, &port);
    if (r < 0) {
        log_event(LOG_HTTP_FAILED, F("address", address), FE("error", -r));
        return r;
    }
    const char *colon = strrchr(address, ':');
    size_t host_len = colon ? (size_t) (colon - address) : strlen(address);
    http_address = mem_format("%.*s:%u", (int) host_len, address, port);
    return 0;
}

/* ---- the start ---- */

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit); /* the soft limit stays then */
    }
}

static void print_usage(FILE *to)
{
    fprintf(to,
            "Usage: %s [--config FILE] [--check | --version | --help]\n"
            "  --config FILE  settings, in YAML; else the file named by BARID_CONFIG, else defaults\n"
            "  --check        judge the settings and end\n"
            "Each setting may be given as BARID_<SECTION>_<NAME> in the environment.\n"
            "SIGHUP reads the settings again, SIGTERM finishes what is under way and ends.\n",
            role->program);
}

/* -EINVAL: said on stderr. *ret_is_over: nothing is to be run. */
static int parse_arguments(int argc, char **argv, bool *ret_check, bool *ret_is_over)
{
    *ret_check = *ret_is_over = false;
    config_file = getenv("BARID_CONFIG");
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (strcmp(arg, "--version") == 0) {
            printf("%s %s\n", role->program, BARID_VERSION);
            *ret_is_over = true;
        } else if (strcmp(arg, "--help") == 0) {
            print_usage(stdout);
            *ret_is_over = true;
        } else if (strcmp(arg, "--check") == 0) {
            *ret_check = true;
        } else if (strcmp(arg, "--config") == 0 && i + 1 < argc) {
            config_file = argv[++i];
        } else if (strncmp(arg, "--config=", 9) == 0) {
            config_file = arg + 9;
        } else {
            fprintf(stderr, "%s: %s: %s; --help tells what can be said\n", role->program, arg,
                    strcmp(arg, "--config") == 0 ? "needs a file" : "is not an option");
            return -EINVAL;
        }
    }
    return 0;
}

static int run(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    const struct conf *conf = conf_get();

    must_tell(role->program);
    raise_descriptor_limit();
    must(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    main_loop = loop_new();
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        must(loop_on_signal(main_loop, signals[i], on_signal, NULL) == 0);
    if (*conf->node.http_listen && open_http(conf->node.http_listen) < 0) {
        fprintf(stderr, "%s: node.http_listen: %s cannot be opened\n", role->program, conf->node.http_listen);
        return EXIT_USAGE;
    }
    log_event(LOG_CONFIG_LOADED, F("file", config_file));
    role->start(main_loop);
    log_event(LOG_STARTED, F("program", role->program), F("version", BARID_VERSION), FN("pid", getpid()),
              F("http", http_address));
    loop_run(main_loop);
    timer_stop(&drain_timer);
    http = http_server_close(http);
    log_event(LOG_STOPPED, F("program", role->program));
    log_flush_all();
    main_loop = loop_free(main_loop);
    return 0;
}

int daemon_main(const struct daemon *d, int argc, char **argv)
{
    bool is_check, is_over;
    struct conf *conf;
    AUTO_FREE char *error = NULL;

    role = d;
    if (parse_arguments(argc, argv, &is_check, &is_over) < 0)
        return EXIT_USAGE;
    if (is_over)
        return 0;
    if (load(&conf, &error) < 0) {
        fprintf(stderr, "%s: %s\n", d->program, error);
        return EXIT_USAGE;
    }
    if (is_check) {
        printf("the settings are in order\n");
        conf_release(conf);
        return 0;
    }
    node_name = name_of_node(conf->node.name);
    conf_set(conf);
    setup_log(conf_get());
    int status = run();
    node_name = mem_free(node_name);
    http_address = mem_free(http_address);
    return status;
}
