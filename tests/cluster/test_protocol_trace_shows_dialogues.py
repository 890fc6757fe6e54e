"""
`baridctl protocol-trace` shows the dialogues of sessions that fit, of clients with us and of us with hosts, as they happen; never a secret, never
content; and its rule ends with it. Redis as a whole (all keys, the append-only file) and all logs are searched for what must be nowhere.
"""

import glob
import json
import os
import signal
import smtplib
import subprocess

import pytest
from login import Client, b64, plain

from harness import paths, planted, wait
from harness.authority import Authority
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

CTL = paths.program("baridctl")
USER, PASSWORD = "anna@relay.example", "a password that is nowhere else"
HOST_USER, HOST_PASSWORD = "relay", "another that is nowhere"
CONTENT = "these words are content"
KEY = "barid:{c}:dialog"


class Trace:
    """A protocol-trace that runs; in force when this returns."""

    def __init__(self, place, *options):
        self.place = place
        before = place.rules()
        self.process = subprocess.Popen([CTL, "--config", place.cluster.conf, "protocol-trace", "--json", *options],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        place.traces.append(self)
        os.set_blocking(self.process.stdout.fileno(), False)
        self._text = b""
        wait.until(lambda: place.rules() > before or self.process.poll() is not None, 20, "the rule is given")
        assert self.process.poll() is None, self.process.stderr.read()
        [self.rule] = place.rules() - before
        place.wait_obeyed()

    def lines(self):
        self._text += self.process.stdout.read() or b""
        return [json.loads(line) for line in self._text.decode().splitlines(keepends=True) if line.endswith("\n")]

    def words(self, node=""):
        return [f"{line['side']} {line['text']}" for line in self.lines() if line["node"].startswith(node)]

    def wait_for(self, words, node=""):
        wait.until(lambda: any(words in line for line in self.words(node)), 10, lambda: f"{words!r} in {self.words()}")

    def end(self, how=signal.SIGINT):
        """All that it said."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        assert wait.until(lambda: self.process.poll() is not None, 20, "it ends") is not False
        assert self.process.returncode == 0, self.process.stderr.read()
        lines = self.lines()
        assert self.rule not in self.place.rules()
        self.place.wait_obeyed()  # or the next one could take their word for its own
        return lines


class Place:
    def __init__(self, cluster, sink, authority):
        self.cluster, self.sink, self.authority = cluster, sink, authority
        self.traces = []
        self.redis = cluster.redis.client()

    def rules(self):
        return {rule["rule"] for rule in json.loads(self.cluster.baridctl("rules", "list", "--in-force", "--json"))["rules"]}

    def wait_obeyed(self):
        """All nodes that have sessions know how many rules there are."""
        count = len(self.rules())
        for node in self.cluster.of("ingress") + self.cluster.of("courier"):
            wait.until(lambda node=node: node.metrics().get("barid_rules") == count, 10, lambda node=node: f"{node.name} knows {count} rules")

    def wait_over(self, trace):
        """Its rule is, and all nodes know: or the next one could take their word for its own."""
        wait.until(lambda: trace.rule not in self.rules(), 10, "the rule is over")
        self.wait_obeyed()

    def client(self, listener="submission", tls=True):
        return Client(self.cluster.address(listener), self.authority.client() if tls else None)

    def mail(self, to="x@smart.test", sender="me@origin.test", listener="public", content=CONTENT):
        host, port = self.cluster.address(listener)
        with smtplib.SMTP(host, port, timeout=20) as smtp:
            return smtp.sendmail(sender, [to], f"Subject: {content}\r\n\r\n{content}\r\n")

    def everything(self):
        """Redis and logs, as bytes."""
        whole = [self.redis.dump(key) or b"" for key in self.redis.scan_iter(count=1000)]
        for entry in self.redis.xrange(KEY):
            whole += [value for pair in entry[1].items() for value in pair]
        for name in glob.glob(os.path.join(self.cluster.redis.folder, "**", "*.aof"), recursive=True):
            with open(name, "rb") as file:
                whole.append(file.read())
        whole += [node.log_text().encode() for node in self.cluster.nodes]
        return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in whole)


@pytest.fixture(scope="module")
def place():
    authority = Authority(paths.scratch("authority"))
    with ScriptedSink(tls=authority.issue("localhost"), users={HOST_USER: HOST_PASSWORD}) as sink:
        sink.rule("rcpt", reply("550 5.1.1 no such \x1b[2J user"), recipient="nobody@smart.test")
        secret = paths.scratch("secret") + ".txt"
        with open(secret, "w") as file:
            file.write(HOST_PASSWORD + "\n")
        os.chmod(secret, 0o600)
        settings = {"tls": {"certificates": [authority.issue("localhost")]}, "auth": {"failure_delay": "0s", "failures_per_client": "", "failures_per_user": ""},
                    "courier": {"routes": {".test": "smart"}, "idle_time": "0s"},
                    "transports": {"smart": {"hosts": [f"127.0.0.1:{sink.port}"], "user": HOST_USER, "password_file": secret, "tls": "verify localhost"}},
                    "tls_out": {"ca": authority.ca, "policy": "none"}}
        listeners = {"public": {"role": "internal", "trusted_networks": ["127.0.0.0/8"], "max_junk": 100000}, "submission": {"role": "submission"}}
        with Cluster(settings=settings, listeners=listeners) as cluster:
            cluster.add_user(USER, PASSWORD)
            yield Place(cluster, sink, authority)


@pytest.fixture(autouse=True)
def none_is_left(place):
    """A test that fails leaves its traces to nobody."""
    yield
    for trace in place.traces:
        if trace.process.poll() is None:
            trace.process.send_signal(signal.SIGINT)
            trace.process.wait(20)
    place.traces.clear()
    wait.until(lambda: not place.rules(), 20, "no rule is left")
    place.wait_obeyed()


def told(lines):
    return [f"{line['side']} {line['text']}" for line in lines]


def sessions(lines):
    """{session: its lines as words}, in order."""
    found = {}
    for line in lines:
        found.setdefault((line["node"], line["session"]), []).append(f"{line['side']} {line['text']}")
    return found


def test_without_a_trace_nothing_is_told(place):
    before = len(place.sink.taken())
    place.mail()
    wait.until(lambda: len(place.sink.taken()) > before, 20, "it is delivered")
    assert not place.redis.exists(KEY)


def test_both_sides_of_a_message_are_shown(place):
    trace = Trace(place)
    place.mail(to="nobody@smart.test", sender="")
    trace.wait_for("no such", node="courier")
    trace.wait_for("* quit", node="ingress")
    lines = trace.end()
    [client] = [words for (node, _), words in sessions(lines).items() if node.startswith("ingress") and "mail from:<>" in " ".join(words).lower()]
    assert client[0] == "* client 127.0.0.1, listener public" and client[1].startswith("> 220 ") and client[2].lower().startswith("< ehlo ")
    [at] = [n for n, word in enumerate(client) if word.startswith("< (content: ")]
    assert client[at - 1].startswith("> 354 ") and client[at + 1].startswith("> 250 2.0.0 ") and client[-1] == "* quit"
    [host] = [words for (node, _), words in sessions(lines).items() if node.startswith("courier") and any("RCPT TO:<nobody@smart.test>" in word for word in words)]
    assert host[0].startswith("* connecting to 127.0.0.1 [127.0.0.1]:") and host[1].startswith("< 220 ")
    assert "> STARTTLS" in host and any(word.startswith("* TLS: TLSv1.") for word in host)
    assert any(word.startswith("* message ") for word in host)
    assert "< 550 5.1.1 no such \\x1b[2J user" in host
    assert not any(CONTENT in word for word in told(lines))
    assert all(line["time"].startswith("20") for line in lines)


# proves: D12
def test_no_secret_is_told_or_kept(place):
    trace = Trace(place)
    with place.client() as client:
        assert client.code(f"AUTH PLAIN {plain(USER, PASSWORD)}") == 235
    with place.client() as client:
        assert client.say("AUTH PLAIN")[0] == 334
        assert client.code(plain(USER, PASSWORD)) == 235
    with place.client() as client:
        assert client.say("AUTH LOGIN")[0] == 334 and client.say(b64(USER))[0] == 334
        assert client.code(b64(PASSWORD)) == 235
    with place.client() as client:
        assert client.scram(USER, PASSWORD) == 235
    with place.client() as client:
        assert client.code(f"AUTH UNKNOWN {b64(PASSWORD)}") == 504 and client.code(b64(PASSWORD)) == 500 and client.code(PASSWORD) == 500
    with place.client(tls=False) as client:
        assert client.code(f"AUTH PLAIN {plain(USER, PASSWORD)}") >= 500 and client.code("QUIT") == 221
    for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256"):
        place.sink.mechanisms = [mechanism]
        before = len(place.sink.taken())
        place.mail()
        wait.until(lambda seen=before: len(place.sink.taken()) > seen, 20, "it is delivered")
        trace.wait_for(f"AUTH {mechanism}", node="courier")
    trace.wait_for("> 221", node="ingress")
    everything = place.everything()
    lines = trace.end()
    words = told(lines)
    assert {"< AUTH PLAIN ***", "< AUTH PLAIN", "< AUTH LOGIN", "< AUTH SCRAM-SHA-256 ***", "< AUTH *** ***"} <= set(words)
    assert {"> AUTH PLAIN ***", "> AUTH LOGIN", "> AUTH SCRAM-SHA-256 ***"} <= set(words)
    assert words.count("< ***") >= 5 and words.count("> ***") >= 3 and words.count("> 334 ***") >= 4
    assert all(word in ("> 334 ***", "< 334 ***") for word in words if word[2:].startswith("334"))
    everything += "\n".join(words).encode()
    for secret in (PASSWORD, b64(PASSWORD), plain(USER, PASSWORD), HOST_PASSWORD, b64(HOST_PASSWORD), plain(HOST_USER, HOST_PASSWORD)):
        assert secret.encode() not in everything, secret
    assert b"AUTH PLAIN ***" in everything  # what was searched has the dialogue
    assert CONTENT not in "\n".join(words)


def test_two_traces_see_only_what_fits(place):
    one = Trace(place, "--sender", "@one.test")
    two = Trace(place, "--recipient", "two@smart.test", "--because", "a test")
    none = Trace(place, "--client", "192.0.2.0/24")
    here = Trace(place, "--client", "127.0.0.0/8", "--queue", "smart.test")
    host = Trace(place, "--site", "127.0.0.1")
    traces = [one, two, none, here, host]
    for sender, to in (("a@one.test", "x@smart.test"), ("b@other.test", "two@smart.test")):
        before = len(place.sink.taken())
        place.mail(sender=sender, to=to)
        wait.until(lambda seen=before: len(place.sink.taken()) > seen, 20, "it is delivered")
    for trace in traces[:2]:
        trace.wait_for("> QUIT", node="courier")
        trace.wait_for("* quit", node="ingress")
    host.wait_for("<b@other.test>")
    one, two, none, here, host = ([line for line in trace.end() if line["side"] != "*" or line["session"] != "-"] for trace in traces)
    assert len(sessions(one)) == len(sessions(two)) == 2
    assert all(any(word[2:].upper().startswith("EHLO ") for word in words) for words in list(sessions(one).values()) + list(sessions(two).values()))
    assert "<b@other.test>" not in str(one) and "<a@one.test>" in str(one)
    assert "<a@one.test>" not in str(two) and "two@smart.test" in str(two)
    assert none == []
    assert len(sessions(here)) == 4
    assert {line["node"].split("1")[0] for line in host} == {"courier"} and len(sessions(host)) == 2


def test_a_session_that_was_there_is_watched_from_then_on(place):
    with place.client("public", tls=False) as client:
        trace = Trace(place)
        assert client.code("NOOP") == 250 and client.code("QUIT") == 221
        trace.wait_for("* quit")
        [words] = sessions(trace.end()).values()
        assert words[0] == "* client 127.0.0.1, listener public, watched from here on" and words[1] == "< NOOP"


def test_a_flood_is_counted_and_no_line_is_longer_than_told(place):
    trace = Trace(place, "--client", "flood.test")
    with place.client("public", tls=False) as client:
        assert client.code("HELO flood.test") == 250 and client.code("MAIL FROM:<x@y.test>") == 250  # here it fits
        client.socket.sendall(b"NOOP " + b"x" * 1500 + b"\r\n" + b"NOOP\r\n" * 3000 + b"QUIT\r\n")
        while client.read()[0] not in (0, 221):
            pass
    trace.wait_for("lines were left out")
    lines = trace.end()
    assert len(lines) < 2000 and place.redis.xlen(KEY) < 25000
    assert max(len(line["text"]) for line in lines) < 600
    assert any(word.endswith("(and 993 octets more)") for word in told(lines))


def test_it_ends_by_itself_and_leaves_nothing(place):
    trace = Trace(place, "--for", "1s")
    assert trace.process.wait(20) == 0
    place.wait_over(trace)
    trace = Trace(place, "--for", "2s")
    trace.process.kill()  # nobody ends its rule
    place.wait_over(trace)
    trace = Trace(place, "--limit", "3")
    place.mail()
    assert trace.process.wait(20) == 0 and len(trace.end()) == 3
    trace = Trace(place)
    place.cluster.baridctl("rules", "undo", trace.rule, "--yes")
    assert trace.process.wait(20) == 0
    trace = Trace(place)
    trace.end(signal.SIGTERM)
    assert 0 < place.redis.pttl(KEY) <= 60000
    history = json.loads(place.cluster.baridctl("rules", "list", "--json"))["rules"]
    assert all(rule["until_ms"] for rule in history if rule["action"] == "trace")


def test_no_more_than_eight_at_once_and_bad_words_are_refused(place):
    traces = [Trace(place, "--sender", "@nobody.test") for _ in range(8)]
    ninth = subprocess.run([CTL, "--config", place.cluster.conf, "protocol-trace", "--for", "1s"], stderr=subprocess.PIPE, timeout=20, check=False)
    assert ninth.returncode == 1 and b"8 traces are in force" in ninth.stderr
    for trace in traces:
        assert trace.end() == []
    for words in (("--for", "2h"), ("--for", "soon"), ("--limit", "0"), ("--queue", "UPPER.test"), ("--sender", "nobody"), ("--site", "x" * 300), ("--error", "x")):
        done = subprocess.run([CTL, "--config", place.cluster.conf, "protocol-trace", *words], stderr=subprocess.PIPE, timeout=20, check=False)
        assert done.returncode == 2 and done.stderr, words


def test_people_read_it_as_lines(place):
    process = subprocess.Popen([CTL, "--config", place.cluster.conf, "protocol-trace", "--for", "20s", "--limit", "4"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait.until(place.rules, 20, "the rule is given")
    place.wait_obeyed()
    place.redis.xadd(KEY, {"r": sorted(place.rules())[0][1:], "n": "evil", "s": "1", "t": "1", "d": ">", "x": "\x1b]0;pwned\x07"})
    place.mail()
    out, err = process.communicate(timeout=30)
    lines = out.decode("ascii").splitlines()
    assert len(lines) == 4 and lines[0].endswith(" evil 1 > \\x1b]0;pwned\\x07") and b"\x1b" not in out
    assert b"Ctrl-C" in err and process.returncode == 0


@pytest.mark.parametrize("name, unit, source, old, new", [
    ("told_response", "mail/test_dialog", "lib/mail/dialog.c", "buf_add_span(out, mask);\n    }\n}\n\nstatic void mask_xclient", "buf_add_span(out, rest);\n    }\n}\n\nstatic void mask_xclient"),
    ("told_exchange", "ingress/test_smtp_dialog", "ingress/smtp_dialog.c", "dialog_secret(s->dialog, DIALOG_HEARD)", "dialog_command(s->dialog, DIALOG_HEARD, in, true)"),
    ("told_answer", "courier/test_smtp_client_dialog", "courier/smtp_client_reply.c", "if (c->dialog && e.step == STEP_AUTH)", "if (c->dialog && e.step == STEP_QUIT)")])
def test_a_secret_that_is_told_is_found(name, unit, source, old, new):
    assert planted.is_found_by(f"tests/unit/{unit}", name, source, old, new)
