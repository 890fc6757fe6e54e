/* Files of certificates and keys: read whole, and remembered as they were. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/tls_private.h"

enum { FILE_MAX_BYTES = 4194304 }; /* all authorities of a system are some 200 KiB */

static void remember(struct tls_files *files, const char *path, const struct stat *seen)
{
    files->items = mem_resize(files->items, (files->count + 1) * sizeof(struct tls_file));
    files->items[files->count++] = (struct tls_file){.path = mem_string(path), .seen = *seen};
}

static int read_all(int fd, size_t len, struct buf *out)
{
    while (len > 0) {
        ssize_t n = read(fd, buf_reserve(out, len), len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0; /* it shrank: what is in it will tell */
        if (n > 0) {
            buf_commit(out, (size_t) n);
            len -= (size_t) n;
        }
    }
    return 0;
}

int tls_file_read(struct tls_files *files, const char *path, struct buf *out, char **ret_error)
{
    struct stat seen = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int r = fd < 0 || fstat(fd, &seen) < 0 ? -errno : 0;
    remember(files, path, &seen);
    if (r == 0 && !S_ISREG(seen.st_mode))
        r = S_ISDIR(seen.st_mode) ? -EISDIR : -EINVAL;
    if (r == 0 && seen.st_size > FILE_MAX_BYTES)
        r = -EFBIG;
    if (r == 0)
        r = read_all(fd, (size_t) seen.st_size, out);
    if (fd >= 0)
        (void) close(fd); /* only read */
    if (r < 0)
        *ret_error = mem_format("cannot read %s: %s", path, strerror(-r));
    return r;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

bool tls_files_look(struct tls_files *files)
{
    bool has_changed = false;
    for (size_t i = 0; i < files->count; i++) {
        struct stat now = {0};
        if (stat(files->items[i].path, &now) < 0)
            now = (struct stat){0}; /* gone */
        if (!is_same(&now, &files->items[i].seen))
            has_changed = true;
        files->items[i].seen = now;
    }
    return has_changed;
}

void tls_files_done(struct tls_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        mem_free(files->items[i].path);
    files->items = mem_free(files->items);
    files->count = 0;
}
