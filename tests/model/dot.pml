/* Who may send the final dot: beats, the watch, bury, reap, the check and the dot; time in ticks of TICK_MS.
 *
 * One job. Courier 0 is looked at closely (two lives: incarnations 1 and 2); courier 1 is healthy and takes what waits. ND dispatchers watch,
 * bury (compare and delete) and reap, from reads that may be old. Every request may be executed late, never, or (bury, reap) many times; every
 * reply may be lost; every process may stop at any point for any time: an outage of Redis, or a process that was stopped, is just a schedule.
 * Time: a counter of n ticks stands for more than n - 1 and less than n + 1 ticks. At 500 ms "less than 3 s" may hold up to 6, "4.5 s have
 * passed" from 9 on. DRIFT widens both by one tick: at 500 ms, clocks wrong by 16 % and 11 %.
 * A node's count is kept as "changed since this dispatcher's last read", which is exact for counts that only grow.
 * With replicas a read is confirmed as failover.pml has it; here each is one step.
 *
 * 3000, 4500 and 1000 are DOT_AGE_MS, NODES_DEAD_MS and NODES_GAP_MS (test_mapping.py holds them together).
 *
 * Switches: NO_CHECK     no check before the dot                        NO_COMPARE   bury without comparing the count
 *           NO_LAST      reap does not look at `last`                   SAME_COUNT   a beat without reply is repeated with its count
 *           OTHER_LIFE   a late reply to a claim counts with the beat of the next life
 *           EARLY_DEAD   buried after 3 s                               LATE_DOT     the check lets one tick more pass
 *           OUTAGE       (no mistake) courier and network never pause, Redis goes away: nobody is buried; with NO_GAP somebody is
 *           NO_GAP       the watch goes on over a gap between two reads
 *           STOP=n       so many ticks between check and dot are not excused: must fail when they are more than promised
 */
#include "property.pml"

#ifndef TICK_MS
#define TICK_MS 750
#endif
#define DOT_TICKS (3000 / TICK_MS)
#define DEAD_TICKS (4500 / TICK_MS)
#define GAP_TICKS (1000 / TICK_MS)
#ifndef LIVES
#define LIVES 2                /* of courier 0 */
#endif
#ifndef CLAIMS
#define CLAIMS 1               /* of courier 0 */
#endif
#ifndef ND
#define ND 1
#endif
#ifndef DRIFT
#define DRIFT 0
#endif
#ifndef STOP
#define STOP (DEAD_TICKS - DOT_TICKS - 2 * DRIFT)
#endif
#ifdef LATE_DOT
#define DOT   (DOT_TICKS + 1 + DRIFT)
#else
#define DOT   (DOT_TICKS + DRIFT)      /* a dot is allowed while age <= DOT */
#endif
#ifdef EARLY_DEAD
#define WATCH (DEAD_TICKS - 2 - DRIFT)
#else
#define WATCH (DEAD_TICKS - DRIFT)     /* buried from watch >= WATCH */
#endif
#define SAT   DEAD_TICKS
#define GAP   GAP_TICKS
#ifdef NO_CHECK
#define BEATS true
#else
#define BEATS (age <= DOT)
#endif
#ifdef OTHER_LIFE
#define SAME_LIFE true
#else
#define SAME_LIFE (my_inc == inc)
#endif
#ifdef NO_GAP
#define GAP_RULE false
#else
#define GAP_RULE true
#endif
#ifdef NO_COMPARE
#define COMPARE false
#else
#define COMPARE true
#endif
#ifdef NO_LAST
#define LAST false
#else
#define LAST true
#endif
#ifdef OUTAGE    /* courier and network are prompt: a beat each second, executed and answered within a tick while Redis is up */
#define PROMPT (b_sent -> (b_rep == NONE && (!up || b_age < 1)) : since < 2)
#else
#define PROMPT true
#endif
#define NI    3                /* incarnations 1, 2 of courier 0 ; index 0 unused */

mtype = { WAITING, CLAIMED, ENDED };
mtype = { IDLE, CLAIMING, HAVE, CHECKED, DOTTED, SETTLING };

/* Redis */
bit in_nodes[NI];  byte last = 1;
mtype place = WAITING;  byte k, c_inc;      /* token, incarnation of the claim (9: courier 1) */
bit up = 1, outage;

/* courier 0 */
byte inc = 1, age = SAT;                    /* ticks since the last confirmed beat was sent */
bit  b_sent, b_done; byte b_age; mtype = { NONE, OK, DEAD }; mtype b_rep = NONE;   /* beat under way */
bit  b_same;                                /* it repeats a count that was already written */
bit  zb; byte zb_inc;                       /* a beat given up, still in the network */
byte since;                                 /* ticks since the last beat was sent (OUTAGE only) */
mtype st = IDLE;  byte tok, my_inc, seq;  byte unseen;
bit  cl_req, cl_rep; byte cl_tok, cl_inc;   /* claim under way */
bit  se_req; byte se_tok;                   /* settle under way */

/* courier 1 */
mtype st1 = IDLE;  byte tok1;

/* dispatchers */
typedef disp { bit dirty[NI]; byte w[NI]; byte gap; bit seen[NI];
               bit bu; byte bu_n; bit bu_chg;  bit re; byte re_last; bit re_live[NI] };
disp D[ND];

/* ghosts */
bit dot0, dot1, dot0_dead;                 /* dot on the wire; courier 0 was buried after its dot and before its settle */

inline changed(n) { D[0].dirty[n] = 1; D[0].bu_chg = D[0].bu_chg || (D[0].bu && D[0].bu_n == n);
#if ND > 1
    D[1].dirty[n] = 1; D[1].bu_chg = D[1].bu_chg || (D[1].bu && D[1].bu_n == n);
#endif
}
inline drop_beat() { b_sent = 0; b_done = 0; b_age = 0; b_rep = NONE }

proctype Courier0() {
  do
  /* beats */
  :: atomic { inc && !b_sent -> b_sent = 1; b_age = 0; since = 0 }
  :: atomic { b_sent && b_rep == OK && b_age <= DOT -> age = b_age; b_same = 0; drop_beat() }
  :: atomic { b_sent && b_rep == OK && b_age >  DOT -> b_same = 0; drop_beat() }
#ifndef OUTAGE
  :: atomic { b_sent ->                                       /* no reply: lost, or too late for us */
#ifdef SAME_COUNT
       if :: b_done -> b_same = 1 :: else -> zb = 1; zb_inc = inc fi;
#else
       if :: !b_done -> zb = 1; zb_inc = inc :: else fi;
#endif
       drop_beat() }
#else
  :: atomic { b_sent && !b_done && b_age >= 2 -> drop_beat() }   /* connection given up, sent again on a new one */
#endif
  /* told dead: abort what is before its dot, join anew (one more life) */
  :: atomic { b_sent && b_rep == DEAD -> drop_beat(); b_same = 0; age = SAT;
       if :: inc == 1 && LIVES > 1 -> last = 2; in_nodes[2] = 1; inc = 2; changed(2) :: else -> inc = 0 fi;
       if :: st == HAVE || st == CHECKED -> st = IDLE; tok = 0; my_inc = 0; unseen = 0
#ifndef OTHER_LIFE
          :: st == CLAIMING -> st = IDLE; tok = 0; my_inc = 0; cl_rep = 0
#endif
          :: else fi }
  /* claim */
  :: atomic { st == IDLE && inc && seq < CLAIMS && !cl_req -> seq++; tok = seq; my_inc = inc; st = CLAIMING;
              cl_req = 1; cl_tok = tok; cl_inc = inc; cl_rep = 0 }
  :: atomic { st == CLAIMING && cl_rep -> cl_rep = 0; st = HAVE }
  /* the check, then the dot; a stop between them is time that nobody sees */
  :: atomic { st == HAVE && BEATS && SAME_LIFE -> st = CHECKED; unseen = 0;
#ifndef NO_CHECK
       HOLDS(inv4_no_dot_when_buried, in_nodes[my_inc])
#endif
     }
  :: atomic { st == CHECKED ->
       HOLDS(inv4_no_dot_when_buried, in_nodes[my_inc] || unseen >= STOP);
       HOLDS(inv5_no_second_copy, !dot1 || unseen >= STOP);
       dot0 = 1; dot0_dead = !in_nodes[my_inc]; unseen = 0; st = DOTTED }
  :: atomic { st == DOTTED -> st = SETTLING; se_req = 1; se_tok = tok }
  :: atomic { st == SETTLING && !se_req -> st = IDLE; tok = 0; my_inc = 0 }   /* "ok" or "stale" */
  od
}

proctype Courier1() {
  do
  :: atomic { st1 == IDLE && place == WAITING && tok1 < CLAIMS -> tok1++; k = 10 + tok1; place = CLAIMED; c_inc = 9; st1 = HAVE }
  :: atomic { st1 == HAVE -> HOLDS(inv5_no_second_copy, !dot0 || dot0_dead);   /* only if courier 0 was buried after its dot: it is in doubt */
              dot1 = 1; st1 = DOTTED }
  :: atomic { st1 == DOTTED -> HOLDS(inv3_one_worker, k == 10 + tok1); place = ENDED; k = 0; c_inc = 0; st1 = IDLE }
  od
}

active proctype Redis() {
  atomic { in_nodes[1] = 1; run Courier0(); run Courier1(); run Clock(); run Dispatcher(0);
#if ND > 1
  run Dispatcher(1)
#endif
  };
  do
  :: atomic { up && b_sent && !b_done && b_rep == NONE -> b_done = 1;
       if :: !in_nodes[inc] -> b_rep = DEAD
          :: else -> b_rep = OK; if :: !b_same -> changed(inc) :: else fi fi }
  :: atomic { up && zb -> zb = 0; if :: in_nodes[zb_inc] -> changed(zb_inc) :: else fi; zb_inc = 0 }
  :: atomic { up && cl_req -> cl_req = 0;
       if :: place == WAITING -> place = CLAIMED; k = cl_tok; c_inc = cl_inc; if :: st == CLAIMING && tok == cl_tok -> cl_rep = 1 :: else fi
          :: place == CLAIMED && k == cl_tok && st == CLAIMING -> cl_rep = 1
          :: else -> if :: st == CLAIMING -> st = IDLE; tok = 0; my_inc = 0 :: else fi fi; cl_tok = 0; cl_inc = 0 }
#ifndef OUTAGE
  :: atomic { cl_req -> cl_req = 0; cl_tok = 0; cl_inc = 0; if :: st == CLAIMING -> st = IDLE; tok = 0; my_inc = 0 :: else fi }   /* lost */
#endif
  :: atomic { up && se_req -> se_req = 0;
       if :: place == CLAIMED && k == se_tok -> place = ENDED; k = 0; c_inc = 0 :: else fi; se_tok = 0 }
#ifdef OUTAGE
  :: atomic { up && !outage -> outage = 1; up = 0 }   /* one outage, at any time, as long as it likes */
  :: up = 1
#endif
  od
}

proctype Dispatcher(byte d) {
  byte n;
  do
  /* a confirmed read of nodes. Its reply may come late: then the watch starts later, and bury compares anyway */
  :: atomic { up -> n = 1;
       do :: n < NI -> D[d].seen[n] = in_nodes[n];
              if :: D[d].dirty[n] || !in_nodes[n] || (GAP_RULE && D[d].gap > GAP) -> D[d].w[n] = 0 :: else fi;
              D[d].dirty[n] = 0; n++
          :: else -> break od;
       D[d].gap = 0; n = 0;
       if :: !D[d].re -> D[d].re = 1; D[d].re_last = last; D[d].re_live[1] = in_nodes[1]; D[d].re_live[2] = in_nodes[2]
          :: true fi }
  /* bury */
  :: atomic { !D[d].bu -> n = 1; do :: n < NI -> if :: D[d].seen[n] && D[d].w[n] >= WATCH && (!GAP_RULE || D[d].gap <= GAP) -> break :: else -> n++ fi :: else -> break od;
       if :: n < NI -> D[d].bu = 1; D[d].bu_n = n; D[d].bu_chg = D[d].dirty[n] :: else fi; n = 0 }
  :: atomic { up && D[d].bu ->
       if
       :: !COMPARE || !D[d].bu_chg -> n = D[d].bu_n;
#ifdef OUTAGE
             HOLDS(nobody_is_buried, n != inc);
#endif
             in_nodes[n] = 0; D[d].w[n] = 0; D[d].seen[n] = 0; if :: dot0 && my_inc == n && (st == DOTTED || st == SETTLING) -> dot0_dead = 1 :: else fi; n = 0
       :: else fi }
  :: atomic { D[d].bu -> D[d].bu = 0; D[d].bu_n = 0; D[d].bu_chg = 0 }
  /* reap(last, live): late, repeated */
  :: atomic { up && D[d].re && place == CLAIMED && c_inc < 9 && (!LAST || c_inc <= D[d].re_last) && !D[d].re_live[c_inc] -> place = WAITING; k = 0; c_inc = 0 }
  :: atomic { D[d].re -> D[d].re = 0; D[d].re_last = 0; D[d].re_live[1] = 0; D[d].re_live[2] = 0 }
  od
}

#ifdef OUTAGE
#define GAP_TICK INCR(D[d].gap, (GAP+1))
#else
#define GAP_TICK skip          /* safety does not need the rule about gaps */
#endif
#define INCR(x, m) if :: x < m -> x++ :: else fi

proctype Clock() {
  byte d;
  do
  :: atomic { PROMPT -> INCR(age, SAT);
       if :: age > DOT -> age = SAT :: else fi;
       if :: b_sent -> INCR(b_age, SAT); if :: b_age > DOT -> b_age = SAT :: else fi :: else fi;
#ifdef OUTAGE
       INCR(since, 3);
#endif
       if :: st == CHECKED -> INCR(unseen, STOP) :: else fi;
       d = 0;
       do :: d < ND -> GAP_TICK;
              if :: D[d].seen[1] -> INCR(D[d].w[1], WATCH) :: else fi;
              if :: D[d].seen[2] -> INCR(D[d].w[2], WATCH) :: else fi; d++
          :: else -> break od; d = 0 }
  od
}
