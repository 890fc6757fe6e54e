"""Bugs planted in a source, for a unit test that must find them."""

import os
import re
import subprocess

from . import paths


def is_found_by(unit, name, source, old, new):
    """
    Whether the unit test ("tests/unit/io/test_x") fails when in that source, a path in the repository, `old`,
    which it has once, is `new`.
    """
    with open(os.path.join(paths.REPOSITORY, source), encoding="ascii") as file:
        text = file.read()
    assert text.count(old) == 1, f"{name}: the source has changed"
    root = paths.BUILD if os.path.exists(os.path.join(paths.BUILD, ".packages-build")) else os.path.dirname(paths.BUILD)
    folder = os.path.join(root, "planted", re.sub(r"\W+", "_", name))
    os.makedirs(folder, exist_ok=True)
    changed = os.path.join(folder, os.path.basename(source))
    with open(changed, "w", encoding="ascii") as file:
        file.write(text.replace(old, new))
    subprocess.run(["make", "-C", paths.REPOSITORY, f"BUILD={root}", f"UNIT={unit}", f"PLANTED={changed}", "planted-unit"],
                   check=True, stdout=subprocess.DEVNULL, timeout=600)
    found = subprocess.run([changed[:-2]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, check=False)
    return found.returncode != 0
