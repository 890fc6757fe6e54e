"""HAProxy spreads SMTP sessions over what is behind it, and goes round what is gone."""

import smtplib

from harness.haproxy import HaProxy
from harness.sink import ScriptedSink


def test_spreads_sessions_and_goes_round_a_dead_backend():
    with ScriptedSink() as one, ScriptedSink() as two:
        with HaProxy([("127.0.0.1", one.port), ("127.0.0.1", two.port)]) as balancer:
            def send():
                with smtplib.SMTP("127.0.0.1", balancer.port, timeout=10) as connection:
                    connection.sendmail("a@origin.test", ["b@one.test"], b"Subject: x\r\n\r\nx\r\n")
            for _ in range(6):
                send()
            before = len(one.taken())  # health checks take turns as well: 3, or one more or less
            assert before >= 2 and len(two.taken()) == 6 - before >= 2
            two.stop()
            for _ in range(6):
                send()
            assert len(one.taken()) == before + 6
