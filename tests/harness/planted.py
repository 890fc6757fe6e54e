"""Bugs planted in a source, for a test that must find them."""

import os
import re
import subprocess

from . import paths


def _made(name, source, old, new, *variables):
    """What the make of these variables makes with a copy of that source in which `old`, which it has once, is `new`."""
    with open(os.path.join(paths.REPOSITORY, source), encoding="ascii") as file:
        text = file.read()
    assert text.count(old) == 1, f"{name}: the source has changed"
    root = paths.BUILD if os.path.exists(os.path.join(paths.BUILD, ".packages-build")) else os.path.dirname(paths.BUILD)
    folder = os.path.join(root, "planted", re.sub(r"\W+", "_", name))
    os.makedirs(folder, exist_ok=True)
    changed = os.path.join(folder, os.path.basename(source))
    with open(changed, "w", encoding="ascii") as file:
        file.write(text.replace(old, new))
    subprocess.run(["make", "-C", paths.REPOSITORY, f"BUILD={root}", f"PLANTED={changed}", *variables], check=True, stdout=subprocess.DEVNULL, timeout=600)
    return changed[:-2]


def is_found_by(unit, name, source, old, new, *arguments):
    """Whether the unit test ("tests/unit/io/test_x") fails with that source, a path in the repository, changed so. arguments: for the unit test."""
    made = _made(name, source, old, new, f"UNIT={unit}", "planted-unit")
    return subprocess.run([made, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, check=False).returncode != 0


def program(role, name, source, old, new, *variables):
    """The path of barid-<role> with that source changed so; variables: "SAN=address,undefined"."""
    return _made(name, source, old, new, *variables, f"PROGRAM={role}", "planted-program")
