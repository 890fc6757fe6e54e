"""Where things are: the repository, its build directory, the private root with the peers."""

import fcntl
import glob
import os
import shutil
import subprocess
import tempfile

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BARID_BUILD", os.path.join(REPOSITORY, "build")))
PEERS = os.environ.get("BARID_PEERS", os.path.join(REPOSITORY, "build", "peers"))
PEER_ROOT = os.path.join(PEERS, "root")


def program(name):
    """The path of one of barid's own programs."""
    return os.path.join(BUILD, "bin", name)


def built(name, *variables, program=None):
    """
    Makes the programs (or one of them) with these variables ("PLANT=early_250"), beside those of BUILD, and returns the
    directory of that kind of build, `name`.
    """
    root = BUILD if os.path.exists(os.path.join(BUILD, ".packages-build")) else os.path.dirname(BUILD)
    with open(os.path.join(root, ".building"), "w") as lock:  # suites run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["make", "-C", REPOSITORY, f"BUILD={root}", *variables, os.path.join(root, name, "bin", program) if program else "all"], check=True,
                       stdout=subprocess.DEVNULL, timeout=600)
    return os.path.join(root, name)


def peer(name):
    """The path of a peer's program: the private root first, else what the host has."""
    for folder in ("usr/sbin", "usr/bin", "sbin", "bin", "usr/lib/postfix/sbin"):
        path = os.path.join(PEER_ROOT, folder, name)
        if os.access(path, os.X_OK):
            return path
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise FileNotFoundError(
            f"{name}: not in {PEER_ROOT} nor on the host; run deploy/install-packages test")
    return found


def library_path():
    """LD_LIBRARY_PATH for programs of the private root."""
    found = [os.path.join(PEER_ROOT, folder) for folder in ("usr/lib/postfix", "usr/lib/dovecot")]
    for pattern in ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*"):
        found += sorted(glob.glob(os.path.join(PEER_ROOT, pattern)))
    return ":".join(found)


def sasl_path():
    """SASL_PATH for clients that use the plugins of the private root."""
    return ":".join(sorted(glob.glob(os.path.join(PEER_ROOT, "usr/lib/*-linux-gnu*/sasl2"))))


def peer_environment(**more):
    """The environment for a program of the private root."""
    return {**os.environ, "LD_LIBRARY_PATH": library_path(), **more}


def scratch(prefix="barid"):
    """
    A new directory with a short path (unix sockets have 107 bytes), open to peers that drop privileges. The
    caller removes it.
    """
    base = os.environ.get("BARID_SCRATCH", "/tmp")
    path = tempfile.mkdtemp(prefix=f"{prefix}-", dir=base)
    os.chmod(path, 0o755)
    return path


def compiled(source, output, *flags):
    """
    Compiles a C file of the harness into build/harness when it is newer than what is there; returns the path.
    """
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), source)
    folder = os.path.join(BUILD, "harness")
    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, output)
    with open(os.path.join(folder, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(source):
            fresh = target + ".new"
            subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", *flags, "-o", fresh, source], check=True)
            os.replace(fresh, target)
    return target
