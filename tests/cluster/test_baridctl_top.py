"""top shows the cluster live, in a real terminal of any size, and gives the terminal back however it ends."""

import os
import shlex
import shutil
import signal
import subprocess

import pytest

from harness import paths, wait
from harness.cluster import Cluster
from harness.generator import Generator
from harness.sink import ScriptedSink, reply
from harness.terminal import Terminal

CTL = paths.program("baridctl")
pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")


@pytest.fixture(scope="module")
def busy():
    """A cluster that delivers some mail, and puts off other."""
    with ScriptedSink() as sink:
        sink.rule("rcpt", reply("450 4.2.1 later"), domain="later.test")
        settings = {"courier": {"routes": {name: f"127.0.0.1:{sink.port}" for name in (".test",)}},
                    "retry": {"first": "600s", "longest": "600s"}}
        with Cluster(settings=settings) as cluster:
            def mail(n):
                return "s@origin.test", [f"r{n}@{'later.test' if n % 10 == 0 else f'q{n % 30}.ok.test'}"]
            with Generator(cluster.addresses, mail, sessions=2, rate=100) as generator:
                generator.wait_acknowledged(100)
                yield cluster
                generator.stop()


@pytest.fixture
def terminal(busy):
    t = Terminal(busy.folder)
    yield t
    t.close()


def start(terminal, busy, *more):
    terminal.type(" ".join(map(shlex.quote, [CTL, "--config", busy.conf, "top", *more])))
    terminal.wait_text("barid   ready", "delivered", "courier1.relay.test")


def rate(terminal, word):
    line = next(line for line in terminal.screen() if line.startswith("rates"))
    return float(line.split(f"{word} ")[1].split("/s")[0])


def test_it_shows_rates_nodes_queues_and_verdicts(busy, terminal):
    start(terminal, busy)
    wait.until(lambda: rate(terminal, "accepted") > 10 and rate(terminal, "delivered") > 10, 20, lambda: f"rates\n{terminal.text()}")
    screen = terminal.screen()
    assert len(screen) == 30 and "q ends" in screen[-1] and screen[0].startswith("barid   ready")
    assert any("later.test" in line for line in screen) and any("full" in line or "rate" in line or "other" in line for line in screen)
    assert {line.split()[1] for line in screen if ".relay.test" in line} == {"ingress", "dispatcher", "courier"}
    terminal.key("q")
    terminal.wait_shell()


def test_keys_choose_sort_and_scroll(busy, terminal):
    start(terminal, busy)
    terminal.key("1")
    terminal.wait_text("role*", "r turns")
    terminal.key("Left")
    terminal.wait_text("node*")
    first = [line.split()[0] for line in terminal.screen() if ".relay.test" in line]
    assert first == sorted(first)
    terminal.key("r")
    wait.until(lambda: [line.split()[0] for line in terminal.screen() if ".relay.test" in line] == first[::-1], 20, "turned")
    terminal.resize(100, 8)
    terminal.wait_text("q ends")
    wait.until(lambda: len(terminal.screen()) == 8, 20, "smaller")
    assert sum(".relay.test" in line for line in terminal.screen()) == 2  # of three: there is no more room
    before = terminal.text()
    terminal.key("Down")
    wait.until(lambda: terminal.screen()[5:7] != before.split("\n")[5:7], 20, lambda: f"scrolled:\n{terminal.text()}")
    terminal.key("Tab")
    terminal.wait_text("waiting*")
    terminal.key("q")
    terminal.wait_shell()


def is_whole(screen, width, height):
    """Its first line is at the top, its last one at the bottom, and none is broken into two."""
    return len(screen) == height and screen[0].startswith("barid") and screen[1].startswith("queue") and \
        screen[-1].startswith("q ends") and all(len(line) <= width for line in screen)


def test_it_follows_the_size_of_its_window(busy, terminal):
    start(terminal, busy)
    for width, height in (60, 12), (140, 45), (20, 5), (100, 30):
        terminal.resize(width, height)
        wait.until(lambda: is_whole(terminal.screen(), width, height), 20, lambda: f"{width} x {height}:\n{terminal.text()}")
    terminal.key("q")
    terminal.wait_shell()


def pid_of_top(terminal):
    shell = int(terminal.flag("pane_pid"))
    with open(f"/proc/{shell}/task/{shell}/children") as file:
        return int(file.read().split()[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGABRT, signal.SIGSEGV])
def test_the_terminal_is_given_back_at_any_end(busy, terminal, number):
    start(terminal, busy)
    os.kill(pid_of_top(terminal), number)
    terminal.wait_shell()


def test_ctrl_c_and_a_store_that_goes_away_end_it_in_order(busy, terminal):
    start(terminal, busy)
    terminal.key("C-c")
    terminal.wait_shell()
    start(terminal, busy)
    fault = busy.freeze_redis()
    wait.until(lambda: terminal.flag("alternate_on") == "0", 40, "it ends")
    busy.thaw_redis(fault)
    terminal.wait_text("did not answer")  # what was said meanwhile comes behind the screen
    terminal.wait_shell()


def test_without_a_terminal_it_says_what_to_do(busy):
    done = subprocess.run([CTL, "--config", busy.conf, "top"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=20, check=False)
    assert done.returncode == 2 and b"--once" in done.stderr
    told = busy.baridctl("top", "--once")
    assert "\x1b" not in told and "courier1.relay.test" in told and "later.test" in told
