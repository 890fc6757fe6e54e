"""Something planted to be left over from one transaction to the next is found by the random walk (tests/unit/ingress/test_smtp_walk.c)."""

import os
import re
import subprocess

import pytest
from harness import paths

PLANTS = [
    ("a refused commit keeps the transaction", "ingress/smtp_server.c", "    smtp_end_transaction(s);\n    s->junk = 0;\n    if (a->code == 250) {\n",
     "    if (a->code == 250)\n        smtp_end_transaction(s);\n    s->phase = SMTP_IDLE;\n    s->junk = 0;\n    if (a->code == 250) {\n"),
    ("parameters of one recipient go to the next", "ingress/smtp_command.c", "    t->asked = (struct smtp_slot){0};\n", ""),
    ("EHLO keeps the transaction", "ingress/smtp_hello.c", "    smtp_abandon_transaction(s);\n", ""),
    ("a refused chunk keeps the transaction", "ingress/smtp_body.c", "    smtp_abandon_transaction(s);\n", ""),
    ("what XCLIENT replaces stays logged in", "ingress/smtp_server.c", "s->is_esmtp = s->is_authenticated = false;", "s->is_esmtp = false;"),
    ("content of chunks before RSET is kept", "ingress/smtp_server.c", "        s->ask = SMTP_ASK_DROP;\n}\n\nvoid smtp_begin_anew", "        s->content = s->content;\n}\n\nvoid smtp_begin_anew"),
    ("too many of an alias stay", "ingress/smtp_command.c", "        smtp_transaction_cut(t, count);\n", ""),
    ("STARTTLS that fails keeps the transaction", "ingress/smtp_command.c", "        smtp_end_transaction(s);\n        s->ask = SMTP_ASK_TLS;", "        s->ask = SMTP_ASK_TLS;"),
]


@pytest.mark.parametrize("name, source, old, new", PLANTS, ids=[plant[0].replace(" ", "_") for plant in PLANTS])
def test_the_walk_finds(name, source, old, new):
    with open(os.path.join(paths.REPOSITORY, source), encoding="ascii") as file:
        text = file.read()
    assert text.count(old) == 1, f"{name}: the source has changed"
    root = paths.BUILD if os.path.exists(os.path.join(paths.BUILD, ".packages-build")) else os.path.dirname(paths.BUILD)
    folder = os.path.join(root, "planted", re.sub(r"\W+", "_", name))
    os.makedirs(folder, exist_ok=True)
    changed = os.path.join(folder, os.path.basename(source))
    with open(changed, "w", encoding="ascii") as file:
        file.write(text.replace(old, new))
    subprocess.run(["make", "-C", paths.REPOSITORY, f"BUILD={root}", "UNIT=tests/unit/ingress/test_smtp_walk", f"PLANTED={changed}",
                    "planted-unit"], check=True, stdout=subprocess.DEVNULL, timeout=600)
    found = subprocess.run([changed[:-2]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, check=False)
    assert found.returncode != 0, "the walk has not found it"
