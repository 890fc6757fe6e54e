/* How this program gets into Redis. */
#include "cluster/access.h"

#include "base/conf.h"
#include "base/mem.h"
#include "base/metric.h"
#include "io/tls.h"

struct access {
    struct tls_client *tls; /* NULL: plain */
};

static int make_tls(struct tls_client **ret_tls, char **ret_error)
{
    const struct conf_store *conf = &conf_get()->store;
    AUTO_FREE char *item = *conf->tls_key ? mem_format("%s %s", conf->tls_certificate, conf->tls_key)
                                          : mem_string(conf->tls_certificate);
    const struct tls_client_settings settings = {
        .min_version = TLS_1_2, .ca = conf->tls_ca_file, .certificate = item};
    AUTO_FREE char *error = NULL;
    int r = tls_client_new(&settings, ret_tls, &error);

    if (r < 0)
        *ret_error = mem_format("store.tls: %s", error);
    else
        metric_set(METRIC_STORE_CERTIFICATE_END_SECONDS, tls_client_ends_ms(*ret_tls));
    return r;
}

int access_new(struct access **ret_access, char **ret_error)
{
    struct access *a = NEW(struct access);
    int r = conf_get()->store.tls ? make_tls(&a->tls, ret_error) : 0;

    if (r < 0) {
        mem_free(a);
        return r;
    }
    *ret_access = a;
    return 0;
}

int access_look(struct access *a, char **ret_error)
{
    struct tls_client *next = NULL;

    if (!a->tls || !tls_client_files_changed(a->tls))
        return 0;
    int r = make_tls(&next, ret_error);
    if (r < 0)
        return r;
    (void) tls_client_release(a->tls); /* always NULL */
    a->tls = next;
    return 1;
}

struct tls_client *access_tls(const struct access *a)
{
    return a->tls;
}

struct access *access_free(struct access *a)
{
    if (!a)
        return NULL;
    a->tls = tls_client_release(a->tls);
    return mem_free(a);
}

static void fill(const struct access *a, struct redis_settings *settings, const char *user,
                 const char *password)
{
    settings->tls = a->tls;
    settings->tls_name = conf_get()->store.tls_name;
    settings->user = user;
    settings->password = password;
}

void access_fill(const struct access *a, struct redis_settings *settings)
{
    fill(a, settings, conf_get()->store.user, conf_get()->store.password);
}

void access_fill_sentinel(const struct access *a, struct redis_settings *settings)
{
    fill(a, settings, conf_get()->store.sentinel_user, conf_get()->store.sentinel_password);
}
