"""Waiting for an event with a deadline. The only place of the harness that sleeps."""

import time


class Deadline(AssertionError):
    """What was waited for did not happen in time."""


def until(predicate, timeout, what, pause=0.01):
    """
    Calls predicate() until it returns something true, and returns that. `what` may be a function that tells
    it at the end.
    """
    end = time.monotonic() + timeout
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() >= end:
            raise Deadline(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
