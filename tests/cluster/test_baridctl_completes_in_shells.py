"""`baridctl completion`: each shell itself is asked what it offers at the end of a line, by what baridctl printed for it."""

import json
import os
import shlex
import subprocess

import pytest

from harness import paths, wait
from harness.terminal import Terminal

CTL = paths.program("baridctl")
BIN = os.path.dirname(CTL)


def verbs():
    text = subprocess.run([CTL, "help", "--json"], stdout=subprocess.PIPE, check=True).stdout
    return [verb["verb"] for verb in json.loads(text)["verbs"]]


SECONDS_OF_MSG = {name.split()[1] for name in verbs() if name.startswith("msg ")}


# ---- bash

def by_bash(line):
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    script = (f'eval "$({CTL} completion bash)"; COMP_WORDS=({" ".join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}; '
              '_baridctl; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["/bin/bash", "--norc", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    assert not done.stderr, done.stderr
    return [word for word in done.stdout.decode().splitlines() if word]


def test_bash_completes_verbs_and_options():
    assert {"queue", "msg", "top"} <= set(by_bash("baridctl ")) and by_bash("baridctl par") == ["partition"]
    assert set(by_bash("baridctl msg ")) == SECONDS_OF_MSG
    assert by_bash("baridctl queue ho") == ["hold"]
    assert "--sender" in by_bash("baridctl queue hold example.com --s")
    assert by_bash("baridctl --config x.yaml status --js") == ["--json"]
    assert by_bash("baridctl queue hold --sender --") == []  # its value


# ---- fish

def by_fish(line, folder):
    script = f"{CTL} completion fish | source; complete -C {shlex.quote(line)}"
    done = subprocess.run(["fish", "--no-config", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, cwd=folder,
                          env={"HOME": str(folder), "PATH": os.environ["PATH"]})
    assert not done.stderr, done.stderr
    return [word.split("\t")[0] for word in done.stdout.decode().splitlines()]


def test_fish_completes_verbs_and_options(tmp_path):
    (tmp_path / "some.yaml").write_text("")
    assert {"queue", "msg", "top"} <= set(by_fish("baridctl ", tmp_path)) and by_fish("baridctl par", tmp_path) == ["partition"]
    assert set(by_fish("baridctl msg ", tmp_path)) == SECONDS_OF_MSG  # and no files
    assert by_fish("baridctl queue ho", tmp_path) == ["hold"]
    assert "--sender" in by_fish("baridctl queue hold example.com --s", tmp_path)
    assert by_fish("baridctl --config x.yaml status --js", tmp_path) == ["--json"]
    assert by_fish("baridctl config check so", tmp_path) == by_fish("baridctl --config so", tmp_path) == ["some.yaml"]


# ---- zsh: only with a terminal

@pytest.fixture(params=["evaluated", "among its functions"])
def zsh(request, tmp_path):
    (tmp_path / "some.yaml").write_text("")
    terminal = Terminal(str(tmp_path), shell="zsh -f")
    try:
        script = 'eval "$(baridctl completion zsh)"'
        if request.param == "among its functions":
            with open(tmp_path / "_baridctl", "wb") as file:
                file.write(subprocess.run([CTL, "completion", "zsh"], stdout=subprocess.PIPE, check=True).stdout)
            script = ":"
        # A word on a line of its own is not what was typed.
        terminal.type(f"PATH={BIN}:$PATH; fpath=($PWD $fpath); autoload -U compinit && compinit -u -D; {script}; echo it is $((40+2))")
        terminal.wait_text("it is 42")
        yield terminal
    finally:
        terminal.close()


def shows(zsh, line, *words):
    """Tab at the end of the line, what is on the screen then; and a new line."""
    zsh.key("C-u", "C-l")
    wait.until(lambda: zsh.text() in ("$", "$ "), 20, lambda: f"an empty screen\n{zsh.text()}")
    zsh.tmux("send-keys", "-l", line)
    zsh.key("Tab")
    zsh.wait_text(*words)
    assert "not found" not in zsh.text(), zsh.text()


def test_zsh_completes_verbs_and_options(zsh):
    shows(zsh, "baridctl par", "$ baridctl partition")
    shows(zsh, "baridctl queue ho", "$ baridctl queue hold")
    shows(zsh, "baridctl msg ", *SECONDS_OF_MSG)
    shows(zsh, "baridctl queue hold example.com --s", "--sender", "--standing")
    shows(zsh, "baridctl --config x.yaml status --js", "status --json")
    shows(zsh, "baridctl config check so", "check some.yaml")
    shows(zsh, "baridctl --config so", "--config some.yaml")
