"""
The walk: which message passes which fault point, and what is done to the process there. The points are the rows of lib/base/fault.def; one that
no line here names fails the walk.

A message is shape/size/outcome:
  single  one recipient                    small    one chunk                                   success   every recipient is taken
  two     three recipients of one queue,   chunked  three chunks; of many queues: kept by       deferral  one gets 451 once
          in two transactions                       the parent until the last child is gone     failure   one gets 550: a notification
  many    three queues                     binary    as chunked, by BDAT in and out
                                           submitted one chunk   } by a user of a tenant over TLS, in pieces by BDAT,
                                           bulky     three chunks} its header section mended
  store   as two, to a mail store (LMTP)
  moved   one recipient, and the sender's lane is not the one it was committed to; it has a pool
crash is SIGKILL, at the first pass or at #n. pause is SIGSTOP until the process is buried and others have finished, then SIGCONT. cut is a
crash while Redis stands still, which then loses power.
"""

import os
import re

from harness import paths

_ROW = re.compile(r'^FAULT\((\w+), "(\w+)", "(.*)"\)$', re.MULTILINE)

_WALK = """
data_begun        crash   single/small/success single/chunked/success many/small/success
header_mended     crash   single/submitted/success many/bulky/success
chunk_answered    crash   single/submitted/success single/bulky/success
chunk_answered    pause   single/bulky/success
chunk_written     crash   single/chunked/success single/chunked/failure many/chunked/success many/bulky/success
chunk_written#2   crash   single/chunked/deferral
chunk_written     pause   single/chunked/success
chunk_written     crash   single/binary/success
content_judged    crash   single/small/success single/submitted/success
content_judged    pause   single/submitted/success
commit_sent       crash   single/small/success single/chunked/success many/small/failure many/chunked/success single/submitted/success
commit_sent       pause   single/small/success
commit_sent       cut     single/small/success many/chunked/success single/submitted/success many/bulky/success
commit_confirmed  crash   single/small/success single/binary/success many/submitted/success single/bulky/failure single/chunked/failure many/small/success many/chunked/deferral
commit_confirmed  pause   many/small/success
accepted_sent     crash   single/small/success single/submitted/failure single/chunked/success many/small/deferral many/chunked/success
accepted_sent     pause   single/small/failure
ring_sent         crash   single/small/success many/small/success
revoke_sent       crash   single/small/success many/chunked/success single/submitted/success
revoke_confirmed  crash   single/small/success single/chunked/success many/bulky/success

lease_acquired    crash   single/small/success many/small/failure
lease_kept        crash   single/small/success
lease_kept        pause   single/small/deferral
ring_received     crash   single/small/success many/small/success
due_found         crash   single/small/deferral many/small/failure
grant_sent        crash   single/small/success many/small/deferral
grant_sent        pause   many/small/success
bury_sent         crash   single/small/success
buried            crash   single/small/success many/small/success
buried            pause   single/small/success
reap_sent         crash   single/small/success
reaped            crash   single/small/success many/chunked/success single/submitted/success

grant_received    crash   single/small/success many/small/success
claim_sent        crash   single/small/success many/small/success
claim_sent        pause   single/chunked/success
claim_received    crash   single/small/success single/chunked/success many/small/failure many/chunked/success
claim_received    pause   single/small/failure many/small/success
claim_received    crash   moved/small/success
content_read      crash   single/small/success single/chunked/failure
content_read      pause   single/small/deferral
move_begun        crash   moved/small/success moved/chunked/failure
move_begun        pause   moved/small/deferral
move_sent         crash   moved/small/success moved/chunked/success
move_sent         pause   moved/small/failure
moved             crash   moved/small/deferral moved/small/success
moved             pause   moved/chunked/success
connected         crash   single/small/success many/chunked/success
connected         pause   single/small/success
tls_started       crash   single/small/success many/small/failure
tls_started       pause   single/small/success
tls_secured       crash   single/small/success single/chunked/deferral
tls_secured       pause   single/small/failure
key_asked         crash   single/small/success many/small/success
key_asked         pause   single/small/success
greeted           crash   single/small/deferral
mail_sent         crash   single/small/success single/small/failure single/chunked/success
mail_sent#2       crash   two/small/success two/small/failure
mail_sent         pause   single/small/failure
data_answered     crash   single/small/success single/binary/success many/chunked/success
data_answered     pause   single/small/success
mid_content       crash   single/chunked/success single/binary/success many/chunked/success
mid_content       pause   single/chunked/success single/binary/success many/chunked/success
before_dot        crash   single/small/success single/binary/success single/chunked/deferral many/small/success
before_dot        pause   single/small/success single/binary/success two/small/success many/small/failure
dot_checked       crash   single/small/success single/binary/success
dot_checked       pause   single/small/success
after_dot         crash   single/small/success single/binary/success single/chunked/success many/chunked/failure
after_dot         pause   single/small/success single/binary/success
after_dot         crash   store/small/success moved/small/success
store_answered    crash   store/small/success store/small/failure store/chunked/deferral
store_answered    pause   store/small/success store/small/failure
dot_answered      crash   store/small/success
dot_answered      crash   single/small/success single/binary/success two/small/success many/small/success
dot_answered      pause   single/small/success
note_sent         crash   two/small/success two/small/failure
note_sent         pause   two/small/success
note_confirmed    crash   two/small/success two/small/deferral
note_confirmed    pause   two/small/failure
dsn_made          crash   single/small/failure single/chunked/failure many/small/failure two/small/failure single/submitted/failure
dsn_made          pause   single/small/failure
settle_sent       crash   single/small/success single/small/deferral single/small/failure single/chunked/failure many/chunked/failure
settle_sent       crash   many/submitted/failure single/bulky/deferral
settle_sent       pause   single/small/failure single/submitted/success
settle_confirmed  crash   single/small/success single/small/deferral single/small/failure single/chunked/success many/small/failure
settle_confirmed  pause   single/small/deferral
carry_sent        crash   many/small/success many/chunked/failure single/small/failure many/submitted/success
carry_sent        pause   many/small/success
carried           crash   many/small/success many/chunked/success many/bulky/success
carried#2         crash   many/small/deferral
carried           pause   many/chunked/success
all_carried       crash   many/small/success many/chunked/deferral
all_carried       pause   many/small/failure
fanout_ended      crash   many/small/success many/chunked/success single/small/failure many/bulky/success
fanout_ended      pause   many/chunked/success
readers_counted   crash   many/chunked/success
readers_counted   pause   many/chunked/success
"""

# A dot is open there: its reply may be lost with the process, and the message may be sent again.
# A mail store may have answered for some of its recipients: what it said is known only to the process, until all have their answer.
DOT_IS_OPEN = {("dot_checked", "pause"), *((name, action) for name in ("after_dot", "store_answered", "dot_answered") for action in ("crash", "pause"))}

# Of a message to many queues one job is being settled there, while the dots of the others may be open.
OTHER_DOTS_MAY_BE_OPEN = {"dsn_made", "settle_sent", "settle_confirmed"}


class Point:
    """A row of fault.def."""

    def __init__(self, name, program, text):
        self.name, self.program, self.text = name, program, text


def points():
    """{name: Point}, in the order of the table."""
    with open(os.path.join(paths.REPOSITORY, "lib", "base", "fault.def"), encoding="utf-8") as file:
        return {row[0]: Point(*row) for row in _ROW.findall(file.read())}


class Step:
    """One point, one message, one thing done."""

    def __init__(self, number, point, nth, action, message):
        self.number, self.point, self.nth, self.action = number, point, nth, action
        self.message = message
        self.shape, self.size, self.outcome = message.split("/")

    @property
    def name(self):
        return self.point.name + (f"#{self.nth}" if self.nth > 1 else "")

    @property
    def has_open_dot(self):
        return (self.point.name, self.action) in DOT_IS_OPEN or (self.shape == "many" and self.point.name in OTHER_DOTS_MAY_BE_OPEN)

    def __str__(self):
        return f"{self.name:<17} {self.point.program:<10} {self.action:<6} {self.message:<23}"


def walk():
    """All steps."""
    rows, found = points(), []
    for line in filter(None, _WALK.splitlines()):
        place, action, *messages = line.split()
        name, _, nth = place.partition("#")
        found += [(rows[name], int(nth or 1), action, message) for message in messages]
    return [Step(number, *one) for number, one in enumerate(found)]
