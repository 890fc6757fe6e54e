/* Passwords, from a file, standard input or chance. */
#include "ctl/password.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cluster/verifier.h"
#include "ctl/print.h"
#include "ctl/verb.h"
#include "io/crypto.h"

enum { GENERATED_CHARACTERS = 24 };

int password_read(int fd, const char *where, struct buf *out)
{
    char *at = buf_reserve(out, PASSWORD_MAX + 2); /* at once: nothing is copied */
    for (ssize_t got = 1; got > 0 && out->len < PASSWORD_MAX + 2;) {
        do
            got = read(fd, at + out->len, PASSWORD_MAX + 2 - out->len);
        while (got < 0 && errno == EINTR);
        if (got < 0)
            return say_failed("cannot read the password from %s: %s", where, strerror(errno));
        buf_commit(out, (size_t) got);
    }
    const char *end = memchr(out->data, '\n', out->len);
    if (end)
        out->len = (size_t) (end - out->data);
    if (out->len > 0 && out->data[out->len - 1] == '\r')
        out->len--;
    return EXIT_OK;
}

int password_read_file(const char *file, struct buf *out)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return say_failed("cannot open %s: %s", file, strerror(errno));
    int status = password_read(fd, file, out);
    (void) close(fd); /* only read */
    return status;
}

/* A byte that would favour some of the letters is passed over. */
void password_make(struct buf *out)
{
    static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    enum { LETTERS = sizeof letters - 1, FAIR = 256 - 256 % LETTERS };
    while (out->len < GENERATED_CHARACTERS) {
        uint8_t byte;
        crypto_random(&byte, sizeof byte);
        if (byte < FAIR)
            buf_add_char(out, letters[byte % LETTERS]);
    }
}
