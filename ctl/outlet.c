/* A file, or a program behind two pipes. Nothing else goes on while it blocks. */
#include "ctl/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

struct outlet {
    char *name;
    int fd;
    bool is_file; /* that can be synced */
    pid_t child;  /* 0: none */
    FILE *answers;
    char *line;
    size_t line_room;
    struct parcel_writer *writer;
    struct buf out;
    uint64_t syncs, bytes;
};

static struct outlet *outlet_new(const char *name, int fd)
{
    struct outlet *o = NEW(struct outlet);

    o->name = mem_string(name);
    o->fd = fd;
    o->writer = parcel_writer_new();
    return o;
}

/* ---- a file ---- */

/* The file's name is as durable as what is in it. */
static int sync_folder(const char *name)
{
    const char *slash = strrchr(name, '/');
    AUTO_FREE char *folder = slash ? mem_text(name, (size_t) (slash - name) + 1) : mem_string(".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int error = fsync(fd) < 0 ? -errno : 0;
    (void) close(fd); /* only read from */
    return error;
}

int outlet_open_file(const char *name, struct outlet **ret_outlet)
{
    if (strcmp(name, "-") == 0) {
        *ret_outlet = outlet_new("standard output", STDOUT_FILENO);
        return EXIT_OK;
    }
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return say_failed("%s: %s", name,
                          errno == EEXIST ? "it is there already, and nothing is written over"
                                          : strerror(errno));
    int error = sync_folder(name);
    *ret_outlet = outlet_new(name, fd);
    (*ret_outlet)->is_file = true;
    if (error == 0)
        return EXIT_OK;
    *ret_outlet = outlet_close(*ret_outlet);
    return say_failed("%s: its folder cannot be synced: %s", name, strerror(-error));
}

/* ---- a program ---- */

/* The environment says where our store is; the other one's is in its file. */
static void forget_settings(void)
{
    char **at = environ;

    for (char **it = environ; *it; it++)
        if (strncmp(*it, "BARID_", 6) != 0)
            *at++ = *it;
    *at = NULL;
}

static void become_importer(const char *program, const char *settings, const char *address, int in, int out)
{
    char *argv[] = {(char *) (uintptr_t) program,
                    (char *) (uintptr_t) "--config",
                    (char *) (uintptr_t) (settings ? settings : ""),
                    (char *) (uintptr_t) "store",
                    (char *) (uintptr_t) "import",
                    (char *) (uintptr_t) "-",
                    (char *) (uintptr_t) "--answers",
                    NULL};

    if (!address)
        forget_settings();
    (void) signal(SIGINT, SIG_IGN); /* Ctrl-C reaches both: the export ends its batch, and by that this one */
    if (address && setenv("BARID_STORE_ADDRESS", address, 1) < 0)
        _exit(EXIT_ASKED_FAILED);
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(EXIT_ASKED_FAILED);
    /* rule: baridctl itself, as the importer at the other end */
    (void) execv(program, argv); /* rule: what follows is its failure */
    fprintf(stderr, "baridctl: %s: %s\n", program, strerror(errno));
    _exit(EXIT_ASKED_FAILED);
}

int outlet_open_program(const char *program, const char *settings, const char *address,
                        struct outlet **ret_outlet)
{
    int to[2], from[2];

    if (pipe2(to, O_CLOEXEC) < 0)
        return say_failed("no pipe: %s", strerror(errno));
    if (pipe2(from, O_CLOEXEC) < 0) {
        (void) close(to[0]); /* nothing was in it */
        (void) close(to[1]); /* the same */
        return say_failed("no pipe: %s", strerror(errno));
    }
    (void) fflush(stdout); /* a failure shows at the end */
    pid_t child = fork();
    if (child == 0)
        become_importer(program ? program : "/proc/self/exe", settings, address, to[0], from[1]);
    (void) close(to[0]);   /* the child's ends */
    (void) close(from[1]); /* the same */
    if (child < 0) {
        (void) close(to[1]);   /* nothing was in them */
        (void) close(from[0]); /* the same */
        return say_failed("no process: %s", strerror(errno));
    }
    *ret_outlet = outlet_new("the other store", to[1]);
    (*ret_outlet)->child = child;
    (*ret_outlet)->answers = fdopen(from[0], "r");
    must((*ret_outlet)->answers);
    return EXIT_OK;
}

/* ---- what goes out ---- */

static int write_out(struct outlet *o)
{
    while (o->out.len > 0) {
        ssize_t len = write(o->fd, o->out.data, o->out.len);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return say_failed("%s: %s: stopped", o->name,
                              errno == EPIPE ? "it takes no more (it says above why)" : strerror(errno));
        o->bytes += (uint64_t) len;
        buf_consume(&o->out, (size_t) len);
    }
    return EXIT_OK;
}

int outlet_put(struct outlet *o, const struct parcel_entry *e)
{
    parcel_write(o->writer, e, &o->out);
    return write_out(o);
}

static int sync_file(struct outlet *o)
{
    if (o->is_file && fsync(o->fd) < 0)
        return say_failed("%s: %s: stopped", o->name, strerror(errno));
    return EXIT_OK;
}

/* "sync <number> <letters>" */
static int read_answer(struct outlet *o, struct span *ret_letters)
{
    ssize_t len = getline(&o->line, &o->line_room, o->answers);
    struct span line = {.at = o->line, .len = len > 0 ? (size_t) len - 1 : 0};
    uint64_t number;

    struct span word = span_cut(&line, ' '), digits = span_cut(&line, ' ');
    if (!span_equal(word, SPAN("sync")) || span_number(digits, UINT64_MAX, &number) < 0 || number != o->syncs)
        return say_failed("%s did not confirm what it was given: stopped", o->name);
    *ret_letters = line;
    return EXIT_OK;
}

int outlet_sync(struct outlet *o, struct span *ret_letters)
{
    const struct parcel_entry e = {.kind = PARCEL_SYNC, .sync = ++o->syncs};

    *ret_letters = (struct span){.at = NULL};
    int status = outlet_put(o, &e);
    if (status == EXIT_OK) {
        parcel_flush(o->writer, &o->out);
        status = write_out(o);
    }
    if (status == EXIT_OK)
        status = o->child ? read_answer(o, ret_letters) : sync_file(o);
    return status;
}

bool outlet_answers(const struct outlet *o)
{
    return o->child != 0;
}

/* The importer ends when its input does. */
static int reap(struct outlet *o)
{
    int state = 0;
    pid_t child = o->child;

    o->child = 0;
    while (waitpid(child, &state, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(state) ? WEXITSTATUS(state) : EXIT_ASKED_FAILED;
}

int outlet_end(struct outlet *o)
{
    const struct parcel_entry e = {.kind = PARCEL_END};
    int status = outlet_put(o, &e);

    if (status != EXIT_OK)
        return status;
    parcel_flush(o->writer, &o->out);
    status = write_out(o);
    if (status == EXIT_OK)
        status = sync_file(o);
    if (o->child) {
        (void) close(o->fd); /* a pipe */
        o->fd = -1;
        if (reap(o) != EXIT_OK && status == EXIT_OK)
            status = EXIT_ASKED_FAILED; /* it said why */
    }
    return status;
}

struct outlet *outlet_close(struct outlet *o)
{
    if (!o)
        return NULL;
    if (o->fd >= 0 && o->fd != STDOUT_FILENO)
        (void) close(o->fd); /* synced before, or failed already */
    if (o->child)
        (void) reap(o); /* it failed already */
    if (o->answers)
        (void) fclose(o->answers); /* only read from */
    o->writer = parcel_writer_free(o->writer);
    buf_done(&o->out);
    mem_free(o->line);
    mem_free(o->name);
    return mem_free(o);
}

uint64_t outlet_bytes(const struct outlet *o)
{
    return o->bytes;
}
