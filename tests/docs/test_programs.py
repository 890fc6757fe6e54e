"""What the programs, as built and as installed, cannot do whoever takes them over (docs/security.md)."""

import os
import re
import stat
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BARID_BUILD", os.path.join(ROOT, "build"))
STARTS = re.compile(r"^(execv\w*|execl\w*|fexecve|system|popen|posix_spawn\w*|fork|vfork|wordexp|dlopen)$")


def imports(program):
    text = subprocess.run(["nm", "-D", "--undefined-only", os.path.join(BUILD, "bin", program)], stdout=subprocess.PIPE, check=True).stdout.decode()
    return {line.split()[-1].split("@")[0] for line in text.splitlines() if line.strip()}


@pytest.mark.parametrize("program", ["barid-ingress", "barid-dispatcher", "barid-courier"])
def test_no_node_can_start_a_program(program):
    """No shell, no child, no library by name: an address or a header that looks like a command is text."""
    names = imports(program)
    assert "getenv" in names    # it is a list of names
    assert not {name for name in names if STARTS.match(name)}


def test_baridctl_starts_only_what_it_is_told():
    """`store export --program` names a program, which is run without a shell."""
    assert {name for name in imports("baridctl") if STARTS.match(name)} <= {"execv", "fork"}


def test_nothing_is_installed_with_rights_of_its_own(tmp_path):
    """No set-user-id, and nothing that others may write."""
    with open(os.path.join(ROOT, "Makefile"), encoding="utf-8") as file:
        install = file.read().split("\ninstall: all\n")[1].split("\n\n")[0]
    modes = re.findall(r"install (-d|-m (\d+))", install)
    assert modes and all(kind == "-d" or mode in ("755", "644") for kind, mode in modes)
    for program in os.listdir(os.path.join(BUILD, "bin")):
        mode = os.stat(os.path.join(BUILD, "bin", program)).st_mode
        assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH), program


def test_the_image_does_not_run_as_root():
    with open(os.path.join(ROOT, "deploy", "Dockerfile"), encoding="utf-8") as file:
        users = re.findall(r"^USER (\S+)", file.read(), re.MULTILINE)
    assert users and users[-1] not in ("root", "0")
