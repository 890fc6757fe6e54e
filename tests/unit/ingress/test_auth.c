/* Settings of AUTH: what makes no sense is told with its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ingress/auth.h"

/* What is given instead of the sound settings; NULL: nothing. */
struct bent {
    const char *backend, *client, *user, *socket, *url, *sender;
};

/* The sentence; "" when there is none. */
static char *judge(const struct bent *b)
{
    struct conf conf;
    char *error = NULL;
    char *backends[] = {(char *) (uintptr_t) (b->backend ? b->backend : "users"), (char[]){"dovecot"},
                        (char[]){"oauth"}};
    char *senders[] = {(char *) (uintptr_t) (b->sender ? b->sender : "@example.com")};
    memset(&conf, 0, sizeof conf);
    conf.auth.backends = (struct conf_list){backends, ARRAY_LEN(backends)};
    conf.auth.foreign_senders = (struct conf_list){senders, 1};
    conf.auth.failures_per_client = (char *) (uintptr_t) (b->client ? b->client : "20/10min");
    conf.auth.failures_per_user = (char *) (uintptr_t) (b->user ? b->user : "");
    conf.auth.dovecot_socket = (char *) (uintptr_t) (b->socket ? b->socket : "/run/dovecot/auth-client");
    conf.auth.oauth_url = (char *) (uintptr_t) (b->url ? b->url : "https://id.example.com/introspect");
    int r = auth_check(&conf, &error);
    assert_int_equal(r < 0, error != NULL);
    return error ? error : mem_string("");
}

static void assert_says(struct bent b, const char *words)
{
    AUTO_FREE char *error = judge(&b);
    if (*words ? !strstr(error, words) : *error)
        fail_msg("\"%s\" does not say \"%s\"", error, words);
}

static void sound_settings_pass(void **s UNUSED)
{
    assert_says((struct bent){0}, "");
    assert_says((struct bent){.socket = "127.0.0.1:12345"}, "");
    assert_says((struct bent){.socket = "[::1]:12345"}, "");
    assert_says((struct bent){.url = "http://127.0.0.1:8080/x"}, "");
    assert_says((struct bent){.url = "http://localhost/x"}, "");
    assert_says((struct bent){.url = "http://[::1]:80/x"}, "");
    assert_says((struct bent){.sender = "*"}, "");
}

static void others_are_told_by_name(void **s UNUSED)
{
    assert_says((struct bent){.backend = "ldap"}, "auth.backends: \"ldap\"");
    assert_says((struct bent){.client = "many"}, "auth.failures_per_client");
    assert_says((struct bent){.user = "5"}, "auth.failures_per_user");
    assert_says((struct bent){.socket = ""}, "auth.dovecot_socket");
    assert_says((struct bent){.socket = "dovecot.example.com:12345"}, "auth.dovecot_socket");
    assert_says((struct bent){.socket = "127.0.0.1"}, "auth.dovecot_socket");
    assert_says((struct bent){.url = ""}, "auth.oauth_url");
    assert_says((struct bent){.url = "https://"}, "auth.oauth_url");
    assert_says((struct bent){.sender = "example.com"}, "auth.foreign_senders");
}

/* proves: D12 */
static void tokens_do_not_travel_in_the_clear(void **s UNUSED)
{
    assert_says((struct bent){.url = "http://id.example.com/introspect"}, "auth.oauth_url");
    assert_says((struct bent){.url = "http://127.0.0.1.example.com/"}, "auth.oauth_url");
    assert_says((struct bent){.url = "http://localhost.example.com/"}, "auth.oauth_url");
    assert_says((struct bent){.url = "http://localhost:80@example.com/"}, "auth.oauth_url");
    assert_says((struct bent){.url = "ftp://127.0.0.1/"}, "auth.oauth_url");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_settings_pass),
        cmocka_unit_test(others_are_told_by_name),
        cmocka_unit_test(tokens_do_not_travel_in_the_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
