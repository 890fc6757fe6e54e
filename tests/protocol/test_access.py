"""Rights in Redis: access.def names every script, what it touches and who sends it, and no more than is needed."""

import pytest
import redis as client

from protocol import access, scripts
from protocol.calls import Partition

ROLES = ["ingress", "dispatcher", "courier", "operator"]
CONTENT, RECORD, USER = "b:{0}:01J.0:0", "j:{0}:01J.0", "barid:{c}:users"


@pytest.fixture(scope="module")
def rights():
    return access.Access()


@pytest.fixture(scope="module")
def loaded_roles(loaded, rights):
    return {role: access.set_role_user(loaded.redis, role, rights) for role in ROLES}


@pytest.fixture
def may(store, loaded_roles):
    """May this role send this command?"""

    def ask(role, *command):
        return store.redis.execute_command("ACL", "DRYRUN", loaded_roles[role], *command) == "OK"

    return ask


def test_every_script_has_its_rights_and_somebody_who_sends_it(rights):
    names = set(scripts.assemble(scripts.sources()))
    assert {right.who for right in rights.touches} == names
    assert {script for _, script in rights.runs} == names
    assert {role for role, _ in rights.runs} == {*ROLES, "every"}


def test_no_row_speaks_of_a_command_that_its_script_does_not_know(rights):
    texts = scripts.assemble(scripts.sources())
    for right in rights.touches:
        for command in right.commands:
            assert f'"{command.upper()}"' in texts[right.who], f"{right.who} never sends {command}"


def test_carry_has_the_rights_of_commit(rights):
    def rows(script):
        return {(right.rights, right.commands, right.keys) for right in rights.of_script(script)}

    assert rows("carry") == rows("commit")


def test_a_right_that_is_missing_is_noticed(store, server, rights):
    part, whole = Partition("0"), rights.of_script("commit")
    for index, missing in enumerate(whole):
        name = access.set_script_user(store.redis, "commit", whole[:index] + whole[index + 1:])
        store.empty()
        store.users["commit"] = server.client(decode_responses=True, username=name, password="none")
        failed = None
        try:
            call = part.commit(f"A{index}.0", "a.example", tenant="acme")
            store.run(call)
            if missing.commands == ("hget",):
                store.run(call)  # a repeat asks the record
            if missing.commands == ("get",):
                store.redis.set(part.seen("B.0"), "digest")
                store.run(part.commit("B.0", "a.example"))
        except client.exceptions.ResponseError as error:
            failed = error
        assert failed or store.redis.acl_log(), f"nothing needs {missing}"
        store.redis.acl_log_reset()
    name = access.set_script_user(store.redis, "commit", whole)
    store.users["commit"] = server.client(decode_responses=True, username=name, password="none")


def test_ingress_reads_no_content(may):
    for command in (["GET"], ["GETRANGE", "0", "9"], ["GETEX"], ["GETDEL"], ["DUMP"], ["SUBSTR", "0", "9"], ["APPEND", "x"]):
        assert not may("ingress", command[0], CONTENT, *command[1:]), command
    assert not may("ingress", "SET", CONTENT, "x", "GET")
    assert not may("ingress", "COPY", CONTENT, "b:{0}:mine:0") and not may("ingress", "RENAME", CONTENT, "seen:{0}:x")
    assert may("ingress", "SET", CONTENT, "x", "EX", "600", "NX") and may("ingress", "STRLEN", CONTENT)


@pytest.mark.parametrize("role", ["dispatcher", "courier"])
def test_only_ingress_and_the_operator_read_users(may, role):
    for command in (["HGET", USER, "x"], ["HGETALL", USER], ["HSCAN", USER, "0"], ["HSET", USER, "x", "y"], ["GET", "barid:{c}:secret"],
                    ["HGET", "barid:{c}:tenants", "x"], ["GET", "barid:{c}:ticket:1"]):
        assert not may(role, *command), command
    assert may("ingress", "HGET", USER, "x") and may("operator", "HGET", USER, "x")


def test_a_dispatcher_touches_no_mail(may):
    for command in (["GET", CONTENT], ["SET", CONTENT, "x"], ["UNLINK", CONTENT], ["UNLINK", RECORD]):
        assert not may("dispatcher", *command), command


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_what_nobody_needs(may, role):
    for command in (["KEYS", "*"], ["FLUSHALL"], ["FLUSHDB"], ["DEBUG", "SLEEP", "1"], ["CONFIG", "SET", "appendonly", "no"], ["SHUTDOWN"],
                    ["ACL", "LIST"], ["MONITOR"], ["REPLICAOF", "NO", "ONE"], ["MODULE", "LIST"], ["SELECT", "1"], ["SWAPDB", "0", "1"],
                    ["SCRIPT", "FLUSH"], ["FUNCTION", "FLUSH"], ["BGREWRITEAOF"], ["SAVE"], ["PUBLISH", "x", "y"],
                    ["SET", "anything", "x"], ["GET", "anything"], ["MIGRATE", "h", "1", "k", "0", "1"]):
        assert not may(role, *command), command
    assert may(role, "CLIENT", "LIST") == (role == "operator"), "store export --move asks whether another one is under way"


@pytest.mark.parametrize("role", ROLES)
def test_a_script_of_a_strangers_making_can_do_no_more(server, store, loaded_roles, role):
    store.redis.set("anything", "secret")
    with server.client(decode_responses=True, username=loaded_roles[role], password="none") as user:
        for text in ('return redis.call("GET", KEYS[1])', 'return redis.call("KEYS", "*")', 'return redis.call("FLUSHALL")'):
            with pytest.raises(client.exceptions.ResponseError):
                user.eval(text, 1, "anything")
    store.redis.acl_log_reset()
