"""`make deb`: the package is built from what is built, pleases lintian, goes into a private root and out of it again, and its programs run."""

import os
import re
import shutil
import subprocess

import pytest

from harness import paths

VERSION = "9.8.7"


def run(*argv, **more):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **more)


def done(*argv, **more):
    result = run(*argv, **more)
    assert result.returncode == 0, result.stdout.decode()
    return result.stdout.decode()


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deb")
    shutil.copytree(os.path.join(paths.BUILD, "bin"), folder / "bin")
    said = done(os.path.join(paths.REPOSITORY, "deploy", "debian", "build"), folder, VERSION)
    return said.strip().splitlines()[-1]


@pytest.fixture(name="root")
def private_root(tmp_path):
    """A root that dpkg has never seen; nothing of the host is touched."""
    for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").touch()
    return tmp_path


def dpkg(root, *argv):
    # Its dependencies are the host's; its scripts run outside, and know that by DPKG_ROOT.
    return done("dpkg", f"--root={root}", f"--log={root}/dpkg.log", "--force-script-chrootless", "--force-depends", "--force-confold", *argv)


def test_lintian_finds_no_error(package):
    text = done("lintian", "--allow-root", "--fail-on", "error", package)
    assert not re.findall(r"^E: .*", text, re.MULTILINE)


def test_it_depends_on_the_libraries_its_programs_are_linked_with(package):
    needs = done("dpkg-deb", "-f", package, "Depends")
    for library in ("libuv1", "libhiredis0.14", "libzmq5", "libssl3", "libcurl4", "libc6"):
        assert re.search(rf"\b{re.escape(library)} \(>=", needs), needs


def test_it_installs_runs_and_goes(package, root):
    dpkg(root, "-i", package)
    assert "barid" in [line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()]
    assert done(root / "usr/bin/baridctl", "version").startswith("baridctl ")
    for role in ("ingress", "dispatcher", "courier"):
        program = root / f"usr/bin/barid-{role}"
        assert done(program, "--config", root / "etc/barid/barid.yaml", "--check") == "the settings are in order\n"
        assert (root / f"lib/systemd/system/barid-{role}.service").is_file()
        assert (root / f"usr/share/man/man8/barid-{role}.8.gz").is_file()
    for file in ("bash-completion/completions/baridctl", "zsh/vendor-completions/_baridctl", "fish/vendor_completions.d/baridctl.fish"):
        assert "baridctl" in (root / "usr/share" / file).read_text()
    assert b".TH" in done("gzip", "-dc", root / "usr/share/man/man1/baridctl.1.gz").encode()
    # What the operator wrote stays at an upgrade, and while the package is only removed.
    settings = root / "etc/barid/barid.yaml"
    settings.write_text("node: {name: mine.example}\n")
    dpkg(root, "-i", package)
    dpkg(root, "--remove", "barid")
    assert settings.read_text() == "node: {name: mine.example}\n"
    dpkg(root, "--purge", "barid")
    assert not settings.exists() and not (root / "usr/bin/baridctl").exists()


def test_passwords_outlive_the_package(package, root):
    dpkg(root, "-i", package)
    assert (root / "etc/barid/secrets").stat().st_mode & 0o777 == 0o750
    (root / "etc/barid/secrets/courier.password").write_text("secret\n")
    dpkg(root, "--purge", "barid")
    assert (root / "etc/barid/secrets/courier.password").read_text() == "secret\n"


def test_nothing_in_it_is_writable_by_others_or_has_rights_of_its_own(package):
    for line in done("dpkg-deb", "-c", package).splitlines():
        mode, owner = line.split()[:2]
        assert owner == "root/root" and "s" not in mode and mode[8] != "w", line
