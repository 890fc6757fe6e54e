/* AUTH exchanges in memory: every mechanism, RFC 7677's vectors, and what hostile clients say. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/mem.h"
#include "ingress/sasl_exchange.h"
#include "io/crypto.h"

/* RFC 7677 section 3. */
static const char rfc_password[] = "pencil", rfc_salt[] = "W22ZaJ0SNY7soEsUEjb6gQ==";
static const char rfc_nonce[] = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
static const char rfc_client_first[] = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
static const char rfc_server_first[] = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                       "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
static const char rfc_client_final[] = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                       "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
static const char rfc_server_final[] = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

static struct exchange_terms terms(void)
{
    return (struct exchange_terms){.nonce = span_of(rfc_nonce)};
}

static struct verifier verifier_of(const char *password)
{
    AUTO_BUF struct buf salt = {0};
    struct verifier v;
    assert_int_equal(base64_decode(span_of(rfc_salt), &salt), 0);
    verifier_make_with(span_of(password), buf_span(&salt), 4096, &v);
    return v;
}

/* An exchange with an initial response. */
static enum exchange_state begin(struct exchange *e, const char *mechanism, const struct exchange_terms *t,
                                 struct span response)
{
    const struct mechanism *m = mechanism_find(span_of(mechanism));
    assert_non_null(m);
    exchange_begin(e, m, t, true, response);
    return e->state;
}

static void assert_challenge(const struct exchange *e, const char *text)
{
    assert_int_equal(e->state, EXCHANGE_CHALLENGE);
    assert_int_equal(e->challenge.len, strlen(text));
    assert_memory_equal(e->challenge.data, text, strlen(text));
}

static void assert_name(const struct exchange *e, struct span name)
{
    assert_true(span_equal(buf_span(&e->name), name));
}

/* ---- PLAIN */

static enum exchange_state plain(struct span response)
{
    struct exchange e;
    const struct exchange_terms t = terms();
    enum exchange_state state = begin(&e, "plain", &t, response);
    exchange_done(&e);
    return state;
}

/* proves: D05 */
static void plain_has_exactly_two_nuls(void **s UNUSED)
{
    assert_int_equal(plain(SPAN("\0user\0secret")), EXCHANGE_PASSWORD);
    assert_int_equal(plain(SPAN("user\0user\0secret")), EXCHANGE_PASSWORD);
    assert_int_equal(plain(SPAN("")), EXCHANGE_MALFORMED);
    assert_int_equal(plain(SPAN("user")), EXCHANGE_MALFORMED);
    assert_int_equal(plain(SPAN("user\0secret")), EXCHANGE_MALFORMED);
    assert_int_equal(plain(SPAN("\0user\0secret\0")), EXCHANGE_MALFORMED);
    assert_int_equal(plain(SPAN("\0user\0sec\0ret")), EXCHANGE_MALFORMED);
}

/* proves: D05 */
static void plain_speaks_for_nobody_else(void **s UNUSED)
{
    assert_int_equal(plain(SPAN("admin\0user\0secret")), EXCHANGE_REFUSED);
    assert_int_equal(plain(SPAN("User\0user\0secret")), EXCHANGE_REFUSED);
    assert_int_equal(plain(SPAN("user \0user\0secret")), EXCHANGE_REFUSED);
}

/* proves: D05 */
static void plain_refuses_what_is_no_name_or_password(void **s UNUSED)
{
    assert_int_equal(plain(SPAN("\0\0secret")), EXCHANGE_REFUSED);
    assert_int_equal(plain(SPAN("\0user\0")), EXCHANGE_REFUSED);
    assert_int_equal(plain(SPAN("\0us\ner\0secret")), EXCHANGE_REFUSED);
    assert_int_equal(plain(SPAN("\0us\rer\0secret")), EXCHANGE_REFUSED);
    assert_int_equal(plain(SPAN("\0user\0sec\nret")), EXCHANGE_REFUSED);
    assert_int_equal(plain(SPAN("\0user\0sec\x7fret")), EXCHANGE_REFUSED);
    assert_int_equal(plain(SPAN("\0us\xc3\0secret")), EXCHANGE_REFUSED);
    assert_int_equal(plain(SPAN("\0us\xc0\x80\0secret")), EXCHANGE_REFUSED);
    assert_int_equal(plain(SPAN("\0us\xe2\x80\xae\0secret")), EXCHANGE_REFUSED); /* turns text around */
}

/* proves: D07 */
static void names_are_data(void **s UNUSED)
{
    static const char *const names[] = {"a'b", "*", "a)(uid=*", "{tag}", "%s%n", "a\\b", "a\"b", "\xc3\xa4"};
    const struct exchange_terms t = terms();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct exchange e;
        AUTO_BUF struct buf message = {0};
        buf_add_char(&message, '\0');
        buf_add_text(&message, names[i]);
        buf_add_char(&message, '\0');
        buf_add_text(&message, "secret");
        assert_int_equal(begin(&e, "PLAIN", &t, buf_span(&message)), EXCHANGE_PASSWORD);
        assert_name(&e, span_of(names[i]));
        exchange_done(&e);
    }
    assert_int_equal(plain(SPAN("\0a\r\nSET x\0secret")), EXCHANGE_REFUSED);
}

static void plain_at_its_longest(void **s UNUSED)
{
    AUTO_BUF struct buf message = {0};
    buf_add_char(&message, '\0');
    for (int i = 0; i < 255; i++)
        buf_add_char(&message, 'u');
    buf_add_char(&message, '\0');
    for (int i = 0; i < PASSWORD_MAX; i++)
        buf_add_char(&message, 'p');
    assert_int_equal(plain(buf_span(&message)), EXCHANGE_PASSWORD);
    buf_add_char(&message, 'p');
    assert_int_equal(plain(buf_span(&message)), EXCHANGE_REFUSED);
    while (message.len <= EXCHANGE_RESPONSE_MAX)
        buf_add_char(&message, 'p');
    assert_int_equal(plain(buf_span(&message)), EXCHANGE_MALFORMED);
}

/* ---- LOGIN */

/* proves: D04 */
static void login_asks_for_both(void **s UNUSED)
{
    struct exchange e;
    const struct exchange_terms t = terms();
    exchange_begin(&e, mechanism_find(SPAN("LOGIN")), &t, false, SPAN(""));
    assert_challenge(&e, "Username:");
    exchange_respond(&e, SPAN("user"));
    assert_challenge(&e, "Password:");
    exchange_respond(&e, SPAN("secret"));
    assert_int_equal(e.state, EXCHANGE_PASSWORD);
    exchange_judge(&e, true);
    assert_int_equal(e.state, EXCHANGE_ACCEPTED);
    assert_name(&e, SPAN("user"));
    assert_int_equal(e.password.len, 0);
    exchange_done(&e);
}

/* proves: D04 */
static void login_takes_the_name_at_once(void **s UNUSED)
{
    struct exchange e;
    const struct exchange_terms t = terms();
    assert_int_equal(begin(&e, "LOGIN", &t, SPAN("user")), EXCHANGE_CHALLENGE);
    assert_challenge(&e, "Password:");
    exchange_respond(&e, SPAN(""));
    assert_int_equal(e.state, EXCHANGE_REFUSED);
    exchange_done(&e);
    assert_int_equal(begin(&e, "LOGIN", &t, SPAN("")), EXCHANGE_REFUSED);
    exchange_done(&e);
}

/* ---- SCRAM */

/* proves: D11 */
static void scram_agrees_with_rfc_7677(void **s UNUSED)
{
    struct exchange e;
    const struct exchange_terms t = terms();
    struct verifier v = verifier_of(rfc_password);
    assert_int_equal(begin(&e, "SCRAM-SHA-256", &t, span_of(rfc_client_first)), EXCHANGE_USER);
    assert_name(&e, SPAN("user"));
    exchange_user(&e, &v);
    assert_challenge(&e, rfc_server_first);
    assert_true(exchange_is_proof_next(&e));
    exchange_respond(&e, span_of(rfc_client_final));
    assert_challenge(&e, rfc_server_final);
    exchange_respond(&e, SPAN(""));
    assert_int_equal(e.state, EXCHANGE_ACCEPTED);
    exchange_done(&e);
}

/* The client's side. `first` begins with the gs2 header; extra goes between nonce and proof. */
static enum exchange_state scram(const char *mechanism, const struct exchange_terms *t, const char *first,
                                 const char *password, struct span channel, struct exchange *e)
{
    struct verifier v = verifier_of("pencil");
    struct span rest = span_of(first), flag = span_cut(&rest, ','), authzid = span_cut(&rest, ',');
    AUTO_BUF struct buf binding = {0}, without = {0}, message = {0}, final = {0}, text = {0};
    uint8_t salted[SHA256_BYTES], client[SHA256_BYTES], stored[SHA256_BYTES], signature[SHA256_BYTES];
    if (begin(e, mechanism, t, span_of(first)) != EXCHANGE_USER)
        return e->state;
    exchange_user(e, &v);
    buf_add_text(&text, "");
    buf_add_span(&binding, flag);
    buf_add_char(&binding, ',');
    buf_add_span(&binding, authzid);
    buf_add_char(&binding, ',');
    buf_add_span(&binding, channel);
    buf_add_text(&without, "c=");
    base64_encode(buf_span(&binding), &without);
    struct span server = buf_span(&e->challenge), nonce = span_cut(&server, ',');
    buf_add_char(&without, ',');
    buf_add_span(&without, nonce);
    buf_add_span(&message, rest);
    buf_add_char(&message, ',');
    buf_add_span(&message, buf_span(&e->challenge));
    buf_add_char(&message, ',');
    buf_add_span(&message, buf_span(&without));
    crypto_pbkdf2(span_of(password), (struct span){.at = (char *) v.salt, .len = v.salt_len}, 4096, salted);
    crypto_hmac((struct span){.at = (char *) salted, .len = 32}, SPAN("Client Key"), client);
    crypto_sha256((struct span){.at = (char *) client, .len = 32}, stored);
    crypto_hmac((struct span){.at = (char *) stored, .len = 32}, buf_span(&message), signature);
    for (size_t i = 0; i < sizeof client; i++)
        client[i] ^= signature[i];
    buf_add_span(&final, buf_span(&without));
    buf_add_text(&final, ",p=");
    base64_encode((struct span){.at = (char *) client, .len = 32}, &final);
    exchange_respond(e, buf_span(&final));
    if (e->state == EXCHANGE_CHALLENGE)
        exchange_respond(e, SPAN(""));
    return e->state;
}

static enum exchange_state scram_with(const char *mechanism, const struct exchange_terms *t,
                                      const char *first, const char *password, struct span channel)
{
    struct exchange e;
    enum exchange_state state = scram(mechanism, t, first, password, channel, &e);
    exchange_done(&e);
    return state;
}

/* proves: D11 */
static void scram_refuses_a_wrong_password(void **s UNUSED)
{
    const struct exchange_terms t = terms();
    assert_int_equal(scram_with("SCRAM-SHA-256", &t, "n,,n=user,r=abc", "pencil", SPAN("")),
                     EXCHANGE_ACCEPTED);
    assert_int_equal(scram_with("SCRAM-SHA-256", &t, "n,,n=user,r=abc", "Pencil", SPAN("")),
                     EXCHANGE_REFUSED);
}

/* proves: D11 */
static void scram_plus_is_bound_to_the_channel(void **s UNUSED)
{
    struct exchange_terms t = terms();
    t.offers_plus = true;
    t.bindings[0] = (struct exchange_binding){.type = "tls-exporter", .data = SPAN("0123456789")};
    t.bindings[1] = (struct exchange_binding){.type = "tls-server-end-point", .data = SPAN("abcdef")};
    const char *plus = "SCRAM-SHA-256-PLUS";
    assert_int_equal(scram_with(plus, &t, "p=tls-exporter,,n=user,r=abc", "pencil", SPAN("0123456789")),
                     EXCHANGE_ACCEPTED);
    assert_int_equal(scram_with(plus, &t, "p=tls-server-end-point,,n=user,r=abc", "pencil", SPAN("abcdef")),
                     EXCHANGE_ACCEPTED);
    assert_int_equal(scram_with(plus, &t, "p=tls-exporter,,n=user,r=abc", "pencil", SPAN("0123456780")),
                     EXCHANGE_REFUSED); /* somebody in between has another channel */
    assert_int_equal(scram_with(plus, &t, "p=tls-exporter,,n=user,r=abc", "pencil", SPAN("abcdef")),
                     EXCHANGE_REFUSED);
    assert_int_equal(scram_with(plus, &t, "p=tls-unique,,n=user,r=abc", "pencil", SPAN("")),
                     EXCHANGE_REFUSED);
    assert_int_equal(scram_with(plus, &t, "p=,,n=user,r=abc", "pencil", SPAN("")), EXCHANGE_REFUSED);
    assert_int_equal(scram_with(plus, &t, "n,,n=user,r=abc", "pencil", SPAN("")), EXCHANGE_REFUSED);
    assert_int_equal(scram_with(plus, &t, "y,,n=user,r=abc", "pencil", SPAN("")), EXCHANGE_REFUSED);
}

/* proves: D11 */
static void scram_sees_that_plus_was_hidden(void **s UNUSED)
{
    struct exchange_terms t = terms();
    const char *first = "y,,n=user,r=abc";
    assert_int_equal(scram_with("SCRAM-SHA-256", &t, first, "pencil", SPAN("")), EXCHANGE_ACCEPTED);
    t.offers_plus = true;
    assert_int_equal(scram_with("SCRAM-SHA-256", &t, first, "pencil", SPAN("")), EXCHANGE_REFUSED);
    assert_int_equal(scram_with("SCRAM-SHA-256", &t, "n,,n=user,r=abc", "pencil", SPAN("")),
                     EXCHANGE_ACCEPTED);
    t.bindings[0] = (struct exchange_binding){.type = "tls-exporter", .data = SPAN("0123456789")};
    assert_int_equal(
        scram_with("SCRAM-SHA-256", &t, "p=tls-exporter,,n=user,r=abc", "pencil", SPAN("0123456789")),
        EXCHANGE_REFUSED);
}

/* proves: D07 */
static void scram_names_are_decoded_and_data(void **s UNUSED)
{
    struct exchange e;
    const struct exchange_terms t = terms();
    assert_int_equal(begin(&e, "SCRAM-SHA-256", &t, SPAN("n,,n=a=2Cb=3Dc,r=abc")), EXCHANGE_USER);
    assert_name(&e, SPAN("a,b=c"));
    exchange_done(&e);
    assert_int_equal(scram_with("SCRAM-SHA-256", &t, "n,a=a=2Cb,n=a=2Cb,r=abc", "pencil", SPAN("")),
                     EXCHANGE_ACCEPTED);
    assert_int_equal(scram_with("SCRAM-SHA-256", &t, "n,a=other,n=user,r=abc", "pencil", SPAN("")),
                     EXCHANGE_REFUSED);
}

/* proves: D06 */
static void scram_refuses_every_bent_first_message(void **s UNUSED)
{
    static const char *const wrong[] = {"",
                                        "n",
                                        "n,",
                                        "n,,",
                                        "n,,n=user",
                                        "n,,n=user,",
                                        "n,,n=user,r=",
                                        "n,,n=user,r",
                                        "n,,r=abc,n=user",
                                        "n,,m=ext,n=user,r=abc",
                                        "n,,n=us=er,r=abc",
                                        "n,,n=user=2,r=abc",
                                        "n,x=user,n=user,r=abc",
                                        "n,a=u=zz,n=user,r=abc",
                                        "q,,n=user,r=abc",
                                        "N,,n=user,r=abc",
                                        "n,,n=user,r=a c",
                                        "n,,n=user,r=a\x7f",
                                        ",,n=user,r=abc"};
    const struct exchange_terms t = terms();
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct exchange e;
        assert_int_equal(begin(&e, "SCRAM-SHA-256", &t, span_of(wrong[i])), EXCHANGE_MALFORMED);
        exchange_done(&e);
    }
    struct exchange e;
    assert_int_equal(begin(&e, "SCRAM-SHA-256", &t, SPAN("n,,n=us\0er,r=abc")), EXCHANGE_REFUSED);
    exchange_done(&e);
    assert_int_equal(begin(&e, "SCRAM-SHA-256", &t, SPAN("n,,n=,r=abc")), EXCHANGE_REFUSED);
    exchange_done(&e);
}

static enum exchange_state final_of(const char *text)
{
    struct exchange e;
    const struct exchange_terms t = terms();
    struct verifier v = verifier_of(rfc_password);
    assert_int_equal(begin(&e, "SCRAM-SHA-256", &t, span_of(rfc_client_first)), EXCHANGE_USER);
    exchange_user(&e, &v);
    exchange_respond(&e, span_of(text));
    enum exchange_state state = e.state;
    exchange_done(&e);
    return state;
}

/* proves: D06 */
static void scram_refuses_every_bent_final_message(void **s UNUSED)
{
#define NONCE "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define PROOF "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    static const char *const malformed[] = {"",
                                            "c=biws",
                                            "c=biws,r=" NONCE,
                                            "c=biws,r=" NONCE ",",
                                            "c=biws," PROOF,
                                            "r=" NONCE ",c=biws," PROOF,
                                            "c=biw,r=" NONCE "," PROOF,
                                            "c=b*ws,r=" NONCE "," PROOF,
                                            "c=biws,r=" NONCE ",p=",
                                            "c=biws,r=" NONCE ",p=dHzbZapW",
                                            "c=biws,r=" NONCE "," PROOF ",x=y",
                                            "c=biws,r=" NONCE
                                            ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVR="};
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
        assert_true(final_of(malformed[i]) == EXCHANGE_MALFORMED ||
                    final_of(malformed[i]) == EXCHANGE_REFUSED);
    assert_int_equal(final_of("c=biws,r=rOprNGfwEbeRWgbNEkqO," PROOF), EXCHANGE_REFUSED);
    assert_int_equal(final_of("c=biws,r=" NONCE "x," PROOF), EXCHANGE_REFUSED);
    assert_int_equal(final_of("c=eSws,r=" NONCE "," PROOF), EXCHANGE_REFUSED);
    assert_int_equal(final_of(rfc_client_final), EXCHANGE_CHALLENGE);
}

static void scram_ends_with_nothing_more_to_say(void **s UNUSED)
{
    struct exchange e;
    const struct exchange_terms t = terms();
    struct verifier v = verifier_of(rfc_password);
    assert_int_equal(begin(&e, "SCRAM-SHA-256", &t, span_of(rfc_client_first)), EXCHANGE_USER);
    exchange_user(&e, &v);
    exchange_respond(&e, span_of(rfc_client_final));
    exchange_respond(&e, SPAN("more"));
    assert_int_equal(e.state, EXCHANGE_MALFORMED);
    exchange_done(&e);
}

/* ---- tokens */

static void bearer_is_taken_apart(void **s UNUSED)
{
    struct exchange e;
    const struct exchange_terms t = terms();
    struct span good = SPAN(
        "n,a=user@example.com,\001host=mx.test\001port=587\001auth=Bearer vF9dft4qmT\001\001");
    assert_int_equal(begin(&e, "OAUTHBEARER", &t, good), EXCHANGE_TOKEN);
    assert_name(&e, SPAN("user@example.com"));
    assert_true(span_equal(buf_span(&e.token), SPAN("vF9dft4qmT")));
    exchange_judge(&e, true);
    assert_int_equal(e.state, EXCHANGE_ACCEPTED);
    assert_int_equal(e.token.len, 0);
    exchange_done(&e);
    assert_int_equal(begin(&e, "OAUTHBEARER", &t, SPAN("n,,\001auth=bearer abc\001\001")), EXCHANGE_TOKEN);
    assert_int_equal(e.name.len, 0);
    exchange_done(&e);
}

static void a_refused_token_is_told_in_json_first(void **s UNUSED)
{
    struct exchange e;
    const struct exchange_terms t = terms();
    assert_int_equal(begin(&e, "OAUTHBEARER", &t, SPAN("n,,\001auth=Bearer abc\001\001")), EXCHANGE_TOKEN);
    exchange_judge(&e, false);
    assert_challenge(&e, "{\"status\":\"invalid_token\"}");
    exchange_respond(&e, SPAN("\001"));
    assert_int_equal(e.state, EXCHANGE_REFUSED);
    exchange_done(&e);
    assert_int_equal(begin(&e, "XOAUTH2", &t, SPAN("user=a@b.test\001auth=Bearer abc\001\001")),
                     EXCHANGE_TOKEN);
    assert_name(&e, SPAN("a@b.test"));
    exchange_judge(&e, false);
    assert_int_equal(e.state, EXCHANGE_CHALLENGE);
    exchange_respond(&e, SPAN(""));
    assert_int_equal(e.state, EXCHANGE_REFUSED);
    exchange_done(&e);
}

/* proves: D06 */
static void bent_tokens_are_refused(void **s UNUSED)
{
    static const struct span wrong[] = {
        {"", 0},
        {"\001", 1},
        {"n,,", 3},
        {"n,,\001", 4},
        {"n,,auth=Bearer abc\001\001", 20},
        {"n,,\001auth=Bearer abc\001", 20},
        {"n,,\001auth\001\001", 10},
        {"p=x,,\001auth=Bearer abc\001\001", 23},
    };
    const struct exchange_terms t = terms();
    struct exchange e;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(begin(&e, "OAUTHBEARER", &t, wrong[i]), EXCHANGE_MALFORMED);
        exchange_done(&e);
    }
    static const struct span refused[] = {
        {"n,,\001auth=Basic abc\001\001", 20},
        {"n,,\001auth=Bearer \001\001", 18},
        {"n,,\001auth=Bearer a b\001\001", 21},
        {"n,,\001host=x\001\001", 12},
        {"n,,\001auth=Bearer a\001auth=Bearer b\001\001", 33},
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        assert_int_equal(begin(&e, "OAUTHBEARER", &t, refused[i]), EXCHANGE_CHALLENGE);
        exchange_respond(&e, SPAN("\001"));
        assert_int_equal(e.state, EXCHANGE_REFUSED);
        exchange_done(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_has_exactly_two_nuls),
        cmocka_unit_test(plain_speaks_for_nobody_else),
        cmocka_unit_test(plain_refuses_what_is_no_name_or_password),
        cmocka_unit_test(names_are_data),
        cmocka_unit_test(plain_at_its_longest),
        cmocka_unit_test(login_asks_for_both),
        cmocka_unit_test(login_takes_the_name_at_once),
        cmocka_unit_test(scram_agrees_with_rfc_7677),
        cmocka_unit_test(scram_refuses_a_wrong_password),
        cmocka_unit_test(scram_plus_is_bound_to_the_channel),
        cmocka_unit_test(scram_sees_that_plus_was_hidden),
        cmocka_unit_test(scram_names_are_decoded_and_data),
        cmocka_unit_test(scram_refuses_every_bent_first_message),
        cmocka_unit_test(scram_refuses_every_bent_final_message),
        cmocka_unit_test(scram_ends_with_nothing_more_to_say),
        cmocka_unit_test(bearer_is_taken_apart),
        cmocka_unit_test(a_refused_token_is_told_in_json_first),
        cmocka_unit_test(bent_tokens_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
