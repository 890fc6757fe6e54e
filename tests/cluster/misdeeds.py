"""What hostile hosts do, at which step of a conversation, and what must become of each recipient then."""

from harness.sink import drop, endless, garbage, reply, reset, stall

FOREVER = 3600
PEOPLE = 3  # recipients of each message
VICTIM = 1  # the one whose RCPT is answered badly
CLOSING, LATER, NEVER = "421 4.3.2 closing", "451 4.3.0 not now", "550 5.7.1 not you"
GARBAGE = b"\x00\xff\x16\x03 what?\r\n"
DEEDS = ("stall", "close", "reset", "garbage", "endless", "421", "4xx", "5xx", "out of place")
BROKEN = DEEDS[:5]  # no reply, or none that can be understood
# What only some steps have: STARTTLS left out of a reply to EHLO that offers to take passwords, words behind the 220 to STARTTLS; a yes
# before we have said all, or a challenge behind the last one.
SPECIAL = {"starttls": ("stripped", "injected"), "challenge": ("cheat",), "auth": ("cheat",)}
STRIPPED = "250-host.test\n250-AUTH PLAIN LOGIN SCRAM-SHA-256\n250 PIPELINING"

# Which code a step hopes for: what goes on and on begins with it.
_YES = {"starttls": b"220", "challenge": b"334", "auth": b"235", "data": b"354"}


class Kind:
    """A way to speak to hosts: protocol, what TLS must prove, login, and the steps at which they misbehave."""

    def __init__(self, name, tls, steps, protocol="smtp", mechanism=None):
        self.name, self.tls, self.steps, self.protocol, self.mechanism = name, tls, steps.split(), protocol, mechanism
        self.is_lmtp = protocol == "lmtp"
        self.is_safe = tls not in ("may", "none")  # nothing in plain
        self.has_transport = protocol != "smtp" or mechanism is not None


_LMTP_DOTS = "dot1 dot2 dot3"
KINDS = {kind.name: kind for kind in (
    Kind("may", "may", "starttls handshake hello mail rcpt data dot"),
    Kind("encrypt", "encrypt", "starttls handshake hello"),
    Kind("verify", "verify host.test", "starttls handshake hello rcpt dot"),
    Kind("lmtp", "none", f"connect hello mail rcpt data {_LMTP_DOTS}", protocol="lmtp"),
    Kind("store", "verify host.test", f"starttls handshake hello {_LMTP_DOTS}", protocol="lmtp"),
    Kind("scram", "verify host.test", "starttls handshake hello challenge1 challenge2 auth mail data dot", mechanism="SCRAM-SHA-256"),
    Kind("smtps", "verify host.test", "handshake connect hello auth dot", protocol="smtps", mechanism="PLAIN"),
    Kind("plain", "verify host.test", "auth", mechanism="PLAIN"),
    Kind("login", "verify host.test", "challenge1 challenge2 auth", mechanism="LOGIN"))}
ROWS = [(kind.name, step) for kind in KINDS.values() for step in kind.steps]
EARLY = ("connect", "starttls", "handshake", "hello", "challenge1", "challenge2", "auth")  # nothing of a message was said


def deeds_of(step):
    return DEEDS + SPECIAL.get(step.rstrip("123"), ())


def action_of(step, deed):
    """What the sink does."""
    name = step.rstrip("123")
    if deed == "stripped":
        return reply(STRIPPED)
    if deed == "injected":
        return garbage(b"220 go on\r\n" + STRIPPED.replace("\n", "\r\n").encode() + b"\r\n235 2.7.0 welcome\r\n")
    if deed == "cheat":
        return reply("334 bW9yZQ==" if name == "auth" else "235 2.7.0 welcome")
    if deed == "stall":
        return stall(FOREVER)
    if deed == "close":
        return drop()
    if deed == "reset":
        return reset()
    if deed == "garbage":
        return reply(GARBAGE, then_drop=name == "dot")
    if deed == "endless":
        return endless(_YES.get(name, b"250") + b"-and on\r\n")
    text = {"421": CLOSING, "4xx": LATER, "5xx": NEVER, "out of place": "250 2.0.0 yes" if name == "data" else "354 go on"}[deed]
    return garbage(text.encode() + b"\r\n") if name == "handshake" else reply(text, then_drop=deed == "421")


def place_of(kind, step, deed):
    """The sink's stage, and what else a rule must fit."""
    name, number = step.rstrip("123"), int(step[-1]) if step[-1].isdigit() else 0
    if deed == "stripped":
        return "ehlo", lambda session, _: not session.tls
    if name == "hello":
        return "ehlo", lambda session, _: (session.tls or kind.tls == "none") and not session.commands[-1].startswith("HELO")
    if name == "challenge":
        return "challenge", lambda session, _: session.challenges == number
    if name == "rcpt":
        return "rcpt", lambda session, _: f"<r{VICTIM}@" in session.commands[-1]
    if name == "dot" and number:  # a store's answer about one recipient; recipients it refused are off the list
        return "dot", number - 1
    return name, None


def fates_of(kind, step, deed):
    """
    What becomes of each recipient, where another host would take the mail:
    first, plain, other: delivered at once, by the first host, by it without TLS, by the other host;
    later: put off, then delivered; doubt: may be delivered, put off, delivered; returned.
    """
    name = step.rstrip("123")
    if step in EARLY:
        return [_fate_of_early(kind, step, deed)] * PEOPLE
    if deed in BROKEN and name != "dot":
        return ["other"] * PEOPLE
    own = {"421": "later", "4xx": "later", "5xx": "returned", "out of place": "later"}.get(deed, "doubt")
    if name == "mail" and deed == "421":
        return ["other"] * PEOPLE
    if name == "rcpt":
        return ["other" if deed == "421" else "first"] * VICTIM + [own] + ["other" if deed == "421" else "first"] * (PEOPLE - VICTIM - 1)
    if name == "dot" and kind.is_lmtp:
        before = int(step[-1]) - 1
        rest = "doubt" if deed in (*BROKEN, "421") else "first"
        return ["first"] * before + [own] + [rest] * (PEOPLE - before - 1)
    return [own] * PEOPLE


def _fate_of_early(kind, step, deed):
    if kind.tls == "may" and (step == "handshake" or (step == "starttls" and deed in ("4xx", "5xx", "stripped"))):
        return "plain"
    if step == "hello" and deed == "5xx" and not kind.has_transport:
        return "first"  # HELO, inside TLS
    return "other"


def status_of(step, deed):
    """Of mail that no host may have: how its status begins."""
    if step == "handshake":
        return "4.7.5"
    if step == "starttls" and deed in ("4xx", "5xx", "stripped"):
        return "4.7.4"
    if step.startswith(("challenge", "auth")) and deed in ("4xx", "5xx", "out of place", "cheat"):
        return "4.7.8"
    return "4."
