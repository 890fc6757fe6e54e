/*
 * store acl: the users of Redis, one for each role, from the rows of access.def. A role may do what it asks and what the scripts it runs do; a
 * command is for the keys that its row names, each kind of them in a selector of its own. A script runs with the rights of who sends it, so that
 * EVAL and EVALSHA, for any key, give nothing by themselves. Nobody can log in as the default user, but Redis reads its append-only file in its
 * name, and would leave out what it may not write (cluster/audit.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cluster/verifier.h"
#include "ctl/password.h"
#include "ctl/print.h"
#include "ctl/verb.h"
#include "io/crypto.h"

enum { GROUPS_MAX = 128 };

static const struct {
    const char *name;
    bool is_ours;     /* it runs scripts, and does what every role does */
    const char *more; /* rules besides */
} roles[] = {
    {"ingress", true, ""},
    {"dispatcher", true, ""},
    {"courier", true, ""},
    {"operator", true, ""},
    {"monitor", false, ""},
    {"replica", false, ""},
    {"sentinel", false, " &__sentinel__:hello"},
};

static const struct {
    const char *role, *script;
} runs[] = {
#define RUNS(role, script) {#role, #script},
#include "cluster/access.def"
};

static const struct {
    const char *script, *rights, *commands, *keys;
} touches[] = {
#define TOUCHES(script, rights, commands, keys) {#script, rights, commands, keys},
#include "cluster/access.def"
};

static const struct {
    const char *role, *rights, *commands, *keys;
} asks[] = {
#define ASKS(role, rights, commands, keys) {#role, rights, commands, keys},
#include "cluster/access.def"
};

/* ---- rules ---- */

/* Commands with the same rights to the same keys. */
struct group {
    const char *rights, *keys;
    struct buf commands; /* " +get +set" */
};
struct rules {
    struct group groups[GROUPS_MAX];
    size_t count;
};

static bool has_word(const struct buf *words, struct span word)
{
    struct span rest = buf_span(words);

    while (rest.len)
        if (span_equal(span_cut(&rest, ' '), word))
            return true;
    return false;
}

static void allow(struct rules *r, const char *rights, const char *commands, const char *keys)
{
    struct span rest = span_of(commands);
    size_t i = 0;

    while (i < r->count && (strcmp(r->groups[i].rights, rights) != 0 || strcmp(r->groups[i].keys, keys) != 0))
        i++;
    must(i < GROUPS_MAX);
    if (i == r->count)
        r->groups[r->count++] = (struct group){.rights = rights, .keys = keys};
    while (rest.len) {
        struct span command = span_cut(&rest, ' ');
        AUTO_FREE char *word = mem_format("+%.*s", SPAN_ARG(command));
        if (!has_word(&r->groups[i].commands, span_of(word)))
            buf_printf(&r->groups[i].commands, "%s%s", r->groups[i].commands.len ? " " : "", word);
    }
}

static void allow_script(struct rules *r, const char *script)
{
    for (size_t i = 0; i < ARRAY_LEN(touches); i++)
        if (strcmp(touches[i].script, script) == 0)
            allow(r, touches[i].rights, touches[i].commands, touches[i].keys);
}

static bool is_for(const char *row, const char *role, bool is_ours)
{
    return strcmp(row, role) == 0 || (is_ours && strcmp(row, "every") == 0);
}

static void rules_of(struct rules *r, const char *role, bool is_ours)
{
    for (size_t i = 0; i < ARRAY_LEN(asks); i++)
        if (is_for(asks[i].role, role, is_ours))
            allow(r, asks[i].rights, asks[i].commands, asks[i].keys);
    for (size_t i = 0; i < ARRAY_LEN(runs); i++)
        if (is_for(runs[i].role, role, is_ours))
            allow_script(r, runs[i].script);
}

/* "(%R~a %R~b +get +strlen)"; what needs no key is no selector. */
static void add_group(const struct group *g, struct buf *out)
{
    struct span rest = span_of(g->keys);

    buf_add_text(out, rest.len ? " (" : " ");
    while (rest.len) {
        struct span key = span_cut(&rest, ' ');
        buf_printf(out, "%%%s~%.*s ", g->rights, SPAN_ARG(key));
    }
    buf_add_span(out, buf_span(&g->commands));
    buf_add_text(out, *g->keys ? ")" : "");
}

static void add_rules(const char *role, bool is_ours, struct buf *out)
{
    struct rules *r = NEW(struct rules);

    rules_of(r, role, is_ours);
    if (is_ours)
        buf_add_text(out, " (~* +eval +evalsha)");
    for (size_t i = 0; i < r->count; i++) {
        add_group(&r->groups[i], out);
        buf_done(&r->groups[i].commands);
    }
    mem_free(r);
}

/* ---- passwords ---- */

static void add_hex(struct buf *out, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%02x", bytes[i]);
}

static int make_file(const char *file, struct buf *password)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return say_failed("cannot make %s: %s", file, strerror(errno));
    password_make(password);
    buf_add_char(password, '\n');
    bool is_whole = write(fd, password->data, password->len) == (ssize_t) password->len && fsync(fd) == 0;
    int error = errno;
    close(fd);
    if (!is_whole)
        return say_failed("cannot write %s: %s", file, strerror(error));
    password->len--;
    return EXIT_OK;
}

/* As store.password_file is read: its first line. */
static int take_password(const char *file, struct buf *password)
{
    if (access(file, F_OK) < 0 && errno == ENOENT)
        return make_file(file, password);
    int status = password_read_file(file, password);
    if (status == EXIT_OK && password_check(buf_span(password)) < 0)
        status = say_failed(
            "%s holds no password: its first line is to have 1 to %d bytes of UTF-8, without control characters",
            file, PASSWORD_MAX);
    return status;
}

static int add_password(const char *directory, const char *role, struct buf *out)
{
    AUTO_FREE char *file = mem_format("%s/%s.password", directory, role);
    struct buf password = {.data = NULL};
    uint8_t digest[SHA256_BYTES];

    int status = take_password(file, &password);
    if (status == EXIT_OK) {
        crypto_sha256(buf_span(&password), digest);
        add_hex(out, digest, sizeof(digest));
    }
    buf_wipe(&password);
    return status;
}

/* ---- the file: Redis takes no comments in it ---- */

int verb_store_acl(const struct arguments *a)
{
    AUTO_BUF struct buf out = {.data = NULL};
    struct json *users = json_new_array();
    int status = EXIT_OK;

    buf_add_text(&out, "user default off ~* &* +@all\n");
    for (size_t i = 0; i < ARRAY_LEN(roles) && status == EXIT_OK; i++) {
        size_t start = out.len;
        buf_printf(&out, "user %s on #", roles[i].name);
        status = add_password(a->operands[0], roles[i].name, &out);
        buf_printf(&out, "%s -@all", roles[i].more);
        add_rules(roles[i].name, roles[i].is_ours, &out);
        json_put_text(users, NULL, (struct span){.at = out.data + start, .len = out.len - start});
        buf_add_char(&out, '\n');
    }
    if (status == EXIT_OK && a->is_json) {
        struct json *json = json_new_object();
        json_put(json, "users", STEAL(users));
        print_json(json);
    } else if (status == EXIT_OK) {
        print_buf(&out);
    }
    json_free(users);
    return status;
}
