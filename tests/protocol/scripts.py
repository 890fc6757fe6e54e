"""The queue's scripts as the build makes them, and copies of them with a planted bug or a changed clock."""

import glob
import os

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib", "cluster", "lua")
CARRY_LINE = "#!lua flags=allow-oom"


def sources(folder=FOLDER):
    """Script name -> text of its file; "prelude" is among them."""
    texts = {}
    for path in glob.glob(os.path.join(folder, "*.lua")):
        with open(path, encoding="utf-8") as file:
            texts[os.path.basename(path)[:-4]] = file.read()
    return texts


def assemble(texts, before=""):
    """Name -> what Redis loads: first line, `before` (a test's own), prelude, rest, no comments; `carry` from commit."""
    scripts = {}
    for name, text in texts.items():
        if name == "prelude":
            continue
        first, rest = text.split("\n", 1)
        lines = (before + texts["prelude"] + rest).splitlines(keepends=True)
        body = "".join(line for line in lines if line.strip() and not line.lstrip().startswith("--"))
        scripts[name] = first + "\n" + body
        if name == "commit":
            scripts["carry"] = CARRY_LINE + "\n" + body
    return scripts


def planted(texts, script, old, new):
    """A copy of the sources in which `old`, found exactly once in that script, reads `new`."""
    if texts[script].count(old) != 1:
        raise ValueError(f"{script}.lua holds {texts[script].count(old)} times: {old}")
    return {**texts, script: texts[script].replace(old, new)}
