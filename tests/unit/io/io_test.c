/* What the tests of io/ share. */
#include "io_test.h"

#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { GUARD_MS = 20000 };

struct loop *loop;
static struct timer guard;

static void on_guard(struct timer *t)
{
    (void) t;
    must(!"the test hangs");
}

int loop_setup(void **state)
{
    (void) state;
    loop = loop_new();
    return 0;
}

int loop_teardown(void **state)
{
    (void) state;
    loop = loop_free(loop);
    return 0;
}

void loop_go(void)
{
    timer_start(loop, &guard, GUARD_MS, on_guard);
    loop_run(loop);
    timer_stop(&guard);
}

struct ip loopback(void)
{
    struct ip ip;
    must(ip_parse(SPAN("127.0.0.1"), &ip) == 0);
    return ip;
}

bool buf_is(const struct buf *b, const char *text)
{
    return span_equal(buf_span(b), span_of(text));
}

/* ---- redis-server */

uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *) &address, len) == 0);
    must(getsockname(fd, (struct sockaddr *) &address, &len) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* In the child: redis-tools' checker is the server when it is called redis-server. */
static void redis_server_exec(const struct redis_server *s, int out)
{
    char program[128], port[16], socket_path[128];
    (void) snprintf(program, sizeof(program), "%s/redis-server", s->dir);
    (void) snprintf(port, sizeof(port), "%u", s->port);
    (void) snprintf(socket_path, sizeof(socket_path), "%s/redis.sock", s->dir);
    const char *real = access("/usr/bin/redis-server", X_OK) == 0 ? "/usr/bin/redis-server"
                                                                  : "/usr/bin/redis-check-rdb";
    if (symlink(real, program) < 0 && errno != EEXIST)
        _exit(126);
    if (dup2(out, 1) < 0 || dup2(out, 2) < 0 || chdir(s->dir) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        _exit(126);
    const char *arguments[16 + ARRAY_LEN(s->options)] = {
        "redis-server", "--port", port, "--bind",      "127.0.0.1", "--unixsocket",
        socket_path,    "--save", "",   "--daemonize", "no",        "--enable-debug-command",
        "yes"};
    size_t count = 13;
    for (size_t i = 0; i < ARRAY_LEN(s->options) && s->options[i]; i++)
        arguments[count++] = s->options[i];
    execv(program, (char *const *) arguments);
    _exit(127);
}

void redis_server_start(struct redis_server *s)
{
    int out[2];
    char line[512];
    if (!s->port) {
        s->port = free_port();
        (void) snprintf(s->dir, sizeof(s->dir), "/tmp/barid-redis.XXXXXX");
        must(mkdtemp(s->dir));
        (void) snprintf(s->address, sizeof(s->address), "127.0.0.1:%u", s->port);
        (void) snprintf(s->unix_address, sizeof(s->unix_address), "unix:%s/redis.sock", s->dir);
    }
    must(pipe(out) == 0);
    s->pid = fork();
    must(s->pid >= 0);
    if (s->pid == 0)
        redis_server_exec(s, out[1]);
    close(out[1]);
    FILE *log = fdopen(out[0], "r");
    must(log);
    bool is_ready = false;
    while (!is_ready && fgets(line, sizeof(line), log))
        is_ready = strstr(line, "The server is now ready to accept connections at") != NULL;
    must(is_ready);
    (void) fclose(log); /* later lines get EPIPE, which redis ignores */
}

void redis_server_kill(struct redis_server *s, int signal)
{
    must(kill(s->pid, signal) == 0);
    if (signal == SIGKILL || signal == SIGTERM)
        must(waitpid(s->pid, NULL, 0) == s->pid);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void) st;
    (void) kind;
    (void) walk;
    return remove(path);
}

void redis_server_end(struct redis_server *s)
{
    redis_server_kill(s, SIGKILL);
    (void) nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
