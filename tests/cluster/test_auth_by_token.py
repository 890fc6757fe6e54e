"""OAUTHBEARER and XOAUTH2: an introspection end point says whose a token is; no token is written anywhere, and its silence is not a refusal."""

import base64
import glob
import http.server
import json
import os
import threading
import time
import urllib.parse

import pytest

from harness import wait
from harness.cluster import Cluster
from login import Client, b64

AUTH = {"failure_delay": "0s", "failures_per_client": "", "failures_per_user": "", "timeout": "1s", "backends": ["users", "oauth"],
        "oauth_client_id": "barid", "oauth_client_secret": "the relay's own", "oauth_scope": "smtp"}
LISTENERS = {"bare": {"role": "internal", "auth": "offered", "auth_without_tls": "yes", "trusted_networks": [], "max_errors": 1000, "max_junk": 1000}}
TOKEN = "mF_9.B5f-4.1JqM-secret-of-anna"


class EndPoint:
    """RFC 7662: `tokens` are what it knows; `says` makes it answer something else: (status, body) or None for no answer at all."""

    def __init__(self):
        self.tokens, self.says, self.asked = {}, None, []
        self.gate = threading.Event()
        end_point = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {key: values[0] for key, values in urllib.parse.parse_qs(body).items()}
                end_point.asked.append((self.headers["Authorization"], self.headers["Content-Type"], form))
                status, text = 200, json.dumps(end_point.tokens.get(form["token"], {"active": False}))
                if end_point.says is None and end_point.gate.is_set():
                    return
                if end_point.says is not None:
                    status, text = end_point.says
                data = text if isinstance(text, bytes) else text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/introspect"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def place():
    with EndPoint() as end_point, Cluster(settings={"auth": {**AUTH, "oauth_url": end_point.url}, "log": {"level": "debug"}}, listeners=LISTENERS) as cluster:
        cluster.end_point = end_point
        yield cluster


@pytest.fixture(autouse=True)
def fresh(place):
    place.end_point.tokens = {TOKEN: {"active": True, "username": "anna@example.com", "scope": "imap smtp", "exp": int(time.time()) + 3600}}
    place.end_point.says = None
    place.end_point.asked.clear()


def bearer(token, name=""):
    return b64(f"n,{'a=' + name if name else ''},\x01host=mx.test\x01port=587\x01auth=Bearer {token}\x01\x01")


def xoauth2(token, name):
    return b64(f"user={name}\x01auth=Bearer {token}\x01\x01")


def client(cluster):
    return Client(cluster.address("bare"))


def refused(c, line, end):
    """A refusal: a challenge that tells why, which the client answers, and 535."""
    code, lines = c.say(line)
    assert code == 334
    why = json.loads(base64.b64decode(lines[0]))
    assert c.code(end) == 535
    return why


def test_both_mechanisms(place):
    with client(place) as c:
        assert {"OAUTHBEARER", "XOAUTH2", "PLAIN"} <= set(c.mechanisms())
        assert c.code(f"AUTH OAUTHBEARER {bearer(TOKEN, 'anna@example.com')}") == 235
        assert c.code("MAIL FROM:<other@example.com>") == 553
        assert c.code("MAIL FROM:<anna@example.com>") == 250
    with client(place) as c:
        assert c.code("AUTH XOAUTH2") == 334
        assert c.code(xoauth2(TOKEN, "anna@example.com")) == 235
    with client(place) as c:
        assert c.code(f"AUTH OAUTHBEARER {bearer(TOKEN)}") == 235
    authorization, kind, form = place.end_point.asked[0]
    assert base64.b64decode(authorization.split()[1]) == b"barid:the relay's own"
    assert kind == "application/x-www-form-urlencoded" and form["token"] == TOKEN
    assert len(place.end_point.asked) == 1  # a good one is remembered for a while


def test_refusals_say_why_first(place):
    with client(place) as c:
        assert refused(c, f"AUTH OAUTHBEARER {bearer('unknown')}", "AQ==")["status"] == "invalid_token"
        assert refused(c, f"AUTH XOAUTH2 {xoauth2('unknown', 'anna@example.com')}", "")["status"] == "401"
        refused(c, f"AUTH OAUTHBEARER {bearer(TOKEN, 'somebody@example.com')}", "AQ==")
        refused(c, f"AUTH XOAUTH2 {xoauth2(TOKEN, 'somebody@example.com')}", "")
        assert c.code(f"AUTH OAUTHBEARER {bearer(TOKEN, 'anna@example.com')}") == 235


@pytest.mark.parametrize("says", [{"active": False}, {"active": True}, {"active": True, "username": "anna@example.com", "scope": "smtps imap"},
                                  {"active": True, "username": "anna@example.com"}, {"active": True, "username": "a\r\nb", "scope": "smtp"},
                                  {"active": True, "username": 7, "scope": "smtp"}, {"active": True, "username": "", "scope": "smtp"},
                                  {"active": True, "username": "anna@example.com", "scope": "smtp", "exp": 1}])
def test_what_is_not_enough(place, says):
    place.end_point.tokens["token"] = says
    with client(place) as c:
        refused(c, f"AUTH OAUTHBEARER {bearer('token')}", "AQ==")


@pytest.mark.parametrize("says", [(500, "{}"), (401, '{"active": true, "username": "x", "scope": "smtp"}'), (200, ""), (200, "not json"), (200, "[]"), (200, "{}"),
                                  (200, '{"active": "true"}'), (200, '{"active": true, "active": false}'), (200, "[" * 100000), (200, '{"active": true, "x": "' + "x" * 200000 + '"}'),
                                  (302, "{}"), (200, b"\xff\xfe")])
def test_an_answer_that_is_none_is_454(place, says):
    place.end_point.says = says
    with client(place) as c:
        assert c.code(f"AUTH OAUTHBEARER {bearer('token2')}") == 454
        assert c.code("NOOP") == 250


def test_silence_is_454(place):
    place.end_point.gate.set()
    with client(place) as c:
        assert c.code(f"AUTH OAUTHBEARER {bearer('token3')}") == 454
    place.end_point.gate.clear()
    with client(place) as c:
        assert c.code(f"AUTH OAUTHBEARER {bearer(TOKEN)}") == 235


def test_a_token_is_remembered_no_longer_than_it_lives(place):
    place.end_point.tokens["short"] = {"active": True, "username": "anna@example.com", "scope": "smtp", "exp": int(time.time()) + 2}
    with client(place) as c:
        assert c.code(f"AUTH OAUTHBEARER {bearer('short')}") == 235
    place.end_point.tokens["short"] = {"active": False}

    def is_refused():
        with client(place) as again:
            return again.code(f"AUTH OAUTHBEARER {bearer('short')}") == 334

    wait.until(is_refused, 10, "its end is seen")


def test_a_disabled_user_is_refused(place):
    place.baridctl("user", "add", "off@example.com", "--no-password")
    place.end_point.tokens["off"] = {"active": True, "username": "off@example.com", "scope": "smtp"}
    with client(place) as c:
        assert c.code(f"AUTH OAUTHBEARER {bearer('off')}") == 235
        place.baridctl("user", "disable", "off@example.com")
        wait.until(lambda: c.code("NOOP") == 421, 10, "its session ends")
    with client(place) as c:
        assert c.code(f"AUTH OAUTHBEARER {bearer('off')}") == 535


# proves: D12
def test_no_token_is_written(place):
    for name in glob.glob(os.path.join(place.folder, "**"), recursive=True):
        if os.path.isfile(name) and not name.endswith("barid.yaml"):
            with open(name, "rb") as file:
                content = file.read()
            for secret in (TOKEN.encode(), b64(TOKEN)[:20].encode(), bearer(TOKEN)[40:60].encode(), b"the relay's own"):
                assert secret not in content, (name, secret)
