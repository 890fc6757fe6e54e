"""
Plays the same dialogues against the engine alone, in memory (tests/unit/ingress/test_smtp_steps.c): whole, split in two at every position, byte
by byte, and with late answers. Those whose claim is not the engine's (a policy, a table, a login, PROXY) need the real ingress, and are left out.
"""

import os
import subprocess

import pytest

from harness import paths
from test_dialogs import FILES, Dialogue, settings_of

SIZES = {"KiB": 1024, "MiB": 1048576, "B": 1}
NUMBERS = {"max_message": "message_bytes", "max_line": "line_bytes", "max_hops": "hops", "max_header": "header_bytes", "max_header_fields": "header_fields",
           "max_recipients": "recipients", "max_transactions": "transactions", "max_errors": "errors", "max_junk": "junk"}
EXTENSIONS = ["CHUNKING", "DSN", "SMTPUTF8", "REQUIRETLS", "LIMITS", "BINARYMIME", "FUTURERELEASE", "DELIVERBY"]
USUAL = ["CHUNKING", "DSN", "SMTPUTF8", "REQUIRETLS", "LIMITS"]
TLS = {"relay": 1, "submission": 2}


class NotOfTheEngine(Exception):
    """The dialogue needs more than the engine."""


def number(text):
    for unit, factor in SIZES.items():
        if text.endswith(unit):
            return int(text[:-len(unit)]) * factor
    return int(text)


def extension_bits(names):
    return sum(1 << EXTENSIONS.index(name) for name in names)


def listener_setting(name, value, settings):
    """[(name, number)] of one setting of a listener."""
    if name == "role" and value in TLS:
        return [("tls", TLS[value] if "tls" in settings else 0)]
    if name in NUMBERS:
        return [(NUMBERS[name], number(value))]
    if name == "extensions":
        return [("extensions", extension_bits(value))]
    if name == "bare_lf":
        return [("normalises_lf", int(value == "normalise"))]
    raise NotOfTheEngine(name)


def profile(dialogue):
    """[(name, number)] for the engine; NotOfTheEngine where that would not do."""
    settings = settings_of(dialogue.settings)
    if dialogue.users or dialogue.tables:
        raise NotOfTheEngine("users and tables")
    lines = [("extensions", extension_bits(USUAL)), ("future_max_ms", 7 * 86400000)]
    for name, value in settings.get("ingress", {}).items():
        if name not in NUMBERS:
            raise NotOfTheEngine(name)
        lines.append((NUMBERS[name], number(value)))
    for name, value in settings.get("listeners", {}).get(dialogue.listener, {}).items():
        lines += listener_setting(name, value, settings)
    return lines


def compiled(dialogue):
    lines = [f"set {name} {value}" for name, value in profile(dialogue)]
    has_ended = False
    for kind, text, _ in dialogue.steps:
        if kind in "CR":
            lines.append("C " + (text + (b"\r\n" if kind == "C" else b"")).hex())
        elif kind in "SM":
            lines.append(f"{kind} {text.replace(b'ingress1.relay.test', b'mx.relay.example').hex()}")
        elif kind == "Q":
            lines.append(f"N {int(text)}")
        elif kind == "X":
            lines += [] if has_ended else ["X"]
            has_ended = True
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def player():
    name = os.path.join("tests", "unit", "ingress", "test_smtp_steps")
    if os.path.exists(os.path.join(paths.BUILD, name)):
        return os.path.join(paths.BUILD, name)
    root = paths.BUILD if os.path.exists(os.path.join(paths.BUILD, ".packages-build")) else os.path.dirname(paths.BUILD)
    subprocess.run(["make", "-C", paths.REPOSITORY, f"BUILD={root}", os.path.join(root, name)], check=True, stdout=subprocess.DEVNULL, timeout=600)
    return os.path.join(root, name)


def of_the_engine():
    """The names of the dialogues that the engine can play, with their steps."""
    found = []
    for name in FILES:
        try:
            found.append((name, compiled(Dialogue(name)), Dialogue(name).can_dribble))
        except NotOfTheEngine:
            pass
    return found


# proves: B35
@pytest.mark.parametrize("name, steps, can_dribble", of_the_engine(), ids=[name for name, _, _ in of_the_engine()])
def test_in_memory(player, tmp_path, name, steps, can_dribble):
    path = tmp_path / "steps"
    path.write_text(steps)
    env = {**os.environ, "SMTP_STEPS": str(path), **({} if can_dribble else {"SMTP_ONCE": "1"})}
    done = subprocess.run([player], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
    assert done.returncode == 0, f"{name}: {done.stdout.decode(errors='replace')[-2000:]}"


def test_most_dialogues_are_of_the_engine():
    assert len(of_the_engine()) >= 15
