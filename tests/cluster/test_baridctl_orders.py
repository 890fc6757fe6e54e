"""What the operator orders happens, to all it was said of and to nothing else; what a courier has is answered "later", and then so it is."""

import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest

from harness import paths, wait
from harness.cluster import Cluster
from harness.sink import Gate, ScriptedSink, reply, stall

CTL = paths.program("baridctl")
HOST = "127.0.0.1"


def routed(sink, *domains, **more):
    settings = {"courier": {"routes": {domain: f"{HOST}:{sink.port}" for domain in domains}, **more.pop("courier", {})},
                "retry": {"first": "60s", "longest": "60s"}}
    return {**settings, **more}


def send(cluster, *arguments):
    host, port = cluster.addresses[0]
    sent = json.loads(cluster.baridctl("send", "--server", f"{host}:{port}", "--json", *arguments, timeout=120))
    assert sent["refused"] == 0, sent
    return sent["messages"]


def ctl(cluster, *arguments, **more):
    return json.loads(cluster.baridctl(*arguments, "--json", timeout=120, **more))


def failing(cluster, *arguments):
    """Exit status and what it said."""
    done = subprocess.run([CTL, "--config", cluster.conf, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def counts(cluster):
    queue = cluster.queue()
    return {place: queue[place] for place in ("waiting", "claimed", "held")}


def wait_deferred(cluster, *messages):
    def are_deferred():
        told = [ctl(cluster, "trace", message) for message in messages]
        return all(any(event["event"] == "deferred" for event in one["events"]) and one["jobs"][0]["place"] == "waiting" for one in told)
    wait.until(are_deferred, 30, "all are deferred")


def wait_tried(cluster, message, jobs):
    """All its jobs were tried and put off."""
    def are_put_off():
        told = ctl(cluster, "trace", message)
        tried = {event["job"] for event in told["events"] if event["event"] == "deferred"}
        return len(tried) == jobs and all(job["place"] in ("waiting", "gone") for job in told["jobs"])
    wait.until(are_put_off, 40, lambda: f"{jobs} jobs are tried: {counts(cluster)}")


def wait_counts(cluster, **wanted):
    wait.until(lambda: {**counts(cluster), **wanted} == counts(cluster), 30, lambda: f"{wanted}, it is {counts(cluster)}")


@pytest.fixture
def later(sink):
    """A cluster whose mail for later.test waits a minute for its next try, until sink.clear(sink.wait_rule)."""
    sink.wait_rule = sink.rule("rcpt", reply("450 4.2.1 come \x07again"), domain="later.test")
    with Cluster(settings=routed(sink, "later.test", "other.test")) as cluster:
        yield cluster


# proves: J10
def test_a_dry_run_does_nothing_and_foretells_what_is_done(later, sink):
    mine = send(later, "--from", "me@a.test", "--to", "x@later.test", "--count", "5")
    theirs = send(later, "--from", "you@b.test", "--to", "y@later.test", "--count", "3")
    wait_deferred(later, *mine, *theirs)
    for order in ("hold", "delete", "bounce", "retry"):
        dry = ctl(later, "queue", order, "later.test", "--sender", "@a.test", "--dry-run")
        assert (dry["jobs"], dry["done"], dry["later"], dry["dry_run"]) == (5, 5, 0, True), dry
        assert sorted(job["job"] for job in dry["sample"]) == sorted(f"{message}.0" for message in mine)
        assert all(job["from"] == "me@a.test" and job["effect"] == "at once" for job in dry["sample"])
    assert counts(later) == {"waiting": 8, "claimed": 0, "held": 0}
    done = ctl(later, "queue", "hold", "later.test", "--sender", "@a.test", "--yes")
    assert (done["jobs"], done["done"], done["dry_run"]) == (5, 5, False)
    assert counts(later) == {"waiting": 3, "claimed": 0, "held": 5}
    assert ctl(later, "queue", "hold", "later.test", "--sender", "@a.test", "--yes")["jobs"] == 0, "it was given before"
    assert ctl(later, "queue", "release", "later.test", "--dry-run")["jobs"] == 5
    assert ctl(later, "queue", "delete", "later.test", "--yes")["done"] == 8
    assert counts(later) == {"waiting": 0, "claimed": 0, "held": 0}
    assert sink.taken() == []


# proves: J10
def test_filters_choose_by_sender_recipient_age_and_error(later):
    [one] = send(later, "--from", "me@a.test", "--to", "x@later.test")
    [two] = send(later, "--from", "", "--to", "y@later.test")
    wait_deferred(later, one, two)

    def chosen(*filters):
        return sorted(job["job"][:-2] for job in ctl(later, "queue", "hold", "later.test", "--dry-run", *filters)["sample"])
    def listed(*filters):
        return sorted(job["job"][:-2] for job in ctl(later, "queue", "show", "later.test", *filters)["jobs"])
    assert listed("--sender", "<>") == [two] and listed("--error", "COME", "--limit", "1") in ([one], [two]) and listed("--older", "1h") == []
    assert "1 waiting and chosen" in later.baridctl("queue", "show", "later.test", "--recipient", "x@later.test")
    assert chosen() == sorted([one, two])
    assert chosen("--sender", "me@a.test") == [one] and chosen("--sender", "<>") == [two]
    assert chosen("--sender", "ME@a.test") == [] and chosen("--sender", "@A.TEST") == [one]
    assert chosen("--recipient", "y@LATER.test") == [two] and chosen("--recipient", "@later.test") == sorted([one, two])
    assert chosen("--error", "come") == sorted([one, two]) and chosen("--error", "no such") == []
    assert chosen("--older", "1h") == [] and chosen("--older", "1ms") == sorted([one, two])
    for wrong in (["--sender", "nobody"], ["--recipient", "later.test"], ["--older", "soon"]):
        status, said = failing(later, "queue", "hold", "later.test", "--dry-run", *wrong)
        assert status == 2 and "expected" in said


def test_without_a_terminal_it_asks_for_yes(later):
    send(later, "--to", "x@later.test")
    for verb in (["queue", "delete", "later.test"], ["queue", "retry", "later.test"], ["msg", "bounce", "0" * 26]):
        status, said = failing(later, *verb)
        assert status == 2 and "--yes" in said and "--dry-run" in said


def on_terminal(cluster, answer, *arguments):
    """Exit status and all that a person sees who answers so."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(CTL, [CTL, "--config", cluster.conf, *arguments])
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(terminal, 4096)
    os.write(terminal, answer)
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the child has closed it
            break
        seen += piece
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen.decode()


def test_on_a_terminal_it_shows_what_it_would_do_and_asks(later):
    messages = send(later, "--to", "x@later.test", "--count", "3")
    wait_deferred(later, *messages)
    status, seen = on_terminal(later, b"n\n", "queue", "delete", "later.test")
    assert status == 1 and "delete 3 jobs?" in seen and "nothing was done" in seen and all(message in seen for message in messages)
    assert counts(later)["waiting"] == 3
    status, seen = on_terminal(later, b"y\n", "queue", "delete", "later.test")
    assert status == 0 and "later.test: 3 deleted" in seen and counts(later)["waiting"] == 0


def test_an_interrupted_order_tells_what_was_done(later):
    """Ctrl-C comes when Redis holds a page back: that page is told, the rest is as it was."""
    later.kill("courier")
    send(later, "--to", "x@later.test", "--count", "1500", "--sessions", "10")
    wait_counts(later, waiting=1500, claimed=0)
    process = subprocess.Popen([CTL, "--config", later.conf, "queue", "hold", "later.test", "--yes", "--json"], stdout=subprocess.PIPE,
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait.until(lambda: counts(later)["held"] > 0 or process.poll() is not None, 20, "it has begun", pause=0)
    process.send_signal(signal.SIGINT)
    told = json.loads(process.communicate(timeout=60)[0])
    assert told["done"] == counts(later)["held"] and told["done"] + counts(later)["waiting"] == 1500
    assert (process.returncode, told["interrupted"]) == ((1, True) if told["interrupted"] else (0, False))


# proves: J10
def test_retry_makes_due_and_resumes_a_paused_queue(later, sink):
    messages = send(later, "--to", "x@later.test", "--count", "3")
    wait_deferred(later, *messages)
    redis = later.redis.client()
    key, = redis.scan_iter("q:*:later.test")
    tag = key.split(b":")[1]
    redis.hset(b"s:" + tag + b":later.test", mapping={"until": int(time.time() * 1000) + 86400000, "ms": 60000, "error": "no route to \x1b[31mhost"})
    told = ctl(later, "why", "later.test")
    assert told["paused_for_ms"] > 0 and "is paused for another" in told["because"]
    assert "\x1b" not in later.baridctl("why", "later.test") and "\x1b" not in later.baridctl("queue", "list")
    assert "is paused" in ctl(later, "why", messages[0])["jobs"][0]["because"]
    dry = ctl(later, "queue", "retry", "later.test", "--dry-run")
    assert (dry["done"], dry["resumed"]) == (3, True)
    assert redis.exists(b"s:" + tag + b":later.test")
    sink.clear(sink.wait_rule)
    done = ctl(later, "queue", "retry", "later.test", "--yes")
    assert (done["done"], done["resumed"]) == (3, True)
    later.wait_empty()
    assert len(sink.dots()) == 3


# proves: J10
def test_retry_also_ends_what_is_left_of_a_pause(later, sink):
    """As long as it is on record, mail that has expired is returned without another try: who says retry wants one."""
    wait_deferred(later, *send(later, "--to", "x@later.test"))
    redis = later.redis.client()
    key, = redis.scan_iter("q:*:later.test")
    redis.hset(b"s:" + key.split(b":")[1] + b":later.test", mapping={"until": 1000, "ms": 60000, "error": "no route to host"})
    sink.clear(sink.wait_rule)
    assert ctl(later, "queue", "retry", "later.test", "--yes")["resumed"]
    later.wait_empty()
    assert len(sink.dots()) == 1


# proves: J10
def test_bounce_returns_mail_to_its_sender_once(later, sink):
    [message] = send(later, "--from", "me@other.test", "--to", "x@later.test", "--to", "y@later.test")
    [silent] = send(later, "--from", "", "--to", "x@later.test")
    wait_deferred(later, message, silent)
    done = ctl(later, "queue", "bounce", "later.test", "--yes")
    assert (done["done"], done["later"], done["unreadable"]) == (2, 0, 0)
    later.wait_empty()
    report, = sink.dots()
    assert report.recipients == ["me@other.test"] and report.content.count(b"Action: failed") == 2


# proves: J10
def test_reports_that_a_bounce_makes_are_not_bounced_with_the_rest(sink):
    """Senders of the same domain: their reports come into the queue while the order goes through it."""
    sink.rule("rcpt", reply("450 4.2.1 later"), recipient="x@later.test")
    with Cluster(settings=routed(sink, "later.test")) as cluster:
        messages = send(cluster, "--from", "me@later.test", "--to", "x@later.test", "--count", "1200", "--sessions", "10")
        wait.until(lambda: cluster.queue()["waiting"] == 1200 and cluster.queue()["due"] == 0, 60, lambda: f"all are tried: {cluster.queue()}")
        dry = ctl(cluster, "queue", "bounce", "later.test", "--dry-run")
        done = ctl(cluster, "queue", "bounce", "later.test", "--yes")
        assert dry["done"] == done["done"] + done["later"] == len(messages) == 1200
        cluster.wait_empty()
        assert len([dot for dot in sink.dots() if dot.recipients == ["me@later.test"]]) == 1200


# proves: J10
def test_what_is_claimed_is_answered_later_and_obeyed_when_given_back(later, sink):
    gates = {name: Gate() for name in ("hold", "delete", "bounce", "won")}
    for name, gate in gates.items():
        sink.rule("rcpt", stall(gate=gate, text="250 2.1.5 ok" if name == "won" else "450 4.2.1 no"), recipient=f"{name}@other.test")
    messages = {name: send(later, "--from", "me@other.test", "--to", f"{name}@other.test")[0] for name in gates}
    for gate in gates.values():
        gate.wait_held()
    for name, message in messages.items():
        order = "delete" if name == "won" else name
        dry = ctl(later, "msg", order, message, "--dry-run")
        done = ctl(later, "msg", order, message, "--yes")
        for said in (dry, done):
            assert (said["done"], said["later"], said["gone"]) == (0, 1, 0), said
        assert ctl(later, "msg", order, message, "--yes")["jobs"] == 0
        why, = ctl(later, "why", message)["jobs"]
        assert why["place"] == "claimed" and why["courier"] == "courier1.relay.test" and "has it since" in why["because"]
        assert "when given back" in why["because"]
        gates[name].open()
    wait_counts(later, waiting=0, claimed=0, held=1)
    assert ctl(later, "trace", messages["hold"])["jobs"][0]["place"] == "held"
    wait.until(lambda: len(sink.dots()) == 2, 20, "the report, and the one that was faster")
    assert sorted(dot.recipients[0] for dot in sink.dots()) == ["me@other.test", "won@other.test"]
    assert ctl(later, "msg", "delete", messages["hold"], "--yes")["done"] == 1
    assert ctl(later, "msg", "delete", messages["hold"], "--yes")["jobs"] == 0


# proves: J10
def test_a_hold_that_waits_for_its_courier_can_be_taken_back(later, sink):
    gate = Gate()
    sink.rule("rcpt", stall(gate=gate, text="450 4.2.1 no"), recipient="x@other.test")
    [message] = send(later, "--to", "x@other.test")
    gate.wait_held()
    assert ctl(later, "queue", "hold", "other.test", "--yes")["later"] == 1
    assert ctl(later, "queue", "release", "other.test", "--yes")["done"] == 1
    gate.open()
    wait_deferred(later, message)
    assert counts(later)["held"] == 0


# ---- many queues

@pytest.fixture
def many(sink):
    """Eight domains that put mail off, and other.test that takes it."""
    domains = [f"d{n}.test" for n in range(8)]
    sink.domains = domains
    for domain in domains:
        sink.rule("rcpt", reply("450 4.2.1 later"), domain=domain)
    with Cluster(couriers=2, settings=routed(sink, "other.test", *domains)) as cluster:
        yield cluster


# proves: J10
@pytest.mark.parametrize("size", [0, 300000], ids=["copied content", "kept content"])
def test_a_parent_that_is_bounced_has_each_of_its_jobs_bounced(many, sink, size):
    """Before a courier has expanded it: each job is made, and returned; nobody is both delivered to and reported."""
    couriers = [many.freeze(node) for node in many.of("courier")]
    arguments = [word for domain in sink.domains for word in ("--to", f"x@{domain}")]
    [message] = send(many, "--from", "me@other.test", "--size", size, *arguments)
    redis = many.redis.client()
    key, = redis.scan_iter(f"j:*:{message}.0")
    done = ctl(many, "msg", "bounce", f"{message}.0", "--yes")
    assert done["done"] + done["later"] == 1, done
    if done["later"]:  # a courier had claimed it when it was stopped: it obeys when it gives it back, or expands it
        pytest.skip("the courier was faster")
    assert redis.hget(key, "f") == b"bounce"
    for node, fault in couriers:
        many.thaw(node, fault)
    many.wait_empty(60)
    reports = [dot for dot in sink.dots() if dot.recipients == ["me@other.test"]]
    assert sum(dot.content.count(b"Action: failed") for dot in reports) == len(sink.domains)
    assert len(sink.dots()) == len(reports) == len(sink.domains), "a report for each job, and no delivery"


# proves: J10
def test_a_waiting_parent_that_is_bounced_bounces_what_is_left(many, sink):
    arguments = [word for domain in sink.domains for word in ("--to", f"x@{domain}")]
    [message] = send(many, "--from", "me@other.test", "--size", 300000, *arguments)
    wait_tried(many, message, 8)
    assert counts(many) == {"waiting": 9, "claimed": 0, "held": 0}
    parent = ctl(many, "why", message)["jobs"][0]
    assert "keeps their content" in parent["because"] and ".1 .2" in parent["because"]
    done = ctl(many, "queue", "bounce", "#fanout", "--yes")
    assert done["done"] == 1, done
    wait.until(lambda: sum(dot.content.count(b"Action: failed") for dot in sink.dots()) == len(sink.domains), 60, "all are reported")
    assert {dot.recipients[0] for dot in sink.dots()} == {"me@other.test"}
    assert ctl(many, "msg", "delete", message, "--yes")["unknown"] == 0
    many.baridctl("queue", "retry", "#fanout", "--yes")
    many.wait_empty(60)


# proves: J10
def test_orders_to_a_message_reach_all_its_jobs(many, sink):
    arguments = [word for domain in sink.domains for word in ("--to", f"x@{domain}")]
    [message] = send(many, "--from", "me@other.test", *arguments)
    wait_tried(many, message, 8)
    assert ctl(many, "msg", "hold", message, "--yes")["done"] == 8
    assert counts(many)["held"] == 8
    assert ctl(many, "msg", "release", f"{message}.3", "--yes")["done"] == 1
    wait.until(lambda: counts(many) == {"waiting": 1, "claimed": 0, "held": 7}, 30, lambda: f"one was tried: {counts(many)}")
    listed = ctl(many, "queue", "list", "--held")
    assert listed["count"] == 7 and listed["held_because"] == [{"because": "by operator", "jobs": 7}]
    assert ctl(many, "msg", "delete", message, "--yes")["done"] == 8
    assert counts(many) == {"waiting": 0, "claimed": 0, "held": 0} and sink.dots() == []


# ---- what cannot be read

# proves: A10
def test_a_held_job_that_cannot_be_read_is_not_sent_round(later, sink):
    [message] = send(later, "--from", "me@other.test", "--to", "x@later.test")
    wait_deferred(later, message)
    redis = later.redis.client()
    key, = redis.scan_iter(f"j:*:{message}.0")
    redis.hset(key, "e", b"\xffgarbage\x07")
    later.baridctl("msg", "retry", message, "--yes")
    wait_counts(later, waiting=0, held=1)
    listed, = ctl(later, "queue", "list", "--held")["held"]
    assert (listed["job"], listed["queue"], listed["readable"]) == (f"{message}.0", "later.test", False)
    assert listed["because"] == "the record cannot be read"
    assert "the record cannot be read" in later.baridctl("status") and "the record cannot be read" in later.baridctl("queue", "list")
    later.wait_log("courier", "event=held .*the record cannot be read")
    later.wait_metric("barid_held_total", 1, role="courier")
    redis.delete(b"ev:" + key.split(b":")[1])  # its history is forgotten
    assert "the record cannot be read" in ctl(later, "why", message)["jobs"][0]["because"]
    for order in ("bounce", "release"):
        status, said = failing(later, "msg", order, message, "--yes")
        assert status == 1 and "cannot be read" in said and "baridctl msg delete" in said
    assert counts(later)["held"] == 1
    redis.hset(key, "f", "bounce")  # whoever ordered it so: it comes back and stays
    redis.zadd(b"q:" + key.split(b":")[1] + b":later.test", {f"{message}.0": 0})
    redis.zrem(b"h:" + key.split(b":")[1], f"{message}.0")
    redis.zadd(b"d:" + key.split(b":")[1], {"later.test": 0})
    wait_counts(later, waiting=0, claimed=0, held=1)
    assert not redis.hexists(key, "f")
    assert ctl(later, "msg", "delete", message, "--yes")["done"] == 1
    later.wait_empty()


def test_a_held_job_without_a_record_can_be_taken_off_the_list(later):
    redis = later.redis.client()
    job = "01KATQ5S8Z4G5W0V0E3HJ2M9XK.3"
    key = wait.until(lambda: next(redis.scan_iter("o:*"), None), 20, "a dispatcher owns partitions")
    tag = key.split(b":")[1]
    redis.zadd(b"q:" + tag + b":later.test", {job: 1})
    redis.zadd(b"d:" + tag, {"later.test": 1})
    wait_counts(later, waiting=0, claimed=0, held=1)
    later.wait_log("courier", f"event=held .*job={job} .*why=.no record")
    later.wait_metric("barid_held_total", 1, role="courier")
    assert ctl(later, "queue", "list", "--held")["held_because"] == [{"because": "no record", "jobs": 1}]
    assert "nothing is left of it" in later.baridctl("why", job)
    assert ctl(later, "msg", "delete", job, "--yes")["gone"] == 1
    assert counts(later)["held"] == 0


# proves: A19
def test_a_newer_versions_record_is_left_to_newer_couriers(later, sink):
    [message] = send(later, "--from", "me@other.test", "--to", "x@later.test")
    wait_deferred(later, message)
    redis = later.redis.client()
    key, = redis.scan_iter(f"j:*:{message}.0")
    record = redis.hget(key, "s")
    redis.hset(key, "s", b"\x02" + record[1:])
    sink.clear(sink.wait_rule)
    later.baridctl("msg", "retry", message, "--yes")
    later.wait_log("courier", "event=record_newer")
    wait_counts(later, waiting=1, claimed=0, held=0)
    told, = ctl(later, "why", message)["jobs"]
    assert 30000 < told["due_in_ms"] <= 60000 and "a newer version" in told["because"]
    later.baridctl("msg", "bounce", message, "--yes")
    wait.until(lambda: redis.hget(key, "f") == b"bounce" and ctl(later, "why", message)["jobs"][0].get("due_in_ms", 0) > 30000, 20, "it waits again")
    redis.hset(key, "s", record)
    later.baridctl("msg", "retry", message, "--yes")
    later.wait_empty()
    assert [dot.recipients for dot in sink.dots()] == [["me@other.test"]]


# ---- many jobs

def run_counted(cluster, *arguments):
    """What it printed, and the most memory it was seen to have, in KiB."""
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"  # what is freed counts as freed
    process = subprocess.Popen([CTL, "--config", cluster.conf, *arguments, "--json"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                               env={**os.environ, "ASAN_OPTIONS": sanitizer})
    most = 0

    def is_over():
        nonlocal most
        with open(f"/proc/{process.pid}/status") as file:
            found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
        most = max(most, int(found.group(1)) if found else 0)
        return process.poll() is not None
    wait.until(is_over, 300, "it is done")
    text = process.stdout.read()
    assert process.returncode == 0, text
    return json.loads(text), most


# proves: J10
def test_a_long_queue_is_ruled_in_bounded_memory():
    jobs = 20000
    with Cluster(couriers=0, settings={"ingress": {"trusted_networks": ["127.0.0.0/8"]}}) as cluster:
        send(cluster, "--from", "keep@a.test", "--to", "x@long.test", "--count", jobs * 3 // 4, "--sessions", "20")
        send(cluster, "--from", "drop@b.test", "--to", "x@long.test", "--count", jobs // 4, "--sessions", "20")
        send(cluster, "--from", "keep@a.test", "--to", "x@short.test", "--count", "20")
        _, small = run_counted(cluster, "queue", "hold", "short.test", "--yes")
        dry, _ = run_counted(cluster, "queue", "delete", "long.test", "--sender", "drop@b.test", "--dry-run")
        done, large = run_counted(cluster, "queue", "delete", "long.test", "--sender", "drop@b.test", "--yes")
        assert dry["done"] == done["done"] == jobs // 4 and done["gone"] == done["later"] == 0
        held, most = run_counted(cluster, "queue", "hold", "long.test", "--yes")
        assert held["done"] == jobs * 3 // 4
        listed, listing = run_counted(cluster, "queue", "list", "--held", "--limit", "5")
        assert listed["count"] == jobs * 3 // 4 + 20 and len(listed["held"]) == 5
        assert counts(cluster) == {"waiting": 0, "claimed": 0, "held": jobs * 3 // 4 + 20}
        why, asking = run_counted(cluster, "why", "long.test")
        assert why["held"] == jobs * 3 // 4 and "all its jobs are held" in why["because"]
        bounded = small + 12 * 1024  # 20,000 jobs alone would be more
        assert max(large, most, listing, asking) < bounded, (small, large, most, listing, asking)
        released, _ = run_counted(cluster, "queue", "release", "long.test", "--yes")
        bounced, _ = run_counted(cluster, "queue", "bounce", "long.test", "--yes")
        assert released["done"] == bounced["done"] == jobs * 3 // 4
        assert run_counted(cluster, "queue", "delete", "long.test", "--yes")[0]["done"] == jobs * 3 // 4


# proves: J10
def test_one_order_reaches_all_queues_that_fit(sink):
    sink.wait_rule = sink.rule("rcpt", reply("452 4.2.2 mailbox full"))
    lanes = {"bulk": {"senders": ["@news.test"]}}
    with Cluster(settings=routed(sink, "one.test", "a.two.test", "b.two.test", lanes=lanes)) as cluster:
        mails = {}
        for name, sender, to in (("one", "me@c.test", "x@one.test"), ("bulk", "me@news.test", "x@one.test"), ("a", "me@c.test", "x@a.two.test"),
                                 ("b", "me@c.test", "x@b.two.test")):
            [mails[name]] = send(cluster, "--from", sender, "--to", to)
        wait_deferred(cluster, *mails.values())

        def listed(*arguments):
            return {(job["queue"], job["job"][:-2]) for job in ctl(cluster, "queue", "show", *arguments)["jobs"]}

        everything = {("one.test", mails["one"]), ("one.test/bulk", mails["bulk"]), ("a.two.test", mails["a"]), ("b.two.test", mails["b"])}
        assert listed("*") == everything == listed("*", "--class", "full")
        assert listed(".two.test") == {("a.two.test", mails["a"]), ("b.two.test", mails["b"])} and listed(".test", "--class", "rate") == set()
        assert listed("*/bulk") == {("one.test/bulk", mails["bulk"])} == listed("*", "--sender", "@news.test")
        assert "b.two.test" in cluster.baridctl("queue", "show", ".two.test")
        dry = ctl(cluster, "queue", "bounce", "*", "--recipient", "@one.test", "--dry-run")
        assert (dry["done"], sorted(job["queue"] for job in dry["sample"])) == (2, ["one.test", "one.test/bulk"])
        held = ctl(cluster, "queue", "hold", ".two.test", "--yes")
        assert (held["done"], counts(cluster)) == (2, {"waiting": 2, "claimed": 0, "held": 2})
        assert ctl(cluster, "queue", "delete", "*/bulk", "--yes")["done"] == 1
        assert ctl(cluster, "queue", "release", "*", "--yes")["done"] == 2
        sink.clear(sink.wait_rule)
        assert ctl(cluster, "queue", "retry", "*", "--class", "rate", "--dry-run")["done"] == 0
        ctl(cluster, "queue", "retry", "*", "--yes")
        cluster.wait_empty()
        assert sorted(dot.recipients[0] for dot in sink.taken()) == ["x@a.two.test", "x@b.two.test", "x@one.test"]
