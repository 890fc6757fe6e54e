/* TLS as a client: what a server must prove, what is said when it does not, and sessions that are resumed. Both ends are streams in one loop. */
#include "tls_test.h"

#include <errno.h>

#include <openssl/x509v3.h>

#include "io/tls_private.h"

/* What came of one session. */
static struct {
    struct stream *server, *client;
    bool is_secured, is_verified, is_resumed, has_offered;
    enum tls_failure failure;
    int reason;
    char error[128], alert[128], sni[256], seen_fingerprint[65], client_fingerprint[65];
    bool is_cut_after_shaking;
} seen;

static struct tls_tickets *tickets;
static struct buf data[8]; /* of associations */

static void on_server_secured(void *owner)
{
    (void) owner;
    const struct tls_info *info = stream_tls(seen.server);
    (void) snprintf(seen.sni, sizeof seen.sni, "%s", info->sni ? info->sni : "");
    (void) snprintf(seen.client_fingerprint, sizeof seen.client_fingerprint, "%s", info->fingerprint);
    if (seen.is_cut_after_shaking)
        stream_abort(seen.server);
    else
        stream_write(seen.server, SPAN("hello"));
}

static void on_client_secured(void *owner)
{
    (void) owner;
    const struct tls_info *info = stream_tls(seen.client);
    seen.is_secured = true;
    seen.is_verified = info->is_server_verified;
    seen.is_resumed = info->is_resumed;
    (void) snprintf(seen.seen_fingerprint, sizeof seen.seen_fingerprint, "%s", info->fingerprint);
}

static size_t on_data(void *owner, struct span in)
{
    if (owner == &seen.client)
        stream_finish(seen.client);
    return in.len;
}

static void on_closed(void *owner, int reason)
{
    if (owner == &seen.client) {
        seen.reason = reason;
        seen.failure = stream_tls_failure(seen.client);
        seen.has_offered = stream_tls_has_offered(seen.client);
        (void) snprintf(seen.error, sizeof seen.error, "%s", stream_tls_error(seen.client));
        seen.client = NULL;
    } else {
        (void) snprintf(seen.alert, sizeof seen.alert, "%s", stream_tls_error(seen.server));
        seen.server = NULL;
    }
    if (!seen.client && !seen.server)
        loop_stop(loop);
}

static const struct stream_events server_events = {
    .on_data = on_data, .on_secured = on_server_secured, .on_closed = on_closed};
static const struct stream_events client_events = {
    .on_data = on_data, .on_secured = on_client_secured, .on_closed = on_closed};

static void meet(struct tls_server *server, struct tls_client *client, const struct tls_demand *demand)
{
    int fds[2];
    bool is_cut = seen.is_cut_after_shaking;
    memset(&seen, 0, sizeof seen);
    seen.is_cut_after_shaking = is_cut;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    seen.server = stream_adopt(loop, fds[0], &server_events, &seen.server);
    seen.client = stream_adopt(loop, fds[1], &client_events, &seen.client);
    stream_start_tls(seen.server, server);
    stream_start_tls_client(seen.client, client, demand);
    loop_go();
    if (seen.failure && seen.is_secured)
        assert_true(demand->is_tolerant || seen.failure == TLS_FAILURE_HANDSHAKE);
    if (!seen.is_secured)
        assert_true(seen.failure != TLS_FAILURE_NONE);
}

/* ---- the cast */

static int setup_all(void **state)
{
    (void) state;
    static const struct certificate_spec specs[] = {
        {.file = "ca", .names = "ca.example", .is_ca = true},
        {.file = "other-ca", .names = "other.example", .is_ca = true},
        {.file = "sub-ca", .names = "sub.example", .issuer = "ca", .is_ca = true},
        {.file = "a", .names = "mx.example.com *.b.example xn--bcher-kva.example", .issuer = "ca"},
        {.file = "a-next", .names = "mx.example.com", .issuer = "ca", .is_rsa = true},
        {.file = "below", .names = "mx.example.com", .issuer = "sub-ca"},
        {.file = "whole", .names = "mx.example.com", .issuer = "sub-ca", .has_root = true},
        {.file = "late", .names = "mx.example.com", .issuer = "ca", .from_s = -864000, .until_s = -3600},
        {.file = "early", .names = "mx.example.com", .issuer = "ca", .from_s = 3600, .until_s = 864000},
        {.file = "self", .names = "somebody.example"},
        {.file = "cn", .names = "mx.example.com", .issuer = "ca", .is_without_san = true},
        {.file = "nul",
         .names = "evil.example",
         .issuer = "ca",
         .odd_name = SPAN("mx.example.com\0.evil.example")},
        {.file = "part", .names = "evil.example", .issuer = "ca", .odd_name = SPAN("m*.example.com")},
        {.file = "inner", .names = "evil.example", .issuer = "ca", .odd_name = SPAN("mx.*.com")},
        {.file = "top", .names = "evil.example", .issuer = "ca", .odd_name = SPAN("*.com")},
        {.file = "all", .names = "evil.example", .issuer = "ca", .odd_name = SPAN("*")},
        {.file = "weak", .names = "mx.example.com", .issuer = "ca", .rsa_bits = 1024},
        {.file = "client", .names = "client.example", .issuer = "ca"},
    };
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        certificate_make(&specs[i]);
    struct tls_ticket_secret secret = {{7}};
    tickets = tls_tickets_new();
    tls_tickets_set(tickets, &secret, 1);
    return 0;
}

static int teardown_all(void **state)
{
    (void) state;
    tickets = tls_tickets_free(tickets);
    for (size_t i = 0; i < sizeof data / sizeof *data; i++)
        buf_done(&data[i]);
    certificates_end();
    return 0;
}

static struct tls_client *client_of(const struct tls_client_settings *settings)
{
    struct tls_client *client;
    char *error = NULL;
    must(tls_client_new(settings, &client, &error) == 0);
    return client;
}

/* One session with a server that shows this certificate. ca: stem of a file; NULL: the system's. */
static void meet_as(const char *file, const char *ca, const struct tls_demand *demand)
{
    struct tls_client_settings settings = {.protocol = "smtp"};
    AUTO_FREE char *path = ca ? mem_format("%s.pem", ca) : NULL;
    settings.ca = ca ? certificate_path(path) : NULL;
    struct tls_client *client = client_of(&settings);
    struct tls_server_settings own = server_settings((const char *const[]){certificate_item(file)}, 1);
    struct tls_server *server;
    char *error = NULL;
    own.ciphers = "ALL:@SECLEVEL=0"; /* it may be as weak as it likes */
    must(tls_server_new(&own, &server, &error) == 0);
    meet(server, client, demand);
    tls_client_release(client);
    tls_server_release(server);
}

static const char *const mx[] = {"mx.example.com"};

/* ---- names */

static enum tls_failure name_failure(const char *file, const char *ca, const char *name)
{
    meet_as(file, ca,
            &(struct tls_demand){.sni = name, .proof = TLS_PROOF_NAME, .names = &name, .name_count = 1});
    assert_int_equal(seen.is_verified, seen.failure == TLS_FAILURE_NONE);
    assert_int_equal(seen.is_secured, seen.is_verified);
    assert_int_equal(seen.reason, seen.failure ? -EPROTO : 0);
    assert_int_equal(*seen.error != '\0', seen.failure != TLS_FAILURE_NONE);
    return seen.failure;
}

static void nothing_is_asked_of_a_server_without_a_demand(void **state)
{
    (void) state;
    static const char *const files[] = {"a", "self", "late", "nul"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        meet_as(files[i], "ca", &(struct tls_demand){.sni = "mx.example.com"});
        assert_true(seen.is_secured);
        assert_false(seen.is_verified);
        assert_int_equal(seen.failure, TLS_FAILURE_NONE);
        assert_string_equal(seen.error, "");
        assert_string_equal(seen.sni, "mx.example.com");
        assert_int_equal(strlen(seen.seen_fingerprint), 64);
    }
}

static void a_name_is_proven_with_chain_and_time(void **state)
{
    (void) state;
    assert_int_equal(name_failure("a", "ca", "mx.example.com"), TLS_FAILURE_NONE);
    assert_string_equal(seen.sni, "mx.example.com");
    assert_int_equal(name_failure("a", "ca", "MX.Example.COM."), TLS_FAILURE_NONE);
    assert_string_equal(seen.sni, "mx.example.com");
    assert_int_equal(name_failure("below", "ca", "mx.example.com"), TLS_FAILURE_NONE);
    assert_int_equal(name_failure("a", "other-ca", "mx.example.com"), TLS_FAILURE_NOT_TRUSTED);
    assert_string_equal(seen.alert, "tlsv1 alert unknown ca");
    assert_int_equal(name_failure("a", NULL, "mx.example.com"), TLS_FAILURE_NOT_TRUSTED);
    assert_int_equal(name_failure("self", "ca", "somebody.example"), TLS_FAILURE_NOT_TRUSTED);
    assert_int_equal(name_failure("late", "ca", "mx.example.com"), TLS_FAILURE_EXPIRED);
    assert_string_equal(seen.error, "certificate has expired");
    assert_string_equal(seen.alert, "sslv3 alert certificate expired");
    assert_int_equal(name_failure("early", "ca", "mx.example.com"), TLS_FAILURE_EXPIRED);
    assert_int_equal(name_failure("a", "ca", "mx.example.org"), TLS_FAILURE_HOST_MISMATCH);
}

/* proves: L18 */
static void a_wildcard_is_one_whole_first_label(void **state)
{
    (void) state;
    assert_int_equal(name_failure("a", "ca", "x.b.example"), TLS_FAILURE_NONE);
    assert_int_equal(name_failure("a", "ca", "x.y.b.example"), TLS_FAILURE_HOST_MISMATCH);
    assert_int_equal(name_failure("a", "ca", "b.example"), TLS_FAILURE_HOST_MISMATCH);
    assert_int_equal(name_failure("a", "ca", ".b.example"), TLS_FAILURE_HOST_MISMATCH);
    assert_int_equal(name_failure("part", "ca", "mx.example.com"), TLS_FAILURE_HOST_MISMATCH);
    assert_int_equal(name_failure("inner", "ca", "mx.example.com"), TLS_FAILURE_HOST_MISMATCH);
    assert_int_equal(name_failure("top", "ca", "example.com"), TLS_FAILURE_HOST_MISMATCH);
    assert_int_equal(name_failure("all", "ca", "com"), TLS_FAILURE_HOST_MISMATCH);
}

/* proves: L18 */
static void only_dns_names_without_nul_count(void **state)
{
    (void) state;
    assert_int_equal(name_failure("cn", "ca", "mx.example.com"), TLS_FAILURE_HOST_MISMATCH);
    assert_int_equal(name_failure("nul", "ca", "mx.example.com"), TLS_FAILURE_HOST_MISMATCH);
    assert_int_equal(name_failure("nul", "ca", "evil.example"), TLS_FAILURE_HOST_MISMATCH); /* its CN */
    assert_int_equal(name_failure("a", "ca", "xn--bcher-kva.example"), TLS_FAILURE_NONE);
    assert_int_equal(name_failure("a", "ca",
                                  "b\xc3\xbc"
                                  "cher.example"),
                     TLS_FAILURE_HOST_MISMATCH);
    assert_int_equal(name_failure("a", "ca", "192.0.2.1"), TLS_FAILURE_HOST_MISMATCH);
    assert_int_equal(name_failure("a", "ca", "2001:db8::1"), TLS_FAILURE_HOST_MISMATCH);
    assert_int_equal(name_failure("a", "ca", ""), TLS_FAILURE_HOST_MISMATCH);
}

static void any_of_several_names_will_do_and_none_will_not(void **state)
{
    (void) state;
    static const char *const names[] = {"", "example.org", "mx.example.com"};
    struct tls_demand demand = {.proof = TLS_PROOF_NAME, .names = names, .name_count = 3};
    meet_as("a", "ca", &demand);
    assert_true(seen.is_verified);
    assert_string_equal(seen.sni, "");
    demand.name_count = 2;
    meet_as("a", "ca", &demand);
    assert_int_equal(seen.failure, TLS_FAILURE_HOST_MISMATCH);
    demand.name_count = 0;
    meet_as("a", "ca", &demand);
    assert_int_equal(seen.failure, TLS_FAILURE_HOST_MISMATCH);
    assert_string_equal(seen.error, "there is no name that a certificate can be for");
}

static void a_tolerant_demand_goes_on_and_tells(void **state)
{
    (void) state;
    struct tls_demand demand = {.proof = TLS_PROOF_NAME, .is_tolerant = true, .names = mx, .name_count = 1};
    meet_as("late", "ca", &demand);
    assert_true(seen.is_secured);
    assert_false(seen.is_verified);
    assert_int_equal(seen.failure, TLS_FAILURE_EXPIRED);
    assert_string_equal(seen.error, "certificate has expired");
    assert_int_equal(seen.reason, 0);
    meet_as("a", "ca", &demand);
    assert_true(seen.is_verified);
    assert_int_equal(seen.failure, TLS_FAILURE_NONE);
}

/* Who would get the mail in plain otherwise may have a key that is worth little. */
static void a_weak_key_is_enough_where_nothing_must_be_proven(void **state)
{
    (void) state;
    struct tls_demand demand = {.proof = TLS_PROOF_NAME, .names = mx, .name_count = 1};
    struct tls_association a = association_of("weak", 3, 1, 1, &data[0]);
    meet_as("weak", "ca", &(struct tls_demand){0});
    assert_true(seen.is_secured);
    meet_as("weak", "ca", &demand);
    assert_int_equal(seen.failure, TLS_FAILURE_NOT_TRUSTED);
    assert_string_equal(seen.error, "EE certificate key too weak");
    demand.is_tolerant = true;
    meet_as("weak", "ca", &demand);
    assert_true(seen.is_secured);
    assert_int_equal(seen.failure, TLS_FAILURE_NOT_TRUSTED);
    demand = (struct tls_demand){.proof = TLS_PROOF_DANE, .associations = &a, .association_count = 1};
    meet_as("weak", "ca", &demand);
    assert_int_equal(seen.failure, TLS_FAILURE_NOT_TRUSTED);
}

/* ---- fingerprints */

static void a_fingerprint_is_of_the_certificate_or_its_key(void **state)
{
    (void) state;
    char hex[2][SHA256_DIGEST_LENGTH * 3 + 1];
    for (unsigned selector = 0; selector < 2; selector++) {
        struct tls_association a = association_of("self", 3, selector, 1, &data[0]);
        for (size_t i = 0; i < a.data.len; i++)
            (void) snprintf(hex[selector] + i * (2 + selector), 4, selector ? "%02X:" : "%02x",
                            (unsigned char) a.data.at[i]);
        hex[selector][a.data.len * (2 + selector) - selector] = '\0';
        const char *given[] = {"0102", "zz", hex[selector]};
        struct tls_demand demand = {
            .proof = TLS_PROOF_FINGERPRINT, .fingerprints = given, .fingerprint_count = 3};
        meet_as("self", NULL, &demand);
        assert_true(seen.is_verified);
        meet_as("a", "ca", &demand);
        assert_int_equal(seen.failure, TLS_FAILURE_NO_FINGERPRINT_MATCH);
        assert_false(seen.is_secured);
        demand.fingerprint_count = 2;
        meet_as("self", NULL, &demand);
        assert_int_equal(seen.failure, TLS_FAILURE_NO_FINGERPRINT_MATCH);
    }
    AUTO_FREE char *longer = mem_format("%s00", hex[0]);
    AUTO_FREE char *shorter = mem_text(hex[0], 62);
    const char *wrong[] = {longer, shorter, ""};
    meet_as(
        "self", NULL,
        &(struct tls_demand){.proof = TLS_PROOF_FINGERPRINT, .fingerprints = wrong, .fingerprint_count = 3});
    assert_int_equal(seen.failure, TLS_FAILURE_NO_FINGERPRINT_MATCH);
}

/* ---- DANE */

static enum tls_failure dane_failure(const char *file, const struct tls_association *records, size_t count,
                                     const char *const *names, size_t name_count)
{
    meet_as(file, "ca",
            &(struct tls_demand){.sni = "mx.example.com",
                                 .proof = TLS_PROOF_DANE,
                                 .names = names,
                                 .name_count = name_count,
                                 .associations = records,
                                 .association_count = count});
    assert_int_equal(seen.is_verified, seen.failure == TLS_FAILURE_NONE);
    assert_int_equal(seen.is_secured, seen.is_verified);
    return seen.failure;
}

static enum tls_failure dane_failure_of(const char *file, struct tls_association record)
{
    return dane_failure(file, &record, 1, mx, 1);
}

/* proves: L07 */
static void dane_ee_asks_for_the_key_alone(void **state)
{
    (void) state;
    static const char *const files[] = {"a", "self", "late", "early", "cn", "nul"};
    for (unsigned selector = 0; selector < 2; selector++)
        for (unsigned matching = 0; matching < 3; matching++) {
            for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
                struct tls_association a = association_of(files[i], 3, selector, matching, &data[0]);
                assert_true(tls_association_is_usable(&a));
                assert_int_equal(dane_failure(files[i], &a, 1, NULL, 0), TLS_FAILURE_NONE);
                assert_int_equal(dane_failure(files[i], &a, 1, mx, 1), TLS_FAILURE_NONE);
            }
            assert_int_equal(dane_failure_of("a-next", association_of("a", 3, selector, matching, &data[0])),
                             TLS_FAILURE_NO_DANE_MATCH);
        }
}

/* proves: L07 */
static void dane_ta_asks_for_chain_time_and_name(void **state)
{
    (void) state;
    static const char *const other[] = {"example.com", "mail.example.com"};
    static const char *const both[] = {"example.com", "mx.example.com"};
    certificate_make(&(struct certificate_spec){.file = "below-late",
                                                .names = "mx.example.com",
                                                .issuer = "sub-ca",
                                                .from_s = -864000,
                                                .until_s = -60});
    for (unsigned selector = 0; selector < 2; selector++)
        for (unsigned matching = 0; matching < 3; matching++) {
            struct tls_association a = association_of("sub-ca", 2, selector, matching, &data[0]);
            assert_int_equal(dane_failure_of("below", a), TLS_FAILURE_NONE);
            assert_int_equal(dane_failure_of("whole", a), TLS_FAILURE_NONE);
            assert_int_equal(dane_failure("below", &a, 1, both, 2), TLS_FAILURE_NONE);
            assert_int_equal(dane_failure("below", &a, 1, other, 2), TLS_FAILURE_HOST_MISMATCH);
            assert_int_equal(dane_failure("below", &a, 1, NULL, 0), TLS_FAILURE_NO_DANE_MATCH);
            assert_int_equal(dane_failure_of("below-late", a), TLS_FAILURE_EXPIRED);
            assert_int_equal(dane_failure_of("a", a), TLS_FAILURE_NO_DANE_MATCH); /* though a CA knows it */
            assert_int_equal(dane_failure_of("self", a), TLS_FAILURE_NO_DANE_MATCH);
        }
}

/* proves: L07 */
static void dane_ta_of_a_root_needs_the_root_in_the_chain(void **state)
{
    (void) state;
    for (unsigned selector = 0; selector < 2; selector++)
        for (unsigned matching = 0; matching < 3; matching++) {
            struct tls_association a = association_of("ca", 2, selector, matching, &data[0]);
            assert_int_equal(dane_failure_of("whole", a), TLS_FAILURE_NONE);
            assert_int_equal(dane_failure_of("below", a),
                             matching == 0 ? TLS_FAILURE_NONE : TLS_FAILURE_NO_DANE_MATCH);
        }
}

/* proves: L07 */
static void usages_of_the_web_match_nothing(void **state)
{
    (void) state;
    struct tls_association several[3] = {association_of("a", 1, 1, 1, &data[0]),
                                         association_of("ca", 0, 0, 1, &data[1]),
                                         association_of("a", 3, 1, 1, &data[2])};
    assert_int_equal(dane_failure("a", several, 2, mx, 1), TLS_FAILURE_NO_DANE_MATCH);
    assert_string_equal(seen.error, "no TLSA record is usable");
    assert_int_equal(dane_failure("a", several, 3, mx, 1), TLS_FAILURE_NONE);
    assert_int_equal(dane_failure("a", NULL, 0, mx, 1), TLS_FAILURE_NO_DANE_MATCH);
}

/* proves: L07, I15 */
static void a_malformed_association_is_passed_over(void **state)
{
    (void) state;
    struct tls_association good = association_of("a", 3, 0, 0, &data[0]);
    for (unsigned what = 0; what < 256; what++) {
        struct tls_association a = {.usage = what & 3, .selector = what >> 2 & 3, .matching = what >> 4 & 15};
        bool is_known = a.usage >= 2 && a.selector < 2 && a.matching < 3;
        size_t right = a.matching == 1 ? 32 : a.matching == 2 ? 64 : SIZE_MAX;
        for (size_t len = 0; len <= 66; len++) {
            char *exact = mem_alloc(len + 1); /* so that a byte too many is seen */
            exact = mem_resize(exact, len > 0 ? len : 1);
            memset(exact, 0x30, len > 0 ? len : 1);
            a.data = (struct span){.at = exact, .len = len};
            assert_int_equal(tls_association_is_usable(&a), is_known && len == right);
            mem_free(exact);
        }
    }
    AUTO_BUF struct buf longer = {0};
    buf_add_span(&longer, good.data);
    buf_add_char(&longer, 'x');
    struct tls_association bad[] = {good, good, good, good};
    bad[0].data = buf_span(&longer);
    bad[1].data.len--;
    bad[2].selector = 1;
    bad[3].data = (struct span){0};
    for (size_t i = 0; i < 4; i++)
        assert_false(tls_association_is_usable(&bad[i]));
    assert_int_equal(dane_failure("a", bad, 4, mx, 1), TLS_FAILURE_NO_DANE_MATCH);
    struct tls_association with_good[] = {bad[0], bad[1], bad[2], bad[3], good};
    assert_int_equal(dane_failure("a", with_good, 5, mx, 1), TLS_FAILURE_NONE);
}

/* proves: L07 */
static void a_rollover_matches_before_and_after(void **state)
{
    (void) state;
    struct tls_association both[] = {association_of("a", 3, 1, 1, &data[0]),
                                     association_of("a-next", 3, 1, 1, &data[1]),
                                     association_of("sub-ca", 2, 0, 1, &data[2])};
    assert_int_equal(dane_failure("a", both, 2, mx, 1), TLS_FAILURE_NONE);
    assert_int_equal(dane_failure("a-next", both, 2, mx, 1), TLS_FAILURE_NONE);
    assert_int_equal(dane_failure("below", both, 2, mx, 1), TLS_FAILURE_NO_DANE_MATCH);
    assert_int_equal(dane_failure("below", both, 3, mx, 1), TLS_FAILURE_NONE);
    assert_int_equal(dane_failure("a", both, 3, mx, 1), TLS_FAILURE_NONE);
    assert_int_equal(dane_failure("late", both, 3, mx, 1), TLS_FAILURE_NO_DANE_MATCH);
}

/* ---- sessions */

struct scene {
    struct tls_server *server, *other;
    struct tls_client *client;
};

static struct scene scene_of(size_t sessions, int version)
{
    struct scene s;
    struct tls_server_settings a = server_settings((const char *const[]){certificate_item("a")}, 1);
    char *error = NULL;
    a.tickets = tickets;
    a.ticket_ms = 60000;
    must(tls_server_new(&a, &s.server, &error) == 0);
    a.tickets = NULL;
    must(tls_server_new(&a, &s.other, &error) == 0);
    s.client = client_of(
        &(struct tls_client_settings){.ca = certificate_path("ca.pem"), .sessions = sessions});
    if (version)
        must(SSL_CTX_set_max_proto_version(s.client->context, version) == 1);
    return s;
}

static void scene_end(struct scene *s)
{
    tls_server_release(s->server);
    tls_server_release(s->other);
    tls_client_release(s->client);
}

static bool is_resumed(struct scene *s, const char *key)
{
    meet(s->server, s->client,
         &(struct tls_demand){.sni = "mx.example.com",
                              .proof = TLS_PROOF_NAME,
                              .names = mx,
                              .name_count = 1,
                              .session_key = key});
    assert_true(seen.is_secured && seen.is_verified);
    assert_int_equal(strlen(seen.seen_fingerprint), 64);
    return seen.is_resumed;
}

/* proves: L19 */
static void a_session_is_resumed_under_its_key_only(void **state)
{
    (void) state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct scene s = scene_of(10, version);
        assert_false(is_resumed(&s, "mx.example.com 25 verify"));
        assert_true(is_resumed(&s, "mx.example.com 25 verify"));
        assert_true(is_resumed(&s, "mx.example.com 25 verify"));
        assert_false(is_resumed(&s, "mx.example.com 25 may"));
        assert_false(is_resumed(&s, NULL));
        assert_true(is_resumed(&s, "mx.example.com 25 may"));
        scene_end(&s);
        s = scene_of(0, version);
        assert_false(is_resumed(&s, "key"));
        assert_false(is_resumed(&s, "key"));
        scene_end(&s);
    }
}

static void sessions_are_bounded_and_the_oldest_go(void **state)
{
    (void) state;
    struct scene s = scene_of(2, 0);
    assert_false(is_resumed(&s, "one"));
    assert_false(is_resumed(&s, "two"));
    assert_true(is_resumed(&s, "one"));
    assert_false(is_resumed(&s, "three"));
    assert_true(is_resumed(&s, "one"));
    assert_false(is_resumed(&s, "two"));
    scene_end(&s);
}

static void *use_sessions(void *context)
{
    struct tls_sessions *sessions = context;
    for (int i = 0; i < 300; i++) {
        SSL_SESSION *session = tls_sessions_get(sessions, i & 1 ? "one" : "k");
        if (session)
            tls_sessions_put(sessions, i % 3 ? "one" : "two", session);
        if (i % 7 == 0)
            tls_sessions_drop(sessions, "two");
        SSL_SESSION_free(session);
    }
    return NULL;
}

static void sessions_are_for_all_threads(void **state)
{
    (void) state;
    struct scene s = scene_of(2, 0);
    pthread_t threads[4];
    assert_false(is_resumed(&s, "k"));
    for (size_t i = 0; i < 4; i++)
        must(pthread_create(&threads[i], NULL, use_sessions, s.client->sessions) == 0);
    for (size_t i = 0; i < 4; i++)
        must(pthread_join(threads[i], NULL) == 0);
    scene_end(&s);
}

/* A key that is equal by mistake proves nothing, nor does what was true once. */
static void a_resumed_session_is_judged_anew(void **state)
{
    (void) state;
    static const char *const other[] = {"mx.example.org"};
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct scene s = scene_of(10, version);
        struct tls_association records[] = {association_of("a", 3, 1, 1, &data[0]),
                                            association_of("a-next", 3, 1, 1, &data[1]),
                                            association_of("ca", 2, 0, 1, &data[2])};
        struct tls_demand demand = {
            .proof = TLS_PROOF_NAME, .names = other, .name_count = 1, .session_key = "k"};
        assert_false(is_resumed(&s, "k"));
        meet(s.server, s.client, &demand);
        assert_int_equal(seen.failure, TLS_FAILURE_HOST_MISMATCH);
        assert_false(seen.is_secured);
        assert_true(seen.has_offered);
        assert_false(is_resumed(&s, "k")); /* it was dropped */
        demand.is_tolerant = true;
        meet(s.server, s.client, &demand);
        assert_int_equal(seen.failure, TLS_FAILURE_HOST_MISMATCH);
        assert_true(seen.is_secured && seen.is_resumed && !seen.is_verified);
        assert_true(is_resumed(&s, "k"));
        demand = (struct tls_demand){.proof = TLS_PROOF_DANE,
                                     .names = mx,
                                     .name_count = 1,
                                     .associations = records,
                                     .association_count = 1,
                                     .session_key = "k"};
        meet(s.server, s.client, &demand);
        assert_true(seen.is_resumed && seen.is_verified);
        demand.associations = &records[2]; /* the chain is remembered too */
        meet(s.server, s.client, &demand);
        assert_true(seen.is_resumed && seen.is_verified);
        demand.associations = &records[1]; /* rolled over */
        meet(s.server, s.client, &demand);
        assert_int_equal(seen.failure, TLS_FAILURE_NO_DANE_MATCH);
        assert_true(seen.has_offered && !seen.is_secured);
        scene_end(&s);
    }
}

/* proves: L19 */
static void a_session_that_ends_in_failure_is_not_offered_again(void **state)
{
    (void) state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct scene s = scene_of(10, version);
        assert_false(is_resumed(&s, "k"));
        assert_false(seen.has_offered);
        seen.is_cut_after_shaking = true;
        meet(s.server, s.client,
             &(struct tls_demand){.proof = TLS_PROOF_NAME, .names = mx, .name_count = 1, .session_key = "k"});
        assert_true(seen.has_offered);
        seen.is_cut_after_shaking = false;
        assert_false(is_resumed(&s, "k"));
        assert_true(is_resumed(&s, "k"));
        assert_false(seen.has_offered); /* something was heard */
        scene_end(&s);
    }
}

/* proves: L19 */
static void a_server_that_knows_no_session_shakes_hands_anew(void **state)
{
    (void) state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct scene s = scene_of(10, version);
        assert_false(is_resumed(&s, "k"));
        meet(s.other, s.client,
             &(struct tls_demand){.proof = TLS_PROOF_NAME, .names = mx, .name_count = 1, .session_key = "k"});
        assert_true(seen.is_secured && seen.is_verified && !seen.is_resumed);
        scene_end(&s);
    }
}

/* ---- who we are */

static void our_own_certificate_is_shown_to_who_asks(void **state)
{
    (void) state;
    struct tls_server_settings a = server_settings((const char *const[]){certificate_item("a")}, 1);
    struct tls_server *server;
    char *error = NULL;
    a.asks_client_certificate = true;
    must(tls_server_new(&a, &server, &error) == 0);
    struct tls_client *client = client_of(
        &(struct tls_client_settings){.certificate = certificate_item("client")});
    assert_false(tls_client_files_changed(client));
    meet(server, client, &(struct tls_demand){0});
    assert_int_equal(strlen(seen.client_fingerprint), 64);
    certificate_make(&(struct certificate_spec){
        .file = "client", .names = "client.example", .issuer = "ca", .is_rsa = true});
    assert_true(tls_client_files_changed(client));
    tls_client_release(client);
    client = client_of(&(struct tls_client_settings){0});
    meet(server, client, &(struct tls_demand){0});
    assert_true(seen.is_secured);
    assert_string_equal(seen.client_fingerprint, "");
    tls_client_release(client);
    tls_server_release(server);
}

static void broken_settings_are_told(void **state)
{
    (void) state;
    const struct {
        struct tls_client_settings settings;
        const char *says;
    } cases[] = {
        {{.ca = "/nonexistent/ca.pem"}, "cannot read /nonexistent/ca.pem"},
        {{.certificate = "/nonexistent/a.pem"}, "cannot read /nonexistent/a.pem"},
        {{.ca = "/dev/null"}, "cannot read /dev/null"},
        {{.ca = certificate_path("a.key")}, "has no certificate in it"},
        {{.ciphers = "nonsense"}, "no cipher that can be used is in \"nonsense\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tls_client *none;
        AUTO_FREE char *error = NULL;
        assert_true(tls_client_new(&cases[i].settings, &none, &error) < 0);
        assert_non_null(strstr(error, cases[i].says));
    }
}

static void a_handshake_that_never_comes_is_a_failure(void **state)
{
    (void) state;
    struct tls_client *client = client_of(&(struct tls_client_settings){0});
    struct tls_server *server = SERVER(certificate_item("a"));
    int fds[2];
    memset(&seen, 0, sizeof seen);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    seen.client = stream_adopt(loop, fds[1], &client_events, &seen.client);
    assert_int_equal(stream_tls_failure(seen.client), TLS_FAILURE_NONE); /* plain */
    stream_start_tls_client(seen.client, client, &(struct tls_demand){0});
    stream_deadline(seen.client, 20);
    loop_go();
    assert_int_equal(seen.reason, -ETIMEDOUT);
    assert_int_equal(seen.failure, TLS_FAILURE_HANDSHAKE);
    close(fds[0]);
    tls_client_release(client);
    tls_server_release(server);
}

static void settings_come_from_their_section(void **state)
{
    (void) state;
    struct conf conf = {0};
    struct tls_client_settings settings;
    conf.tls_out.min_version = TLS_1_3;
    conf.tls_out.ca = "/ca";
    conf.tls_out.sessions = 7;
    tls_client_settings_of(&conf, &settings);
    assert_int_equal(settings.min_version, TLS_1_3);
    assert_string_equal(settings.ca, "/ca");
    assert_string_equal(settings.protocol, "smtp");
    assert_int_equal(settings.sessions, 7);
}

int main(void)
{
#define CLIENT_TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
    const struct CMUnitTest tests[] = {
        CLIENT_TEST(nothing_is_asked_of_a_server_without_a_demand),
        CLIENT_TEST(a_name_is_proven_with_chain_and_time),
        CLIENT_TEST(a_wildcard_is_one_whole_first_label),
        CLIENT_TEST(only_dns_names_without_nul_count),
        CLIENT_TEST(any_of_several_names_will_do_and_none_will_not),
        CLIENT_TEST(a_tolerant_demand_goes_on_and_tells),
        CLIENT_TEST(a_weak_key_is_enough_where_nothing_must_be_proven),
        CLIENT_TEST(a_fingerprint_is_of_the_certificate_or_its_key),
        CLIENT_TEST(dane_ee_asks_for_the_key_alone),
        CLIENT_TEST(dane_ta_asks_for_chain_time_and_name),
        CLIENT_TEST(dane_ta_of_a_root_needs_the_root_in_the_chain),
        CLIENT_TEST(usages_of_the_web_match_nothing),
        CLIENT_TEST(a_malformed_association_is_passed_over),
        CLIENT_TEST(a_rollover_matches_before_and_after),
        CLIENT_TEST(a_session_is_resumed_under_its_key_only),
        CLIENT_TEST(sessions_are_bounded_and_the_oldest_go),
        CLIENT_TEST(sessions_are_for_all_threads),
        CLIENT_TEST(a_resumed_session_is_judged_anew),
        CLIENT_TEST(a_session_that_ends_in_failure_is_not_offered_again),
        CLIENT_TEST(a_server_that_knows_no_session_shakes_hands_anew),
        CLIENT_TEST(our_own_certificate_is_shown_to_who_asks),
        CLIENT_TEST(a_handshake_that_never_comes_is_a_failure),
        cmocka_unit_test(broken_settings_are_told),
        cmocka_unit_test(settings_come_from_their_section),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
