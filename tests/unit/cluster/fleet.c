/* Redis servers in numbers. */
#include "fleet.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "redis_server.h"

enum { ARGUMENTS_MAX = 40, PATIENCE_MS = 60000, PAUSE_US = 10000, SLOTS = 16384 };

static const char *binary(void)
{
    return access("/usr/bin/redis-server", X_OK) == 0 ? "/usr/bin/redis-server" : "/usr/bin/redis-check-rdb";
}

static uint16_t free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    must(fd >= 0 && bind(fd, (struct sockaddr *) &at, sizeof at) == 0);
    must(getsockname(fd, (struct sockaddr *) &at, &len) == 0);
    (void) close(fd);
    return ntohs(at.sin_port);
}

/* ---- processes */

static void make_place(struct fleet_server *s)
{
    char program[96];

    if (s->dir[0])
        return;
    (void) snprintf(s->dir, sizeof s->dir, "/tmp/barid-unit-XXXXXX");
    must(mkdtemp(s->dir));
    (void) snprintf(program, sizeof program, "%s/redis-server", s->dir);
    must(symlink(binary(), program) == 0);
    s->port = free_port();
    (void) snprintf(s->address, sizeof s->address, "127.0.0.1:%u", s->port);
}

static void run(const struct fleet_server *s, const char *const *arguments)
{
    char program[96];
    const char *all[ARGUMENTS_MAX] = {program};
    size_t count = 1;
    int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);

    (void) snprintf(program, sizeof program, "%s/redis-server", s->dir);
    for (; *arguments && count < ARGUMENTS_MAX - 1; arguments++)
        all[count++] = *arguments;
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves nothing behind */
    if (log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(126);
    execv(program, (char **) (uintptr_t) all);
    _exit(127);
}

static void wait_until(const struct fleet_server *s, const char *words, const char *command)
{
    uint64_t end_ms = clock_ms() + PATIENCE_MS;

    while (!fleet_says(s, words, command)) {
        must(clock_ms() < end_ms);
        (void) usleep(PAUSE_US); /* rule: it waits for another process, which tells nobody */
    }
}

static void launch(struct fleet_server *s, const char *const *arguments)
{
    must(!s->pid);
    s->pid = fork();
    must(s->pid >= 0);
    if (s->pid == 0) {
        if (chdir(s->dir) < 0)
            _exit(126);
        run(s, arguments);
    }
    s->is_frozen = false;
    wait_until(s, "PONG", "PING");
}

void fleet_start(struct fleet_server *s, const char *const *arguments)
{
    char port[8];
    const char *all[ARGUMENTS_MAX] = {"--port",
                                      port,
                                      "--bind",
                                      "127.0.0.1",
                                      "--dir",
                                      ".",
                                      "--save",
                                      "",
                                      "--appendonly",
                                      "yes",
                                      "--appendfsync",
                                      "always",
                                      "--repl-diskless-sync-delay",
                                      "0"};
    size_t count = 14;

    make_place(s);
    (void) snprintf(port, sizeof port, "%u", s->port);
    for (; *arguments && count < ARGUMENTS_MAX - 1; arguments++)
        all[count++] = *arguments;
    launch(s, all);
}

void fleet_start_replica(struct fleet_server *s, const struct fleet_server *of)
{
    char primary[40];

    (void) snprintf(primary, sizeof primary, "127.0.0.1 %u", of->port);
    fleet_start(s, (const char *const[]){"--replicaof", primary, NULL});
    wait_until(s, "master_link_status:up", "INFO replication");
}

void fleet_start_sentinel(struct fleet_server *s, const struct fleet_server *primary, const char *master)
{
    make_place(s);
    char path[96];
    (void) snprintf(path, sizeof path, "%s/sentinel.conf", s->dir);
    FILE *conf = fopen(path, "w");
    must(conf);
    (void) fprintf(conf, "port %u\nbind 127.0.0.1\ndir .\n", s->port);
    if (master)
        (void) fprintf(conf,
                       "sentinel monitor %s 127.0.0.1 %u 1\nsentinel down-after-milliseconds %s 1500\n"
                       "sentinel failover-timeout %s 3000\n",
                       master, primary->port, master, master);
    (void) fclose(conf);
    launch(s, (const char *const[]){"sentinel.conf", "--sentinel", NULL});
    if (master)
        wait_until(s, "slaves=1", "INFO sentinel");
}

void fleet_start_node(struct fleet_server *s)
{
    char bus[8];

    (void) snprintf(bus, sizeof bus, "%u", free_port());
    fleet_start(s, (const char *const[]){"--cluster-enabled", "yes", "--cluster-port", bus,
                                         "--cluster-node-timeout", "3000", "--cluster-require-full-coverage",
                                         "no", NULL});
}

void fleet_freeze(struct fleet_server *s)
{
    must(s->pid > 0 && kill(s->pid, SIGSTOP) == 0);
    s->is_frozen = true;
}

void fleet_thaw(struct fleet_server *s)
{
    must(s->pid > 0 && kill(s->pid, SIGCONT) == 0);
    s->is_frozen = false;
}

void fleet_kill(struct fleet_server *s)
{
    int status;

    if (!s->pid)
        return;
    must(kill(s->pid, SIGKILL) == 0);
    must(waitpid(s->pid, &status, 0) == s->pid);
    s->pid = 0;
}

void fleet_end(struct fleet_server *s)
{
    fleet_kill(s);
    if (s->dir[0])
        folder_remove(s->dir);
    *s = (struct fleet_server){.pid = 0};
}

/* ---- questions */

static redisReply *ask_list(const struct fleet_server *s, const char *format, va_list args)
{
    redisContext *c = redisConnectWithTimeout("127.0.0.1", s->port, (struct timeval){.tv_sec = 2});
    redisReply *reply = NULL;

    if (c && !c->err) {
        (void) redisSetTimeout(c, (struct timeval){.tv_sec = 5});
        reply = redisvCommand(c, format, args);
    }
    if (c)
        redisFree(c);
    return reply;
}

redisReply *fleet_ask(const struct fleet_server *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    redisReply *reply = ask_list(s, format, args);
    va_end(args);
    return reply;
}

void fleet_tell(const struct fleet_server *s, const char *format, ...)
{
    uint64_t end_ms = clock_ms() + PATIENCE_MS;
    redisReply *reply = NULL;

    do { /* on a machine that is too busy a cluster may think for a moment that it is down */
        va_list args;
        if (reply)
            freeReplyObject(reply);
        va_start(args, format);
        reply = ask_list(s, format, args);
        va_end(args);
    } while (reply && reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "CLUSTERDOWN") &&
             clock_ms() < end_ms);
    if (!reply || reply->type == REDIS_REPLY_ERROR) {
        (void) fprintf(stderr, "%s: %s\n", format, reply ? reply->str : "no answer");
        must_fail("a command failed", __FILE__, __LINE__);
    }
    freeReplyObject(reply);
}

bool fleet_says(const struct fleet_server *s, const char *words, const char *command)
{
    redisReply *reply = fleet_ask(s, command);
    bool says = reply && reply->str && strstr(reply->str, words);

    if (reply)
        freeReplyObject(reply);
    return says;
}

/* ---- a Redis Cluster */

void fleet_node_id(const struct fleet_server *s, char ret_id[static 41])
{
    redisReply *reply = fleet_ask(s, "CLUSTER MYID");

    must(reply && reply->type == REDIS_REPLY_STRING && reply->len == 40);
    memcpy(ret_id, reply->str, 41);
    freeReplyObject(reply);
}

void fleet_make_cluster(struct fleet_server *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        redisReply *bus = fleet_ask(&nodes[i], "CONFIG GET cluster-port");
        must(bus && bus->elements == 2);
        fleet_tell(&nodes[i], "CLUSTER ADDSLOTSRANGE %d %d", (int) (SLOTS * i / count),
                   (int) (SLOTS * (i + 1) / count) - 1);
        fleet_tell(&nodes[i], "CLUSTER SET-CONFIG-EPOCH %d", (int) i + 1);
        if (i > 0)
            fleet_tell(&nodes[0], "CLUSTER MEET 127.0.0.1 %u %s", nodes[i].port, bus->element[1]->str);
        freeReplyObject(bus);
    }
    for (size_t i = 0; i < count; i++) {
        wait_until(&nodes[i], "cluster_slots_ok:16384", "CLUSTER INFO");
        wait_until(&nodes[i], "cluster_state:ok", "CLUSTER INFO");
    }
}

/* ---- a false server: a thread for each connection */

struct liar_private {
    int fd;
    pthread_t thread;
    struct liar *liar;
    pthread_t each[256];
    int fds[256];
    size_t count;
};

struct talk {
    struct liar *liar;
    int fd;
};

/* What a Redis answers to SCRIPT LOAD. */
static const char *script_name(const redisReply *text, struct buf *out)
{
    struct span hash = fleet_script_hash((struct span){.at = text->str, .len = text->len});

    buf_printf(out, "$%zu\r\n%.*s\r\n", hash.len, SPAN_ARG(hash));
    return NULL;
}

static const char *good_answer(const struct liar *l, const redisReply *command, struct buf *out)
{
    const char *name = command->element[0]->str;
    const char *more = command->elements > 1 ? command->element[1]->str : "";

    if (strcmp(name, "CLIENT") == 0 && strcmp(more, "ID") == 0)
        return ":7\r\n";
    if (strcmp(name, "CLUSTER") == 0 && strcmp(more, "INFO") == 0)
        return "$43\r\ncluster_state:ok\r\ncluster_current_epoch:1\r\n\r\n";
    if (strcmp(name, "CLUSTER") == 0) {
        buf_printf(out, "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%u\r\n", l->port);
        return NULL;
    }
    if (strcmp(name, "INFO") == 0) {
        static const char info[] =
            "run_id:1234567890\r\nredis_version:7.0.15\r\nrole:master\r\ncluster_enabled:1\r\n";
        buf_printf(out, "$%zu\r\n%s\r\n", sizeof info - 1, info);
        return NULL;
    }
    if (strcmp(name, "CONFIG") == 0)
        return "*6\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n"
               "$25\r\nno-appendfsync-on-rewrite\r\n$2\r\nno\r\n";
    if (strcmp(name, "EVAL") == 0)
        return "*3\r\n:1\r\n:256\r\n$7\r\nxxh3-64\r\n";
    if (strcmp(name, "SCRIPT") == 0)
        return script_name(command->element[2], out);
    if (strcmp(name, "TIME") == 0) {
        uint64_t now = clock_wall_ms();
        buf_printf(out, "*2\r\n$10\r\n%010llu\r\n$1\r\n0\r\n", (unsigned long long) now / 1000);
        return NULL;
    }
    return "+OK\r\n";
}

static void answer(struct talk *t, const redisReply *command)
{
    AUTO_BUF struct buf out = {.data = NULL};
    AUTO_BUF struct buf line = {.data = NULL};
    const char *fixed = NULL;
    const struct lie *lie = t->liar->lies;
    const char *name = command->element[0]->str;

    if (strcmp(name, "EVALSHA") == 0 || strcmp(name, "GET") == 0 || strcmp(name, "SET") == 0 ||
        strcmp(name, "UNLINK") == 0 || strcmp(name, "SENTINEL") == 0)
        __atomic_add_fetch(&t->liar->commands, 1, __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < command->elements && i < 3; i++) {
        buf_add_text(&line, i ? " " : "");
        buf_add(&line, command->element[i]->str, command->element[i]->len);
    }
    while (lie->words &&
           (line.len < strlen(lie->words) || memcmp(line.data, lie->words, strlen(lie->words)) != 0))
        lie++;
    if (lie->words)
        fixed = lie->reply;
    else
        fixed = good_answer(t->liar, command, &out);
    if (fixed)
        buf_add_text(&out, fixed);
    if (out.len && send(t->fd, out.data, out.len, MSG_NOSIGNAL) < 0)
        (void) shutdown(t->fd, SHUT_RDWR);
}

static void *talk(void *context)
{
    struct talk *t = context;
    redisReader *reader = redisReaderCreate();
    char bytes[65536];
    ssize_t n;

    while ((n = recv(t->fd, bytes, sizeof bytes, 0)) > 0) {
        void *command = NULL;
        must(redisReaderFeed(reader, bytes, (size_t) n) == REDIS_OK);
        while (redisReaderGetReply(reader, &command) == REDIS_OK && command) {
            answer(t, command);
            freeReplyObject(command);
        }
    }
    redisReaderFree(reader);
    mem_free(t);
    return NULL;
}

static void *listen_on(void *context)
{
    struct liar_private *p = context;
    int fd;

    while ((fd = accept(p->fd, NULL, NULL)) >= 0) {
        struct talk *t = NEW(struct talk);
        must(p->count < ARRAY_LEN(p->each));
        t->liar = p->liar;
        t->fd = p->fds[p->count] = fd;
        must(pthread_create(&p->each[p->count++], NULL, talk, t) == 0);
    }
    return NULL;
}

void liar_start(struct liar *l, const struct lie *lies)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    struct liar_private *p = NEW(struct liar_private);

    l->lies = lies;
    l->private = p;
    l->commands = 0;
    p->liar = l;
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(p->fd >= 0 && bind(p->fd, (struct sockaddr *) &at, sizeof at) == 0 && listen(p->fd, 64) == 0);
    must(getsockname(p->fd, (struct sockaddr *) &at, &len) == 0);
    l->port = ntohs(at.sin_port);
    (void) snprintf(l->address, sizeof l->address, "127.0.0.1:%u", l->port);
    must(pthread_create(&p->thread, NULL, listen_on, p) == 0);
}

void liar_end(struct liar *l)
{
    struct liar_private *p = l->private;

    (void) shutdown(p->fd, SHUT_RDWR);
    must(pthread_join(p->thread, NULL) == 0);
    (void) close(p->fd);
    for (size_t i = 0; i < p->count; i++) {
        (void) shutdown(p->fds[i], SHUT_RDWR);
        must(pthread_join(p->each[i], NULL) == 0);
        (void) close(p->fds[i]);
    }
    l->private = mem_free(p);
}
