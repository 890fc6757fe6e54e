"""What baridctl says of a cluster is so: status, queues, stories; and its own sink and sender."""

import json
import os
import signal
import subprocess

import pytest

from harness import paths, ports, wait
from harness.cluster import Cluster
from harness.process import Process
from harness.redis import RedisServer

CTL = paths.program("baridctl")


class CtlSink:
    """`baridctl sink` as a process; summary() ends it."""

    def __init__(self, folder, *arguments):
        self.port = ports.free_port()
        self.process = Process("sink", [CTL, "sink", "--listen", f"127.0.0.1:{self.port}", *arguments],
                               os.path.join(folder, "sink.log"))

    def __enter__(self):
        self.process.start()
        self.process.wait_log("sink listens on")
        return self

    def __exit__(self, *_):
        self.process.end()

    def summary(self):
        self.process.terminate()
        text = self.process.log_text()
        return json.loads(text[text.index("{"):])


@pytest.fixture
def ctl_sink(tmp_path):
    with CtlSink(str(tmp_path), "--store", str(tmp_path / "mail"), "--defer", "rcpt@later.test",
                 "--reject", "rcpt@never.test") as running:
        running.folder = tmp_path / "mail"
        yield running


def routed(port, *domains, **settings):
    return {"courier": {"routes": {domain: f"127.0.0.1:{port}" for domain in domains}},
            "retry": {"first": "60s", "longest": "60s"}, **settings}


def send(cluster, *arguments):
    """`baridctl send` to the first ingress; the ids."""
    host, port = cluster.addresses[0]
    sent = json.loads(cluster.baridctl("send", "--server", f"{host}:{port}", "--json", *arguments))
    assert sent["refused"] == 0, sent
    return sent["messages"]


def story(cluster, message, *arguments):
    return json.loads(cluster.baridctl("trace", message, "--json", *arguments))


def events_of(told, job=None):
    return [event["event"] for event in told["events"] if job is None or event["job"].endswith(f".{job}")]


def wait_ready(cluster):
    wait.until(lambda: cluster.status()["ready"], 20, lambda: f"ready, it is {cluster.status()}")


def test_status_sees_every_node_and_who_has_gone():
    with Cluster(ingress=2, dispatchers=2, couriers=1) as cluster:
        wait_ready(cluster)
        status = cluster.status()
        assert sorted(node["role"] for node in status["nodes"]) == ["courier", "dispatcher", "dispatcher", "ingress", "ingress"]
        assert sorted(node["name"] for node in status["nodes"]) == sorted(f"{node.name}.relay.test" for node in cluster.nodes)
        assert all(node["beating"] and node["store_ok"] and node["http"] and node["started_ms"] for node in status["nodes"])
        assert status["partitions"] == {"total": 256, "leased": 256}
        wait.until(lambda: sum(node["partitions"] for node in cluster.status()["nodes"]) == 256, 20, "the beats tell of all partitions")
        assert status["store"]["ok"] and not status["store"]["trouble"]
        assert {status["queue"][key] for key in ("due", "waiting", "claimed", "held")} == {0}
        cluster.kill("courier")
        wait.until(lambda: not cluster.status()["ready"], 20, "the courier is missed")
        assert "no courier works" in cluster.status()["why_not"]
        assert "NOT READY" in cluster.baridctl("status")


def test_one_message_is_told_from_acceptance_to_delivery(ctl_sink):
    with Cluster(settings=routed(ctl_sink.port, "ok.test")) as cluster:
        [message] = send(cluster, "--to", "a@ok.test")
        told = story(cluster, message, "--follow")
        assert told["settled"] and told["message"] == message
        assert events_of(told) == ["accepted", "claimed", "delivered"]
        since = [event["since_ms"] for event in told["events"]]
        assert since == sorted(since) and since[0] == 0
        assert "by courier1.relay.test" in told["events"][1]["detail"]
        assert f":{ctl_sink.port}" in told["events"][2]["detail"]
        text = cluster.baridctl("trace", message)
        assert text.index("accepted") < text.index("claimed") < text.index("delivered")
        assert json.loads(cluster.baridctl("trace", f"{message.lower()}.0", "--json"))["events"] == told["events"]


def test_a_message_for_many_queues_is_one_story(ctl_sink):
    with Cluster(couriers=2, settings=routed(ctl_sink.port, "one.test", "two.test", "never.test")) as cluster:
        [message] = send(cluster, "--from", "", "--to", "a@one.test", "--to", "b@two.test", "--to", "c@never.test", "--to", "d@one.test")
        told = story(cluster, message, "--follow")
        assert events_of(told, 0) == ["accepted", "claimed", "expanded"]
        assert sorted(events_of(told, n)[-1] for n in (1, 2, 3)) == ["bounced", "delivered", "delivered"]
        assert sum(event["detail"].count(" delivered 2.0.0") for event in told["events"]) == 3
        assert "550" in cluster.baridctl("trace", message) or "5.1.1" in cluster.baridctl("trace", message)


def test_deferred_mail_is_found_in_its_queue(ctl_sink):
    with Cluster(settings=routed(ctl_sink.port, "later.test", "ok.test")) as cluster:
        messages = send(cluster, "--to", "a@later.test", "--to", "b@later.test", "--count", "3")
        wait.until(lambda: all("deferred" in events_of(story(cluster, message)) for message in messages), 20, "all are deferred")
        queue = cluster.queue()
        assert (queue["waiting"], queue["due"], queue["claimed"]) == (3, 0, 0)
        assert queue["oldest"] == messages[0]
        [listed] = json.loads(cluster.baridctl("queue", "list", "--json"))["queues"]
        assert (listed["queue"], listed["waiting"], listed["due"]) == ("later.test", 3, 0)
        assert 30000 < listed["next_due_in_ms"] < 75000
        shown = json.loads(cluster.baridctl("queue", "show", "later.test", "--json", "--limit", "2"))
        assert shown["waiting"] == 3 and len(shown["jobs"]) == 2
        job = shown["jobs"][0]
        assert job["job"][:-2] in messages and job["to"] == ["a@later.test", "b@later.test"] and job["attempts"] == 1
        assert (job["last_error"]["code"], job["last_error"]["status"]) == (450, "4.2.1")
        assert "a@later.test and 1 more" in cluster.baridctl("queue", "show", "later.test")
        told = story(cluster, messages[0])
        assert not told["settled"] and [job["place"] for job in told["jobs"]] == ["waiting"]
        assert "now: .0 is waiting in later.test, next try in" in cluster.baridctl("trace", messages[0])


def test_what_is_sent_from_a_file_arrives_byte_for_byte(ctl_sink, tmp_path):
    content = b"Subject: dots\r\n\r\n.\r\n..\r\n.a\r\n" + bytes(range(14, 256)) * 3 + b"\r\nno end of line"
    (tmp_path / "mail.eml").write_bytes(content)
    with Cluster(settings=routed(ctl_sink.port, "ok.test")) as cluster:
        [message] = send(cluster, "--to", "a@ok.test", "--file", tmp_path / "mail.eml")
        assert story(cluster, message, "--follow")["settled"]
        stored = (ctl_sink.folder / "000001.eml").read_bytes()
        assert stored.startswith(b"Received: ") and stored.endswith(content + b"\r\n")
        envelope = json.loads((ctl_sink.folder / "000001.json").read_text())
        assert envelope["to"] == ["a@ok.test"] and envelope["from"] == "baridctl@sink.test"
        cluster.wait_empty()
        summary = ctl_sink.summary()
        assert (summary["messages"], summary["recipients"], summary["duplicates"]) == (1, 1, 0)


def test_a_store_that_is_not_durable_is_named(tmp_path):
    with RedisServer(str(tmp_path), appendfsync="everysec") as redis:
        env = {"BARID_STORE_ADDRESS": redis.url, "PATH": os.environ["PATH"]}
        status = json.loads(subprocess.run([CTL, "status", "--json"], env=env, stdout=subprocess.PIPE, check=True).stdout)
        assert not status["ready"] and not status["store"]["ok"]
        assert "appendfsync everysec: set appendfsync always" in status["store"]["trouble"]


def test_without_redis_it_says_so_and_fails():
    env = {"BARID_STORE_ADDRESS": f"127.0.0.1:{ports.free_port()}", "PATH": os.environ["PATH"]}
    done = subprocess.run([CTL, "status"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, check=False)
    assert done.returncode == 1 and b"is it running" in done.stderr


# ---- make run

def in_own_network(*argv):
    """The fixed ports of `make run` may be taken on this machine: a network namespace has its own."""
    return ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$0" "$@"', *argv]


def users_of(folder):
    """Processes whose command line names the folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if str(folder).encode() in file.read():
                    found.append(int(pid))
        except OSError:
            continue
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
def test_make_run_tells_a_story_and_leaves_nothing_behind(tmp_path):
    run = tmp_path / "run"
    env = {"PATH": os.environ["PATH"], "BARID_BUILD": paths.BUILD, "BARID_RUN": str(run), "WORKERS": "3"}
    script = os.path.join(paths.REPOSITORY, "deploy", "run-local")
    process = Process("run-local", in_own_network(script), str(tmp_path / "out.log"), env=env)
    with process:
        process.wait_log("^barid is up$", timeout=60)
        text = process.log_text()
        assert text.index("accepted") < text.index("claimed") < text.index("delivered") < text.index("barid is up")
        assert text.count("barid.test (") >= 1 and "3 ingresses" in text
        second = subprocess.run([script], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False)
        assert second.returncode == 1 and b"runs already" in second.stdout
        status = json.loads(subprocess.run([CTL, "--config", str(run / "barid.yaml"), "status", "--json"], env={"PATH": env["PATH"]},
                                           stdout=subprocess.PIPE, check=True).stdout)
        assert status["ready"] and len(status["nodes"]) == 8
        with open(run / "log" / "courier2.log") as log:
            courier = int(next(line for line in log if "event=started" in line and "pid=" in line).split("pid=")[1].split()[0])
        os.kill(courier, signal.SIGKILL)
        process.wait_log("^courier2 has ended")
        process.signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert "all stopped" in process.log_text()
    assert users_of(run) == []
