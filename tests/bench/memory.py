"""What an idle SMTP session takes of ingress, and what a queued job takes of Redis beyond its content."""

import os
import resource
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import paths, wait  # noqa: E402
from harness.authority import Authority  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.postfix import smtp_source  # noqa: E402
from harness.redis import RedisServer  # noqa: E402

SESSIONS, FIRST_SESSIONS = 5000, 500  # the first ones pay for what is allocated once
QUEUES, JOBS = 40, 8000
TLS_SESSIONS = 1500
SESSION_TARGET, TLS_SESSION_TARGET, JOB_TARGET = 4096, 24576, 1024  # DESIGN section 9
PLACES = {"j": "record", "q": "queue", "ev": "history", "b": "key and object of the content"}


def pss_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))


def greeted(address, tls=None):
    client = socket.create_connection(address)
    if tls:
        client = tls.wrap_socket(client, server_hostname="relay.test")
    client.recv(512)
    client.sendall(b"EHLO client.bench.test\r\n")
    client.recv(512)
    return client


def idle_session(count, authority=None):
    """Bytes of ingress per session that has said EHLO and waits; within TLS if there is an authority for it."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    settings, tls = {"ingress": {"max_sessions_per_client": 2 * count, "max_sessions": 2 * count}}, None
    if authority:
        settings["tls"], tls = {"certificates": [authority.issue("relay.test")]}, authority.client()
    listeners = {"bench": {"role": "internal", "tls": "implicit" if authority else "off"}}
    with Cluster(dispatchers=0, couriers=0, settings=settings, listeners=listeners) as cluster:
        node = cluster.of("ingress")[0]
        clients = [greeted(node.smtp, tls) for _ in range(FIRST_SESSIONS)]
        before = pss_bytes(node.pid)
        clients += [greeted(node.smtp, tls) for _ in range(count - FIRST_SESSIONS)]
        wait.until(lambda: cluster.metric("barid_sessions") == count, 20, "all sessions are there")
        each = (pss_bytes(node.pid) - before) / (count - FIRST_SESSIONS)
        for client in clients:
            client.close()
    return each


def values(redis, pattern, command):
    """What `command` says of each key that matches."""
    pipe = redis.pipeline(transaction=False)
    for key in redis.scan_iter(pattern, count=1000):
        pipe.execute_command(*command(key))
    return [value or 0 for value in pipe.execute()]


def rounding(length):
    """What the allocator adds to a string of this length: four size classes for each doubling."""
    size = length + (5 if length < 65536 else 9) + 1
    step = 1 << max(4, (size - 1).bit_length() - 3)
    return -size % step


def used(redis):
    """Without what clients and the append-only file hold for a moment."""
    memory = redis.info("memory")
    return memory["used_memory"] - memory["mem_clients_normal"] - memory["mem_aof_buffer"]


def places(redis):
    """Bytes of all keys by the first letter of their name."""
    return {name: sum(values(redis, name + ":*", lambda key: ("MEMORY", "USAGE", key, "SAMPLES", "0"))) for name in ("j", "q", "ev", "b")}


def queued_job(size, redis_options):
    """
    Bytes of Redis for each queued job of `size` bytes of mail, in queues that nobody works: all that used_memory grew by, the content (with
    our Received field), what the allocator's size classes add to the content, the rest, and where most of the rest is.
    """
    with RedisServer(witness=False, options=redis_options) as server:
        with Cluster(dispatchers=0, couriers=0, redis=server, settings={"ingress": {"compression": "none"}}) as cluster:
            redis, port = server.client(), cluster.addresses[0][1]
            smtp_source(port, count=500, sessions=50, size=size, recipient="to@first.test")  # buffers, and what is allocated once
            old, old_places, old_content = used(redis), places(redis), values(redis, "b:*", lambda key: ("STRLEN", key))
            for number in range(QUEUES):
                smtp_source(port, count=JOBS // QUEUES, sessions=50, size=size, recipient=f"to@queue{number}.test")
            grown, found = used(redis) - old, places(redis)
            content = values(redis, "b:*", lambda key: ("STRLEN", key))
    job = {"mail": size, "all": grown / JOBS, "content": (sum(content) - sum(old_content)) / JOBS,
           "rounding": (sum(map(rounding, content)) - sum(map(rounding, old_content))) / JOBS}
    job["beyond"] = job["all"] - job["content"] - job["rounding"]
    job["parts"] = {name: (found[name] - old_places[name]) / JOBS for name in found}
    job["parts"]["b"] -= job["content"] + job["rounding"]
    return job


def report(result):
    print("\nmemory, bytes                          found   target")
    print(f"an idle SMTP session                {result['idle_session']:8.0f}   {SESSION_TARGET:6}")
    print(f"the same within TLS                 {result['idle_tls_session']:8.0f}   {TLS_SESSION_TARGET:6}")
    for job in result["queued_jobs"]:
        print(f"a queued job of {job['mail']:6} bytes        {job['beyond']:8.0f}   {JOB_TARGET:6}   beyond its content ({job['content']:.0f}) and the "
              f"allocator's rounding of it ({job['rounding']:.0f})")
        print("           of it: " + ", ".join(f"{PLACES[name]} {size:.0f}" for name, size in job["parts"].items()))


def measure(redis_options):
    return {"idle_session": idle_session(SESSIONS), "idle_tls_session": idle_session(TLS_SESSIONS, Authority(paths.scratch("authority"))),
            "queued_jobs": [queued_job(size, redis_options) for size in (4096, 1000)]}


if __name__ == "__main__":
    report(measure({"hash-max-listpack-value": 1024}))
