/* A private redis-server, and questions to it. */
#include "redis_server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

/* redis-check-rdb of redis-tools is the server when it is called redis-server. */
static const char *binary(void)
{
    return access("/usr/bin/redis-server", X_OK) == 0 ? "/usr/bin/redis-server" : "/usr/bin/redis-check-rdb";
}

static void run(const struct redis_server *s, int log)
{
    char program[128];

    (void) snprintf(program, sizeof program, "%s/redis-server", s->dir);
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves nothing behind */
    if (dup2(log, 1) < 0 || dup2(log, 2) < 0 || chdir(s->dir) < 0)
        _exit(126);
    execl(program, program, "--port", "0", "--unixsocket", s->socket, "--dir", s->dir, "--save", "",
          "--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "local", (char *) NULL);
    _exit(127);
}

/* Reads what it prints until the words that say it is up. */
static void wait_until_up(struct redis_server *s)
{
    static const char up[] = "eady to accept connections";
    char text[16384];
    size_t len = 0;

    while (len < sizeof text) {
        ssize_t n = read(s->log, text + len, sizeof text - len);
        if (n <= 0)
            break;
        len += (size_t) n;
        if (memmem(text, len, up, sizeof up - 1))
            return;
    }
    (void) fprintf(stderr, "redis-server did not start:\n%.*s\n", (int) len, text);
    must_fail("redis-server did not start", __FILE__, __LINE__);
}

void redis_server_start(struct redis_server *s)
{
    int ends[2];

    if (!s->dir[0]) {
        char program[128];
        (void) snprintf(s->dir, sizeof s->dir, "/tmp/barid-unit-XXXXXX");
        must(mkdtemp(s->dir));
        (void) snprintf(s->socket, sizeof s->socket, "%s/redis.sock", s->dir);
        (void) snprintf(program, sizeof program, "%s/redis-server", s->dir);
        must(symlink(binary(), program) == 0);
    }
    must(pipe2(ends, O_CLOEXEC) == 0);
    s->pid = fork();
    must(s->pid >= 0);
    if (s->pid == 0)
        run(s, ends[1]);
    (void) close(ends[1]);
    s->log = ends[0];
    wait_until_up(s);
}

void redis_server_kill(struct redis_server *s)
{
    int status;

    must(s->pid > 0 && kill(s->pid, SIGKILL) == 0);
    must(waitpid(s->pid, &status, 0) == s->pid);
    s->pid = 0;
    (void) close(s->log);
}

void folder_remove(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char inner[512];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void) snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR)
            folder_remove(inner);
        else
            (void) unlink(inner);
    }
    if (dir)
        (void) closedir(dir);
    (void) rmdir(path);
}

void redis_server_end(struct redis_server *s)
{
    if (s->pid)
        redis_server_kill(s);
    folder_remove(s->dir);
    s->dir[0] = '\0';
}

static redisReply *ask_list(const struct redis_server *s, const char *format, va_list args)
{
    redisContext *c = redisConnectUnix(s->socket);
    bool may_fail = format[0] == '!';

    must(c && !c->err);
    redisReply *reply = redisvCommand(c, format + may_fail, args);
    must(reply);
    if (reply->type == REDIS_REPLY_ERROR && !may_fail) {
        (void) fprintf(stderr, "%s: %s\n", format, reply->str);
        must_fail("redis answered with an error", __FILE__, __LINE__);
    }
    redisFree(c);
    return reply;
}

redisReply *ask(const struct redis_server *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    redisReply *reply = ask_list(s, format, args);
    va_end(args);
    return reply;
}

void tell(const struct redis_server *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    freeReplyObject(ask_list(s, format, args));
    va_end(args);
}

long long count_of(const struct redis_server *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    redisReply *reply = ask_list(s, format, args);
    va_end(args);
    long long n = reply->type == REDIS_REPLY_INTEGER ? reply->integer
                  : reply->type == REDIS_REPLY_NIL   ? -1
                                                     : (long long) reply->elements;
    freeReplyObject(reply);
    return n;
}

bool answers(const struct redis_server *s, const char *expected, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    redisReply *reply = ask_list(s, format, args);
    va_end(args);
    bool is_same = reply->str && strcmp(reply->str, expected) == 0;
    if (!is_same)
        (void) fprintf(stderr, "%s: \"%s\", not \"%s\"\n", format, reply->str ? reply->str : "(nothing)",
                       expected);
    freeReplyObject(reply);
    return is_same;
}
