/* Claims, notes, settles, reaps, operator's orders and reports: requests late, repeated and lost; no clocks.
 *
 * One job with two recipients: the first takes the mail by a dot, the second is refused for good; a note lies between them. Claims 1 and
 * 2 (CLAIMS=3) are courier 0's, claim 3 is courier 1's. A request is executed once, at any later time, or never; its reply may be lost; it is repeated
 * when nothing of it can be executed any more (its connection was killed by the next one). A courier may be buried at any moment; by dot.pml
 * its dot then is past. The operator gives up to OPS orders, naming the queue that he saw the job in; a settle may move the job to another
 * lane meanwhile.
 *
 * Switches, each of which must fail:
 *   NO_TOKEN      settle does not compare the token            LATE          what a connection that was given up has sent is executed still
 *   NO_FATE       settle does not look at what was asked for   HOLD_FORGETS  `hold` in a settle forgets delete and bounce
 *   SPLIT_REPORT  the report is made before the verdict        NO_NOTE       nothing is recorded between the recipients
 *   TWO_REPORTS   a repeat of a settle is not told by its token: each makes a report
 *   NO_DOUBT      reap does not count in doubt                 HIS_QUEUE     the operator's scripts use the queue that he names
 */
#include "property.pml"

#ifndef CLAIMS
#define CLAIMS 2
#endif
#ifndef BURIALS
#define BURIALS 1
#endif
#ifndef OPS
#define OPS 1
#endif
#ifdef NO_TOKEN
#define MATCH(t) inC
#else
#define MATCH(t) (k == token[t])
#endif
#ifdef NO_FATE
#define MINDS false
#else
#define MINDS true
#endif
#ifdef HOLD_FORGETS
#define HOLD_MINDS false
#else
#define HOLD_MINDS true
#endif
#ifdef NO_DOUBT
#define DOUBT skip
#else
#define DOUBT doubts = 1
#endif
#ifdef LATE
#define STILL_THERE 1
#else
#define STILL_THERE 0
#endif

mtype = { none, hold, delete, bounce };
mtype = { end, back, keep };                    /* outcomes; hold is one too */
mtype = { silent, got, nothing };               /* what the reply says */

/* Redis; a token is 2 * claim, and one more after its note */
bit exists = 1, inC, inH, in1 = 1, in2, lane2, s1, s2;  byte k; mtype f = none;  /* in1, in2: queues; lane2: which of them the record says */
byte reports;
/* requests, by claim */
byte claims[4], settles[4], token[4]; bit moves[4], told[4], failed2[4], moved_on[4], dead[2];
bit done[4];
mtype out[4], creply[4], sreply[4], fate[4]; bit has1[4], has2[4];
byte burials;
/* what happened */
bit dot, doubts, delivered, deleted; mtype promised = none;

#define COURIER(t) (t == 3)
#define WAITS (in1 || in2)
inline place(q, c, h) { in1 = q && !lane2; in2 = q && lane2; inC = c; inH = h }
inline gone() { exists = 0; place(0, 0, 0); k = 0; f = none; s1 = 0; s2 = 0; lane2 = 0; promised = none }
inline one_place() {
  HOLDS(inv2_one_place, (exists && in1 + in2 + inC + inH == 1) || (!exists && in1 + in2 + inC + inH == 0));
  HOLDS(inv2_one_place, inC == (k != 0));
  HOLDS(inv2_one_place, !in1 || !lane2); HOLDS(inv2_one_place, !in2 || lane2) }
inline kept() {
  HOLDS(orders_are_kept, promised != hold   || inH || !exists);
  HOLDS(orders_are_kept, promised != delete || !exists || f == delete);
  HOLDS(orders_are_kept, promised != bounce || !exists || f == bounce) }

inline answer_claim(t) { if :: creply[t] = got; fate[t] = f; has1[t] = s1; has2[t] = s2 :: true fi }
inline run_claim(t) { claims[t]--;
  if :: inC && k == token[t] -> answer_claim(t)                                    /* `repeated` */
     :: WAITS -> HOLDS(inv3_one_worker, creply[t] == silent || dead[COURIER(t)]); place(0, 1, 0); k = token[t]; answer_claim(t)
     :: else -> if :: creply[t] == silent -> creply[t] = nothing :: true fi fi }

inline settle_back(t) { if :: moves[t] -> lane2 = 1 :: else fi; k = 0; place(1, 0, 0); kept() }
inline settle_hold(t) { k = 0; f = none; place(0, 0, 1); kept(); promised = none }
inline run_settle(t) { settles[t]--;
  if :: exists && MATCH(t) ->
        if :: told[t] -> reports++ :: else fi;
        HOLDS(inv6_one_report, reports <= 1);
        s1 = s1 || has1[t]; s2 = s2 || failed2[t];
        if :: out[t] == keep -> k = token[t] + 1
           :: out[t] == end -> HOLDS(inv6_one_report, deleted || (delivered && reports) || (f == bounce && reports)); gone()
           :: out[t] == back && MINDS && f == delete -> deleted = 1; gone()
           :: out[t] == back && MINDS && f == hold -> settle_hold(t)
           :: out[t] == back && !(MINDS && (f == delete || f == hold)) -> settle_back(t)
           :: out[t] == hold && HOLD_MINDS && f == delete -> deleted = 1; gone()
           :: out[t] == hold && HOLD_MINDS && f == bounce -> settle_back(t)
           :: out[t] == hold && !(HOLD_MINDS && (f == delete || f == bounce)) -> settle_hold(t)
        fi
#ifdef TWO_REPORTS
     :: exists && out[t] == back && told[t] && !MATCH(t) -> reports++; HOLDS(inv6_one_report, reports <= 1)
     :: !(exists && MATCH(t)) && !(exists && out[t] == back && told[t])
#else
     :: else                                                                       /* stale, gone, again: nothing is written */
#endif
  fi;
  one_place();
  if :: sreply[t] = got :: true fi }

active proctype Redis() {
  byte t;
  do
  :: atomic { t = 1; do :: t < 3 -> t++ :: break od;
       if :: claims[t] -> run_claim(t)
          :: claims[t] -> claims[t]--
          :: settles[t] -> run_settle(t)
          :: settles[t] -> settles[t]--
          :: else fi; t = 0 }
  :: atomic { inC && dead[k / 6] ->                                                /* reap: tokens 6 and 7 are courier 1's */
       if :: dot && !moved_on[k / 2] -> DOUBT :: else fi;
       k = 0; if :: f == hold -> f = none; place(0, 0, 1); promised = none :: else -> place(1, 0, 0) fi; kept() }
  :: atomic { burials < BURIALS -> burials++; if :: dead[0] = 1 :: dead[1] = 1 fi }
  od
}

/* One claim from its request to its settle. */
proctype Work(byte t) {
  bit c; mtype o; bit first, second;
  c = COURIER(t);
  (t != 2 || settles[1] || sreply[1] == got || done[1]);      /* the second claim begins when the first one's verdict is on its way */
  atomic { !dead[c] -> token[t] = 2 * t; claims[t] = 1; creply[t] = silent };
  do
  :: atomic { creply[t] == got -> break }
  :: atomic { creply[t] == nothing -> creply[t] = silent; claims[t] = 1 }          /* asked again later */
  :: atomic { creply[t] == silent && (!claims[t] || STILL_THERE) && claims[t] < 2 -> claims[t]++ }
  :: atomic { dead[c] -> creply[t] = nothing; goto over }
  od;
  first = has1[t]; second = has2[t];
  if
  :: atomic { fate[t] == delete -> deleted = 1; o = end }
  :: atomic { fate[t] == bounce -> o = end; told[t] = !second; failed2[t] = 1 }
  :: fate[t] == none || fate[t] == hold ->
     if
     :: atomic { o = back; has1[t] = 0; has2[t] = 0; if :: moves[t] = 1 :: true fi }   /* released, or moved to its new lane */
     :: atomic { o = hold; has1[t] = 0 }                                           /* a rule, or a missing chunk */
     :: atomic { first }                                                           /* recorded before: not sent again */
     :: atomic { !first && !dead[c] ->
          HOLDS(inv3_one_worker, inC && k == token[t]);
          HOLDS(inv5_no_second_copy, !dot || doubts);
          dot = 1; delivered = 1;
          if :: first = 1 :: doubts = 1; o = back :: dot = 0; delivered = 0; o = back fi }   /* taken; its reply was lost; deferred */
     :: dead[c] -> goto over
     fi
  fi;
#ifndef NO_NOTE
  if
  :: atomic { o == 0 && !has1[t] -> has1[t] = 1; out[t] = keep; settles[t] = 1; sreply[t] = silent };      /* note: the next recipient only after it */
     do
     :: atomic { sreply[t] == got ->
          if :: exists && k == token[t] + 1 -> token[t]++; break :: else -> goto over fi }   /* again, ok; or stale */
     :: atomic { sreply[t] == silent && !settles[t] -> settles[t] = 1 }
     :: atomic { dead[c] -> goto over }
     od
  :: else
  fi;
#endif
  moved_on[t] = (o == 0);
  if
  :: atomic { o == 0 -> o = end; has1[t] = first; told[t] = !second; failed2[t] = 1 }       /* the second recipient is refused */
  :: atomic { o == back && !moves[t] && !second && !has2[t] -> if :: told[t] = 1; failed2[t] = 1 :: true fi }   /* refused beside one that waits */
  :: else
  fi;
#ifdef SPLIT_REPORT
  atomic { if :: told[t] -> reports++; told[t] = 0; HOLDS(inv6_one_report, reports <= 1) :: else fi };
#endif
  atomic { out[t] = o; settles[t] = 1; sreply[t] = silent };
  do
  :: atomic { sreply[t] == got -> break }
  :: atomic { sreply[t] == silent && (!settles[t] || STILL_THERE) && settles[t] < 2 -> settles[t]++ }
  :: atomic { dead[c] && !settles[t] -> break }
  od;
over: skip;
  d_step { o = 0; first = 0; second = 0; moves[t] = 0; fate[t] = none; has1[t] = 0; has2[t] = 0; creply[t] = silent; moved_on[t] = 0;
    if :: !settles[t] -> out[t] = 0; told[t] = 0; failed2[t] = 0; sreply[t] = 0; if :: !claims[t] && k / 2 != t -> token[t] = 0 :: else fi :: else fi }
  done[t] = 1
}

#ifdef HIS_QUEUE
#define TO_QUEUE(his2) inH = 0; inC = 0; in1 = !his2; in2 = his2
#else
#define TO_QUEUE(his2) place(1, 0, 0)
#endif
active proctype Operator() {
  byte n; bit his2;
  do
  :: atomic { n < OPS && exists -> his2 = lane2; n++ };
     atomic {
       if :: !exists :: else ->
         if
         :: WAITS -> place(0, 0, 1)                                                /* hold */
         :: inC -> f = hold; promised = hold
         :: inC -> f = delete; promised = delete                                   /* delete */
         :: !inC -> deleted = 1; gone()
         :: f = bounce; promised = bounce; if :: inH -> TO_QUEUE(his2) :: else fi  /* bounce */
         :: inH -> TO_QUEUE(his2); f = none; promised = none                       /* unhold */
         :: inC && f == hold -> f = none; promised = none
         fi;
         one_place()
       fi }
  :: n == OPS -> break
  od
}
init { atomic {
  run Work(1);
#if CLAIMS > 2
  run Work(2);
#endif
  run Work(3) } }
