/* Section dsn, beyond what its rows can say. */
#include "cluster/dsn_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "mail/addr.h"

/* Prefixes the sentence with where the setting is; takes it. */
static int fail(const struct conf *conf, const char *path, char *what, char **ret_error)
{
    AUTO_BUF struct buf text = {0};

    conf_place(conf, path, NULL, &text);
    buf_printf(&text, ": %s", what);
    mem_free(what);
    *ret_error = buf_steal_text(&text);
    return -EINVAL;
}

static int read_file(const char *path, struct buf *out)
{
    struct stat seen;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = 0;
    ssize_t got = 1;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &seen) < 0)
        r = -errno;
    else if (!S_ISREG(seen.st_mode))
        r = S_ISDIR(seen.st_mode) ? -EISDIR : -EINVAL;
    while (r == 0 && got != 0 && out->len <= DSN_TEMPLATE_MAX) {
        got = read(fd, buf_reserve(out, DSN_TEMPLATE_MAX + 1), DSN_TEMPLATE_MAX + 1);
        if (got > 0)
            buf_commit(out, (size_t) got);
        else if (got < 0 && errno != EINTR)
            r = -errno;
    }
    (void) close(fd); /* only read */
    return r;
}

static int load_template(const struct conf *conf, const char *setting, const char *path,
                         struct dsn_template **ret_template, char **ret_error)
{
    AUTO_BUF struct buf text = {0};
    AUTO_FREE char *why = NULL;

    if (!*path)
        return 0;
    int r = read_file(path, &text);
    if (r < 0)
        return fail(conf, setting, mem_format("cannot read %s: %s", path, strerrordesc_np(-r)), ret_error);
    if (dsn_template_parse(buf_span(&text), ret_template, &why) < 0)
        return fail(conf, setting, mem_format("%s: %s", path, why), ret_error);
    return 0;
}

static int load_limit(const struct conf *conf, const char *setting, const char *text,
                      struct limit_rule *ret_rule, char **ret_error)
{
    const char *why;

    if (!*text || limit_parse(span_of(text), false, ret_rule, &why) == 0)
        return 0;
    return fail(conf, setting, mem_format("\"%s\": expected %s", text, why), ret_error);
}

static int check_address(const struct conf *conf, char **ret_error)
{
    const char *address = conf->dsn.double_bounces;
    struct addr parsed;

    if (!*address || (addr_parse_utf8(span_of(address), &parsed) == 0 && parsed.domain.len > 0))
        return 0;
    return fail(conf, "dsn.double_bounces", mem_format("\"%s\" is no address", address), ret_error);
}

int dsn_settings_load(const struct conf *conf, struct dsn_settings *ret_settings, char **ret_error)
{
    const struct {
        const char *setting, *path;
    } files[DSN_ACTION_COUNT] = {
        [DSN_FAILED] = {"dsn.template_failed", conf->dsn.template_failed},
        [DSN_DELAYED] = {"dsn.template_delayed", conf->dsn.template_delayed},
        [DSN_RELAYED] = {"dsn.template_relayed", conf->dsn.template_relayed},
        [DSN_DELIVERED] = {"dsn.template_delivered", conf->dsn.template_delivered},
    };
    struct dsn_settings s = {0};
    int r = check_address(conf, ret_error);

    if (r == 0)
        r = load_limit(conf, "dsn.limit_per_sender", conf->dsn.limit_per_sender, &s.per_sender, ret_error);
    if (r == 0)
        r = load_limit(conf, "dsn.limit_per_domain", conf->dsn.limit_per_domain, &s.per_domain, ret_error);
    for (size_t i = 0; r == 0 && i < DSN_ACTION_COUNT; i++)
        r = load_template(conf, files[i].setting, files[i].path, &s.templates[i], ret_error);
    if (r < 0) {
        dsn_settings_done(&s);
        return r;
    }
    *ret_settings = s;
    return 0;
}

int dsn_settings_check(const struct conf *conf, char **ret_error)
{
    struct dsn_settings s;
    int r = dsn_settings_load(conf, &s, ret_error);

    if (r == 0)
        dsn_settings_done(&s);
    return r;
}

void dsn_settings_done(struct dsn_settings *s)
{
    for (size_t i = 0; i < DSN_ACTION_COUNT; i++)
        s->templates[i] = dsn_template_free(s->templates[i]);
}
