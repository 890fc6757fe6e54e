"""A bug planted in what a fuzzer feeds is found by it: each is able to fail."""

import os
import re
import shutil
import subprocess

import pytest

from plants import PLANTS

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(TESTS)
BUILD = os.path.abspath(os.environ.get("BARID_BUILD", os.path.join(ROOT, "build")))
RUNS = 100000
# What a sanitizer finds here was planted: it is told to us, not to whoever counts the reports of the programs.
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.endswith("SAN_OPTIONS")}
FUZZERS = sorted(name[:-2] for name in os.listdir(os.path.join(TESTS, "fuzz")) if re.fullmatch(r"fuzz_\w+\.c", name))


def planted(name, fuzzer, source, old, new):
    """Builds a fuzzer with the bug; returns the program's path."""
    with open(os.path.join(ROOT, source), encoding="utf-8") as file:
        text = file.read()
    assert text.count(old) == 1, f"{source} has changed: the bug no longer fits"
    folder = os.path.join(BUILD, "fuzz", "planted", re.sub(r"\W+", "_", name))
    os.makedirs(folder, exist_ok=True)
    changed = os.path.join(folder, os.path.basename(source))
    with open(changed, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))
    subprocess.run(["make", "-j2", f"BUILD={BUILD}", "CC=clang", "SAN=fuzzer-no-link,address,undefined", f"FUZZER={fuzzer}",
                    f"PLANTED={changed}", "planted"], cwd=ROOT, check=True)
    return changed[:-2]


@pytest.mark.parametrize("name, fuzzer, source, old, new", PLANTS, ids=[plant[0].replace(" ", "_") for plant in PLANTS])
def test_the_fuzzer_finds(tmp_path, name, fuzzer, source, old, new):
    program = planted(name, fuzzer, source, old, new)
    short = fuzzer[len("fuzz_"):]
    words = os.path.join(TESTS, "fuzz", short + ".dict")
    grown = tmp_path / "grown"
    grown.mkdir()
    done = subprocess.run([program, "-seed=1", f"-runs={RUNS}", "-max_len=1000", "-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={tmp_path}/",
                           *([f"-dict={words}"] if os.path.exists(words) else []), str(grown), os.path.join(TESTS, "fuzz", "corpus", short)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path, env=ENVIRONMENT,
                          check=False)
    text = done.stdout.decode("utf-8", "replace")
    runs = re.findall(r"^#(\d+)", text, re.MULTILINE)
    print(f"{name}: ended with {done.returncode} behind run {runs[-1] if runs else 0}; "
          + next(iter(re.findall(r"^(?:==\d+==ERROR: |.*runtime error: |bug ).*", text, re.MULTILINE)), text[-300:]))
    shutil.rmtree(os.path.dirname(program))
    assert done.returncode != 0, f"{RUNS} runs did not find: {name}"


def test_every_fuzzer_has_a_planted_bug():
    assert {plant[1] for plant in PLANTS} == set(FUZZERS)
