"""baridctl user: what is written is what is told, bad input is refused with a sentence, and broken records stop nothing else."""

import json
import subprocess

import pytest

from harness.cluster import Cluster
from login import Client, plain

LISTENERS = {"bare": {"role": "internal", "auth": "offered", "auth_without_tls": "yes", "max_errors": 1000}}


@pytest.fixture(scope="module")
def cluster():
    with Cluster(dispatchers=0, couriers=0, settings={"auth": {"failure_delay": "0s"}}, listeners=LISTENERS) as running:
        yield running


def told(cluster, *arguments, stdin=""):
    return json.loads(cluster.baridctl("user", *arguments, "--json", stdin=stdin))


def refusal(cluster, *arguments, stdin=""):
    """The sentence, and the exit status."""
    with pytest.raises(AssertionError) as error:
        cluster.baridctl("user", *arguments, stdin=stdin)
    text = str(error.value)
    return int(text.split(" ended with ")[1].split(":")[0]), text.split("baridctl: ", 1)[1]


def login(cluster, name, password):
    with Client(cluster.address("bare")) as client:
        return client.code(f"AUTH PLAIN {plain(name, password)}")


def test_a_generated_password_is_told_once_and_works(cluster):
    made = told(cluster, "add", "gen@a.test")
    assert len(made["generated_password"]) == 24 and login(cluster, "gen@a.test", made["generated_password"]) == 235
    assert "generated_password" not in told(cluster, "show", "gen@a.test")
    other = told(cluster, "passwd", "gen@a.test")["generated_password"]
    assert other != made["generated_password"] and login(cluster, "gen@a.test", other) == 235
    text = cluster.baridctl("user", "add", "text@a.test")
    assert login(cluster, "text@a.test", text.split()[-1]) == 235


def test_passwords_from_files(cluster, tmp_path):
    file = tmp_path / "password"
    file.write_bytes(b"first line\r\nsecond line\n")
    assert "generated_password" not in told(cluster, "add", "file@a.test", "--password-file", file)
    assert login(cluster, "file@a.test", "first line") == 235
    assert refusal(cluster, "add", "f2@a.test", "--password-file", tmp_path / "missing")[0] == 1
    file.write_bytes(b"")
    assert refusal(cluster, "add", "f2@a.test", "--password-file", file)[0] == 1
    file.write_bytes(b"x" * 1025)
    assert refusal(cluster, "add", "f2@a.test", "--password-file", file)[0] == 1


def test_all_of_it_is_kept(cluster):
    told(cluster, "add", "full", "--no-password", "--tenant", "shop", "--senders", "a@B.test, @c.test,@.d.test , *", "--messages-per-hour", 1, "--messages-per-day", 2,
         "--recipients-per-hour", 3, "--recipients-per-day", 4)
    shown = told(cluster, "show", "full")
    assert shown["senders"] == ["a@b.test", "@c.test", "@.d.test", "*"] and shown["tenant"] == "shop" and shown["password"] == "none"
    assert [shown[key] for key in ("messages_per_hour", "messages_per_day", "recipients_per_hour", "recipients_per_day")] == [1, 2, 3, 4]
    told(cluster, "set", "full", "--messages-per-day", 0, "--senders", "")
    shown = told(cluster, "show", "full")
    assert shown["senders"] == [] and shown["messages_per_day"] == 0 and shown["recipients_per_day"] == 4 and shown["tenant"] == "shop"
    assert [user["name"] for user in told(cluster, "list", "--tenant", "shop")] == ["full"]
    assert "full" in cluster.baridctl("user", "list") and "shop" in cluster.baridctl("user", "show", "full")
    told(cluster, "disable", "full")
    assert told(cluster, "show", "full")["disabled"]
    told(cluster, "enable", "full")
    assert not told(cluster, "show", "full")["disabled"]
    assert told(cluster, "rm", "full")["done"] == "removed"
    assert refusal(cluster, "show", "full") == (1, "there is no user full\n")


@pytest.mark.parametrize("arguments, status, words", [
    (["add", "gen2", "--senders", "nonsense"], 2, "no address"), (["add", "gen2", "--senders", "a@b@c"], 2, "no address"), (["add", "gen2", "--senders", ",,"], 2, "no address"),
    (["add", "gen2", "--messages-per-hour", "many"], 2, ""), (["add", "gen2", "--messages-per-hour", "-1"], 2, ""), (["add", "a\nb"], 2, "control characters"),
    (["add", ""], 2, "255 bytes"), (["add", "x" * 256], 2, "255 bytes"), (["add", "gen2", "--tenant", "x" * 65], 2, "64 bytes"),
    (["add", "gen2", "--verifier", "pencil"], 2, "SCRAM"), (["add", "gen2", "--no-password", "--password-stdin"], 2, "only one"),
    (["add", "gen2", "--senders", ",".join(f"{'x' * 60}{n}@example.test" for n in range(201))], 2, "200 at most"), (["passwd", "nobody"], 1, "no user nobody"),
    (["set", "nobody"], 1, "no user nobody"), (["disable", "nobody"], 1, "no user nobody"), (["rm", "nobody"], 1, "no user nobody"), (["add"], 2, ""),
    (["add", "gen2", "--password-stdin"], 1, "a password has")])
def test_bad_input_is_refused(cluster, arguments, status, words):
    code, sentence = refusal(cluster, *arguments)
    assert code == status and words in sentence
    assert refusal(cluster, "show", "gen2")[1] == "there is no user gen2\n"


def test_a_user_is_added_once(cluster):
    cluster.add_user("once", "first")
    code, sentence = refusal(cluster, "add", "once", "--password-stdin", stdin="second\n")
    assert code == 1 and "already" in sentence and login(cluster, "once", "first") == 235


# proves: M06
@pytest.mark.parametrize("garbage", [b"", b"x", b"\x01\x00\x00\x00\x00", b"\x02" + b"\xff" * 40, b"\x01" + b"\0" * 16000])
def test_broken_records_stop_nothing_else(cluster, garbage):
    cluster.add_user("sound", "right") if "sound" not in cluster.baridctl("user", "list") else None
    redis = cluster.redis.client()
    redis.hset("barid:{c}:users", "broken", garbage)
    assert login(cluster, "broken", "x") == 454  # it may be anybody's: never "wrong password"
    assert login(cluster, "sound", "right") == 235
    argv = [f"{cluster.build}/bin/baridctl", "--config", cluster.conf, "user", "list"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False)
    assert done.returncode == 1 and b"sound" in done.stdout and b"broken cannot be read" in done.stderr
    assert refusal(cluster, "passwd", "broken")[0] == 1
    cluster.baridctl("user", "rm", "broken")
    assert not redis.hexists("barid:{c}:users", "broken")


# proves: M06
def test_a_record_of_another_user_is_broken(cluster):
    cluster.add_user("swap1", "right")
    redis = cluster.redis.client()
    redis.hset("barid:{c}:users", "swap2", redis.hget("barid:{c}:users", "swap1"))
    assert login(cluster, "swap2", "right") == 454
    cluster.baridctl("user", "rm", "swap2")
