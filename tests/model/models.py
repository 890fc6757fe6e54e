"""
Which models there are, what each switch must violate, and how Spin verifies one: spin writes a verifier in C, gcc compiles it, it visits
every state. A property's name stands in the text of its assertion (property.pml).
"""

import os
import re
import shutil
import subprocess
from collections import namedtuple

HERE = os.path.dirname(os.path.abspath(__file__))
Case = namedtuple("Case", "model switches violates")    # violates: a property's name, or None: it holds


def cases(model, holds, fails):
    return [Case(model, switches, None) for switches in holds] + [Case(model, *row) for row in fails]


CASES = (
    cases("dot", ["", "OUTAGE TICK_MS=500"], [
        ("NO_CHECK LIVES=1", "inv4_no_dot_when_buried"), ("NO_COMPARE LIVES=1", "inv4_no_dot_when_buried"),
        ("SAME_COUNT LIVES=1", "inv4_no_dot_when_buried"), ("EARLY_DEAD LIVES=1", "inv4_no_dot_when_buried"),
        ("LATE_DOT LIVES=1", "inv4_no_dot_when_buried"), ("STOP=3 LIVES=1", "inv4_no_dot_when_buried"),
        ("NO_LAST", "inv5_no_second_copy"), ("OTHER_LIFE", "inv4_no_dot_when_buried"), ("OUTAGE TICK_MS=500 NO_GAP", "nobody_is_buried")]) +
    cases("settle", [""], [
        ("NO_TOKEN", "inv3_one_worker"), ("LATE", "inv3_one_worker"), ("NO_FATE", "orders_are_kept"), ("HOLD_FORGETS", "orders_are_kept"),
        ("SPLIT_REPORT", "inv6_one_report"), ("TWO_REPORTS", "inv6_one_report"), ("NO_NOTE OPS=0", "inv5_no_second_copy"),
        ("NO_DOUBT OPS=0", "inv5_no_second_copy"), ("HIS_QUEUE", "inv2_one_place")]) +
    cases("accept", [""], [
        ("PLAIN_SET", "inv1_250_is_durable"), ("NO_WAIT", "inv1_250_is_durable"), ("REVOKE_ALL", "inv5_no_second_copy"),
        ("NO_MARK", "inv5_no_second_copy"), ("NO_REVOKED", "inv5_no_second_copy"), ("LATE_MARK", "inv5_no_second_copy"),
        ("NO_DOUBT", "inv5_no_second_copy")]) +
    cases("failover", [""], [
        ("EARLY_250", "inv1_250_is_durable"), ("OWN_WRITES", "inv1_250_is_durable"), ("TWO_FAILURES", "inv1_250_is_durable"),
        ("EARLY_CLAIM", "inv3_one_worker"), ("EARLY_VIEW", "inv3_one_worker"), ("EARLY_SETTLE", "inv5_no_second_copy"),
        ("NO_FENCE", "inv5_no_second_copy")]) +
    cases("promote", [""], [
        ("ONE_IS_ENOUGH", "inv1_250_is_durable"), ("NO_GATHERING", "inv1_250_is_durable"), ("ONE_HISTORY", "inv1_250_is_durable"),
        ("NOT_KEPT", "inv1_250_is_durable"), ("LATE_LOOK", "inv1_250_is_durable"), ("FAULTS=2", "inv1_250_is_durable")]) +
    cases("fanout", ["", "CRASHES=2", "OPS=1 MOVES=0", "OPS=2 MOVES=0 SILENT=0"], [
        ("END_EARLY", "content_stays"), ("NOTE_FIRST", "content_stays"), ("HOPES", "content_stays"), ("STOPS", "others_go_on"),
        ("NO_MARK", "inv5_no_second_copy"), ("NO_DOUBT", "inv5_no_second_copy"), ("NO_AGE", "inv5_no_second_copy"),
        ("NO_NOTE CRASHES=2", "inv5_no_second_copy"), ("DENIES", "inv6_one_report"), ("TELLS_UNKNOWN", "inv6_one_report"),
        ("DOUBTS_TOLD", "inv6_one_report"), ("BELIEVES_NO", "inv6_one_report"), ("NO_REVOKE OPS=2 MOVES=0 SILENT=0", "content_stays"),
        ("REST_ONLY OPS=2 MOVES=0 SILENT=0", "content_stays"), ("BOUNCE_WHOLE OPS=2 MOVES=0 SILENT=0", "inv6_one_report"),
        ("HELD_LATER OPS=2 MOVES=0 SILENT=0", "orders_are_kept"), ("HOLD_FORGETS OPS=2 MOVES=0 SILENT=0", "orders_are_kept"),
        ("BACK_FORGETS OPS=2 MOVES=0 SILENT=0", "orders_are_kept"), ("FORGETS_CRASH OPS=2 MOVES=0 SILENT=0", "inv5_no_second_copy")]) +
    cases("lease", [""], [
        ("ALONE=4", "limit_is_kept"), ("FROM_SENT", "limit_is_kept"), ("FROM_ARRIVAL", "limit_is_kept"), ("USE_READ", "limit_is_kept"),
        ("JUMP", "limit_is_kept")]) +
    cases("handover", [""], [
        ("NO_SETTLE", "limit_is_kept"), ("NO_MARGIN", "limit_is_kept"), ("NET=1", "limit_is_kept"), ("LOSS", "limit_is_kept")]) +
    cases("slot", [""], [("NO_NEVER", "half_moved_is_unseen")]) +
    cases("alive", [""], [
        ("REAP_ONCE", "delivered_in_the_end"), ("NO_REPEAT", "delivered_in_the_end"), ("DUE_ONCE", "delivered_in_the_end")]))

# `make model`: minutes, and gigabytes.
LARGE = (
    cases("dot", ["TICK_MS=500 DRIFT=1", "CLAIMS=2", "OUTAGE TICK_MS=500 CLAIMS=2"], [("TICK_MS=500 DRIFT=2", "inv4_no_dot_when_buried")]) +
    cases("settle", ["OPS=2", "CLAIMS=3 OPS=0"], []) +
    cases("failover", ["CLAIMS=2"], []) +
    cases("fanout", ["CRASHES=2 SILENT=2", "OPS=1 CRASHES=0", "OPS=1 MOVES=1"], []) +
    cases("lease", ["MAXTOK=4", "JUMP ALLOW=2"], [("JUMP ALLOW=1", "limit_is_kept")]))

LIVENESS = {"alive"}    # the property is a formula, not an assertion
Result = namedtuple("Result", "violated states text")


def run(argv, folder, seconds):
    result = subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
                            check=False)
    return result.returncode, result.stdout.decode("utf-8", "replace")


def verify(case, folder, seconds, megabytes=3000):
    """What was violated (None: nothing, after every state was seen)."""
    for name in os.listdir(HERE):
        if name.endswith(".pml"):
            shutil.copy(os.path.join(HERE, name), folder)
    defines = ["-D" + switch for switch in case.switches.split()]
    code, text = run(["spin", "-a", *defines, case.model + ".pml"], folder, 60)
    assert code == 0, text
    how = ["-DNFAIR=3"] if case.model in LIVENESS else ["-DSAFETY", "-DNOCLAIM", "-DCOLLAPSE"]
    optimise = "-O1" if case.violates else "-O2"
    code, text = run(["gcc", optimise, "-w", *how, f"-DMEMLIM={megabytes}", "-o", "pan", "pan.c"], folder, 120)
    assert code == 0, text
    _, text = run(["./pan", *(["-a", "-f", "-m200000"] if case.model in LIVENESS else ["-E", "-m3000000"]), "-n"], folder, seconds)
    errors = re.search(r"errors: (\d+)", text)
    states = re.search(r"^\s*(\d+) states, stored", text, re.MULTILINE)
    assert errors and states and "Search not completed" not in text or errors and errors[1] != "0", text
    assert "max search depth too small" not in text, text
    if errors[1] == "0":
        return Result(None, int(states[1]), text)
    if case.model in LIVENESS:
        assert "acceptance cycle" in text, text
        return Result("delivered_in_the_end", 0, text)
    named = re.search(r"assertion violated .*\|\|(\w+)\)", text)
    assert named, text
    return Result(named[1], 0, text)
