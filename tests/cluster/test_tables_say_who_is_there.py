"""
Address tables, in files and in Redis: aliases lead to other domains, unknown recipients are refused on every node as soon as the operator says
so, and a table that cannot be asked costs a try later, never the mail.
"""

import contextlib
import json
import os
import smtplib
import subprocess
import time

import pytest
from post import Post

from harness import paths, wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink

HOST = "127.0.0.1"
ALIASES, RECIPIENTS = "barid:{c}:aliases", "barid:{c}:recipients"
CTL = paths.program("baridctl")


def rcpt(address, recipient, sender="s@origin.test"):
    """(code, text) of RCPT, in a session of its own."""
    with contextlib.closing(smtplib.SMTP(*address, timeout=60)) as client:
        client.ehlo("client.test")
        assert client.mail(sender)[0] == 250
        code, text = client.rcpt(recipient)
        return code, text.decode()


def write(path, text):
    """As an operator should: whole, by its name."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


class Scene(Post):
    def wait_rcpt(self, recipient, code, within=5, nodes=None):
        for address in nodes or self.cluster.addresses:
            wait.until(lambda: rcpt(address, recipient)[0] == code, within,
                       lambda: f"{code} for {recipient}, it is {rcpt(address, recipient)}")

    def send_as(self, recipient, becomes, **more):
        """A message to one recipient that others get instead."""
        letter = self.send(recipient, **more)
        when = letter.acknowledged.pop(recipient)
        letter.acknowledged.update({other: when for other in becomes})
        letter.recipients = list(becomes)  # for the ledger: who had to get it
        for other in becomes:
            self.wait_delivered(letter, other)
        return letter

    def ctl(self, *arguments, **more):
        return json.loads(self.cluster.baridctl(*arguments, "--json", **more))


@pytest.fixture(scope="module")
def scene():
    domains = ["one.test", "two.test", "relay.test", "origin.test", "new.test"]
    folder = paths.scratch("tables")
    files = {name: os.path.join(folder, name) for name in ("aliases", "recipients", "sender_rewrites", "recipient_rewrites")}
    write(files["aliases"], "team@relay.test  ann@one.test, bob@two.test # for now\n@old.test @relay.test\n")
    write(files["recipients"], "known@relay.test\n")
    write(files["sender_rewrites"], "@origin-old.test @origin.test\n")
    write(files["recipient_rewrites"], "@former.test @new.test\n")
    with ScriptedSink([HOST]) as sink:
        settings = {"courier": {"routes": {domain: f"{HOST}:{sink.port}" for domain in domains}},
                    "tables": {name: [path] for name, path in files.items()},
                    "ingress": {"relay_domains": ["relay.test", "listed.test", "free.test", "old.test", "former.test"], "threads": 2}}
        with Cluster(ingress=2, settings=settings) as cluster:
            made = Scene(cluster, sink)
            made.files = files
            made.redis = cluster.redis.client()
            yield made
            made.assert_balanced()


def test_an_alias_in_a_file_goes_to_several_domains(scene):
    letter = scene.send_as("Team+x@relay.test", ["ann@one.test", "bob@two.test"])
    assert len(scene.copies(letter)) == 2


def test_an_alias_set_by_baridctl_counts_on_every_node_within_a_second(scene):
    told = scene.ctl("alias", "set", "crew@relay.test", "eve@one.test", "joe@two.test,known@relay.test", "--yes")
    done = time.monotonic()
    assert told["done"] == 1
    for address in scene.cluster.addresses:
        wait.until(lambda: rcpt(address, "crew@relay.test")[0] == 250, 5, "it is known")
    assert time.monotonic() - done < 2
    scene.send_as("crew@relay.test", ["eve@one.test", "joe@two.test", "known@relay.test"])
    assert scene.ctl("alias", "show", "crew@Relay.Test") == [
        {"address": "crew@relay.test", "targets": ["eve@one.test", "joe@two.test", "known@relay.test"]}]
    scene.ctl("alias", "rm", "crew@relay.test", "--yes")
    scene.wait_rcpt("crew@relay.test", 550)


def test_a_domain_is_another_one(scene):
    scene.send_as("known@old.test", ["known@relay.test"])
    scene.send_as("team@old.test", ["ann@one.test", "bob@two.test"])


def test_recipients_and_senders_are_rewritten_in_the_envelope_only(scene):
    header = b"From: <me@origin-old.test>\r\nTo: <you@former.test>\r\n"
    letter = scene.send_as("you@former.test", ["you@new.test"], sender="me@origin-old.test", header=header)
    taken = scene.copies(letter)[0]
    assert taken.sender == "me@origin.test"
    assert header in taken.content


# proves: E14 E13
def test_unknown_recipients_are_refused_on_every_node_within_a_second_of_a_change(scene):
    for address in scene.cluster.addresses:
        assert rcpt(address, "nobody@listed.test")[0] == 250
    scene.ctl("recipient", "add", "somebody@listed.test", "--yes")
    scene.wait_rcpt("nobody@listed.test", 550, within=1.5)
    for address in scene.cluster.addresses:
        assert rcpt(address, "SomeBody@Listed.test")[0] == 250
        assert rcpt(address, "nobody@listed.test")[1].startswith("5.1.1 ")
        assert rcpt(address, "anybody@free.test")[0] == 250
    scene.ctl("recipient", "add", "nobody@listed.test", "--yes")
    scene.wait_rcpt("nobody@listed.test", 250, within=1.5)
    scene.ctl("recipient", "rm", "@listed.test", "nobody@listed.test", "somebody@listed.test", "--yes")
    scene.wait_rcpt("someone.else@listed.test", 250)


# proves: B19
def test_every_relay_domain_has_a_postmaster(scene):
    for address in scene.cluster.addresses:
        assert rcpt(address, "PostMaster@relay.test")[0] == 250
        assert rcpt(address, "unknown@relay.test")[0] == 550
        with contextlib.closing(smtplib.SMTP(*address, timeout=60)) as client:
            client.ehlo("client.test")
            client.mail("s@origin.test")
            assert client.docmd("RCPT TO:<POSTMASTER>")[0] == 250
    nodes = scene.cluster.of("ingress")
    loaded = [node.log_text().count("event=config_loaded") for node in nodes]
    scene.cluster.reload({"ingress": {"postmaster": "pm@one.test"}})
    wait.until(lambda: all(node.log_text().count("event=config_loaded") > before for node, before in zip(nodes, loaded)), 10, "settings are read")
    scene.send_as("postmaster@relay.test", ["pm@one.test"])


# proves: A03
def test_a_store_that_stalls_is_a_temporary_failure(scene):
    scene.ctl("recipient", "add", "somebody@listed.test", "--yes")
    scene.wait_rcpt("unknown@listed.test", 550)
    with contextlib.closing(smtplib.SMTP(*scene.cluster.addresses[0], timeout=60)) as client:
        client.ehlo("client.test")
        assert client.mail("s@origin.test")[0] == 250
        fault = scene.cluster.freeze_redis()
        try:
            code, text = client.rcpt("never.asked.for@listed.test")
        finally:
            scene.cluster.thaw_redis(fault)
        assert code == 451 and text.startswith(b"4.3.0 "), (code, text)
    scene.cluster.wait_ready()
    scene.wait_rcpt("never.asked.for@listed.test", 550)
    scene.ctl("recipient", "rm", "somebody@listed.test", "@listed.test", "--yes")


# proves: M06 M07
@pytest.mark.parametrize("garbage", [b"", b"\0\xff\xfe", b"no address", b"a@b,\r\nDEL x", b"x" * 70000])
def test_a_row_of_garbage_fails_its_address_only(scene, garbage):
    scene.redis.hset(ALIASES, "spoilt@relay.test", garbage)
    scene.redis.hset(ALIASES, "whole@relay.test", "ann@one.test")
    scene.redis.hset("barid:{c}:changed", "aliases", str(time.time_ns()))
    scene.wait_rcpt("spoilt@relay.test", 451)
    scene.wait_rcpt("whole@relay.test", 250)
    scene.cluster.wait_log("ingress", "event=table_row_refused .*table=aliases key=spoilt@relay.test")
    scene.redis.hdel(ALIASES, "spoilt@relay.test", "whole@relay.test")


# proves: M06
@pytest.mark.parametrize("key", [ALIASES, RECIPIENTS])
def test_a_table_of_another_type_stops_no_address_of_the_files(scene, key):
    scene.redis.delete(key)
    scene.redis.rpush(key, "hostile")
    wait.until(lambda: rcpt(scene.cluster.addresses[0], "stranger@relay.test")[0] == 451, 10, "it is seen")
    if key == RECIPIENTS:
        assert rcpt(scene.cluster.addresses[0], "known@relay.test")[0] == 250
    scene.redis.delete(key)
    scene.wait_rcpt("stranger@relay.test", 550)


def test_a_changed_file_is_picked_up_and_a_broken_one_is_not(scene):
    write(scene.files["aliases"], "team@relay.test  ann@one.test, bob@two.test\n@old.test @relay.test\nlate@relay.test ann@one.test\n")
    scene.wait_rcpt("late@relay.test", 250, within=10)
    write(scene.files["aliases"], "team@relay.test  ann@one.test\nlate@relay.test\n")
    _, match = scene.cluster.wait_log("ingress", 'event=tables_refused .*error="(.*?)line 2: ')
    assert match.group(1).startswith(scene.files["aliases"])
    scene.cluster.wait_metric("barid_table_files_stale", 2, "ingress")
    assert rcpt(scene.cluster.addresses[0], "late@relay.test")[0] == 250
    write(scene.files["aliases"], "team@relay.test  ann@one.test, bob@two.test\n@old.test @relay.test\n")
    scene.wait_rcpt("late@relay.test", 550, within=10)
    wait.until(lambda: scene.cluster.metric("barid_table_files_stale") == 0, 10, "all is well again")


# ---- baridctl


def failing(scene, *arguments):
    done = subprocess.run([CTL, "--config", scene.cluster.conf, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def test_baridctl_changes_nothing_unasked(scene):
    code, said = failing(scene, "alias", "set", "a@relay.test", "b@one.test")
    assert code == 2 and "--yes" in said
    told = scene.ctl("alias", "set", "A@Relay.Test", "b@One.Test", "--dry-run")
    assert told["dry_run"] and told["changes"] == 1 and told["done"] == 0
    assert told["sample"] == [{"address": "A@relay.test", "before": None, "after": "b@one.test"}]
    assert scene.redis.hlen(ALIASES) == 0


@pytest.mark.parametrize("arguments", [
    ["alias", "set", "nobody", "b@one.test"], ["alias", "set", "a@relay.test", "b"], ["alias", "set", "a@relay.test", "@one.test"],
    ["alias", "set", "a@relay.test", "b@one.test,"], ["alias", "set", "a@[127.0.0.1]", "b@one.test"], ["alias", "rm", "*"], ["alias", "show", ""],
    ["recipient", "add", "a b@relay.test"], ["recipient", "add", "x" * 65 + "@relay.test"]])
def test_baridctl_refuses_what_is_no_address(scene, arguments):
    code, said = failing(scene, *arguments, *([] if arguments[1] == "show" else ["--yes"]))
    assert code == 2 and "expected" in said
    assert scene.redis.hlen(ALIASES) == scene.redis.hlen(RECIPIENTS) == 0


def test_what_is_not_there_cannot_be_removed_or_shown(scene):
    assert failing(scene, "alias", "rm", "a@relay.test", "--yes") == (1, "baridctl: a@relay.test is not there\n")
    assert failing(scene, "alias", "show", "a@relay.test")[0] == 1


def test_a_file_can_be_imported_and_replace_what_there_is(scene):
    path = os.path.join(os.path.dirname(scene.files["aliases"]), "import")
    write(path, "a@relay.test x@one.test\nb@relay.test y@two.test # two\n@c.test @d.test\n")
    told = scene.ctl("alias", "import", path, "--yes")
    assert (told["changes"], told["same"], told["done"]) == (3, 0, 3)
    assert scene.ctl("alias", "import", path, "--yes")["same"] == 3
    assert [row["address"] for row in scene.ctl("alias", "list")] == ["@c.test", "a@relay.test", "b@relay.test"]
    assert [row["address"] for row in scene.ctl("alias", "list", "--match", "ONE.test")] == ["a@relay.test"]
    write(path, "b@relay.test z@two.test\n")
    told = scene.ctl("alias", "import", path, "--replace", "--dry-run")
    assert told["changes"] == 3 and scene.redis.hlen(ALIASES) == 3
    assert scene.ctl("alias", "import", path, "--replace", "--yes")["done"] == 3
    assert scene.redis.hgetall(ALIASES) == {b"b@relay.test": b"z@two.test"}
    write(path, "b@relay.test\n")
    code, said = failing(scene, "alias", "import", path, "--yes")
    assert code == 1 and f"{path}: line 1: " in said
    scene.ctl("alias", "rm", "b@relay.test", "--yes")


def test_recipients_can_be_imported(scene):
    path = os.path.join(os.path.dirname(scene.files["aliases"]), "import")
    write(path, "".join(f"user{n}@listed.test\n" for n in range(5000)) + "@all.test\nsome@all.test\n")
    told = scene.ctl("recipient", "import", path, "--yes", timeout=60)
    assert told["done"] == told["changes"] == 5003
    rows = {row["address"]: row["known"] for row in scene.ctl("recipient", "list")}
    assert rows["@listed.test"] == "listed" and rows["@all.test"] == "all" and rows["user7@listed.test"] == "ok"
    scene.wait_rcpt("user4999@listed.test", 250)
    scene.wait_rcpt("user5000@listed.test", 550)
    write(path, "@all.test\n")
    assert scene.ctl("recipient", "import", path, "--replace", "--yes", timeout=60)["done"] == 5002
    scene.wait_rcpt("user5000@listed.test", 250)
    assert "all of the domain are" in scene.cluster.baridctl("recipient", "list")
    scene.ctl("recipient", "rm", "@all.test", "--yes")
    assert scene.redis.hlen(RECIPIENTS) == 0


def test_config_check_reads_the_files_of_the_tables(scene):
    folder = os.path.dirname(scene.files["aliases"])
    path, conf = os.path.join(folder, "broken"), os.path.join(folder, "check.yaml")
    write(conf, f"tables: {{recipients: [{path}]}}\n")
    write(path, "bob@relay.test\n")
    assert failing(scene, "config", "check", conf) == (0, f"{conf}: in order\n")
    write(path, "bob@relay.test\nann\n")
    code, said = failing(scene, "config", "check", conf)
    assert code == 1 and f'{path}: line 2: "ann" is neither an address nor @domain' in said
    os.remove(path)
    assert failing(scene, "config", "check", conf)[0] == 1
