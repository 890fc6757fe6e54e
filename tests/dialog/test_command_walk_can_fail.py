"""Something planted to be left over from one transaction to the next is found by the random walk (tests/unit/ingress/test_smtp_walk.c)."""

import pytest
from harness import planted

PLANTS = [
    ("a refused commit keeps the transaction", "ingress/smtp_server.c", "    smtp_end_transaction(s);\n    s->junk = 0;\n    if (a->code == 250) {\n",
     "    if (a->code == 250)\n        smtp_end_transaction(s);\n    s->phase = SMTP_IDLE;\n    s->junk = 0;\n    if (a->code == 250) {\n"),
    ("parameters of one recipient go to the next", "ingress/smtp_command.c", "    t->asked = (struct smtp_slot){0};\n", ""),
    ("EHLO keeps the transaction", "ingress/smtp_hello.c", "    smtp_abandon_transaction(s);\n", ""),
    ("a refused chunk keeps the transaction", "ingress/smtp_body.c", "    smtp_abandon_transaction(s);\n", ""),
    ("what XCLIENT replaces stays logged in", "ingress/smtp_server.c", "s->is_esmtp = s->is_authenticated = false;", "s->is_esmtp = false;"),
    ("content of chunks before RSET is kept", "ingress/smtp_server.c", "        s->ask = SMTP_ASK_DROP;\n}\n\nvoid smtp_begin_anew", "        s->content = s->content;\n}\n\nvoid smtp_begin_anew"),
    ("too many of an alias stay", "ingress/smtp_command.c", "        smtp_transaction_cut(t, count);\n", ""),
    ("an answer depends on errors before it", "ingress/smtp_command.c", '"5.5.2", "Unknown command"', '"5.5.2", s->errors > 4 ? "Unknown" : "Unknown command"'),
    ("STARTTLS that fails keeps the transaction", "ingress/smtp_command.c", "        smtp_end_transaction(s);\n        s->ask = SMTP_ASK_TLS;", "        s->ask = SMTP_ASK_TLS;"),
]


@pytest.mark.parametrize("name, source, old, new", PLANTS, ids=[plant[0].replace(" ", "_") for plant in PLANTS])
def test_the_walk_finds(name, source, old, new):
    assert planted.is_found_by("tests/unit/ingress/test_smtp_walk", name, source, old, new), "the walk has not found it"
