/* Lanes, pools, transports and routes: which one a message's settings mean, and which settings mean nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/lane.h"
#include "cluster/rule.h"
#include "cluster/settings_check.h"
#include "cluster/transport.h"

/* Settings as a file has them: "path=value", a list's or map's items as paths of their own ("path+=value", "path[key]=value"). */
static const char *const *lines;

static int read_lines(const char *file UNUSED, struct conf_item **ret_items, size_t *ret_count,
                      char **ret_error UNUSED)
{
    size_t count = 0;

    while (lines[count])
        count++;
    *ret_items = mem_array(count + 1, sizeof(**ret_items));
    *ret_count = count;
    for (size_t i = 0; i < count; i++) {
        struct span value = span_of(lines[i]), path = span_cut(&value, '=');
        struct conf_item *item = &(*ret_items)[i];
        item->line = (unsigned) i + 1;
        item->value = mem_text(value.at, value.len);
        if (path.at[path.len - 1] == '+') {
            item->is_list = true;
            path.len--;
        } else if (path.at[path.len - 1] == ']') {
            struct span key = path;
            path = span_cut(&key, '[');
            item->is_map = true;
            item->key = mem_text(key.at, key.len - 1);
        }
        item->path = mem_text(path.at, path.len);
    }
    return 0;
}

static struct conf *load(const char *const *given)
{
    struct conf *c = NULL;
    char *error = NULL;

    lines = given;
    if (conf_load("b.yaml", read_lines, &c, &error) < 0)
        fail_msg("%s", error);
    return c;
}

/* ---- lanes */

static const char *const lanes[] = {"lanes.bulk.senders+=@news.example.com",
                                    "lanes.bulk.senders+=Vip@example.com",
                                    "lanes.subs.senders+=@.example.com",
                                    "lanes.subs.senders+=@.b.example.com",
                                    "lanes.notes.senders+=<>",
                                    "lanes.notes.senders+=box@[192.0.2.7]",
                                    "lanes.notes.senders+=ann@xn--bcher-kva.test",
                                    "lanes.acme.tenants+=acme",
                                    "lanes.acme.pool=out2",
                                    "pools.out2.addresses+=192.0.2.1",
                                    "pools.default.addresses+=192.0.2.2",
                                    NULL};

/* proves: I16 H21 */
static void the_most_exact_row_says_the_lane(void **state UNUSED)
{
    static const struct {
        const char *sender, *tenant, *lane;
    } rows[] = {
        {"s@news.example.com", NULL, "bulk"},
        {"S@NEWS.EXAMPLE.COM", NULL, "bulk"},
        {"vip@example.com", NULL, "bulk"},
        {"vip@example.com", "acme", "bulk"},
        {"other@example.com", NULL, ""},
        {"other@example.com", "acme", "acme"},
        {"x@a.example.com", "acme", "subs"},
        {"x@b.example.com", NULL, "subs"},
        {"", NULL, "notes"},
        {"", "acme", "notes"},
        {"s@other.test", NULL, ""},
        {"s@other.test", "acm", ""},
        {"s@[192.0.2.1]", "acme", "acme"},
        {"Box@[192.0.2.7]", "acme", "notes"},
        {"ann@b\u00fccher.test", NULL, "notes"},
        {"anna@b\u00fccher.test", NULL, ""},
        {"s@[192.0.2.1]", NULL, ""},
        {"\"a@b\"@news.example.com", NULL, "bulk"},
        {"s@notnews.example.com.test", NULL, ""},
        {"r@news.example.com.", NULL, "bulk"},
    };
    struct conf *c = load(lanes), *none = load((const char *const[]){NULL});

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(lane_of(c, rows[i].sender, rows[i].tenant), rows[i].lane) != 0)
            fail_msg("%s of %s is in \"%s\"", rows[i].sender, rows[i].tenant ? rows[i].tenant : "nobody",
                     lane_of(c, rows[i].sender, rows[i].tenant));
        assert_string_equal(lane_of(none, rows[i].sender, rows[i].tenant), "");
    }
    conf_release(c);
    conf_release(none);
}

/* proves: I17 */
static void a_queue_is_a_domain_and_maybe_a_lane(void **state UNUSED)
{
    AUTO_BUF struct buf plain = {0}, bulk = {0};
    struct span domain, lane;

    queue_name(SPAN("example.com"), "", &plain);
    queue_name(SPAN("example.com"), "bulk", &bulk);
    assert_true(span_equal(buf_span(&plain), SPAN("example.com")));
    assert_true(span_equal(buf_span(&bulk), SPAN("example.com/bulk")));
    queue_split(buf_span(&bulk), &domain, &lane);
    assert_true(span_equal(domain, SPAN("example.com")) && span_equal(lane, SPAN("bulk")));
    queue_split(buf_span(&plain), &domain, &lane);
    assert_true(span_equal(domain, SPAN("example.com")) && lane.len == 0);
}

/* proves: H21 */
static void the_lane_says_the_pool_else_it_is_the_default_one(void **state UNUSED)
{
    struct conf *c = load(lanes), *none = load((const char *const[]){"lanes.acme.tenants+=acme", NULL});

    assert_string_equal(pool_of(c, SPAN("example.com/acme"))->name, "out2");
    assert_string_equal(pool_of(c, SPAN("example.com/bulk"))->name, "default");
    assert_string_equal(pool_of(c, SPAN("example.com/unknown"))->name, "default");
    assert_string_equal(pool_of(c, SPAN("example.com"))->name, "default");
    assert_null(pool_of(c, SPAN(QUEUE_FANOUT)));
    assert_null(pool_of(none, SPAN("example.com/acme")));
    conf_release(c);
    conf_release(none);
}

/* ---- transports */

/* proves: I16 H20 */
static void the_more_exact_domain_wins_then_the_row_with_the_lane(void **state UNUSED)
{
    static const char *const given[] = {"lanes.bulk.senders+=<>",
                                        "transports.smart.hosts+=smtp.test:587",
                                        "transports.smart.hosts+=backup.test:587",
                                        "transports.smart.user=us",
                                        "transports.smart.password=secret",
                                        "transports.store.protocol=lmtp",
                                        "transports.store.hosts+=unix:/run/lmtp",
                                        "transports.plain.tls=encrypt",
                                        "courier.routes[*]=mx",
                                        "courier.routes[*/bulk]=smart",
                                        "courier.routes[.example.com]=store",
                                        "courier.routes[.b.example.com]=hold",
                                        "courier.routes[example.com]=discard",
                                        "courier.routes[example.com/bulk]=10.0.0.1:25, [10.0.0.2]:25",
                                        "courier.routes[one.test]=plain",
                                        "courier.routes[[192.0.2.1]]=smart",
                                        NULL};
    static const struct {
        const char *queue, *name, *hosts;
        enum transport_kind kind;
    } rows[] = {
        {"other.test", "mx", NULL, TRANSPORT_MX},
        {"other.test/bulk", "smart", "smtp.test:587, backup.test:587", TRANSPORT_HOSTS},
        {"other.test/else", "mx", NULL, TRANSPORT_MX},
        {"a.example.com", "store", "unix:/run/lmtp", TRANSPORT_HOSTS},
        {"a.example.com/bulk", "store", "unix:/run/lmtp", TRANSPORT_HOSTS},
        {"x.b.example.com", "hold", NULL, TRANSPORT_HOLD},
        {"example.com", "discard", NULL, TRANSPORT_DISCARD},
        {"example.com/bulk", "static", "10.0.0.1:25, [10.0.0.2]:25", TRANSPORT_HOSTS},
        {"one.test", "plain", NULL, TRANSPORT_MX},
        {"[192.0.2.1]", "smart", "smtp.test:587, backup.test:587", TRANSPORT_HOSTS},
        {"[192.0.2.2]", "mx", NULL, TRANSPORT_MX},
    };
    struct conf *c = load(given);
    AUTO_FREE char *error = NULL;

    assert_int_equal(settings_check(c, &error), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct transport t, again;
        transport_find(c, rows[i].queue, &t);
        transport_find(c, rows[i].queue, &again);
        assert_string_equal(t.name, rows[i].name);
        assert_int_equal(t.kind, rows[i].kind);
        assert_int_equal(transport_kind_of(c, rows[i].queue), rows[i].kind);
        assert_true(!t.hosts == !rows[i].hosts);
        if (t.hosts)
            assert_string_equal(t.hosts, rows[i].hosts);
        assert_int_equal(t.is_lmtp, strcmp(t.name, "store") == 0);
        assert_int_equal(t.user != NULL, strcmp(t.name, "smart") == 0);
        assert_true(transport_equal(&t, &again));
        transport_done(&t);
        transport_done(&again);
    }
    conf_release(c);
}

static void what_travels_apart_keeps_domain_and_lane(void **state UNUSED)
{
    static const struct {
        const char *lane, *name;
    } rows[] = {{"", "a.test/~r7"}, {"bulk", "a.test/bulk~r7"}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_BUF struct buf name = {.data = NULL};
        struct span domain, lane;
        queue_name_apart(SPAN("a.test"), rows[i].lane, 7, &name);
        assert_true(span_equal(buf_span(&name), span_of(rows[i].name)));
        assert_true(span_equal(queue_apart(buf_span(&name)), SPAN("r7")));
        queue_split(buf_span(&name), &domain, &lane);
        assert_true(span_equal(domain, SPAN("a.test")) && span_equal(lane, span_of(rows[i].lane)));
        assert_int_equal(partition_of(buf_span(&name)), partition_of(SPAN("a.test")));
        assert_true(rule_queue_fits("a.test", rows[i].name) == !*rows[i].lane);
        assert_true(rule_queue_fits(".test", rows[i].name) && rule_queue_fits(rows[i].name, rows[i].name));
    }
    assert_int_equal(queue_apart(SPAN("a.test/bulk")).len, 0);
}

/* ---- what is no good */

/* An order of the operator whose lane is an empty word of a script is for no queue, never for all of them. */
static void a_slash_without_a_lane_means_no_queue(void **state UNUSED)
{
    assert_true(queue_fits("*", "a.test/bulk"));
    assert_true(queue_fits(".test", "a.test"));
    assert_false(queue_fits("*/", "a.test"));
    assert_false(queue_fits("*/", "a.test/bulk"));
    assert_false(queue_fits(".test/", "a.test/bulk"));
    assert_false(queue_fits("a.test/", "a.test"));
}

struct fault {
    const char *given[5], *says; /* the sentence begins so */
};

/* proves: I16 H20 H21 */
static void settings_that_mean_nothing_are_refused_with_their_line(void **state UNUSED)
{
    static const struct fault faults[] = {
        {{"courier.routes[a.test]=10.0.0.1", "courier.routes[b.test]=nosuch"},
         "b.yaml:2: courier.routes: there is no such transport"},
        {{"courier.routes[b.test]="}, "b.yaml:1: courier.routes: "},
        {{"courier.routes[b.test]= hold"}, "b.yaml:1: courier.routes: there is no such transport"},
        {{"courier.routes[b.test]=a..b:25"}, "b.yaml:1: courier.routes: \"a..b:25\": is no host"},
        {{"courier.routes[b.test]=10.0.0.1:99999"}, "b.yaml:1: courier.routes: \"10.0.0.1:99999\""},
        {{"courier.routes[b.test]=unix:/run/x"}, "b.yaml:1: courier.routes: \"unix:/run/x\": unix: is for"},
        {{"courier.routes[b c]=mx"}, "b.yaml:1: courier.routes: a row begins with a domain"},
        {{"courier.routes[b.test/]=mx"}, "b.yaml:1: courier.routes: there is no such lane"},
        {{"courier.routes[b.test/bulk]=mx"}, "b.yaml:1: courier.routes: there is no such lane"},
        {{"transports.mx.hosts+=a.test"}, "b.yaml:1: transports.mx.hosts: mx, hold and discard"},
        {{"transports.t.hosts+=a.test", "transports.t.hosts+=/path"},
         "b.yaml:2: transports.t.hosts: \"/path\": is no host"},
        {{"transports.t.protocol=lmtp"}, "b.yaml:1: transports.t.protocol: LMTP goes to no MX"},
        {{"transports.t.protocol=lmtp", "transports.t.hosts+=store.test"},
         "b.yaml:2: transports.t.hosts: \"store.test\": an LMTP server has no usual port"},
        {{"transports.t.protocol=lmtp", "transports.t.hosts+=unix:store"},
         "b.yaml:2: transports.t.hosts: \"unix:store\": write the socket as"},
        {{"transports.t.protocol=smtps"}, "b.yaml:1: transports.t.protocol: smtps goes to no MX"},
        {{"transports.t.protocol=smtps", "transports.t.hosts+=a.test", "transports.t.tls=may"},
         "b.yaml:3: transports.t.tls: smtps is TLS"},
        {{"transports.t.protocol=smtps", "transports.t.hosts+=a.test", "transports.t.tls=none"},
         "b.yaml:3: transports.t.tls: smtps is TLS"},
        {{"transports.t.protocol=smtps", "transports.t.hosts+=unix:/run/x"},
         "b.yaml:2: transports.t.hosts: \"unix:/run/x\": unix: is for"},
        {{"transports.t.hosts+=a.test", "transports.t.user=u"},
         "b.yaml:2: transports.t.user: has no password"},
        {{"transports.t.hosts+=a.test", "transports.t.password=p"},
         "b.yaml:2: transports.t.password: is for nobody"},
        {{"transports.t.user=u", "transports.t.password=p"}, "b.yaml:1: transports.t.user: nobody logs in"},
        {{"transports.t.hosts+=a.test", "transports.t.user=u", "transports.t.password=p",
          "transports.t.tls=none"},
         "b.yaml:4: transports.t.tls: no password goes"},
        {{"transports.t.hosts+=a.test", "transports.t.user=u", "transports.t.password=p",
          "transports.t.tls=may"},
         "b.yaml:4: transports.t.tls: no password goes"},
        {{"transports.t.tls=perhaps"}, "b.yaml:1: transports.t.tls: "},
        {{"transports.t.tls=fingerprint 12"}, "b.yaml:1: transports.t.tls: "},
        {{"lanes.a.pool=nosuch"}, "b.yaml:1: lanes.a.pool: there is no pool named nosuch"},
        {{"lanes.a.senders+=@x.test", "lanes.b.senders+=@X.test"},
         "b.yaml:2: lanes.b.senders: @X.test is in lane a already"},
        {{"lanes.a.tenants+=t", "lanes.b.tenants+=t"}, "b.yaml:2: lanes.b.tenants: t is in lane a already"},
        {{"lanes.a.senders+=nobody"}, "b.yaml:1: lanes.a.senders: \"nobody\" is no sender"},
        {{"lanes.a.senders+=@..x"}, "b.yaml:1: lanes.a.senders: \"@..x\" is no sender"},
        {{"pools.p.helo_name=x.test"}, "pools.p.addresses: a pool needs addresses"},
        {{"pools.p.addresses+=host.test"}, "b.yaml:1: pools.p.addresses: \"host.test\" is no address"},
        {{"pools.p.addresses+=0.0.0.0"}, "b.yaml:1: pools.p.addresses: \"0.0.0.0\" is no address"},
        {{"pools.p.addresses+=192.0.2.1", "pools.p.helo_name=a b"}, "b.yaml:2: pools.p.helo_name: \"a b\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct conf *c = load(faults[i].given);
        AUTO_FREE char *error = NULL;
        if (settings_check(c, &error) == 0)
            fail_msg("taken: %s", faults[i].says);
        if (strncmp(error, faults[i].says, strlen(faults[i].says)) != 0)
            fail_msg("%s\ninstead of %s", error, faults[i].says);
        conf_release(c);
    }
}

/* proves: H20 */
static void a_socket_of_this_host_needs_no_tls_for_a_password(void **state UNUSED)
{
    static const char *const given[] = {"transports.t.protocol=lmtp", "transports.t.hosts+=unix:/run/lmtp",
                                        "transports.t.user=u", "transports.t.password=p", NULL};
    struct conf *c = load(given);
    AUTO_FREE char *error = NULL;

    assert_int_equal(settings_check(c, &error), 0);
    conf_release(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_exact_row_says_the_lane),
        cmocka_unit_test(a_queue_is_a_domain_and_maybe_a_lane),
        cmocka_unit_test(the_lane_says_the_pool_else_it_is_the_default_one),
        cmocka_unit_test(the_more_exact_domain_wins_then_the_row_with_the_lane),
        cmocka_unit_test(what_travels_apart_keeps_domain_and_lane),
        cmocka_unit_test(a_slash_without_a_lane_means_no_queue),
        cmocka_unit_test(settings_that_mean_nothing_are_refused_with_their_line),
        cmocka_unit_test(a_socket_of_this_host_needs_no_tls_for_a_password),
    };
    return cmocka_run_group_tests_name("cluster/lane", tests, NULL, NULL);
}
