"""
Every program is crashed and stopped at every named step between first byte and last write (lib/base/fault.def), with messages of every kind
under way. After each step the invariants of the queue are checked, and a line says what happened to the message.
"""

import os
import queue
import threading
import traceback

from lane import Lane
from steps import points, walk

LANES = 4  # clusters side by side: most of a step is waiting for a burial
ENOUGH_PROBLEMS = 20
ONLY = os.environ.get("FAULT_STEPS", "")  # FAULT_STEPS=before_dot: only steps whose line has the word


class Broken(Exception):
    """A step went wrong; its cluster is of no further use."""


def walk_all(steps, build, lanes, say):
    """Problems of all steps, told as they come."""
    todo, problems, lock = queue.Queue(), [], threading.Lock()
    for step in steps:
        todo.put(step)

    def walk_lane(number):
        """Steps, one after the other, until there are none, or one leaves the cluster in a state of which nobody knows."""
        with Lane(number, build) as lane:
            while len(problems) < ENOUGH_PROBLEMS:
                try:
                    step = todo.get_nowait()
                except queue.Empty:
                    return
                happened, wrong = lane.walk(step)
                with lock:
                    say(f"{step} {happened}")
                    for problem in wrong:
                        say(f"    PROBLEM: {problem}")
                        problems.append(f"{step}: {problem}")
                if wrong:
                    raise Broken(step)

    def work(number):
        try:
            while not todo.empty() and len(problems) < ENOUGH_PROBLEMS:
                try:
                    walk_lane(number)
                except Broken:
                    pass
        except BaseException:  # told to the test below
            with lock:
                problems.append(f"lane {number}: {traceback.format_exc()}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not todo.empty():
        problems.append(f"{todo.qsize()} steps were not walked")
    return problems


# proves: A01 A02 A05 A07 A09 A12 A14 K22
def test_every_fault_point_is_survived(build, capsys):
    steps = [step for step in walk() if ONLY in str(step)]
    unnamed = set(points()) - {step.point.name for step in steps}
    with capsys.disabled():
        print(f"\n{len(steps)} steps", flush=True)
        problems = walk_all(steps, build, LANES, lambda line: print(line, flush=True))
    assert not unnamed or ONLY, f"no step passes {sorted(unnamed)}"
    assert problems == []
