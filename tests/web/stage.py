"""A cluster for the status page: mail delivered, waiting, held, of a paused and of a suspended queue; some of it as hostile as text can be."""

import json
import os
import smtplib
import urllib.error
import urllib.request

from harness import ports, wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

TOKEN = "a-token-for-tests.0123456789abcdef"
SCRIPT = "<script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(2)>"
HOSTILE_SENDER = f'"{IMAGE}"@origin.test'
HOSTILE_REPLY = f"451 4.7.1 {SCRIPT} {IMAGE} &amp; later"
# What nobody may read on the page, nor in any answer of the port.
SUBJECT, CONTENT = "Quarterly-figures-7351", "The-password-is-swordfish-9142"


class Stage:
    """`url` is of the first dispatcher; `ids` the message ids by kind."""

    couriers = 1  # so that a queue rests as soon as the one cannot reach its host

    def __init__(self):
        self.sink = ScriptedSink()
        self.ids = {}

    def __enter__(self):
        self.sink.start()
        here = f"127.0.0.1:{self.sink.port}"
        self.cluster = Cluster(ingress=1, dispatchers=2, couriers=self.couriers, settings={
            "courier": {"routes": self._routes(here)}, "retry": {"first": "1h", "longest": "1h"}, "dispatcher": {"pause_first": "1h", "pause_longest": "1h"}})
        self.token_file = os.path.join(self.cluster.folder, "web.token")
        with open(self.token_file, "w") as file:
            file.write(TOKEN + "\n")
        self.cluster.settings["web"] = {"token_file": self.token_file}
        self.cluster.start()
        try:
            self._fill()
        except BaseException:
            self.__exit__(AssertionError)
            raise
        return self

    def __exit__(self, kind, *_):
        self.cluster.__exit__(kind)
        self.sink.stop()

    def _routes(self, here):
        return {"fine.test": here, "slow.test": here, "rest.test": here, "held.test": "hold", "dead.test": f"127.0.0.1:{ports.free_port()}"}

    def _fill(self):
        self.sink.rule("rcpt", reply(HOSTILE_REPLY), domain="slow.test")
        self.cluster.baridctl("queue", "suspend", "rest.test", "--because", "they are moving house", "--yes")
        for kind in ("fine", "slow", "held", "dead", "rest"):
            self.ids[kind] = self.send(f"b@{kind}.test")
        self.ids["hostile"] = self.send("b@slow.test", sender=HOSTILE_SENDER)
        for n in range(4):
            self.send(f"more{n}@rest.test")
        wait.until(lambda: self.cluster.queue()["held"] == 1, 20, "one is held")
        wait.until(lambda: self.cluster.metric("barid_deferred_total", "courier") >= 2, 20, "two are put off")
        self.sink.wait_taken(1)
        wait.until(lambda: "paused" in self.states(), 20, lambda: f"a paused queue, not {self.states()}", pause=0.2)

    # -- mail

    def send(self, to, sender="a@origin.test"):
        """Its id."""
        with smtplib.SMTP(*self.cluster.addresses[0], local_hostname="client.origin.test") as client:
            client.ehlo()
            client.mail(sender if sender.startswith('"') else f"<{sender}>")
            client.rcpt(f"<{to}>")
            code, answer = client.data(f"From: a@origin.test\r\nSubject: {SUBJECT}\r\n\r\n{CONTENT}\r\n".encode())
            assert code == 250, answer
            return next(word for word in answer.decode().split() if len(word) == 26)

    # -- the page

    def states(self):
        """Of the queues that the page shows."""
        return [queue["state"] for queue in json.loads(self.get("/web/status")[2])["queues"]]

    @property
    def dispatcher(self):
        return self.cluster.of("dispatcher")[0]

    @property
    def url(self):
        return self.dispatcher.url("/web/")

    def get(self, path, token=TOKEN, method="GET", headers=None, node=None):
        """(status, headers, text) of the port's answer; token None: none is sent."""
        request = urllib.request.Request((node or self.dispatcher).url(path), method=method, headers=headers or {})
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read().decode()

    def enter(self, browser, wanted="rest.test", **look):
        """A fresh tab in which the token was given and figures are shown, this queue among them."""
        browser.fresh(**look)
        browser.open(self.url)
        browser.find("#token").send_keys(TOKEN + "\n")
        browser.wait_text("Waiting", "#tiles")
        browser.wait_text(wanted, "#queues")
        return browser

    def tell(self, browser, message):
        field = browser.find("#message-id")
        field.clear()
        field.send_keys(message + "\n")
        browser.wait_text(message, "#facts")
