"""
docker-compose.yml as people use it: images built from the Dockerfiles, a cluster behind HAProxy, killed and scaled under load; it ends with the
ledger.
"""

import json
import os
import re
import subprocess

import pytest
from engine import Compose, Engine

from harness import paths, wait
from harness.generator import Generator
from harness.ledger import Faults, Ledger
from harness.sink import ScriptedSink

HERE = os.path.dirname(os.path.abspath(__file__))
MESSAGES = 10000
ROLES = ("ingress", "dispatcher", "courier")
GATEWAY = "172.31.25.1"


@pytest.fixture(scope="module")
def engine():
    with Engine() as running:
        yield running


@pytest.fixture(scope="module")
def sink(engine):
    with ScriptedSink(hosts=["0.0.0.0"], host=engine.host) as running:
        yield running


@pytest.fixture(scope="module")
def compose(engine, sink):
    running = Compose(engine, os.path.join(HERE, "override.yml"), variables={"SINK_PORT": str(sink.port), "BARID_RELAY_DOMAINS": ".test"})
    running.up(ingress=2, dispatcher=2, courier=2)
    running.watch()
    wait.until(lambda: ready(running, 6), 90, lambda: f"a cluster that is ready, it is {running.baridctl('status')}", pause=0.5)
    return running


def status(compose):
    return json.loads(compose.baridctl("status", "--json"))


def ready(compose, nodes):
    try:
        told = status(compose)
    except (AssertionError, ValueError):
        return None
    return told if told["ready"] and sum(1 for node in told["nodes"] if node["beating"]) == nodes else None


def prometheus(engine, path, *query):
    """What its HTTP API answers where docker-compose publishes it: on the host's loopback address."""
    done = subprocess.run(["curl", "--silent", "--show-error", "--fail", "--get", f"http://127.0.0.1:9090/api/v1/{path}", *query], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=30, check=False, preexec_fn=engine.host.enter)
    if done.returncode != 0:
        return {}
    told = json.loads(done.stdout)
    assert told["status"] == "success", told
    return told["data"]


def primary(compose):
    """The container of Redis that the Sentinels name."""
    told = compose.engine.podman("exec", compose.containers("sentinel-1")[0], "sh", "-c",
                                 "REDISCLI_AUTH=$(cat /etc/redis/secrets/sentinels.password) redis-cli -p 26379 SENTINEL GET-MASTER-ADDR-BY-NAME barid")
    number = int(told.split()[0].rpartition(".")[2]) - 10
    return compose.containers(f"redis-{number}", running=False)[0]


def test_haproxy_takes_its_file():
    subprocess.run([paths.peer("haproxy"), "-c", "-q", "-f", os.path.join(paths.REPOSITORY, "deploy", "haproxy.cfg")], check=True, timeout=30,
                   env=paths.peer_environment())


def test_compose_takes_its_file(engine):
    """All profiles; and what it mounts is there."""
    assert "grafana" in Compose(engine).run("--profile", "monitoring", "--profile", "tools", "config")
    for file in ("deploy/prometheus/prometheus.yml", "deploy/prometheus/alerts.yml", "deploy/grafana/barid.json"):
        assert os.path.exists(os.path.join(paths.REPOSITORY, file)), file


# proves: M12
def test_nodes_are_nobody_and_write_nowhere(compose, engine):
    for role in ROLES:
        container = compose.containers(role)[0]
        about = engine.inspect(container)
        assert about["HostConfig"]["ReadonlyRootfs"] and not about["EffectiveCaps"], role
        told = engine.podman("exec", container, "sh", "-c", "id -u; grep CapBnd /proc/1/status; find / -xdev -writable ! -type l 2>/dev/null; find / -xdev -perm /6000 -type f 2>/dev/null; true")
        # Podman gives any container with a read-only root its own /tmp and /var/tmp, in memory.
        assert [word for word in told.split() if word not in ("/tmp", "/var/tmp")] == ["10025", "CapBnd:", "0" * 16], f"{role}: {told}"


# proves: M12
def test_any_user_will_do(compose, engine):
    """Another courier, as whom nobody knows."""
    before = len(status(compose)["nodes"])
    variables = [word for pair in engine.inspect(compose.containers("courier")[0])["Config"]["Env"] if pair.startswith("BARID_") for word in ("--env", pair)]
    container = engine.podman("run", "--detach", "--read-only", "--cap-drop", "all", "--user", "1234567:10025", "--network", "barid_cluster",
                              "--volume", "barid_secrets-courier:/etc/barid/secrets:ro", *variables, "localhost/barid", "barid-courier").strip()
    wait.until(lambda: ready(compose, before + 1), 30, "the courier of an unknown user", pause=0.5)
    assert engine.podman("exec", container, "id", "-u").strip() == "1234567"
    engine.podman("stop", "--time", "40", container)
    assert engine.inspect(container)["State"]["ExitCode"] == 0
    engine.podman("rm", container)


# proves: M12
def test_logs_are_on_standard_output(compose, engine):
    """Couriers were told to write JSON; the others write text."""
    for role in ROLES:
        lines = engine.podman("logs", compose.containers(role)[0]).splitlines()
        assert lines and all((role == "courier") == line.startswith("{") for line in lines), (role, lines[:5])
    for line in engine.podman("logs", compose.containers("courier")[0]).splitlines():
        json.loads(line)


# proves: M11
def test_containers_are_healthy(compose, engine):
    for service in (*ROLES, "resolver"):
        engine.podman("healthcheck", "run", compose.containers(service)[0])


def test_couriers_find_hosts_by_the_resolver(compose, engine, sink):
    """A domain that nobody but the resolver's container knows."""
    with Generator([(GATEWAY, 2525)], lambda n: ("s@origin.test", [f"r{n}@resolved.test"]), limit=20, host=engine.host) as generator:
        generator.wait_done(60)
    wait.until(lambda: not status(compose)["queue"]["waiting"] and not status(compose)["queue"]["claimed"], 60, "an empty queue", pause=0.5)
    Ledger([generator], [sink_of(sink, generator)], ()).assert_balanced()
    assert "host.resolved.test" in compose.baridctl("site", "show", "resolved.test")


def test_prometheus_sees_each_node_and_judges_by_our_rules(compose, engine):
    def targets():
        return [(one["labels"]["role"], one["health"]) for one in prometheus(engine, "targets").get("activeTargets", ())]
    wait.until(lambda: sorted(targets()) == sorted((role, "up") for role in ROLES for _ in range(2)), 60, lambda: f"six targets that are up, {targets()}", pause=0.5)

    def rules():
        return [rule for group in prometheus(engine, "rules").get("groups", ()) for rule in group["rules"]]
    wait.until(lambda: rules() and all(rule["health"] == "ok" for rule in rules()), 60, lambda: f"all rules to be evaluated, {rules()}", pause=0.5)
    with open(os.path.join(paths.REPOSITORY, "lib", "base", "alert.def"), encoding="utf-8") as file:
        assert len(rules()) == len(re.findall("^ALERT", file.read(), re.MULTILINE))
    # What an alert asks, of the data that are there: all partitions have an owner.
    wait.until(lambda: [one["value"][1] for one in prometheus(engine, "query", "--data-urlencode", "query=sum(barid_partitions)").get("result", ())] == ["256"], 60, "256 partitions", pause=0.5)
    assert not prometheus(engine, "query", "--data-urlencode", "query=sum(barid_partitions) < 256")["result"]
    assert not [one for one in prometheus(engine, "alerts")["alerts"] if one["labels"]["severity"] == "page" and one["state"] == "firing"]


def test_secrets_are_for_those_who_need_them(compose, engine):
    for role in ROLES:
        assert engine.podman("exec", compose.containers(role)[0], "ls", "/etc/barid/secrets").split() == ["sentinels.password", "store.password"]
    told = engine.podman("exec", compose.containers("redis-1")[0], "sh", "-c", "redis-cli PING; redis-cli --user ingress --pass wrong PING 2>&1")
    assert "NOAUTH" in told and "WRONGPASS" in told and "PONG" not in told
    assert "as it should be" in compose.baridctl("store", "check")


# proves: M12
def test_a_stopped_node_finishes_and_ends_well(compose, engine):
    """SIGTERM to the first process of each container, as `docker-compose stop` does: drained, exit 0, long before it would be killed."""
    for role in ROLES:
        container = compose.containers(role)[0]
        engine.podman("stop", "--time", "40", container)
        state = engine.inspect(container)["State"]
        assert state["ExitCode"] == 0 and not state["OOMKilled"], role
        engine.podman("start", container)
    wait.until(lambda: ready(compose, 6), 30, lambda: f"all to be back, there are {status(compose)}", pause=0.5)


class Crash:
    """Containers that die, and what the ledger has to know of it."""

    def __init__(self, compose, engine):
        self.compose, self.engine, self.faults = compose, engine, Faults()

    def kill(self, role, container):
        self.engine.podman("kill", "--signal", "KILL", container)
        fault = self.faults.note(role, container, 0)
        fault.at -= 1.0  # it died before podman said so
        return fault

    def come_back(self, container):
        """By itself, as its restart policy says, or by hand where the engine counts a kill as a wish."""
        if not self.engine.inspect(container)["State"]["Running"]:
            self.engine.podman("start", container)


# proves: A01 A05 M12
def test_ten_thousand_messages_survive_kills_and_scaling(compose, engine, sink):
    crash = Crash(compose, engine)
    with Generator([(GATEWAY, 2525)], lambda n: ("s@origin.test", [f"r{n}@d{n % 40}.test"]), sessions=24, limit=MESSAGES, host=engine.host) as generator:
        generator.wait_acknowledged(1000, 120)
        compose.up(ingress=2, dispatcher=2, courier=5)
        wait.until(lambda: ready(compose, 9), 60, lambda: f"five couriers, {status(compose)}", pause=0.5)
        for role in ROLES:
            generator.wait_acknowledged(min(MESSAGES, len(generator.acknowledged()) + 1000), 120)
            container = compose.containers(role)[0]
            crash.kill(role, container)
            generator.wait_acknowledged(min(MESSAGES, len(generator.acknowledged()) + 300), 120)
            crash.come_back(container)
        lost = primary(compose)
        fault = crash.kill("redis", lost)
        fault.ended_at = None
        wait.until(lambda: primary(compose) != lost, 60, "another primary", pause=0.5)
        generator.wait_acknowledged(min(MESSAGES, len(generator.acknowledged()) + 500), 120)
        fault.end()
        crash.come_back(lost)
        compose.up(ingress=3, dispatcher=2, courier=3)
        generator.wait_done(400)
    wait.until(lambda: not any(status(compose)["queue"][key] for key in ("due", "waiting", "claimed", "held")), 120,
               lambda: f"an empty queue, {status(compose)['queue']}", pause=0.5)
    ledger = Ledger([generator], [sink_of(sink, generator)], crash.faults)
    print(ledger.text())
    ledger.assert_balanced()
    assert len(ledger.acknowledged) == MESSAGES
    told = ready(compose, 8)
    assert told, status(compose)
    assert len({copy.courier for copies in ledger.copies.values() for copy in copies}) >= 5, "only some of the couriers worked"


def test_all_goes_on_after_a_full_stop(compose, sink, engine):
    """Down and up again: the volumes keep the queue and who the primary is."""
    before = primary(compose)
    which = engine.inspect(before)["Config"]["Labels"]["com.docker.compose.service"]
    compose.run("--profile", "monitoring", "down", "--timeout", "40")
    compose.up(ingress=1, dispatcher=1, courier=1)
    compose.watch()
    wait.until(lambda: ready(compose, 3), 90, lambda: f"a cluster that is ready again, {status(compose)}", pause=0.5)
    assert engine.inspect(primary(compose))["Config"]["Labels"]["com.docker.compose.service"] == which
    with Generator([(GATEWAY, 2525)], lambda n: ("s@origin.test", [f"r{n}@one.test"]), limit=20, host=engine.host) as generator:
        generator.wait_done(60)
    wait.until(lambda: not status(compose)["queue"]["waiting"] and not status(compose)["queue"]["claimed"], 60, "an empty queue", pause=0.5)
    Ledger([generator], [sink_of(sink, generator)], ()).assert_balanced()


def sink_of(sink, generator):
    """The part of the sink that this generator's messages are in."""
    class Part:
        @staticmethod
        def taken():
            return [one for one in sink.taken() if one.ledger_id.startswith(generator.prefix)]
    return Part


# proves: M11
def test_without_redis_nodes_are_alive_and_not_ready(compose, engine):
    for number in (1, 2, 3):
        engine.podman("stop", "--time", "10", compose.containers(f"redis-{number}")[0])
    for role in ROLES:
        container = compose.containers(role)[0]
        ask = "exec 3<>/dev/tcp/127.0.0.1/9125; printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3; head -n 1 <&3"
        wait.until(lambda: "503" in engine.podman("exec", container, "bash", "-c", ask), 30, f"{role} that is not ready", pause=0.2)
        engine.podman("healthcheck", "run", container)
        assert engine.inspect(container)["RestartCount"] == 0
    wait.until(lambda: "BaridStoreNotReady" in [one["labels"]["alertname"] for one in prometheus(engine, "alerts").get("alerts", ())], 90,
               "Prometheus to notice", pause=0.5)
