"""Orders leave rules, and a rule is undone: jobs are where they were and due when they were; a dry run tells exactly what is done."""

import json

import pytest
from test_baridctl_orders import counts, ctl, failing, routed, send, wait_counts, wait_deferred

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

FEW = 12


@pytest.fixture(scope="module")
def sink():
    with ScriptedSink() as host:
        yield host


@pytest.fixture(scope="module")
def cluster(sink):
    """later.test puts all mail off; each test has a sender of its own."""
    sink.rule("rcpt", reply("450 4.2.1 come again"), domain="later.test")
    settings = routed(sink, "later.test", "other.test", "moved.test")
    settings["retry"] = {"first": "600s", "longest": "600s"}
    with Cluster(couriers=2, settings=settings) as made:
        yield made


def put_off(cluster, sender, count=FEW):
    messages = send(cluster, "--from", sender, "--to", "x@later.test", "--count", str(count))
    wait_deferred(cluster, *messages)
    return messages


def due_times(cluster, sender):
    shown = ctl(cluster, "queue", "show", "later.test", "--sender", sender, "--limit", "1000")
    return {job["job"]: job["due_ms"] for job in shown["jobs"]}


def order(cluster, *words):
    """The dry run, then the order: they tell the same."""
    foretold = ctl(cluster, *words, "--dry-run")
    done = ctl(cluster, *words, "--yes")
    assert foretold["rule"] is None or foretold["rule"] == done["rule"]
    for name in ("jobs", "done", "later", "gone", "unreadable"):
        assert foretold[name] == done[name], (foretold, done)
    return done


def rule(cluster, name):
    return ctl(cluster, "rules", "show", name)


# proves: J10
def test_undo_of_a_retry_restores_due_times(cluster, sink):
    sender = "retry@a.test"
    put_off(cluster, sender)
    ctl(cluster, "queue", "suspend", "later.test", "--yes")
    before = due_times(cluster, sender)
    assert len(before) == FEW
    wait_in_force(cluster, "suspend")
    done = order(cluster, "queue", "retry", "later.test", "--sender", sender)
    assert done["done"] == FEW and rule(cluster, done["rule"])["jobs"] == FEW
    assert all(due < before[job] for job, due in due_times(cluster, sender).items())
    undone = order(cluster, "undo", done["rule"])
    assert undone["done"] == FEW and undone["rule"] == done["rule"]
    assert due_times(cluster, sender) == before
    assert rule(cluster, done["rule"])["undone_ms"] > 0
    ctl(cluster, "queue", "resume", "later.test", "--yes")


def wait_in_force(cluster, action):
    """All couriers and dispatchers have told that they obey as many rules as are in force."""
    wanted = len(ctl(cluster, "rules", "list", "--in-force")["rules"])

    def obey():
        last = [[line for line in node.log_text().splitlines() if "event=rules_obeyed" in line][-1:] for node in cluster.of("courier") + cluster.of("dispatcher")]
        return all(lines and f"rules={wanted} " in lines[0] + " " for lines in last)
    wait.until(obey, 10, lambda: f"{wanted} rules are obeyed ({action})")


def test_undo_of_a_hold_lets_jobs_wait_as_before(cluster):
    sender = "hold@a.test"
    put_off(cluster, sender)
    before = due_times(cluster, sender)
    done = order(cluster, "queue", "hold", "later.test", "--sender", sender, "--because", "who is that?")
    assert done["done"] == FEW and due_times(cluster, sender) == {}
    told = ctl(cluster, "rules", "list")["rules"][0]
    assert (told["rule"], told["action"], told["queue"], told["filter"]) == (done["rule"], "hold", "later.test", {"sender": sender})
    assert told["because"] == "who is that?" and "@" in told["by"] and told["jobs"] == FEW and not told["in_force"]
    job = next(iter(before))
    shown = ctl(cluster, "msg", "show", job.split(".")[0])
    assert f"rule {done['rule']}: who is that?" in json.dumps(shown)
    order(cluster, "rules", "undo", done["rule"])
    assert due_times(cluster, sender) == before
    again = ctl(cluster, "undo", done["rule"], "--yes")
    assert again["jobs"] == 0


def test_undo_of_a_bounce_that_nobody_has_met(cluster):
    sender = "bounce@a.test"
    put_off(cluster, sender, 3)
    ctl(cluster, "queue", "suspend", "later.test", "--yes")
    wait_in_force(cluster, "suspend")
    before = due_times(cluster, sender)
    done = order(cluster, "queue", "bounce", "later.test", "--sender", sender)
    order(cluster, "undo", done["rule"])
    assert due_times(cluster, sender) == before
    ctl(cluster, "queue", "resume", "later.test", "--yes")
    assert counts(cluster)["held"] == 0


def test_undo_of_a_message_hold(cluster):
    sender = "message@a.test"
    message, other = put_off(cluster, sender, 2)
    before = due_times(cluster, sender)
    done = order(cluster, "msg", "hold", message)
    assert set(due_times(cluster, sender)) == {job for job in before if job.startswith(other)}
    order(cluster, "undo", done["rule"])
    assert due_times(cluster, sender) == before


# proves: J10
def test_nothing_brings_deleted_jobs_back(cluster):
    sender = "gone@a.test"
    put_off(cluster, sender, 3)
    done = order(cluster, "queue", "delete", "later.test", "--sender", sender)
    assert done["done"] == 3
    status, said = failing(cluster, "undo", done["rule"], "--yes")
    assert status == 1 and "nothing brings them back" in said


def test_a_status_chooses_a_place(cluster):
    sender = "place@a.test"
    put_off(cluster, sender, 2)
    assert ctl(cluster, "queue", "delete", "later.test", "--sender", sender, "--status", "held", "--dry-run")["jobs"] == 0
    assert ctl(cluster, "queue", "delete", "later.test", "--sender", sender, "--status", "waiting", "--dry-run")["jobs"] == 2
    assert failing(cluster, "queue", "retry", "later.test", "--status", "held", "--yes")[0] == 2
    assert failing(cluster, "queue", "hold", "later.test", "--status", "asleep", "--yes")[0] == 2


def test_a_standing_hold_holds_what_comes_and_its_undo_lets_all_go(cluster, sink):
    sender = "standing@a.test"
    put_off(cluster, sender, 2)
    before = due_times(cluster, sender)
    done = order(cluster, "queue", "hold", "*", "--sender", sender, "--standing", "--because", "spam")
    wait_in_force(cluster, "hold")
    send(cluster, "--from", sender, "--to", "y@other.test", "--count", "3")
    wait_counts(cluster, held=5)
    assert rule(cluster, done["rule"])["in_force"]
    taken = len(sink.taken())
    undone = order(cluster, "undo", done["rule"])
    assert undone["done"] == 5 and not rule(cluster, done["rule"])["in_force"]
    assert due_times(cluster, sender) == before
    wait.until(lambda: len(sink.taken()) == taken + 3, 20, "what was held on its way goes out")


def test_a_suspended_queue_rests_until_it_is_resumed(cluster, sink):
    given, = ctl(cluster, "queue", "suspend", "moved.test", "--because", "they move", "--yes")["rules"]
    assert given["in_force"] and given["action"] == "suspend"
    wait_in_force(cluster, "suspend")
    taken = len(sink.taken())
    send(cluster, "--from", "s@a.test", "--to", "x@moved.test", "--count", "4")
    wait_counts(cluster, waiting=counts(cluster)["waiting"], claimed=0)
    assert ctl(cluster, "queue", "show", "moved.test")["waiting"] == 4
    status, said = failing(cluster, "queue", "resume", "*", "--yes")
    assert status == 1 and "no rule suspends *" in said
    ctl(cluster, "queue", "resume", "moved.test", "--yes")
    wait.until(lambda: len(sink.taken()) == taken + 4, 20, "its mail goes out")
    assert not rule(cluster, given["rule"])["in_force"]


def test_a_rule_ends_with_its_time(cluster, sink):
    taken = len(sink.taken())
    given, = ctl(cluster, "queue", "suspend", "moved.test", "--for", "3s", "--yes")["rules"]
    wait_in_force(cluster, "suspend")
    send(cluster, "--from", "t@a.test", "--to", "x@moved.test")
    wait.until(lambda: len(sink.taken()) == taken + 1, 20, "it goes out when the time is over")
    assert not rule(cluster, given["rule"])["in_force"]


@pytest.mark.parametrize("words", [
    ("undo", "17"), ("undo", "r0"), ("undo", "r99999"), ("rules", "show", "r-1"),
    ("queue", "suspend", "Example.COM", "--yes"), ("queue", "suspend", "a.test"), ("queue", "redirect", "a.test", "--yes"),
    ("queue", "redirect", "a.test", "--to", "nowhere", "--yes"), ("queue", "redirect", "a.test", "--to", "a b:25", "--yes"),
    ("queue", "hold", "a.test", "--for", "soon", "--yes"), ("queue", "hold", "a.test", "--because", "two\nlines", "--yes"),
    ("queue", "hold", "Example.COM", "--standing", "--yes"), ("queue", "suspend", "a.test", "--for", "99999999d", "--yes"),
    ("queue", "hold", "a.test", "--error", "x" * 1100, "--standing", "--yes"), ("queue", "delete", "later.test", "--older", "213503982334d", "--yes"),
    ("limit", "set", "a.test", "connections=0", "--yes"), ("limit", "set", "a.test", "speed=1", "--yes"),
    ("limit", "set", "site:", "rate=1", "--yes"), ("limit", "set", "site:MX.a.test", "rate=1", "--yes")])
def test_what_is_no_order_is_refused(cluster, words):
    before = ctl(cluster, "rules", "list", "--limit", "0")["rules"]
    status, said = failing(cluster, *words)
    assert status in (1, 2) and said.strip()
    assert ctl(cluster, "rules", "list", "--limit", "0")["rules"] == before


def test_limits_are_set_shown_and_undone(cluster):
    given = ctl(cluster, "limit", "set", "a.test", "rate=60", "connections=3", "--yes")["rules"]
    shown = ctl(cluster, "limit", "show", "a.test")["limits"]
    assert shown == [{"subject": "a.test", "limit": limit, "from": f"rule {one['rule']}"} for limit, one in zip(("rate=60", "connections=3"), given)]
    for one in given:
        ctl(cluster, "undo", one["rule"], "--yes")
    assert ctl(cluster, "limit", "show", "a.test")["limits"] == []
