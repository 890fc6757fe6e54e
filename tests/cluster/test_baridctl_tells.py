"""What baridctl tells of one message, one queue and of all that happens is so, and does no harm to the terminal that shows it."""

import hashlib
import json
import os
import subprocess

import pytest

from harness import paths, wait
from harness.cluster import Cluster
from harness.process import Process
from harness.sink import Gate, reply, stall

CTL = paths.program("baridctl")


def routed(sink, *domains, **more):
    return {"courier": {"routes": {domain: f"127.0.0.1:{sink.port}" for domain in domains}},
            "retry": {"first": "60s", "longest": "60s"}, **more}


def send(cluster, *arguments):
    host, port = cluster.addresses[0]
    sent = json.loads(cluster.baridctl("send", "--server", f"{host}:{port}", "--json", *arguments, timeout=60))
    assert sent["refused"] == 0, sent
    return sent["messages"]


def ctl(cluster, *arguments):
    return json.loads(cluster.baridctl(*arguments, "--json", timeout=60))


def raw(cluster, *arguments):
    return subprocess.run([CTL, "--config", cluster.conf, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False)


def wait_events(cluster, message, name, count=1):
    wait.until(lambda: sum(event["event"] == name for event in ctl(cluster, "trace", message)["events"]) >= count, 30, f"{count} {name}")


def why(cluster, message):
    told, = ctl(cluster, "why", message)["jobs"]
    return told


# ---- why

def test_why_tells_what_waiting_mail_waits_for(sink):
    sink.rule("rcpt", reply("450 4.2.1 try\x1b[2J later"), domain="later.test")
    limits = {"dispatcher": {"limits": {"later.test": "connections=3 rate=60"}}}
    with Cluster(settings=routed(sink, "later.test", **limits)) as cluster:
        [message] = send(cluster, "--to", "x@later.test")
        wait_events(cluster, message, "deferred")
        told = why(cluster, message)
        assert told["place"] == "waiting" and told["attempts"] == 1 and 30000 < told["next_in_ms"] == told["due_in_ms"] <= 70000
        assert (told["last_error"]["code"], told["last_error"]["status"]) == (450, "4.2.1")
        assert told["queue"]["owned"] and told["queue"]["owner"] == "dispatcher1.relay.test"
        assert "connections=3 rate=60 for later.test" in told["queue"]["limits"]
        text = cluster.baridctl("why", message)
        assert "its next try is due in" in text and "try 1 ended with 450 4.2.1" in text and "at the earliest" in text and "\x1b" not in text
        queue = ctl(cluster, "why", "later.test")
        assert (queue["waiting"], queue["due"], queue["claimed"], queue["held"], queue["oldest"]) == (1, 0, 0, 0, message)
        assert queue["because"] == "no job is due yet" and 30000 < queue["next_in_ms"] <= 70000
        text = cluster.baridctl("why", "later.test")
        assert "1 waiting, 0 of them due" in text and "the first moves in" in text and "of dispatcher1.relay.test" in text
        assert ctl(cluster, "why", "nothing.test")["because"] == "it has no jobs"


def test_why_names_what_the_whole_cluster_lacks(sink):
    with Cluster(settings=routed(sink, "ok.test")) as cluster:
        cluster.kill("courier")
        [message] = send(cluster, "--to", "x@ok.test")
        wait.until(lambda: "no courier works" in why(cluster, message)["because"], 20, "the courier is missed")
        cluster.kill("dispatcher")
        wait.until(lambda: "no dispatcher owns partition" in why(cluster, message)["because"], 20, "the lease is over")
        wait.until(lambda: "no dispatcher works" in ctl(cluster, "why", message)["cluster"], 20, "it is missed")
        assert "no courier works" in cluster.baridctl("why", "ok.test")


def test_why_names_who_has_it_and_how_it_ended(sink):
    gate = Gate()
    sink.rule("dot", stall(gate=gate))
    with Cluster(settings=routed(sink, "ok.test")) as cluster:
        [message] = send(cluster, "--to", "x@ok.test")
        gate.wait_held()
        told = why(cluster, message)
        assert told["place"] == "claimed" and told["courier"] == "courier1.relay.test" and "for try 1" in told["because"]
        assert ctl(cluster, "why", "ok.test")["because"] == "all its jobs are at work"
        gate.open()
        cluster.wait_empty()
        told = why(cluster, message)
        assert told["place"] == "gone" and "delivered" in told["because"] and f":{sink.port}" in told["because"]
        assert "it waits for nothing" in cluster.baridctl("why", message)
        unknown = raw(cluster, "why", "01KATQ5S8Z4G5W0V0E3HJ2M9XK")
        assert unknown.returncode == 1 and b"nothing is known" in unknown.stderr


# ---- msg show, msg cat

def test_a_message_is_shown_with_each_recipient(sink):
    sink.rule("rcpt", reply("450 4.2.1 later"), recipient="slow@a.test")
    sink.rule("rcpt", reply("450 4.2.2 full"), domain="b.test")
    with Cluster(settings=routed(sink, "a.test", "b.test")) as cluster:
        [message] = send(cluster, "--from", "me@c.test", "--to", "quick@a.test", "--to", "slow@a.test", "--to", "x@b.test")
        wait_events(cluster, message, "deferred", 2)
        shown = ctl(cluster, "msg", "show", message)
        assert (shown["message"], shown["from"], shown["chunks_missing"]) == (message, "me@c.test", 0)
        one, two = shown["jobs"]
        assert [(r["address"], r["settled"]) for r in one["recipients"]] == [("quick@a.test", True), ("slow@a.test", False)]
        assert one["recipients"][1]["last"]["status"] == "4.2.1" and (one["queue"], one["place"]) == ("a.test", "waiting")
        assert two["recipients"][0]["last"]["status"] == "4.2.2"
        only = ctl(cluster, "msg", "show", f"{message}.2")
        assert [job["job"] for job in only["jobs"]] == [f"{message}.2"]
        text = cluster.baridctl("msg", "show", message)
        assert "<slow@a.test> deferred, still open: 450 4.2.1" in text and "<quick@a.test> delivered" in text


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("size", [100, 700000])
def test_content_is_printed_byte_for_byte(sink, size, compression, tmp_path):
    sink.rule("rcpt", reply("450 4.2.1 later"), domain="later.test", times=1)
    content = b"Subject: bytes\r\n\r\n" + (bytes(range(14, 256)) * (size // 242 + 1))[:size] + b"\r\n"
    lines = b"\r\n".join(content[i:i + 900] for i in range(0, len(content), 900)) if size > 900 else content
    (tmp_path / "mail.eml").write_bytes(lines)
    with Cluster(settings=routed(sink, "later.test", ingress={"compression": compression})) as cluster:
        [message] = send(cluster, "--to", "x@later.test", "--file", tmp_path / "mail.eml")
        wait_events(cluster, message, "deferred")
        printed = raw(cluster, "msg", "cat", message)
        assert printed.returncode == 0 and printed.stdout.startswith(b"Received: ")
        shown = ctl(cluster, "msg", "show", message)
        assert shown["size"] == len(printed.stdout) and (shown["chunks"] > 1) == (size > 262000)
        cluster.baridctl("msg", "retry", message, "--yes")
        cluster.wait_empty()
        dot, = sink.dots()
        assert hashlib.sha256(dot.content).digest() == hashlib.sha256(printed.stdout).digest()
        gone = raw(cluster, "msg", "cat", message)
        assert gone.returncode == 1 and gone.stdout == b"" and b"any more" in gone.stderr


# proves: A10
def test_missing_content_is_said(sink):
    sink.rule("rcpt", reply("450 4.2.1 later"), domain="later.test")
    with Cluster(settings=routed(sink, "later.test")) as cluster:
        [message] = send(cluster, "--to", "x@later.test")
        wait_events(cluster, message, "deferred")
        redis = cluster.redis.client()
        redis.delete(*redis.scan_iter(f"b:*:{message}.0:*"))
        done = raw(cluster, "msg", "cat", message)
        assert done.returncode == 1 and b"missing or damaged" in done.stderr
        assert ctl(cluster, "msg", "show", message)["chunks_missing"] == 1
        assert "CHUNKS ARE MISSING" in cluster.baridctl("msg", "show", message)


# ---- events

class Following:
    """`baridctl events --follow --json` as a process."""

    def __init__(self, cluster, folder, *arguments):
        self.process = Process("events", [CTL, "--config", cluster.conf, "events", "--follow", "--json", *arguments],
                               os.path.join(folder, "events.log"))

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.process.end()

    def lines(self):
        return [json.loads(line) for line in self.process.log_text().splitlines() if line.endswith("}")]


def test_events_are_followed_over_all_partitions(sink, tmp_path):
    domains = [f"d{n}.test" for n in range(12)]
    with Cluster(couriers=2, settings=routed(sink, *domains)) as cluster:
        [early] = send(cluster, "--to", "x@d0.test")
        cluster.wait_empty()
        with Following(cluster, str(tmp_path), "--event", "accepted", "--event", "delivered") as following:
            wait.until(lambda: len(following.lines()) == 2, 20, "what was before is told first")
            messages = [send(cluster, "--to", f"x@{domain}")[0] for domain in domains]
            wait.until(lambda: len(following.lines()) == 2 + 2 * len(domains), 30, lambda: f"all are told: {len(following.lines())}")
            lines = following.lines()
        assert {line["job"] for line in lines} == {f"{message}.0" for message in [early, *messages]}
        for message in messages:
            told = [line for line in lines if line["job"] == f"{message}.0"]
            assert [line["event"] for line in told] == ["accepted", "delivered"]
        last = [json.loads(line) for line in cluster.baridctl("events", "--json", "--limit", "5").splitlines()]
        assert len(last) == 5 and [line["time"] for line in last] == sorted(line["time"] for line in last)


def test_events_are_chosen_by_queue_and_words(sink):
    sink.rule("rcpt", reply("450 4.2.1 mailbox busy"), domain="later.test")
    with Cluster(settings=routed(sink, "later.test", "ok.test")) as cluster:
        [one] = send(cluster, "--to", "x@later.test")
        [two] = send(cluster, "--to", "x@ok.test")
        wait_events(cluster, one, "deferred")
        wait_events(cluster, two, "delivered")

        def told(*arguments):
            return [json.loads(line) for line in cluster.baridctl("events", "--json", "--limit", "1000", *arguments).splitlines()]
        assert [line["event"] for line in told("--queue", "later.test")] == ["accepted", "claimed", "deferred"]
        assert {line["job"] for line in told("--queue", "ok.test")} == {f"{two}.0"}, "also of a job that has ended"
        assert told("--queue", "k.test") == [] and told("--event", "held") == []
        assert [line["event"] for line in told("--text", "MAILBOX busy")] == ["deferred"]
        assert len(told("--text", two)) == 3


# ---- hostile texts

# proves: M07 M09
def test_hostile_names_and_texts_are_printed_safely(sink):
    """Whoever gets bytes into the queue may not write to the operator's terminal, nor into the shape of JSON."""
    evil = "\x1b]0;owned\x07\x1b[2J\r\nFAKE: line\x9b31m"
    with Cluster(couriers=0, settings=routed(sink, "later.test")) as cluster:
        [message] = send(cluster, "--from", '"a\\\\b"@c.test', "--to", '"{x}:*"@later.test')
        redis = cluster.redis.client()
        key, = redis.scan_iter(f"j:*:{message}.0")
        tag = key.split(b":")[1]
        redis.hset(key, mapping={"h": evil})
        redis.hset(b"s:" + tag + b":later.test", mapping={"until": 10 ** 14, "error": evil})
        redis.xadd(b"ev:" + tag, {"e": "held" + evil, "j": f"{message}.0", "x": evil})
        redis.zadd(b"d:" + tag, {"q\x1b[2J.test": 1, "a b*{c}:d": 1})
        redis.zadd(b"q:" + tag + b":q\x1b[2J.test", {"job\x1b[2J": 1})
        redis.zadd(b"h:" + tag, {"held\x1b[2J": 1})
        for verb in (["status"], ["queue", "list"], ["queue", "list", "--held"], ["queue", "show", "later.test"], ["why", "later.test"], ["why", message],
                     ["why", "q\x1b[2J.test"], ["msg", "show", message], ["trace", message], ["events"], ["queue", "delete", "later.test", "--dry-run"],
                     ["queue", "delete", "q\x1b[2J.test", "--dry-run"], ["msg", "hold", message, "--yes"], ["msg", "show", message],
                     ["queue", "release", "a b*{c}:d", "--yes"]):
            done = raw(cluster, *verb)
            text = done.stdout + done.stderr
            assert done.returncode == 0, (verb, text)
            assert not set(text) - set(range(0x20, 0x7f)) - {0x0a}, (verb, text)
            assert b"\nFAKE" not in text, verb
            done = raw(cluster, *verb, "--json")
            assert done.returncode == 0, (verb, done.stderr)
            for part in done.stdout.decode().splitlines() if verb == ["events"] else [done.stdout]:
                json.loads(part)
