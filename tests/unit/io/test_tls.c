/* TLS at the server: which certificate, who is refused, what is told, tickets, files that change; the client is OpenSSL's own. */
#include "tls_test.h"

#include <errno.h>
#include <sys/stat.h>

#include <openssl/pem.h>

/* What the server's side of one session saw. */
static struct {
    struct stream *stream;
    bool is_secured, is_resumed, is_client_verified;
    char version[32], cipher[64], sni[300], fingerprint[65], error[200];
    char binding[64];
    int reason;
    struct buf end_point;
    bool has_exporter;
} seen;

static void on_secured(void *owner)
{
    (void) owner;
    const struct tls_info *info = stream_tls(seen.stream);
    AUTO_BUF struct buf exporter = {0};
    seen.is_secured = true;
    seen.is_resumed = info->is_resumed;
    seen.is_client_verified = info->is_client_verified;
    (void) snprintf(seen.version, sizeof seen.version, "%s", info->version);
    (void) snprintf(seen.cipher, sizeof seen.cipher, "%s", info->cipher);
    (void) snprintf(seen.sni, sizeof seen.sni, "%s", info->sni ? info->sni : "");
    (void) snprintf(seen.fingerprint, sizeof seen.fingerprint, "%s", info->fingerprint);
    seen.has_exporter = stream_tls_binding(seen.stream, TLS_EXPORTER, &exporter) == 0;
    if (seen.has_exporter)
        memcpy(seen.binding, exporter.data, exporter.len);
    (void) stream_tls_binding(seen.stream, TLS_SERVER_END_POINT, &seen.end_point);
}

static size_t on_data(void *owner, struct span in)
{
    (void) owner;
    stream_write(seen.stream, in);
    return in.len;
}

static void on_closed(void *owner, int reason)
{
    (void) owner;
    seen.reason = reason;
    (void) snprintf(seen.error, sizeof seen.error, "%s", stream_tls_error(seen.stream));
    seen.stream = NULL;
    loop_stop(loop);
}

static const struct stream_events events = {
    .on_data = on_data, .on_secured = on_secured, .on_closed = on_closed};

/* One session of this client with this server, to its end. */
static void meet(struct tls_server *server, struct outsider *o)
{
    int fds[2];
    buf_done(&seen.end_point);
    memset(&seen, 0, sizeof seen);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    o->fd = fds[1];
    o->is_secured = o->is_resumed = false;
    seen.stream = stream_adopt(loop, fds[0], &events, NULL);
    stream_start_tls(seen.stream, server);
    outsider_start(o);
    loop_go();
    outsider_end(o);
}

static int setup_all(void **state)
{
    (void) state;
    certificate_make(&(struct certificate_spec){.file = "ca", .names = "ca.example", .is_ca = true});
    certificate_make(&(struct certificate_spec){.file = "other-ca", .names = "other.example", .is_ca = true});
    certificate_make(&(struct certificate_spec){.file = "a", .names = "a.example", .issuer = "ca"});
    certificate_make(
        &(struct certificate_spec){.file = "a-rsa", .names = "a.example", .issuer = "ca", .is_rsa = true});
    certificate_make(
        &(struct certificate_spec){.file = "b", .names = "b.example *.sub.b.example", .issuer = "ca"});
    certificate_make(&(struct certificate_spec){
        .file = "cn", .names = "cn.example", .issuer = "ca", .is_without_san = true});
    certificate_make(&(struct certificate_spec){.file = "client", .names = "client.example", .issuer = "ca"});
    certificate_make(
        &(struct certificate_spec){.file = "foreign", .names = "client.example", .issuer = "other-ca"});
    certificate_make(&(struct certificate_spec){
        .file = "late", .names = "client.example", .issuer = "ca", .from_s = -7200, .until_s = -3600});
    return 0;
}

static int teardown_all(void **state)
{
    (void) state;
    certificates_end();
    buf_done(&seen.end_point);
    return 0;
}

/* ---- certificates */

static void a_session_is_as_safe_as_it_gets(void **state)
{
    (void) state;
    struct tls_server *server = SERVER(certificate_item("a"));
    struct outsider o = {.sni = "A.Example"};
    meet(server, &o);
    assert_true(o.is_secured && seen.is_secured);
    assert_string_equal(seen.version, "TLSv1.3");
    assert_string_equal(seen.cipher, "TLS_AES_256_GCM_SHA384");
    assert_string_equal(seen.sni, "a.example");
    assert_string_equal(seen.fingerprint, "");
    assert_false(seen.is_resumed || seen.is_client_verified);
    assert_int_equal(seen.reason, 0);
    assert_string_equal(seen.error, "");
    tls_server_release(server);
}

/* proves: C05 */
static void old_versions_and_weak_ciphers_are_refused(void **state)
{
    (void) state;
    static const char *const weak[] = {"aNULL:@SECLEVEL=0", "eNULL:@SECLEVEL=0", "DES-CBC3-SHA:@SECLEVEL=0",
                                       "RC4:@SECLEVEL=0"};
    struct tls_server *server = SERVER(certificate_item("a"), certificate_item("a-rsa"));
    for (int version = TLS1_VERSION; version < TLS1_2_VERSION; version++) {
        struct outsider o = {.version = version, .ciphers = "DEFAULT:@SECLEVEL=0"};
        meet(server, &o);
        assert_false(o.is_secured || seen.is_secured);
        assert_int_equal(seen.reason, -EPROTO);
        assert_string_equal(seen.error, "unsupported protocol");
    }
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        bool can_ask = SSL_CTX_set_cipher_list(context, weak[i]) == 1; /* many are not even built any more */
        SSL_CTX_free(context);
        struct outsider o = {.version = TLS1_2_VERSION, .ciphers = weak[i]};
        if (!can_ask)
            continue;
        meet(server, &o);
        assert_false(o.is_secured || seen.is_secured);
        assert_string_equal(seen.error, "no shared cipher");
    }
    tls_server_release(server);
}

/* proves: C05 */
static void no_setting_brings_weak_ciphers_back(void **state)
{
    (void) state;
    const char *items[] = {certificate_item("a")};
    struct tls_server_settings settings = server_settings(items, 1);
    struct tls_server *server = NULL;
    AUTO_FREE char *error = NULL;
    settings.ciphers = "aNULL:eNULL:ECDHE-ECDSA-AES128-GCM-SHA256:@SECLEVEL=0";
    assert_int_equal(tls_server_new(&settings, &server, &error), 0);
    struct outsider o = {.version = TLS1_2_VERSION, .ciphers = "aNULL:eNULL:@SECLEVEL=0"};
    meet(server, &o);
    assert_false(o.is_secured || seen.is_secured);
    struct outsider good = {.version = TLS1_2_VERSION};
    meet(server, &good);
    assert_string_equal(seen.cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
    tls_server_release(server);
    settings.ciphers = "nonsense";
    assert_int_equal(tls_server_new(&settings, &server, &error), -EINVAL);
    assert_non_null(strstr(error, "\"nonsense\""));
}

static void the_oldest_version_is_a_setting(void **state)
{
    (void) state;
    const char *items[] = {certificate_item("a")};
    struct tls_server_settings settings = server_settings(items, 1);
    struct tls_server *server = NULL;
    AUTO_FREE char *error = NULL;
    settings.min_version = TLS_1_3;
    assert_int_equal(tls_server_new(&settings, &server, &error), 0);
    struct outsider o = {.version = TLS1_2_VERSION};
    meet(server, &o);
    assert_false(o.is_secured);
    tls_server_release(server);
}

static void rsa_and_ec_stand_side_by_side(void **state)
{
    (void) state;
    struct tls_server *server = SERVER(certificate_item("b"), certificate_item("a"),
                                       certificate_item("a-rsa"));
    struct outsider ec = {.sni = "a.example", .version = TLS1_2_VERSION};
    meet(server, &ec);
    assert_int_equal(ec.key_kind, EVP_PKEY_EC);
    struct outsider rsa = {
        .sni = "a.example", .version = TLS1_2_VERSION, .ciphers = "ECDHE-RSA-AES128-GCM-SHA256"};
    meet(server, &rsa);
    assert_true(rsa.is_secured);
    assert_int_equal(rsa.key_kind, EVP_PKEY_RSA);
    assert_string_equal(rsa.subject, "a.example");
    tls_server_release(server);
}

/* proves: C07 */
static void the_name_asked_for_chooses_the_certificate(void **state)
{
    (void) state;
    static const struct {
        const char *sni, *subject, *told;
    } cases[] = {
        {NULL, "a.example", ""},
        {"a.example", "a.example", "a.example"},
        {"b.example", "b.example", "b.example"},
        {"B.EXAMPLE", "b.example", "b.example"},
        {"x.sub.b.example", "b.example", "x.sub.b.example"},
        {"x.y.sub.b.example", "a.example", "x.y.sub.b.example"}, /* one label only */
        {"sub.b.example", "a.example", "sub.b.example"},
        {"cn.example", "cn.example", "cn.example"},
        {"unknown.example", "a.example", "unknown.example"},
        {"*.sub.b.example", "a.example", ""},
        {".sub.b.example", "a.example", ""},
        {"..", "a.example", ""},
        {"a.example\\", "a.example", ""},
        {"../../etc/passwd", "a.example", ""},
        {"a.example\r\nX: y", "a.example", ""},
        {"\xff\xfe", "a.example", ""},
        {"{c}:users", "a.example", ""},
    };
    struct tls_server *server = SERVER(certificate_item("a"), certificate_item("b"), certificate_item("cn"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outsider o = {.sni = cases[i].sni};
        meet(server, &o);
        assert_true(o.is_secured);
        assert_string_equal(o.subject, cases[i].subject);
        assert_string_equal(seen.sni, cases[i].told);
    }
    char longest[256];
    memset(longest, 'a', 255);
    longest[255] = '\0';
    struct outsider o = {.sni = longest};
    meet(server, &o);
    assert_true(o.is_secured);
    assert_string_equal(seen.sni, "");
    tls_server_release(server);
}

/* proves: B18 */
static void a_client_of_other_protocols_is_refused(void **state)
{
    (void) state;
    struct tls_server *server = SERVER(certificate_item("a"), certificate_item("b"));
    static const char *const alpns[] = {"\x08http/1.1", "\x02h2\x08http/1.1", "\x04imap", "\x05smtp2"};
    for (size_t i = 0; i < 4; i++) {
        struct outsider o = {.sni = "b.example", .alpn = alpns[i]};
        meet(server, &o);
        assert_false(o.is_secured);
        assert_int_equal(o.alert, SSL_AD_NO_APPLICATION_PROTOCOL);
        assert_int_equal(seen.reason, -EPROTO);
    }
    struct outsider o = {.alpn = "\x02h2\x04smtp"};
    meet(server, &o);
    assert_true(o.is_secured);
    tls_server_release(server);
}

/* ---- client certificates */

static struct tls_server *asking_server(const char *ca, struct tls_tickets *tickets)
{
    static const char *items[1];
    items[0] = certificate_item("a");
    struct tls_server_settings settings = server_settings(items, 1);
    struct tls_server *server = NULL;
    char *error = NULL;
    settings.asks_client_certificate = true;
    settings.client_ca = ca;
    settings.tickets = tickets;
    settings.ticket_ms = 3600000;
    must(tls_server_new(&settings, &server, &error) == 0);
    return server;
}

/* proves: C10 */
static void a_client_is_verified_or_it_is_nobody(void **state)
{
    (void) state;
    static const struct {
        const char *certificate;
        bool is_verified;
    } cases[] = {{NULL, false}, {"client", true}, {"foreign", false}, {"late", false}};
    struct tls_server *server = asking_server(certificate_path("ca.pem"), NULL);
    struct tls_server *without = asking_server("", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct outsider o = {.certificate = cases[i].certificate, .version = version};
            meet(server, &o);
            assert_true(o.is_secured && seen.is_secured);
            assert_int_equal(seen.is_client_verified, cases[i].is_verified);
            assert_int_equal(strlen(seen.fingerprint), cases[i].certificate ? 64 : 0);
            meet(without, &o);
            assert_true(o.is_secured);
            assert_false(seen.is_client_verified);
        }
    tls_server_release(server);
    tls_server_release(without);
}

/* proves: C10 */
static void a_resumed_client_is_verified_only_where_it_was(void **state)
{
    (void) state;
    struct tls_ticket_secret secret = {{7}};
    struct tls_tickets *tickets = tls_tickets_new();
    tls_tickets_set(tickets, &secret, 1);
    struct tls_server *server = asking_server(certificate_path("ca.pem"), tickets);
    struct tls_server *again = asking_server(certificate_path("ca.pem"), tickets);
    struct tls_server *other_ca = asking_server(certificate_path("other-ca.pem"), tickets);
    struct tls_server *no_ca = asking_server(NULL, tickets);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct outsider o = {.certificate = "client", .version = version};
        meet(server, &o);
        assert_true(seen.is_client_verified && o.session);
        SSL_SESSION *first = SSL_SESSION_dup(o.session);
        meet(again, &o);
        assert_true(o.is_resumed && seen.is_resumed && seen.is_client_verified);
        assert_int_equal(strlen(seen.fingerprint), 64);
        SSL_SESSION_free(o.session);
        o.session = SSL_SESSION_dup(first);
        meet(other_ca, &o);
        assert_true(o.is_secured);
        assert_false(seen.is_resumed || seen.is_client_verified);
        SSL_SESSION_free(o.session);
        o.session = first;
        meet(no_ca, &o);
        assert_true(o.is_secured);
        assert_false(seen.is_resumed || seen.is_client_verified);
        SSL_SESSION_free(o.session);
        struct outsider stranger = {.certificate = "foreign", .version = version};
        meet(server, &stranger);
        meet(again, &stranger);
        assert_true(stranger.is_resumed);
        assert_false(seen.is_client_verified);
        SSL_SESSION_free(stranger.session);
    }
    tls_server_release(server);
    tls_server_release(again);
    tls_server_release(other_ca);
    tls_server_release(no_ca);
    tls_tickets_free(tickets);
}

/* ---- tickets */

static struct tls_server *ticket_server(const char *trust, struct tls_tickets *tickets)
{
    static const char *items[2];
    items[0] = certificate_item("a");
    items[1] = certificate_item("b");
    struct tls_server_settings settings = server_settings(items, 2);
    struct tls_server *server = NULL;
    char *error = NULL;
    settings.trust = trust;
    settings.tickets = tickets;
    settings.ticket_ms = 3600000;
    must(tls_server_new(&settings, &server, &error) == 0);
    return server;
}

/* proves: C09 */
static void tickets_are_good_at_another_node_of_the_same_trust(void **state)
{
    (void) state;
    struct tls_ticket_secret secrets[2] = {{{1}}, {{2}}}, newer[2] = {{{3}}, {{1}}},
                             newest[2] = {{{4}}, {{3}}};
    struct tls_tickets *here = tls_tickets_new(), *there = tls_tickets_new();
    tls_tickets_set(here, secrets, 2);
    tls_tickets_set(there, secrets, 1);
    struct tls_server *server = ticket_server("relay", here), *other_node = ticket_server("relay", there),
                      *other_trust = ticket_server("submission", here);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct outsider o = {.version = version, .sni = "b.example"};
        tls_tickets_set(there, secrets, 1);
        meet(server, &o);
        assert_true(o.session && !o.is_resumed);
        SSL_SESSION *kept = SSL_SESSION_dup(o.session);
        meet(other_node, &o);
        assert_true(o.is_resumed && seen.is_resumed);
        SSL_SESSION_free(o.session);
        o.session = SSL_SESSION_dup(kept);
        meet(other_trust, &o);
        assert_true(o.is_secured && seen.is_secured);
        assert_false(o.is_resumed || seen.is_resumed);
        SSL_SESSION_free(o.session);
        o.session = SSL_SESSION_dup(kept);
        tls_tickets_set(there, newer, 2); /* one epoch later */
        meet(other_node, &o);
        assert_true(o.is_resumed);
        SSL_SESSION_free(o.session);
        o.session = kept;
        tls_tickets_set(there, newest, 2); /* two */
        meet(other_node, &o);
        assert_true(o.is_secured);
        assert_false(o.is_resumed);
        SSL_SESSION_free(o.session);
    }
    tls_server_release(server);
    tls_server_release(other_node);
    tls_server_release(other_trust);
    tls_tickets_free(here);
    tls_tickets_free(there);
}

/* proves: C09 */
static void without_secrets_there_are_no_tickets(void **state)
{
    (void) state;
    struct tls_ticket_secret secret = {{1}};
    struct tls_tickets *tickets = tls_tickets_new();
    struct tls_server *servers[] = {ticket_server("relay", tickets), ticket_server("relay", NULL)};
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
        for (int i = 0; i < 2; i++) {
            struct outsider o = {.version = version};
            meet(servers[i], &o);
            assert_true(o.is_secured);
            assert_true(!o.session || !SSL_SESSION_has_ticket(o.session));
            SSL_SESSION_free(o.session);
        }
    tls_tickets_set(tickets, &secret, 1);
    tls_tickets_set(tickets, NULL, 0); /* the store is away */
    struct outsider o = {0};
    meet(servers[0], &o);
    assert_true(o.is_secured && !o.session);
    tls_server_release(servers[0]);
    tls_server_release(servers[1]);
    tls_tickets_free(tickets);
}

/* ---- what binds a log-in to the session */

static void bindings_are_the_same_on_both_sides(void **state)
{
    (void) state;
    struct tls_server *server = SERVER(certificate_item("a"));
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct outsider o = {.version = version};
        meet(server, &o);
        assert_true(seen.has_exporter);
        assert_memory_equal(seen.binding, o.binding, 32);
        assert_int_equal(seen.end_point.len, 32);
    }
    tls_server_release(server);
}

/* ---- files */

static void refused(const char *item, const char *words)
{
    struct tls_server_settings settings = server_settings(&item, 1);
    struct tls_server *server = NULL;
    char *error = NULL;
    assert_true(tls_server_new(&settings, &server, &error) < 0);
    assert_null(server);
    if (!strstr(error, words))
        fail_msg("\"%s\" does not say \"%s\"", error, words);
    mem_free(error);
}

static void lock_key(const char *file, const char *locked)
{
    EVP_PKEY *key = key_of(file);
    FILE *f = fopen(certificate_path(locked), "w");
    must(f && PEM_write_PKCS8PrivateKey(f, key, EVP_aes_256_cbc(), "secret", 6, NULL, NULL) == 1 &&
         fclose(f) == 0);
    EVP_PKEY_free(key);
}

/* proves: C08 */
static void broken_files_are_told_by_name(void **state)
{
    (void) state;
    char item[600];
    refused("", "a certificate is \"chain.pem key.pem\"");
    refused("a b c", "a certificate is \"chain.pem key.pem\"");
    refused("/nonexistent/a.pem /nonexistent/a.key", "cannot read /nonexistent/a.pem: No such file");
    (void) snprintf(item, sizeof item, "%s /nonexistent/a.key", certificate_path("a.pem"));
    refused(item, "cannot read /nonexistent/a.key: No such file");
    refused("/tmp", "cannot read /tmp: Is a directory");
    refused("/dev/zero", "cannot read /dev/zero: ");
    refused(certificate_path("a.pem"), "a.pem has no private key in it");
    refused(certificate_path("a.key"), "a.key has no certificate in it");
    (void) snprintf(item, sizeof item, "%s %s", certificate_path("a.pem"), certificate_path("b.key"));
    refused(item, "b.key does not belong to the first certificate in ");
    certificate_write("empty.pem", "");
    refused(certificate_path("empty.pem"), "empty.pem has no certificate in it");
    certificate_write("broken.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    refused(certificate_path("broken.pem"), "certificate 1 in ");
    (void) snprintf(item, sizeof item, "%s %s", certificate_path("a.pem"), certificate_path("torn.pem"));
    certificate_write("torn.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    refused(item, "the key in ");
    lock_key("a", "locked.key");
    (void) snprintf(item, sizeof item, "%s %s", certificate_path("a.pem"), certificate_path("locked.key"));
    refused(item, "locked.key is encrypted");
}

static void a_broken_file_of_authorities_is_told(void **state)
{
    (void) state;
    static const struct {
        const char *file, *words;
    } cases[] = {{"none.pem", "No such file"},
                 {"empty.pem", "has no certificate in it"},
                 {"a.key", "has no certificate in it"},
                 {"broken.pem", "certificate 1 in "}};
    certificate_write("empty.pem", "");
    certificate_write("broken.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    const char *item = certificate_item("a");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tls_server_settings settings = server_settings(&item, 1);
        struct tls_server *server = NULL;
        char *error = NULL;
        settings.client_ca = certificate_path(cases[i].file);
        settings.asks_client_certificate = true;
        assert_true(tls_server_new(&settings, &server, &error) < 0);
        assert_non_null(strstr(error, cases[i].words));
        mem_free(error);
    }
}

static void what_has_expired_is_used_and_told(void **state)
{
    (void) state;
    struct tls_server *server = SERVER(certificate_item("late"));
    assert_non_null(strstr(tls_server_warning(server), "late.pem has expired"));
    struct outsider o = {0};
    meet(server, &o);
    assert_true(o.is_secured);
    tls_server_release(server);
    server = SERVER(certificate_path("a.both"));
    assert_string_equal(tls_server_warning(server), "");
    tls_server_release(server);
}

/* proves: C08 */
static void a_changed_file_is_noticed_once(void **state)
{
    (void) state;
    certificate_make(&(struct certificate_spec){.file = "new", .names = "old.example", .issuer = "ca"});
    struct tls_server *server = SERVER(certificate_item("new"));
    assert_false(tls_files_changed(server));
    certificate_make(&(struct certificate_spec){.file = "new", .names = "new.example", .issuer = "ca"});
    assert_true(tls_files_changed(server));
    assert_false(tls_files_changed(server));
    must(unlink(certificate_path("new.key")) == 0);
    assert_true(tls_files_changed(server));
    assert_false(tls_files_changed(server));
    struct outsider o = {0};
    meet(server, &o); /* it needs its files no more */
    assert_string_equal(o.subject, "old.example");
    tls_server_release(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_session_is_as_safe_as_it_gets, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(old_versions_and_weak_ciphers_are_refused, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(no_setting_brings_weak_ciphers_back, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(the_oldest_version_is_a_setting, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(rsa_and_ec_stand_side_by_side, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(the_name_asked_for_chooses_the_certificate, loop_setup,
                                        loop_teardown),
        cmocka_unit_test_setup_teardown(a_client_of_other_protocols_is_refused, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(a_client_is_verified_or_it_is_nobody, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(a_resumed_client_is_verified_only_where_it_was, loop_setup,
                                        loop_teardown),
        cmocka_unit_test_setup_teardown(tickets_are_good_at_another_node_of_the_same_trust, loop_setup,
                                        loop_teardown),
        cmocka_unit_test_setup_teardown(without_secrets_there_are_no_tickets, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(bindings_are_the_same_on_both_sides, loop_setup, loop_teardown),
        cmocka_unit_test(broken_files_are_told_by_name),
        cmocka_unit_test(a_broken_file_of_authorities_is_told),
        cmocka_unit_test_setup_teardown(what_has_expired_is_used_and_told, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(a_changed_file_is_noticed_once, loop_setup, loop_teardown),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
