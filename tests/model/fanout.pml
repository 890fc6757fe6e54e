/* Fan-out: a parent, N children that read its content, a crash at every step, parts of the store that are away, the operator's orders.
 *
 * A courier claims the parent, asks for its children a window at a time (carry), notes the state after each, then waits until none of them
 * lives, then ends the parent, and the content with it. It may die after any step; a carry of it may still arrive, at any later time. What
 * becomes of each child is in the state (lib/mail/children.c): none (behind `reached`), left (not made, for sure), unknown (asked for, nobody
 * answered), made. A child whose part of the store is away is left, and the others go on. Each child is delivered at some time and needs the
 * content for it. It leaves a mark; marks end (MARK_MS of fanout_child.c) only after a state has long been inexact (INEXACT_MAX_MS): `age` is 0,
 * then OLD, then the marks made before may be gone.
 *
 * Switches, each of which must fail:
 *   END_EARLY    the parent ends when its children are made     NOTE_FIRST    the state is noted before the children are confirmed
 *   NO_MARK      a child that ended leaves no mark              NO_REVOKE     a deleted parent does not revoke children on their way
 *   REST_ONLY    deleted, it looks at children it knows only     BOUNCE_WHOLE  a bounced parent is reported for what it does not know made
 *   HELD_LATER   delete of a held parent leaves it held         HOLD_FORGETS  `hold` in a settle forgets delete
 *   BACK_FORGETS `back` does not obey a hold asked for          STOPS         the first that is away ends the walk
 *   HOPES        nobody answered: taken for made                DENIES        nobody answered: taken for not made
 *   NO_DOUBT     what the dead knew is believed                 NO_AGE        unknown children are asked for at any age
 *   TELLS_UNKNOWN  the sender hears of one that may be there
 *   DOUBTS_TOLD  who was told of is in doubt after a crash     FORGETS_CRASH a release forgets that the last courier died
 *   BELIEVES_NO  a request that was refused says that none before it was executed
 *   NO_NOTE      the next window is begun before what was revisited is noted
 */
#include "property.pml"

#define N 3
#ifndef OPS                /* how often: the operator's orders, deaths, requests that fail, a part of the store that goes or comes */
#define OPS 0
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef SILENT
#define SILENT 1
#endif
#ifndef MOVES
#define MOVES 2
#endif
#define BATCH 2                                                                    /* FANOUT_BATCH, the window */
mtype = { Q, C, H, GONE };  mtype = { none, hold, delete, bounce };
mtype = { far, left, unknown, made_ };
mtype place = Q, f = none; bit k, y, x, waiting, content = 1; bit promised_hold, promised_delete, stopped;
mtype is[N + 1] = far;                                                             /* the state, as stored */
mtype sees[N + 1] = far;                                                           /* as the courier has it */
bit child[N + 1], mark[N + 1], returned[N + 1], was_deleted[N + 1], reported[N + 1], decided[N + 1], told[N + 1];
byte made[N + 1], late;                                                            /* late: a carry on its way */
byte crashes, ops, away, moves, silent, age; bit asking;
#define DIES(where) :: atomic { crashes < CRASHES -> crashes++; where; goto dead }
#ifdef BACK_FORGETS
#define HOLDS_BACK false
#else
#define HOLDS_BACK true
#endif
#ifdef HOLD_FORGETS
#define DELETES_HELD false
#else
#define DELETES_HELD true
#endif
#ifdef HELD_LATER
#define WAKE skip
#else
#define WAKE if :: place == H -> place = Q :: else fi
#endif
#ifdef FORGETS_CRASH
#define RELEASED x = 0
#else
#define RELEASED skip
#endif
#ifdef NO_AGE
#define IS_OLD false
#else
#define IS_OLD (age > 0)
#endif
#ifdef HOPES
#define SILENCE made_
#else
#ifdef DENIES
#define SILENCE left
#else
#define SILENCE unknown
#endif
#endif
#ifdef BELIEVES_NO
#define STAYS_UNKNOWN false
#else
#define STAYS_UNKNOWN true
#endif
#ifdef TELLS_UNKNOWN
#define MAY_TELL(i) (sees[i] == left || sees[i] == unknown)
#else
#define MAY_TELL(i) (sees[i] == left)
#endif
#ifdef DOUBTS_TOLD
#define DOUBTED(i) (sees[i] == left)
#else
#define DOUBTED(i) (sees[i] == left && !told[i])
#endif
#define REVISITED(i) (away != i && (sees[i] == left && !told[i] || sees[i] == unknown && !IS_OLD))
#define NOT_MADE(i) (sees[i] != made_)
#define ALL_MADE (sees[1] == made_ && sees[2] == made_ && sees[3] == made_)
#define ANY(what) (sees[1] == what || sees[2] == what || sees[3] == what)
#ifdef REST_ONLY
#define MAY_READ(i) (child[i] && is[i] == made_)
#else
#define MAY_READ(i) child[i]
#endif
#ifdef REST_ONLY
#define ALL_GIVEN_UP skip
#else
#define ALL_GIVEN_UP i = 1; do :: i <= N -> sees[i] = made_; i++ :: else -> break od; i = 0
#endif
#ifdef NO_REVOKE
#define REVOKE skip
#else
#define REVOKE i = 1; do :: i <= N -> if :: !child[i] -> mark[i] = 1 :: else fi; i++ :: else -> break od; i = 0
#endif
inline carry(i) { if :: child[i] || mark[i] :: else -> child[i] = 1; made[i]++;
     HOLDS(inv5_no_second_copy, made[i] == 1 || decided[i]); HOLDS(inv6_one_report, !reported[i] || decided[i]); HOLDS(content_stays, content) fi }
inline end_parent() { place = GONE; k = 0; x = 0; content = 0; f = none; promised_delete = 0; promised_hold = 0 }
inline record() { i = 1; do :: i <= N -> is[i] = sees[i]; i++ :: else -> break od; i = 0; x = 0; unrecorded = 0; if :: !ANY(unknown) -> age = 0 :: else fi }
inline to_back() {
  if :: f == hold && HOLDS_BACK -> place = H; f = none; promised_hold = 0
     :: else -> place = Q; HOLDS(orders_are_kept, !promised_hold) fi; k = 0 }
inline to_hold() {
  if :: f == delete && DELETES_HELD -> place = Q
     :: else -> place = H; f = none; promised_hold = 0; HOLDS(orders_are_kept, !promised_delete) fi; k = 0 }
/* Who made children and died may have made those left, and the window behind `reached`. */
inline doubt() {
  n = 0; i = 1;
  do :: i <= N -> if :: DOUBTED(i) -> sees[i] = unknown :: sees[i] == far && n < BATCH -> sees[i] = unknown; n++ :: else fi; i++ :: else -> break od; i = 0; n = 0 }
/* One child is asked for, and answered, or not. */
inline ask(i) {
  if :: atomic { carry(i); sees[i] = made_; if :: fate == bounce -> returned[i] = child[i] :: else fi }
     :: atomic { silent < SILENT -> silent++; sees[i] = SILENCE; if :: true -> carry(i) :: !late -> late = i :: skip fi }
     :: atomic { silent < SILENT -> silent++; if :: sees[i] == unknown && STAYS_UNKNOWN :: else -> sees[i] = left fi }     /* refused, or never sent */
     :: atomic { crashes < CRASHES -> crashes++; if :: !late -> late = i :: late -> carry(i) fi; goto dead }
  fi }

active proctype Courier() {
  byte i, n; mtype fate; bit unasked, unrecorded;
again:
  atomic { place == Q -> place = C; k = 1; y = 1; fate = f; i = 1; do :: i <= N -> sees[i] = is[i]; i++ :: else -> break od; i = 0;
#ifndef NO_DOUBT
     if :: x && !waiting -> doubt() :: else fi
#endif
  };
  if
  :: atomic { fate != delete && !waiting -> record(); to_hold(); goto again }      /* its content is missing */
  :: atomic { to_back(); goto again }                                              /* drained, or lost touch: as it was */
#ifdef BOUNCE_WHOLE
  :: atomic { fate == bounce -> i = 1; do :: i <= N -> if :: NOT_MADE(i) -> reported[i] = 1; HOLDS(inv6_one_report, !made[i]) :: else fi; i++
       :: else -> break od; i = 0; end_parent(); goto again }
#endif
  :: atomic { fate == delete && !waiting -> if :: away -> record() :: else -> REVOKE; stopped = 1;
       ALL_GIVEN_UP; record(); waiting = 1 fi; to_back(); goto again }
  :: fate == none && !waiting || fate == bounce || waiting
  fi;
  /* Those that are missing, then a window after the other. */
  if :: waiting -> goto asked :: else fi;
  i = 1; do :: atomic { i <= N && REVISITED(i) -> n = i; unrecorded = 1; asking = 1 } ask(n); asking = 0; i++ :: i <= N && !REVISITED(i) -> i++ :: i > N -> break od; i = 0;
#ifndef NO_NOTE
  if :: atomic { sees[N] == far && (x || unrecorded) -> record() } :: else fi;     /* doubt is about one window */
#endif
  n = 1;
  do
  :: n <= N && sees[n] != far -> n++
  :: n <= N && sees[n] == far ->
     if DIES(skip) :: true fi;
#ifdef NOTE_FIRST
     is[n] = made_;
#endif
#ifdef STOPS
     if :: away == n -> goto left_over :: else fi;
#endif
     sees[n] = left;
     if :: away != n -> ask(n) :: else fi;
     if :: atomic { n % BATCH == 0 && n < N -> record() } :: else fi;
     n++
  :: n > N -> break
  od;
asked: n = 0;
  if :: fate == bounce -> atomic { i = 1;                                          /* those that are made, as soon as they are there */
       do :: i <= N -> if :: sees[i] != made_ || told[i] :: else -> if :: away == i -> unasked = 1 :: else -> returned[i] = child[i] fi fi; i++
          :: else -> break od; i = 0 }
     :: else fi;
  if :: atomic { unasked && (waiting || ALL_MADE) -> unasked = 0; record(); to_back(); goto again } :: else -> unasked = 0 fi;
  if :: atomic { !waiting && !ALL_MADE && ANY(unknown) && IS_OLD ->                            /* too old to ask again: who is there, or has left a mark? */
          i = 1; do :: i <= N -> if :: sees[i] == unknown && away != i && (child[i] || mark[i]) -> sees[i] = made_; n = 1 :: else fi; i++ :: else -> break od; i = 0;
          if :: n == 1 -> n = 0; record(); to_back(); goto again
             :: n == 0 && !ANY(left) && !(away && sees[away] == unknown) ->
               i = 1; do :: i <= N -> if :: sees[i] == unknown -> sees[i] = left; decided[i] = 1 :: else fi; i++ :: else -> break od; i = 0;
               record(); to_hold(); goto again
             :: else fi }
     :: else fi;
left_over:
  if :: atomic { !waiting && !ALL_MADE -> n = 0; i = 1;
          do :: i <= N -> HOLDS(others_go_on, sees[i] != far);
                if :: MAY_TELL(i) && fate != bounce -> reported[i] = 1; told[i] = 1; HOLDS(inv6_one_report, !made[i] || decided[i]);     /* its time is over */
                      if :: sees[i] = made_ :: skip fi                             /* but for those whom the report has no room for */
                   :: skip fi; i++ :: else -> break od; i = 0;
          record(); to_back(); goto again }
     :: else fi;
#ifndef END_EARLY
  if :: atomic { !waiting -> waiting = 1; record(); to_back(); goto again } :: else fi;
  atomic { if :: away || MAY_READ(1) || MAY_READ(2) || MAY_READ(3) -> to_back(); goto again :: else fi };
#endif
  if DIES(skip) :: true fi;
  atomic { i = 1; do :: i <= N -> HOLDS(content_stays, !child[i]); HOLDS(inv1_250_is_durable, made[i] || was_deleted[i] || stopped || told[i]); i++
                     :: else -> break od; i = 0; end_parent() };
  goto again;
dead: atomic { asking = 0; i = 0; n = 0; unasked = 0; unrecorded = 0; k = 0; x = 1; if :: f == hold -> place = H; f = none; promised_hold = 0 :: else -> place = Q fi; goto again }     /* reaped */
}
#define ENDS(i) HOLDS(content_stays, content); if :: returned[i] -> reported[i] = 1; returned[i] = 0 :: else fi; child[i] = 0; MARKED(i)
#ifdef NO_MARK
#define MARKED(i) skip
#else
#define MARKED(i) mark[i] = (age < 2)
#endif
active proctype World() {
  byte i;
  do
  :: atomic { late -> i = late; late = 0; carry(i); i = 0 }
  :: atomic { child[1] -> ENDS(1) }
  :: atomic { child[2] -> ENDS(2) }
  :: atomic { child[3] -> ENDS(3) }
  :: atomic { moves < MOVES && place != GONE -> moves++; if :: away -> away = 0 :: else -> if :: away = 1 :: away = 2 :: away = 3 fi fi }
  :: atomic { y && place != GONE && age == 0 -> age = 1 }
  :: atomic { y && place != GONE && age == 1 && !late && !asking ->          /* no request lives so long */ age = 2; mark[1] = 0; mark[2] = 0; mark[3] = 0 }
  :: atomic { ops < OPS && place != GONE -> ops++;
       if
       :: child[1] -> child[1] = 0; was_deleted[1] = 1; mark[1] = 1                /* delete of a child */
       :: child[2] -> child[2] = 0; was_deleted[2] = 1; mark[2] = 1
       :: place == C -> f = delete; promised_delete = 1; promised_hold = 0         /* delete of the parent: later */
       :: place != C && !y -> end_parent()
       :: place != C && y -> f = delete; promised_delete = 1; WAKE; HOLDS(orders_are_kept, place != H)
       :: place != H || !late -> f = bounce; promised_hold = 0; promised_delete = 0; if :: place == H -> place = Q; RELEASED :: else fi
       :: place == Q -> place = H
       :: place == C -> f = hold; promised_hold = 1; promised_delete = 0
       :: place == H && !late -> place = Q; f = none; promised_delete = 0; RELEASED
       fi }
  od
}
