"""
Every verb of baridctl works against a live cluster and has output for programs; the examples that help prints can be run as they stand.

A verb that is new gets a row in CASES: a function of the scene, which runs it by scene.read() and looks at what it read. A verb without a row
fails the last test but one.
"""

import base64
import json
import os
import re
import signal
import subprocess

import pytest

from harness import paths, ports, wait
from harness.cluster import Cluster
from harness.process import Process
from harness.sink import ScriptedSink, reply

CTL = paths.program("baridctl")
CASES = {}


def case(verb):
    def add(function):
        assert verb not in CASES, verb
        CASES[verb] = function
        return function
    return add


class Scene:
    """One cluster whose mail is all put off, and what the cases ask of it."""

    def __init__(self, cluster, folder):
        self.cluster, self.folder = cluster, str(folder)
        self.ran = set()
        self.count = 0

    def send(self, *to, sender="someone@shop.example"):
        """A message, put off by all its hosts; its id."""
        host, port = self.cluster.addresses[0]
        arguments = [word for address in to for word in ("--to", address)]
        sent = json.loads(self.cluster.baridctl("send", "--server", f"{host}:{port}", "--json", "--from", sender, *arguments))
        [message] = sent["messages"]
        queues = {address.rpartition("@")[2] for address in to}

        def is_put_off():
            jobs = json.loads(self.cluster.baridctl("msg", "show", message, "--json"))["jobs"]
            return queues <= {job["queue"] for job in jobs if job["place"] == "waiting" and job["attempts"]}
        wait.until(is_put_off, 20, f"{message} is put off")
        return message

    def queue(self):
        """A queue that no other case knows."""
        self.count += 1
        return f"q{self.count}.later.test"

    def queued(self, **more):
        """(queue, message): one message in a queue of its own."""
        queue = self.queue()
        return queue, self.send(f"x@{queue}", **more)

    def run(self, verb, *arguments, stdin="", json_too=True, status=0, timeout=60):
        self.ran.add(verb)
        command = [CTL, "--config", self.cluster.conf, *verb.split(), *map(str, arguments), *(["--json"] if json_too else [])]
        done = subprocess.run(command, input=stdin.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder,
                              timeout=timeout, check=False)
        assert done.returncode == status, f"{command} ended with {done.returncode}: {done.stdout.decode()} {done.stderr.decode()}"
        return done.stdout.decode()

    def read(self, verb, *arguments, **more):
        """What it says to programs. Without --json it works as well: that is tried first where it changes nothing."""
        return json.loads(self.run(verb, *arguments, **more))

    def both(self, verb, *arguments, **more):
        assert self.run(verb, *arguments, json_too=False, **more).strip()
        return self.read(verb, *arguments, **more)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verbs")
    with ScriptedSink() as sink:
        sink.rule("rcpt", reply("450 4.2.1 later"))
        settings = {"courier": {"routes": {name: f"127.0.0.1:{sink.port}" for name in (".later.test", "example.com", "later.test")}},
                    "retry": {"first": "600s", "longest": "600s"}}
        with Cluster(settings=settings) as cluster:
            yield Scene(cluster, folder)


# ---- the cluster

@case("status")
def _(scene):
    assert scene.both("status")["partitions"]["total"] == 256


@case("top")
def _(scene):
    _, message = scene.queued()
    told = scene.both("top", "--once")
    assert {"accepted", "delivered", "deferred", "failed"} <= set(told["rates"]) and message
    assert {node["role"] for node in told["nodes"]} == {"ingress", "dispatcher", "courier"}
    assert all(queue["waiting"] >= 1 for queue in told["queues"]) and told["queues"]
    assert any(verdict["deferred"] >= 1 for verdict in told["verdicts"])
    assert "sites" in told


@case("node list")
def _(scene):
    assert len(scene.both("node list")["nodes"]) == 3


@case("node show")
def _(scene):
    assert "courier1.relay.test" in json.dumps(scene.both("node show", "courier1.relay.test"))


@case("node drain")
def _(scene):
    assert scene.read("node drain", "ingress1.relay.test", "--dry-run")
    assert scene.read("node drain", "dispatcher1.relay.test", "--yes")
    scene.run("node undrain", "dispatcher1.relay.test")


@case("node undrain")
def _(scene):
    scene.run("node drain", "courier1.relay.test", "--yes")
    assert scene.read("node undrain", "courier1.relay.test") is not None
    wait.until(lambda: scene.cluster.status()["ready"], 20, "the cluster works again")


@case("partition list")
def _(scene):
    scene.queued()
    told = scene.both("partition list")
    assert len(told["partitions"]) == 256 and sum(row["waiting"] for row in told["partitions"]) >= 1
    assert {row["owner"] for row in told["partitions"] if row["owned"]} == {"dispatcher1.relay.test"}
    assert all(row["shard"] for row in told["partitions"])


@case("keys list")
def _(scene):
    assert scene.both("keys list")


@case("keys rotate")
def _(scene):
    assert scene.read("keys rotate", "--wait") is not None


@case("keys bar")
def _(scene):
    assert scene.read("keys bar", "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID") is not None


@case("keys unbar")
def _(scene):
    scene.run("keys bar", "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", json_too=False)
    assert scene.read("keys unbar", "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7") is not None


# ---- queues

@case("queue list")
def _(scene):
    queue, _ = scene.queued()
    assert queue in [row["queue"] for row in scene.both("queue list", "--limit", "0")["queues"]]
    assert scene.both("queue list", "--held") is not None


@case("queue show")
def _(scene):
    queue, message = scene.queued()
    assert scene.both("queue show", queue)["jobs"][0]["job"].startswith(message)


@case("trace")
def _(scene):
    _, message = scene.queued()
    assert scene.both("trace", message)["message"] == message


@case("events")
def _(scene):
    _, message = scene.queued()
    lines = [json.loads(line) for line in scene.run("events", "--text", message).splitlines()]
    assert [line["event"] for line in lines] == ["accepted", "claimed", "deferred"]


@case("why")
def _(scene):
    queue, message = scene.queued()
    assert scene.both("why", message)["jobs"] and scene.both("why", queue)["waiting"] == 1


@case("route")
def _(scene):
    assert scene.both("route", "x@example.com")["queue"] == "example.com"


@case("site show")
def _(scene):
    queue, _ = scene.queued()
    told = scene.both("site show", queue)
    assert told["queue"] == queue and told["hosts"] == [] and told["now"]["waiting"] == 1 and "connections" in told["limits"]


@case("queue retry")
def _(scene):
    queue, _ = scene.queued()
    assert scene.read("queue retry", queue, "--dry-run") and scene.read("queue retry", queue, "--yes")


@case("queue hold")
def _(scene):
    queue, message = scene.queued()
    assert scene.read("queue hold", queue, "--yes")
    assert scene.read("msg show", message)["jobs"][0]["place"] == "held"


@case("queue release")
def _(scene):
    queue, message = scene.queued()
    scene.run("queue hold", queue, "--yes")
    assert scene.read("queue release", queue, "--yes")
    assert scene.read("msg show", message)["jobs"][0]["place"] != "held"


@case("queue delete")
def _(scene):
    queue, message = scene.queued()
    assert scene.read("queue delete", queue, "--yes")
    scene.run("msg show", message, status=1)


@case("queue bounce")
def _(scene):
    queue, _ = scene.queued(sender="")
    assert scene.read("queue bounce", queue, "--yes")


@case("queue suspend")
def _(scene):
    assert scene.read("queue suspend", scene.queue(), "--for", "1min", "--yes")


@case("queue resume")
def _(scene):
    queue = scene.queue()
    scene.run("queue suspend", queue, "--yes")
    assert scene.read("queue resume", queue, "--yes")


@case("queue redirect")
def _(scene):
    assert scene.read("queue redirect", scene.queue(), "--to", "127.0.0.9:1", "--for", "1min", "--yes")


# ---- rules and limits

def rule_of(scene):
    queue = scene.queue()
    scene.run("queue suspend", queue, "--yes")
    return scene.read("rules list")["rules"][0]["rule"]


@case("rules list")
def _(scene):
    assert rule_of(scene) and scene.both("rules list")["rules"]


@case("rules show")
def _(scene):
    rule = rule_of(scene)
    assert rule in json.dumps(scene.both("rules show", rule))


@case("rules undo")
def _(scene):
    assert scene.read("rules undo", rule_of(scene), "--yes")


@case("undo")
def _(scene):
    assert scene.read("undo", rule_of(scene), "--yes")


@case("limit set")
def _(scene):
    assert scene.read("limit set", scene.queue(), "connections=2", "--yes")


@case("limit show")
def _(scene):
    assert scene.both("limit show") is not None


@case("protocol-trace")
def _(scene):
    trace = subprocess.Popen([CTL, "--config", scene.cluster.conf, "protocol-trace", "--for", "30s", "--limit", "5", "--json"], stdout=subprocess.PIPE)
    scene.ran.add("protocol-trace")
    wait.until(lambda: "trace" in [rule["action"] for rule in scene.read("rules list", "--in-force")["rules"]], 20, "the rule is given")
    for _ in range(20):
        if trace.poll() is None:
            scene.queued()
    out, _ = trace.communicate(timeout=60)
    lines = [json.loads(line) for line in out.decode().splitlines()]
    assert trace.returncode == 0 and len(lines) == 5 and all(set(line) == {"time", "node", "session", "side", "text"} for line in lines)


# ---- messages

@case("msg show")
def _(scene):
    _, message = scene.queued()
    assert scene.both("msg show", message)["message"] == message


@case("msg cat")
def _(scene):
    _, message = scene.queued()
    content = scene.run("msg cat", message, json_too=False)
    assert content.startswith("Received: ")
    assert base64.b64decode(scene.read("msg cat", message)["content_base64"]).decode() == content


@case("msg export")
def _(scene):
    queue, message = scene.queued()
    told = scene.read("msg export", message, "--directory", scene.folder)
    content = open(os.path.join(scene.folder, f"{message}.eml"), "rb").read()
    assert content.decode() == scene.run("msg cat", message, json_too=False)
    with open(os.path.join(scene.folder, f"{message}.json"), encoding="utf-8") as file:
        assert json.load(file)["jobs"][0]["queue"] == queue
    assert len(told["files"]) == 2
    scene.run("msg export", message, "--directory", scene.folder, status=1)  # nothing is written over
    two = scene.send(f"a@{scene.queue()}", f"b@{scene.queue()}")
    jobs = [job["job"] for job in scene.read("msg show", two)["jobs"]]
    assert scene.read("msg export", two, "--file", "two.barid")["jobs"] == len(jobs) >= 2
    scene.run("msg delete", two, "--yes")
    assert scene.read("store import", "two.barid", "--dry-run")["jobs"] == len(jobs)


@case("msg retry")
def _(scene):
    _, message = scene.queued()
    assert scene.read("msg retry", message, "--yes")


@case("msg hold")
def _(scene):
    _, message = scene.queued()
    assert scene.read("msg hold", message, "--yes")


@case("msg release")
def _(scene):
    _, message = scene.queued()
    scene.run("msg hold", message, "--yes")
    assert scene.read("msg release", message, "--yes")


@case("msg delete")
def _(scene):
    _, message = scene.queued()
    assert scene.read("msg delete", message, "--yes")


@case("msg bounce")
def _(scene):
    _, message = scene.queued(sender="")
    assert scene.read("msg bounce", message, "--yes")


# ---- the store

@case("store export")
def _(scene):
    queue, _ = scene.queued()
    assert scene.read("store export", queue, "--file", "one.barid")["jobs"] == 1


@case("store import")
def _(scene):
    queue, _ = scene.queued()
    scene.run("store export", queue, "--file", "import.barid")
    assert scene.read("store import", "import.barid", "--yes")


@case("store check")
def _(scene):
    done = subprocess.run([CTL, "--config", scene.cluster.conf, "store", "check", "--json"], stdout=subprocess.PIPE, check=False)
    scene.ran.add("store check")
    assert done.returncode in (0, 1) and json.loads(done.stdout)["servers"]


@case("store acl")
def _(scene):
    os.makedirs(os.path.join(scene.folder, "secrets"))
    users = scene.both("store acl", "secrets")["users"]
    assert any("+memory|usage" in user for user in users)


@case("store memory")
def _(scene):
    queue = scene.queue()
    for _ in range(3):
        scene.send(f"x@{queue}")
    [shard] = scene.both("store memory")["shards"]
    kinds = {kind["kind"]: kind for kind in shard["kinds"]}
    assert kinds["jobs"]["keys"] >= 3 and kinds["jobs"]["bytes"] > 300 * kinds["jobs"]["keys"]
    assert kinds["content"]["keys"] >= 3 and kinds["events"]["bytes"] > 0 and kinds["indexes"]["bytes"] > 0
    assert sum(kind["bytes"] for kind in shard["kinds"]) + shard["redis_bytes"] == shard["used_bytes"]
    few = scene.read("store memory", "--sample", "1")["shards"][0]
    assert few["keys_seen"] <= few["keys"]


# ---- users, tenants, tables, reports

def add_user(scene, name):
    scene.run("user add", name, "--password-stdin", stdin="a long password\n")
    return name


@case("user add")
def _(scene):
    assert scene.read("user add", "add@example.com", "--password-stdin", stdin="a long password\n")


@case("user set")
def _(scene):
    assert scene.read("user set", add_user(scene, "set@example.com"), "--messages-per-day", "1000")


@case("user passwd")
def _(scene):
    assert scene.read("user passwd", add_user(scene, "passwd@example.com"), "--password-stdin", stdin="another password\n")


@case("user disable")
def _(scene):
    assert scene.read("user disable", add_user(scene, "disable@example.com"))


@case("user enable")
def _(scene):
    scene.run("user disable", add_user(scene, "enable@example.com"))
    assert scene.read("user enable", "enable@example.com")


@case("user rm")
def _(scene):
    assert scene.read("user rm", add_user(scene, "rm@example.com"))


@case("user list")
def _(scene):
    add_user(scene, "list@example.com")
    assert "list@example.com" in json.dumps(scene.both("user list"))


@case("user show")
def _(scene):
    assert scene.both("user show", add_user(scene, "show@example.com"))


@case("tenant set")
def _(scene):
    assert scene.read("tenant set", "one", "messages_per_hour=1000")


@case("tenant show")
def _(scene):
    scene.run("tenant set", "two", "queue_bytes=2GiB")
    assert scene.both("tenant show", "two")


@case("tenant list")
def _(scene):
    scene.run("tenant set", "three", "queue_bytes=2GiB")
    assert "three" in json.dumps(scene.both("tenant list"))


@case("tenant rm")
def _(scene):
    scene.run("tenant set", "four", "queue_bytes=2GiB")
    assert scene.read("tenant rm", "four")


@case("tlsrpt list")
def _(scene):
    assert scene.both("tlsrpt list") is not None


@case("tlsrpt send")
def _(scene):
    done = subprocess.run([CTL, "--config", scene.cluster.conf, "tlsrpt", "send", "example.com", "--json"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    scene.ran.add("tlsrpt send")
    assert done.returncode in (0, 1) and (done.returncode or json.loads(done.stdout) is not None)


@case("alias set")
def _(scene):
    assert scene.read("alias set", "team@example.com", "ann@example.com", "--yes")


@case("alias rm")
def _(scene):
    scene.run("alias set", "gone@example.com", "ann@example.com", "--yes")
    assert scene.read("alias rm", "gone@example.com", "--yes")


@case("alias show")
def _(scene):
    scene.run("alias set", "show@example.com", "ann@example.com", "--yes")
    assert scene.both("alias show", "show@example.com")


@case("alias list")
def _(scene):
    scene.run("alias set", "list@example.com", "ann@example.com", "--yes")
    assert "list@example.com" in json.dumps(scene.both("alias list"))


@case("alias import")
def _(scene):
    with open(os.path.join(scene.folder, "some-aliases.txt"), "w") as file:
        file.write("import@example.com ann@example.com\n")
    assert scene.read("alias import", "some-aliases.txt", "--yes")


@case("recipient add")
def _(scene):
    assert scene.read("recipient add", "ann@relay.example", "--yes")


@case("recipient rm")
def _(scene):
    scene.run("recipient add", "rm@relay.example", "--yes")
    assert scene.read("recipient rm", "rm@relay.example", "--yes")


@case("recipient list")
def _(scene):
    scene.run("recipient add", "list@relay.example", "--yes")
    assert "list@relay.example" in json.dumps(scene.both("recipient list"))


@case("recipient import")
def _(scene):
    with open(os.path.join(scene.folder, "some-users.txt"), "w") as file:
        file.write("import@relay.example\n")
    assert scene.read("recipient import", "some-users.txt", "--yes")


# ---- SMTP, settings, itself

@case("send")
def _(scene):
    host, port = scene.cluster.addresses[0]
    assert scene.read("send", "--server", f"{host}:{port}", "--to", f"x@{scene.queue()}")["messages"]


@case("sink")
def _(scene):
    port = ports.free_port()
    process = Process("sink", [CTL, "sink", "--listen", f"127.0.0.1:{port}", "--count", "1", "--json"], os.path.join(scene.folder, "sink.log"))
    with process:
        process.wait_log("sink listens on")
        scene.read("send", "--server", f"127.0.0.1:{port}", "--to", "x@sink.test")
        assert process.wait(20) == 0
    text = process.log_text()
    scene.ran.add("sink")
    assert json.loads(text[text.index("{"):])["messages"] == 1


@case("config check")
def _(scene):
    assert scene.both("config check")["ok"]


@case("config show")
def _(scene):
    assert scene.both("config show")["retry"]["first"] == "10min"


@case("config docs")
def _(scene):
    assert scene.both("config docs")["text"].startswith("# Settings")


@case("config default")
def _(scene):
    assert "courier:" in scene.both("config default")["text"]


@case("metrics")
def _(scene):
    for page in [], ["--alerts"], ["--dashboard"]:
        assert scene.both("metrics", *page)["text"]


@case("bounces")
def _(scene):
    assert scene.both("bounces", "550 5.1.1 user unknown")["bounce"] and scene.both("bounces")["text"]


@case("doctor")
def _(scene):
    done = subprocess.run([CTL, "--config", scene.cluster.conf, "doctor", "--json"], stdout=subprocess.PIPE, timeout=60, check=False)
    told = json.loads(done.stdout)
    scene.ran.add("doctor")
    assert done.returncode == (0 if told["ok"] else 1)
    assert {"nodes", "clocks", "settings", "store", "certificates", "DNS", "reverse DNS", "ports"} <= {row["about"] for row in told["findings"]}
    assert all(row["remedy"] for row in told["findings"] if row["level"] != "good")
    assert [row["level"] for row in told["findings"] if row["about"] in ("clocks", "settings", "ports")] == ["good"] * 3, told


@case("completion")
def _(scene):
    for shell in ("bash", "zsh", "fish"):
        assert "baridctl" in scene.both("completion", shell)["script"]
    scene.run("completion", "cmd.exe", status=2)


@case("help")
def _(scene):
    assert [verb["verb"] for verb in scene.both("help", "queue", "show")["verbs"]] == ["queue show"]
    assert ".TH BARIDCTL 1" in scene.run("help", "--man", json_too=False)


@case("version")
def _(scene):
    assert re.match(r"\d+\.\d+\.\d+$", scene.both("version")["version"])


# ---- the tests

def verbs():
    text = subprocess.run([CTL, "help", "--json"], stdout=subprocess.PIPE, check=True).stdout
    return {verb["verb"]: verb for verb in json.loads(text)["verbs"]}


@pytest.mark.parametrize("verb", CASES)
def test_a_verb_works_and_tells_programs(scene, verb):
    CASES[verb](scene)
    assert verb in scene.ran


def test_no_verb_is_left_out():
    assert set(verbs()) == set(CASES)


# What an example names and no test can have: places of the real system, nodes, messages of other days.
STANDS_FOR = {"/etc/": "etc/", "mx1.example.com": "courier1.relay.test", " /tmp": " tmp", "docs/": "etc/"}
ENDLESS = {"events", "sink"}  # until somebody ends them


def command_of(scene, verb, example, message):
    for word, other in STANDS_FOR.items():
        example = example.replace(word, other)
    example = example.replace("01KATQ5S8Z4G5W0V0E3HJ2M9XK.2", f"{message}.0").replace("01KATQ5S8Z4G5W0V0E3HJ2M9XK", message)
    example = example.replace("r17", "r1").replace("127.0.0.1:2526", f"127.0.0.1:{ports.free_port()}")
    before, redirected, file = example.partition(" >")
    if verb["verb"] == "send":
        host, port = scene.cluster.addresses[0]
        before += f" --server {host}:{port}"
    if any(option["option"] == "yes" for option in verb["options"]) and "--yes" not in before and "--dry-run" not in before:
        before += " --yes"  # as a person would answer
    return f"{before}{redirected}{file}"


def test_the_examples_of_help_can_be_run(scene):
    for folder in ("etc/barid/secrets", "etc/redis", "tmp", "bin"):
        os.makedirs(os.path.join(scene.folder, folder), exist_ok=True)
    os.symlink(CTL, os.path.join(scene.folder, "bin", "baridctl"))
    files = {"aliases.txt": "a@example.com b@example.com\n", "users.txt": "ann@relay.example\n"}
    for name, text in files.items():
        with open(os.path.join(scene.folder, name), "w") as file:
            file.write(text)
    with open(scene.cluster.conf) as source, open(os.path.join(scene.folder, "etc/barid/barid.yaml"), "w") as target:
        target.write(source.read())
    message = scene.send("x@example.com")
    scene.run("queue suspend", "never.test", "--yes")
    env = {"PATH": os.path.join(scene.folder, "bin") + os.pathsep + os.environ["PATH"], "BARID_CONFIG": scene.cluster.conf}
    wrong = []
    order = [verb for verb in verbs().values() if "rm" not in verb["verb"].split() and verb["verb"] not in ("msg delete", "msg bounce")]
    order += [verb for verb in verbs().values() if verb not in order]
    for verb in order:
        command = command_of(scene, verb, verb["example"], message)
        if verb["verb"] in ENDLESS:
            process = subprocess.Popen(["/bin/bash", "-c", f"exec {command}"], cwd=scene.folder, env=env, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE)
            try:
                process.wait(1)
                wrong.append(f"{command}: it ended with {process.returncode}: {process.stderr.read().decode()}")
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=20)
            continue
        done = subprocess.run(["/bin/bash", "-c", command], input=b"a long password\n", cwd=scene.folder, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=90, check=False)
        is_judged = done.returncode == 1 and verb["verb"] in ("store check", "doctor", "tlsrpt send", "queue resume")
        if done.returncode != 0 and not is_judged:
            wrong.append(f"{command}: {done.returncode} {done.stderr.decode().strip()}")
    assert not wrong, "\n".join(wrong)
