/* lib/cluster/access.h: certificates for Redis are those of the files as they are now. Here, because the maker of certificates is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/conf.h"
#include "base/mem.h"
#include "cluster/access.h"
#include "tls_test.h"

static int setup(void **state)
{
    struct conf *conf = NULL;
    char *error = NULL;

    (void) state;
    certificate_make(&(struct certificate_spec){.file = "ca", .is_ca = true});
    certificate_make(&(struct certificate_spec){.file = "node", .names = "node.test", .issuer = "ca"});
    must(setenv("BARID_STORE_TLS", "yes", 1) == 0);
    must(setenv("BARID_STORE_TLS_CA_FILE", certificate_path("ca.pem"), 1) == 0);
    must(setenv("BARID_STORE_TLS_CERTIFICATE", certificate_path("node.pem"), 1) == 0);
    must(setenv("BARID_STORE_TLS_KEY", certificate_path("node.key"), 1) == 0);
    must(conf_load(NULL, NULL, &conf, &error) == 0);
    conf_set(conf);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    certificates_end();
    return 0;
}

static void changed_files_are_in_force_unless_they_are_broken(void **state)
{
    struct access *a = NULL;
    char *error = NULL;

    (void) state;
    assert_int_equal(access_new(&a, &error), 0);
    struct tls_client *first = tls_client_hold(access_tls(a));
    assert_int_equal(access_look(a, &error), 0);
    certificate_make(&(struct certificate_spec){.file = "node", .names = "new.test", .issuer = "ca"});
    assert_int_equal(access_look(a, &error), 1);
    struct tls_client *second = tls_client_hold(access_tls(a));
    assert_ptr_not_equal(first, second);
    certificate_write("node.pem", "no certificate\n");
    assert_true(access_look(a, &error) < 0);
    assert_non_null(strstr(error, "store.tls: "));
    error = mem_free(error);
    assert_ptr_equal(access_tls(a), second);
    assert_int_equal(access_look(a, &error), 0); /* told once */
    certificate_make(&(struct certificate_spec){.file = "node", .names = "mended.test", .issuer = "ca"});
    assert_int_equal(access_look(a, &error), 1);
    assert_ptr_not_equal(access_tls(a), second);
    (void) tls_client_release(first);  /* always NULL */
    (void) tls_client_release(second); /* likewise */
    a = access_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_files_are_in_force_unless_they_are_broken),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
