/* SCRAM's slow keys: derived once, away from the loop, and answered later, never inside the call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "courier/login_key.h"
#include "io/crypto.h"

/* main.c, which has it, is not here. */
struct courier;
void courier_check_drained(struct courier *c);
void courier_check_drained(struct courier *c UNUSED)
{
}

enum { ITERATIONS = 4096 };

static struct loop *loop;
static struct login_keys *keys;
static unsigned answers;
static uint8_t last[CLIENT_KEY_BYTES];

static int setup(void **state UNUSED)
{
    loop = loop_new();
    keys = login_keys_new(loop);
    answers = 0;
    return 0;
}

static int teardown(void **state UNUSED)
{
    keys = login_keys_free(keys);
    loop = loop_free(loop);
    return 0;
}

static void on_key(void *context UNUSED, const uint8_t key[static CLIENT_KEY_BYTES])
{
    memcpy(last, key, sizeof(last));
    answers++;
    loop_stop(loop);
}

static void ask(const char *password, const char *salt)
{
    unsigned before = answers;

    login_key_ask(keys, span_of(password), span_of(salt), ITERATIONS, on_key, NULL);
    assert_int_equal(answers, before);
    loop_run(loop);
    assert_int_equal(answers, before + 1);
}

static void assert_is_key_of(const char *password, const char *salt)
{
    uint8_t right[SHA256_BYTES];

    crypto_pbkdf2(span_of(password), span_of(salt), ITERATIONS, right);
    assert_memory_equal(last, right, sizeof(right));
}

/* proves: H20 */
static void a_key_is_that_of_its_password_and_salt(void **state UNUSED)
{
    static const char *const pairs[][2] = {
        {"pencil", "salt"}, {"pencils", "alt"}, {"pencil", "salt"}, {"", "salt"}};

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        ask(pairs[i][0], pairs[i][1]);
        assert_is_key_of(pairs[i][0], pairs[i][1]);
    }
}

static void the_last_keys_are_kept_and_the_others_derived_again(void **state UNUSED)
{
    char salt[] = "salt a";

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < LOGIN_KEYS_MAX + 3; i++) {
            salt[5] = (char) ('a' + i);
            ask("pencil", salt);
            assert_is_key_of("pencil", salt);
        }
    }
}

static void a_key_that_nobody_waits_for_any_more_is_told_to_nobody(void **state UNUSED)
{
    login_key_cancel(login_key_ask(keys, SPAN("pencil"), SPAN("salt"), ITERATIONS, on_key, NULL));
    ask("other", "salt"); /* work is done in the order asked */
    assert_int_equal(answers, 1);
    ask("pencil", "salt"); /* it was kept all the same */
    assert_is_key_of("pencil", "salt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_is_that_of_its_password_and_salt, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_keys_are_kept_and_the_others_derived_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_nobody_waits_for_any_more_is_told_to_nobody, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
