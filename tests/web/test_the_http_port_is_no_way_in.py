"""The status page's port against those who may not look: without the token there is nothing, and no client is ever in the way of others."""

import re
import socket
import time

import pytest
from stage import TOKEN

from harness import wait
from harness.cluster import Cluster

DATA = ("/web/status", "/web/message/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/web/message/", "/web/message/x")


def talk(node, text, timeout=15):
    """What the port answers to these octets until it closes."""
    with socket.create_connection((node.ip, node.http_port), timeout=timeout) as client:
        client.sendall(text)
        got = b""
        try:
            while piece := client.recv(65536):
                got += piece
        except OSError:
            pass
        return got.decode("latin-1")


@pytest.mark.parametrize("path", DATA)
def test_without_the_token_there_is_nothing(stage, path):
    for token in (None, "", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper()):
        status, headers, text = stage.get(path, token=token, node=stage.cluster.of("dispatcher")[1])
        assert status in (401, 429) and text in ("401\n", "429\n"), "no word on why"
        assert "relay.test" not in str(headers)


def test_the_second_dispatcher_has_shut_us_out_and_logged_it_once(stage):
    node = stage.cluster.of("dispatcher")[1]
    for _ in range(12):
        stage.get("/web/status", token="guess", node=node)
    status, headers, text = stage.get("/web/status", node=node)
    assert (status, headers["Retry-After"], text) == (429, "60", "429\n"), "the right token does not help either"
    assert stage.get("/web/", token=None, node=node)[0] == 200 and stage.get("/readyz", token=None, node=node)[0] == 200
    assert len(re.findall("event=web_shut", node.log_text())) == 1
    assert stage.get("/web/status")[0] == 200, "others are not concerned"
    assert TOKEN not in node.log_text() and "guess" not in node.log_text()


def test_the_token_is_in_no_answer_and_no_log(stage):
    for path in ("/web/", "/web/status", "/metrics"):
        assert TOKEN not in stage.get(path)[2]
    assert TOKEN not in stage.cluster.baridctl("config", "show")
    for node in stage.cluster.nodes:
        assert TOKEN not in node.log_text()


def test_every_answer_has_the_headers_that_keep_it_in(stage):
    for path, token in (("/web/", None), ("/web/status", TOKEN), ("/web/status", "wrong-wrong-wrong-wrong"), (f"/web/message/{stage.ids['fine']}", TOKEN)):
        _, headers, _ = stage.get(path, token=token)
        assert headers["Cache-Control"] == "no-store" and headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Frame-Options"] == "DENY"
        assert headers.get("Access-Control-Allow-Origin") is None and headers.get("Set-Cookie") is None
    policy = stage.get("/web/", token=None)[1]["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2


def test_only_get_and_head_are_taken(stage):
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        assert stage.get("/web/status", method=method)[0] == 405
    status, headers, text = stage.get("/web/status", method="HEAD")
    assert status == 200 and text == "" and int(headers["Content-Length"]) > 500


def test_no_path_leads_anywhere_else(stage):
    for path in ("/web/../etc/passwd", "/web/..%2f..%2fetc/passwd", "/web/%2e%2e/%2e%2e/etc/passwd", "/web//status", "/web/status/", "/web/status%00.html", "/webstatus", "/WEB/status",
                 "/web/index.html", "//web/status", "/web/message/../status"):
        status, _, text = stage.get(path)
        assert status in (400, 404) and "root:" not in text and "partitions" not in text, path
    status, headers, _ = stage.get("/web/status?x=" + "y" * 200)
    assert status == 200
    redirect = talk(stage.dispatcher, b"GET /web HTTP/1.0\r\n\r\n")
    assert " 301 " in redirect.splitlines()[0] and "\r\nLocation: web/\r\n" in redirect


def test_long_and_strange_requests_are_refused(stage):
    node = stage.dispatcher
    bearer = f"Authorization: Bearer {TOKEN}\r\n".encode()
    for request in (b"GET /web/status HTTP/1.1\r\nHost: x\r\n" + b"X-Long: " + b"a" * 100000 + b"\r\n\r\n",
                    b"GET /web/status HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + bearer + b"\r\n",
                    b"GET /web/" + b"a" * 60000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET /web/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + b"z" * 7000 + b"\r\nConnection: close\r\n\r\n",
                    b"GET /web/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \x00\xff\xfe\r\nConnection: close\r\n\r\n",
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300 + b"\r\n\r\n", b"GET\r\n\r\n", b"\r\n" * 5000):
        answer = talk(node, request)
        assert " 200 " not in answer.split("\r\n")[0], request[:60]
    assert stage.get("/web/status")[0] == 200


def test_slow_clients_hold_nobody_up_and_are_cut_off(stage):
    node = stage.dispatcher
    slow = []
    try:
        for _ in range(40):
            client = socket.create_connection((node.ip, node.http_port), timeout=20)
            client.settimeout(20)
            try:
                client.sendall(b"GET /web/status HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            except OSError:
                pass
            slow.append(client)
        began = time.monotonic()

        def is_answered():
            for client in slow:  # a byte now and then, so that they are never idle
                try:
                    client.send(b"a")
                except OSError:
                    pass
            return node.is_ready()
        wait.until(is_answered, 30, "somebody else is served, though bytes go on coming", pause=0.5)
        wait.until(lambda: all(_is_closed(client) for client in slow), 30, "all of them are cut off", pause=0.5)
        assert time.monotonic() - began < 30
    finally:
        for client in slow:
            client.close()
    assert stage.get("/web/status")[0] == 200


def _is_closed(client):
    client.setblocking(False)
    try:
        return client.recv(1000) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        client.settimeout(20)


def test_who_asks_much_gets_what_one_gets(stage):
    """Many readers cost Redis as much as one: what is shown is made once a second."""
    def calls():
        stats = stage.cluster.redis.client().info("commandstats")
        return stats.get("cmdstat_zscan", {"calls": 0})["calls"]
    stage.get("/web/status")
    before, began = calls(), time.monotonic()
    for _ in range(200):
        assert stage.get("/web/status")[0] == 200
    rounds = (calls() - before) / 256
    # One round a second at most, and the slow round of the metrics beside it.
    assert rounds <= 2 * (time.monotonic() - began) + 3


def test_it_is_off_without_a_token_and_changes_with_it():
    with Cluster(ingress=0, couriers=0) as cluster:
        node = cluster.of("dispatcher")[0]
        for path in ("/web", "/web/", "/web/status", "/web/message/01ARZ3NDEKTSV4RRFFQ69G5FAV"):
            status, text = node.http_get(path)
            assert status == 404 and text == "not here: /metrics, /healthz, /readyz\n"
        cluster.reload({"web": {"token": TOKEN}})
        wait.until(lambda: node.http_get("/web/")[0] == 200, 10, "there is a page")
        assert node.http_get("/web/status")[0] == 401
        cluster.reload({"web": {"token": "too short"}})
        node.process.wait_log("event=config_refused")
        assert node.http_get("/web/")[0] == 200, "the settings before it stay in force"
        cluster.reload({"web": {"token": ""}})
        wait.until(lambda: node.http_get("/web/")[0] == 404, 10, "there is none")
