"""The operator's rules in a test: given and undone by baridctl, waited for where they are obeyed."""

import json
import re
import time

from post import Post

from harness import wait
from harness.generator import Generator
from harness.ledger import Ledger


class Ruler(Post):
    """A post whose cluster is given rules; generators that it lets run are in its ledger."""

    def __init__(self, cluster, sink, prefix):
        super().__init__(cluster, sink, prefix)
        self.generators = []

    def load(self, *places, rate=60, sessions=6):
        """A Generator of mail to these places by turns."""
        generator = Generator(self.cluster.addresses, lambda n: ("s@origin.test", [places[n % len(places)].address(f"r{n}")]), sessions=sessions, rate=rate)
        self.generators.append(generator)
        return generator

    def assert_balanced(self, held=0, timeout=30):
        self.cluster.wait_empty(timeout, held=held)
        return Ledger([self, *self.generators], [self.sink], self.cluster.faults, dropped=self.dropped, held=held).assert_balanced()

    def give(self, *words, timeout=20):
        """`baridctl WORDS --yes --json`; returns the id of the rule it left."""
        before = {rule["rule"] for rule in self.rules()}
        self.cluster.baridctl(*words, "--yes", timeout=timeout)
        fresh = [rule["rule"] for rule in self.rules() if rule["rule"] not in before]
        assert len(fresh) == 1, (words, fresh)
        return fresh[0]

    def rules(self):
        return json.loads(self.cluster.baridctl("rules", "list", "--json"))["rules"]

    def undo(self, rule):
        self.cluster.baridctl("rules", "undo", rule, "--yes")

    def wait_obeyed(self, before, roles=("dispatcher", "courier"), timeout=5):
        """Every living node of these roles has told of rules since: before is what told() gave."""
        def all_know():
            return all(count > before.get(name, 0) for name, count in self.obeyed(roles).items())
        wait.until(all_know, timeout, lambda: f"all nodes know of new rules: {before} {self.obeyed(roles)}")

    def obeyed(self, roles=("dispatcher", "courier")):
        """{node: how often it has told that its rules changed}."""
        return {node.name: node.log_text().count("event=rules_obeyed") for node in self.cluster.nodes if node.role in roles and node.process.alive()}

    def _in_force(self):
        return len(json.loads(self.cluster.baridctl("rules", "list", "--in-force", "--json"))["rules"])

    def _wait_known(self, before):
        """wait_obeyed(), and what they told last is what is in force: one-off orders make nodes look and tell, too."""
        self.wait_obeyed(before)
        count = self._in_force()

        def last_told():
            return {node.name: re.findall(r"event=rules_obeyed .*rules=(\d+)", node.log_text())[-1:] for node in self.cluster.nodes
                    if node.role in ("dispatcher", "courier") and node.process.alive()}
        wait.until(lambda: all(told == [str(count)] for told in last_told().values()), 5, lambda: f"all nodes know {count} rules: {last_told()}")

    def ruling(self, *words):
        """give(), and all nodes know of it."""
        before = self.obeyed()
        rule = self.give(*words)
        self._wait_known(before)
        return rule

    def unruling(self, rule):
        before = self.obeyed()
        self.undo(rule)
        self._wait_known(before)

    def why(self, subject):
        return json.loads(self.cluster.baridctl("why", subject, "--json"))

    def mails_to(self, host, since=0.0):
        """The transactions that began at this host of the sink since then."""
        return [t for t in list(self.sink.transactions) if t.session.host == host and t.began_at > since]

    def wait_quiet(self, host, seconds=1.0, timeout=20):
        """Nothing begins at this host for so long."""
        def is_quiet():
            mails = self.mails_to(host)
            return not mails or time.monotonic() - mails[-1].began_at > seconds
        wait.until(is_quiet, timeout, f"{host} is left alone")
