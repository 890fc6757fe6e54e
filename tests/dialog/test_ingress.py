"""What a dialogue file cannot say of an ingress: faults of the store, of the client and of the node, and what is stored."""

import concurrent.futures
import os
import random
import re
import resource
import signal
import socket
import subprocess

import pytest

from harness import paths, ports, wait
from harness.cluster import Cluster, merged
from test_dialogs import PLAIN, ULID, Client, stored_content, waiting

pytestmark = pytest.mark.skipif(not os.path.exists(paths.program("barid-ingress")), reason="barid-ingress is not built")


def ingress(settings=None, **more):
    return Cluster(ingress=1, dispatchers=0, couriers=0, settings=merged(PLAIN, settings), **more)


def connect(cluster):
    client = Client(cluster.addresses[0])
    assert client.reply("greeting").startswith(b"220 ")
    return client


def ask(client, line, wanted):
    client.say(line + b"\r\n", False)
    reply = client.reply(line)
    assert reply.startswith(wanted), f"{line}: {reply}"
    return reply


def open_transaction(client, recipients=(b"c@d.example",), sender=b"a@b.example"):
    ask(client, b"EHLO client.example", b"250")
    ask(client, b"MAIL FROM:<" + sender + b">", b"250 2.1.0")
    for recipient in recipients:
        ask(client, b"RCPT TO:<" + recipient + b">", b"250 2.1.5")
    return client


def start_data(client, **more):
    open_transaction(client, **more)
    ask(client, b"DATA", b"354")
    return client


def end_data(client, content, wanted=b"250 2.0.0"):
    client.say(content + b".\r\n", False)
    reply = client.reply("dot")
    assert reply.startswith(wanted), reply
    return ULID.search(reply).group(1) if wanted.startswith(b"250") else None


def lines(random_source, size):
    """Content of about that size: lines of all bytes but NUL, CR, LF and without stuffing."""
    out = []
    while size > 0:
        line = bytes(random_source.choices([b for b in range(1, 256) if b not in (10, 13)], k=random_source.randint(0, 900)))
        out.append(b"x" + line + b"\r\n")
        size -= len(out[-1])
    return b"".join(out)


# proves: A11 B26 M02
@pytest.mark.parametrize("size", [261500, 262000, 262001, 524000, 3000000])
def test_content_of_any_size_is_stored_whole(size):
    with ingress() as cluster:
        client = start_data(connect(cluster))
        content = b"Subject: big\r\n\r\n" + lines(random.Random(size), size)
        ulid = end_data(client, content)
        assert stored_content(cluster, ulid, "content") == content
        with cluster.redis.client() as redis:
            assert all(redis.ttl(key) == -1 for key in redis.keys(b"b:*"))
            assert len(redis.keys(b"j:*")) == 1


# proves: B33
def test_body_without_header_of_many_chunks_keeps_its_empty_line():
    with ingress() as cluster:
        content = b" begins with a blank\r\n" + lines(random.Random(5), 600000)
        ulid = end_data(start_data(connect(cluster)), content)
        assert stored_content(cluster, ulid, "content") == b"\r\n" + content


# proves: A14
def test_client_that_goes_before_the_dot_leaves_nothing():
    with ingress() as cluster:
        client = start_data(connect(cluster))
        client.say(lines(random.Random(1), 800000), False)
        with cluster.redis.client() as redis:
            wait.until(lambda: len(redis.keys(b"b:*")) >= 2, 10, "chunks are spooled while they arrive")
            client.socket.close()
            wait.until(lambda: not redis.keys(b"b:*"), 10, "the chunks are forgotten")
            assert not redis.keys(b"j:*")
        wait.until(lambda: cluster.metric("barid_unstored_bytes") == 0, 10, "no content is held")


# proves: A14
def test_client_that_goes_after_the_dot_leaves_its_message():
    with ingress() as cluster:
        client = start_data(connect(cluster))
        cluster.redis.freeze()
        client.say(b"Subject: x\r\n\r\nHello\r\n.\r\n", False)
        client.socket.close()
        cluster.redis.thaw()
        wait.until(lambda: waiting(cluster) == 1, 10, "the message is stored")


# proves: A03
def test_message_is_451_while_redis_does_not_answer():
    settings = {"store": {"commit_time": "1s", "timeout": "500ms"}}
    with ingress(settings) as cluster:
        client = start_data(connect(cluster))
        cluster.redis.freeze()
        end_data(client, b"Subject: x\r\n\r\nHello\r\n", b"451 4.3.0")
        cluster.redis.thaw()
        cluster.wait_ready()
        assert cluster.metric("barid_accepted_total") == 0
        ask(client, b"MAIL FROM:<a@b.example>", b"250")
        ask(client, b"QUIT", b"221")


# proves: A03 M11
def test_sender_is_451_while_redis_is_away_and_250_when_it_is_back():
    with ingress() as cluster:
        client = connect(cluster)
        ask(client, b"EHLO client.example", b"250")
        cluster.redis.kill()
        wait.until(lambda: not cluster.nodes[0].is_ready(), 10, "not ready")
        ask(client, b"MAIL FROM:<a@b.example>", b"451 4.3.0")
        cluster.redis.start()
        cluster.wait_ready()
        ask(client, b"MAIL FROM:<a@b.example>", b"250 2.1.0")
        ask(client, b"QUIT", b"221")


# proves: A03
def test_sender_is_452_while_redis_is_full():
    with ingress() as cluster, cluster.redis.client() as redis:
        client = connect(cluster)
        ask(client, b"EHLO client.example", b"250")
        node = cluster.of("ingress")[0]

        def is_full():  # what is used falls for a while after the start
            redis.config_set("maxmemory", redis.info("memory")["used_memory"] + 50000)
            return "event=store_full" in node.log_text()
        wait.until(is_full, 20, "event=store_full")
        ask(client, b"MAIL FROM:<a@b.example>", b"452 4.3.1")
        redis.config_set("maxmemory", 0)
        cluster.wait_log("ingress", "event=store_room")
        ask(client, b"MAIL FROM:<a@b.example>", b"250 2.1.0")
        ask(client, b"QUIT", b"221")


# proves: A03
def test_message_is_452_when_redis_gets_full_meanwhile():
    with ingress() as cluster, cluster.redis.client() as redis:
        client = start_data(connect(cluster))
        redis.config_set("maxmemory", "1mb")
        end_data(client, b"Subject: x\r\n\r\nHello\r\n", b"452 4.3.1")
        assert not redis.keys(b"j:*")


# proves: A04
def test_redis_that_may_evict_takes_no_mail():
    with ingress() as cluster, cluster.redis.client() as redis:
        client = connect(cluster)
        ask(client, b"EHLO client.example", b"250")
        redis.config_set("maxmemory", "1gb")
        redis.config_set("maxmemory-policy", "allkeys-lru")
        cluster.wait_log("ingress", "event=store_refused")
        ask(client, b"MAIL FROM:<a@b.example>", b"451 4.3.0")


# proves: A15
def test_sigterm_ends_idle_sessions_and_lets_transactions_finish():
    with ingress({"ingress": {"threads": 2}}) as cluster:
        node = cluster.nodes[0]
        idle = [connect(cluster) for _ in range(8)]
        open_one = open_transaction(connect(cluster))
        in_content = start_data(connect(cluster))
        node.process.signal(signal.SIGTERM)
        for client in idle:
            assert client.reply("idle").startswith(b"421 4.3.2")
            assert client.at_end()
        wait.until(lambda: not ports.accepts(node.smtp[1]), 5, "nobody is accepted any more")
        end_data(in_content, b"x\r\n")
        assert in_content.reply("end").startswith(b"421 4.3.2")
        ask(open_one, b"DATA", b"354")
        end_data(open_one, b"y\r\n")
        assert open_one.reply("end").startswith(b"421 4.3.2")
        assert node.process.wait(15) == 0
        assert waiting(cluster) == 2


# proves: A15
def test_sigterm_does_not_wait_for_clients_for_ever():
    with ingress({"node": {"drain_time": "2s"}}) as cluster:
        client = start_data(connect(cluster))
        cluster.nodes[0].process.signal(signal.SIGTERM)
        assert client.reply("end").startswith(b"421 4.3.2")
        assert cluster.nodes[0].process.wait(10) == 0


# proves: A15
def test_sigterm_does_not_wait_for_clients_that_do_not_read():
    with ingress({"node": {"drain_time": "4s"}, "ingress": {"max_junk": 1000000}}) as cluster:
        client = start_data(connect(cluster), sender=b"")
        end_data(client, b"x\r\n")
        client.socket.setblocking(False)
        try:
            while True:
                client.socket.send(b"HELP\r\n" * 1000)
        except BlockingIOError:
            pass
        cluster.nodes[0].process.signal(signal.SIGTERM)
        assert cluster.nodes[0].process.wait(10) == 0


# proves: G01 G03 G04 G08
def test_received_field_is_ours_and_only_ours():
    with ingress() as cluster:
        content = b"Received: from x by y; Sun, 22 Nov 2026 07:15:45 +0000\r\nSubject:  \xc3\xa4 \r\n\tfolded \r\n\r\nno end"
        ulid = end_data(start_data(connect(cluster)), content + b"\r\n")
        with cluster.redis.client() as redis:
            whole = redis.get(redis.keys(b"b:*")[0])
        assert whole.endswith(content + b"\r\n")
        ours = whole[:-len(content) - 2]
        assert re.fullmatch(
            rb"Received: from client\.example \(unknown\s\[127\.0\.0\.1\]\)\r\n\s+by ingress1\.relay\.test with ESMTP id "
            + ulid + rb"\r\n\s+for <c@d\.example>; \w+, \d+ \w+ \d{4} \d\d:\d\d:\d\d \+0000\r\n", ours), ours
        assert max(map(len, ours.split(b"\r\n"))) <= 78


# proves: G01
def test_helo_is_smtp_and_many_recipients_are_not_told():
    with ingress() as cluster:
        client = connect(cluster)
        ask(client, b"HELO client.example", b"250 ")
        ask(client, b"MAIL FROM:<>", b"250")
        ask(client, b"RCPT TO:<a@d.example>", b"250")
        ask(client, b"RCPT TO:<b@d.example>", b"250")
        ask(client, b"DATA", b"354")
        end_data(client, b"x\r\n")
        with cluster.redis.client() as redis:
            whole = redis.get(redis.keys(b"b:*")[0])
        assert b" with SMTP id " in whole and b" for <" not in whole


def test_many_domains_are_one_fan_out_job():
    with ingress() as cluster, cluster.redis.client() as redis:
        client = start_data(connect(cluster), recipients=[b"a@one.example", b"b@TWO.example", b"c@one.example"])
        end_data(client, b"x\r\n")
        keys = redis.keys(b"j:*")
        assert len(keys) == 1
        assert redis.hget(keys[0], "q") == b"#fanout"
        assert [key.endswith(b":#fanout") for key in redis.keys(b"q:*")] == [True]


def slot_of(tag):
    """The hash slot of a key with this tag: CRC16 (XMODEM)."""
    crc = 0
    for byte in tag.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc % 16384


def test_home_partition_of_the_id_is_where_the_job_is():
    with ingress() as cluster, cluster.redis.client() as redis:
        client = connect(cluster)
        for domain in (b"a.example", b"b.example", b"c.example"):
            end_data(start_data(client, recipients=[b"u@" + domain]), b"x\r\n")
        alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
        for key in redis.keys(b"j:*"):
            ulid = key.decode().split(":")[2].split(".")[0]
            number = 0
            for letter in ulid:
                number = number * 32 + alphabet.index(letter)
            tag = key.decode().split("{")[1].split("}")[0]
            assert slot_of(tag) // 64 == number % 256


# proves: B34
def test_sessions_of_one_client_are_limited():
    with ingress({"ingress": {"max_sessions_per_client": 2, "threads": 2}}) as cluster:
        first, second = connect(cluster), connect(cluster)
        third = Client(cluster.addresses[0])
        assert third.reply("greeting").startswith(b"421 4.7.0")
        assert third.at_end()
        ask(first, b"QUIT", b"221")
        wait.until(lambda: cluster.metric("barid_sessions") == 1, 5, "one session")
        connect(cluster)
        ask(second, b"NOOP", b"250")


# proves: B16
def test_silent_clients_are_told_421():
    settings = {"ingress": {"command_timeout": "1s", "data_timeout": "1s"}}
    with ingress(settings) as cluster:
        silent, in_content = connect(cluster), start_data(connect(cluster))
        assert silent.reply("silence").startswith(b"421 4.4.2")
        assert in_content.reply("silence").startswith(b"421 4.4.2")
        assert silent.at_end() and in_content.at_end()
        assert waiting(cluster) == 0


def test_live_settings_count_from_the_next_session_and_bad_ones_do_not():
    with ingress() as cluster:
        cluster.reload({"ingress": {"max_message": "64KiB", "trusted_networks": ["192.0.2.0/24"], "relay_domains": ["relay.example"]}})
        cluster.wait_log("ingress", "event=config_loaded.*\n(.*\n)*.*event=config_loaded")
        client = connect(cluster)
        assert b"SIZE 65536\r\n" in ask(client, b"EHLO client.example", b"250")
        ask(client, b"MAIL FROM:<a@b.example>", b"250")
        ask(client, b"RCPT TO:<c@d.example>", b"550 5.7.1")
        ask(client, b"RCPT TO:<c@relay.example>", b"250")
        cluster.reload({"ingress": {"relay_domains": ["not a domain"]}})
        cluster.wait_log("ingress", "event=config_refused.*relay_domains")
        ask(client, b"RCPT TO:<d@relay.example>", b"250")
        ask(client, b"QUIT", b"221")


# proves: M04
def test_any_bytes_on_the_port_do_no_harm():
    source = random.Random(4)
    words = [b"EHLO x", b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@d.example>", b"DATA", b"\r\n", b"\n", b".", b"\0", b"\xff" * 50, b"RSET", b" " * 600]
    with ingress({"ingress": {"threads": 2}}) as cluster:
        for _ in range(150):
            client = Client(cluster.addresses[0])
            client.say(b"".join(source.choice(words) if source.random() < 0.8 else source.randbytes(40) for _ in range(60)), False)
            client.socket.close()
        end_data(start_data(connect(cluster)), b"x\r\n")
        wait.until(lambda: cluster.metric("barid_sessions") <= 1, 10, "all sessions are gone")


# proves: M03
def test_exhausted_descriptors_stop_accepting_for_a_while_only():
    with ingress() as cluster:
        pid = cluster.nodes[0].pid
        used = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 20, used + 20))
        sockets = [socket.create_connection(cluster.addresses[0], timeout=10) for _ in range(60)]
        cluster.wait_log("ingress", "event=fd_exhausted")
        for one in sockets:
            one.close()
        wait.until(lambda: cluster.metric("barid_sessions") == 0, 10, "all sessions are gone")
        end_data(start_data(connect(cluster)), b"x\r\n")


# proves: M02
def test_bounded_memory_is_shared_and_slow_clients_do_not_keep_it():
    with ingress({"ingress": {"max_unstored": "1MiB", "threads": 2}}) as cluster:
        slow = [start_data(connect(cluster)) for _ in range(12)]
        for client in slow:
            client.say(lines(random.Random(2), 200000), False)
        content = b"Subject: big\r\n\r\n" + lines(random.Random(3), 3000000)
        most = 0

        def upload(_):
            client = start_data(connect(cluster))
            ulid = end_data(client, content)
            client.socket.close()
            return ulid
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            uploads = [pool.submit(upload, n) for n in range(16)]
            while not all(one.done() for one in uploads):
                most = max(most, cluster.metric("barid_unstored_bytes"))
            ulids = [one.result() for one in uploads]
        assert all(stored_content(cluster, ulid, "content") == content for ulid in ulids)
        # Above the bound: at most what each of the 20 sessions had just read (256 KiB) and its chunk under way.
        assert most < (1 << 20) + 20 * 2 * 262144, most
        for client in slow:
            end_data(client, b"x\r\n")
            client.socket.close()
        wait.until(lambda: cluster.metric("barid_unstored_bytes") == 0, 10, "no content is held")


def rss_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))


# proves: M02
def test_idle_session_takes_little_memory():
    count = 2000
    plain = paths.BUILD.partition("/san-")[0]  # a sanitizer's allocator is not what is measured
    with ingress({"ingress": {"max_sessions_per_client": count + 10}}, build=plain) as cluster:
        pid = cluster.nodes[0].pid
        clients = [connect(cluster) for _ in range(200)]  # what is allocated once
        before = rss_bytes(pid)
        for _ in range(count - 200):
            client = connect(cluster)
            ask(client, b"EHLO client.example", b"250")
            clients.append(client)
        wait.until(lambda: cluster.metric("barid_sessions") == count, 20, "all sessions are there")
        each = (rss_bytes(pid) - before) / (count - 200)
        print(f"{each:.0f} bytes for each idle session")
        assert each < 4096, each


def test_port_in_use_is_one_sentence_and_exit_2():
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    env = {key: value for key, value in os.environ.items() if not key.startswith("BARID_")}
    env["BARID_INGRESS_LISTEN"] = f"127.0.0.1:{taken.getsockname()[1]}"
    env["BARID_NODE_HTTP_LISTEN"] = f"127.0.0.1:{ports.free_port()}"
    done = subprocess.run([paths.program("barid-ingress")], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=20, check=False)
    assert done.returncode == 2
    assert re.fullmatch(rb"barid-ingress: ingress\.listen: cannot listen on 127\.0\.0\.1:\d+: Address already in use\n", done.stderr)
