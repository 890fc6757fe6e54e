"""The units of plain hosts: systemd understands them, they are closed as far as they can be, and they wait as long as a node drains."""

import glob
import os
import re
import subprocess

import pytest

from harness import paths

UNITS = sorted(glob.glob(os.path.join(paths.REPOSITORY, "deploy", "systemd", "*.service")))
ROLES = ["courier", "dispatcher", "ingress"]
SECONDS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600}


def values(unit, key):
    with open(unit, encoding="utf-8") as file:
        return re.findall(rf"^{key}=(.*)$", file.read(), re.MULTILINE)


def analyze(*argv):
    return subprocess.run(["systemd-analyze", *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


@pytest.fixture(scope="module", name="placed")
def units_beside_the_programs(tmp_path_factory):
    """The units as `make install` writes them for programs that are here: a unit whose program is missing is refused."""
    folder = tmp_path_factory.mktemp("units")
    for unit in UNITS:
        with open(unit, encoding="utf-8") as file:
            text = file.read().replace("/usr/bin/barid-", os.path.join(paths.BUILD, "bin", "barid-"))
        (folder / os.path.basename(unit)).write_text(text)
    return folder


def test_there_is_one_for_each_role():
    assert [os.path.basename(unit) for unit in UNITS] == [f"barid-{role}.service" for role in ROLES]


@pytest.mark.parametrize("role", ROLES)
def test_systemd_understands_it(placed, role):
    result = analyze("verify", "--man=no", str(placed / f"barid-{role}.service"))
    assert result.returncode == 0 and not result.stdout, result.stdout.decode()


@pytest.mark.parametrize("role", ROLES)
def test_it_is_closed(placed, role):
    """2.0 of 10 at most: what remains is the network, and that a node may ask for more descriptors."""
    result = analyze("security", "--offline=true", "--threshold=20", str(placed / f"barid-{role}.service"))
    assert result.returncode == 0, result.stdout.decode()


def test_only_the_ingress_may_bind_low_ports():
    assert {os.path.basename(unit): values(unit, "CapabilityBoundingSet") for unit in UNITS} == {
        "barid-ingress.service": ["CAP_NET_BIND_SERVICE"], "barid-dispatcher.service": [""], "barid-courier.service": [""]}


@pytest.mark.parametrize("unit", UNITS)
def test_it_waits_longer_than_a_node_drains(unit):
    with open(os.path.join(paths.REPOSITORY, "deploy", "barid.yaml"), encoding="utf-8") as file:
        amount, what = re.search(r"#drain_time: (\d+)(\w+)", file.read()).groups()
    assert int(values(unit, "TimeoutStopSec")[0]) > int(amount) * SECONDS[what]


def test_make_install_puts_them_where_it_is_told(tmp_path):
    """With the path of its own programs, and without rights that nobody needs."""
    with open(os.path.join(paths.REPOSITORY, "Makefile"), encoding="utf-8") as file:
        recipe = file.read().split("\ninstall: all\n")[1].split("\n\n")[0]
    lines = "\n".join(line for line in recipe.splitlines() if "systemd" in line)
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"PREFIX := /opt/barid\nDESTDIR := {tmp_path}/out\nSYSTEMD ?= /etc/systemd/system\n"
                        f"units_of_systemd := $(wildcard deploy/systemd/*.service)\ninstall:\n{lines}\n")
    subprocess.run(["make", "-f", makefile, "install"], cwd=paths.REPOSITORY, check=True, stdout=subprocess.DEVNULL,
                   env={"PATH": os.environ["PATH"]})
    for role in ROLES:
        unit = tmp_path / f"out/etc/systemd/system/barid-{role}.service"
        assert values(unit, "ExecStart") == [f"/opt/barid/bin/barid-{role} --config /etc/barid/barid.yaml"]
    assert (tmp_path / "out/opt/barid/lib/sysusers.d/barid.conf").is_file()
