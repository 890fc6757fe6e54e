"""A bug planted in what a server must prove to us is found by the tests with real handshakes (tests/unit/io/test_tls_client.c)."""

import pytest
from harness import planted

PROOF = "lib/io/tls_proof.c"
PLANTS = [
    ("a resumed session is not judged", "lib/io/tls.c", "        tls_judge_again(&t->asked, t->ssl);\n", "        (void) tls_judge_again;\n"),
    ("a common name is a name", PROOF, " | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT", ""),
    ("a part of a label is a wildcard", PROOF, "X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | ", ""),
    ("no name is any name", PROOF, "a->can_be_given = ask_names(ssl, demand) > 0", "a->can_be_given = ask_names(ssl, demand) + 1 > 0"),
    ("a name with a leading dot", PROOF, "return tls_name_parse(s, ret_name) && !is_address(ret_name);",
     "return snprintf(ret_name, TLS_NAME_MAX, \"%.*s\", SPAN_ARG(s)) > 0 && !is_address(ret_name);"),
    ("usages of the web", PROOF, "(a->usage != USAGE_DANE_TA && a->usage != USAGE_DANE_EE) || ", ""),
    ("an authority without a name", PROOF, "(a->usage == USAGE_DANE_TA && !has_names)", "(a->usage == USAGE_DANE_TA && !has_names && false)"),
    ("a key is asked for its name", PROOF, "SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS)", "SSL_dane_set_flags(ssl, 0)"),
    ("a digest of any length", PROOF, "return a->data.len == 64;", "return a->data.len > 0;"),
    ("all is tolerated", PROOF, "return !a->failure || a->is_tolerant;", "return true;"),
    ("a session for every key", "lib/io/tls_sessions.c", "    struct kept *k = map_get(&s->by_key, span_of(key));\n    if (k && is_over",
     "    struct kept *k = LIST_FIRST(&s->latest_first, struct kept, place);\n    (void) key;\n    if (k && is_over"),
    ("a session that failed is kept", "lib/io/tls.c", "    if (tls_has_offered(tls_check(t)))\n", "    if (!tls_check(t))\n"),
]


@pytest.mark.parametrize("name, source, old, new", PLANTS, ids=[plant[0].replace(" ", "_") for plant in PLANTS])
def test_the_handshakes_find(name, source, old, new):
    assert planted.is_found_by("tests/unit/io/test_tls_client", name, source, old, new), "no handshake has found it"
