/* Replicas: what WAIT confirms, and a primary that was cut off and answers on.
 *
 * Three servers, replication asynchronous, level `replicas: 1`. Server 0 is the primary; at any moment the replica that has most takes its
 * place, and 0 goes on answering those who have not yet heard of it. Each request goes to either of the two, its reply may be lost, and it is
 * repeated until it is confirmed. A held request remembers the offset at its execution; WAIT says whether a replica has acknowledged that
 * much. What was acknowledged before the cut stays acknowledged in the eyes of server 0.
 *
 * One message: ingress commits it, courier 1 or courier 2 claims it, sends its dot, settles. The dispatcher buries courier 1 and, from a read
 * of the nodes, reaps what it claimed. That a courier sends no dot when the primary has buried it is dot.pml's; the burial at a server that was
 * cut off may come any time, because the beats no longer come there.
 *
 * Switches, each of which must fail:
 *   EARLY_250, EARLY_CLAIM, EARLY_SETTLE  done at the reply, without WAIT
 *   EARLY_VIEW     the read of the nodes is not held
 *   NO_FENCE       no write goes before WAIT: what only reads (again, gone, stale, the nodes) is proven replicated, not new
 *   OWN_WRITES     WAIT counts only what the same request wrote: "again" confirms nothing
 *   TWO_FAILURES   the replica that acknowledged is lost too: more than the level covers
 */
#include "property.pml"

#ifndef CLAIMS
#define CLAIMS 1                /* of each courier */
#endif

#define NONE 0                  /* places of the job; CLAIMED + courier */
#define WAITING 1
#define CLAIMED 2
#define ENDED 5

typedef server { byte place; bit is_dead1; byte off; bit line };
server S[3];
byte primary, acked[2];         /* acked: by a replica, of each line */
bit failed_over;
bit answered, dot[3], recorded[3], doubted;

#define COPY(to, from) to.place = from.place; to.is_dead1 = from.is_dead1; to.off = from.off; to.line = from.line
#define WRITE(s) S[s].off++
#define ANSWERS(s) (s == primary || (s == 0 && S[0].line == 0))
inline choose(s) { if :: s = primary :: ANSWERS(0) -> s = 0 fi }
inline remember(s, before, at, line) {
#ifdef OWN_WRITES
  at = (S[s].off > before -> S[s].off : 0);
#else
  at = S[s].off;
#endif
  line = S[s].line }
#ifdef NO_FENCE
#define FENCED(s) true
#else
#define FENCED(s) (s == primary)
#endif
#define CONFIRMED(s, at, line) (S[s].line == line && acked[line] >= at && FENCED(s))
#ifdef EARLY_250
#define WAITS_250(s, at, line) true
#else
#define WAITS_250(s, at, line) CONFIRMED(s, at, line)
#endif
#ifdef EARLY_CLAIM
#define WAITS_CLAIM(s, at, line) true
#else
#define WAITS_CLAIM(s, at, line) CONFIRMED(s, at, line)
#endif
#ifdef EARLY_SETTLE
#define WAITS_SETTLE(s, at, line) true
#else
#define WAITS_SETTLE(s, at, line) CONFIRMED(s, at, line)
#endif
#ifdef EARLY_VIEW
#define WAITS_VIEW(s, at, line) true
#else
#define WAITS_VIEW(s, at, line) CONFIRMED(s, at, line)
#endif

active proctype Replication() {
  do
  :: atomic { !failed_over && S[1].off < S[0].off -> COPY(S[1], S[0]); if :: acked[0] < S[1].off -> acked[0] = S[1].off :: else fi }
  :: atomic { !failed_over && S[2].off < S[0].off -> COPY(S[2], S[0]); if :: acked[0] < S[2].off -> acked[0] = S[2].off :: else fi }
  :: atomic { !failed_over ->
#ifdef TWO_FAILURES
       if :: primary = 1 :: primary = 2 fi;
#else
       primary = (S[1].off >= S[2].off -> 1 : 2);
#endif
       failed_over = 1; S[primary].line = 1; acked[1] = 0 }
  :: atomic { failed_over && (S[3 - primary].line == 0 || S[3 - primary].off < S[primary].off) ->   /* the other replica follows */
       COPY(S[3 - primary], S[primary]); acked[1] = S[primary].off }
  :: atomic { failed_over && S[0].line == 0 -> COPY(S[0], S[primary]); acked[1] = S[primary].off }   /* the old primary comes back as a replica */
  od
}

active proctype Ingress() {
  byte s, before, at; bit line;
  do
  :: atomic { !answered -> choose(s); before = S[s].off;
       if :: S[s].place == NONE -> S[s].place = WAITING; WRITE(s) :: else fi;       /* new, or again */
       remember(s, before, at, line) };
     if
     :: atomic { WAITS_250(s, at, line) -> answered = 1; s = 0; before = 0; at = 0; line = 0; break }
     :: true -> s = 0; before = 0; at = 0; line = 0                                 /* fell short, or no reply */
     fi
  od
}

#define MAY_CLAIM(s) ((S[s].place == WAITING && claims < CLAIMS) || S[s].place == CLAIMED + c)
proctype Courier(byte c) {
  byte s, before, at; bit line, has, gone; byte claims;
  do
  :: atomic { if :: MAY_CLAIM(primary) -> s = primary :: ANSWERS(0) && MAY_CLAIM(0) -> s = 0 fi; before = S[s].off;
       if :: S[s].place == WAITING -> S[s].place = CLAIMED + c; claims++; WRITE(s) :: else fi;
       remember(s, before, at, line) };
     if
     :: atomic { WAITS_CLAIM(s, at, line) -> has = 1 }
     :: true
     fi;
     s = 0; before = 0; at = 0; line = 0;
     if
     :: !has -> goto next
     :: else -> has = 0
     fi;
     /* the dot; a courier that the primary has buried sends none */
     if
     :: atomic { c == 1 && S[primary].is_dead1 -> goto over }
     :: atomic { !(c == 1 && S[primary].is_dead1) ->
          HOLDS(inv3_one_worker, !dot[3 - c] || doubted);
          HOLDS(inv5_no_second_copy, !dot[c] || doubted);
          dot[c] = 1 }
     fi;
     /* the settle, until it is confirmed */
     do
     :: atomic { choose(s); before = S[s].off;
          if :: S[s].place == CLAIMED + c -> S[s].place = ENDED; WRITE(s) :: else fi;   /* ok, or gone: our own doing */
          remember(s, before, at, line) };
        if
        :: atomic { WAITS_SETTLE(s, at, line) -> recorded[c] = 1; s = 0; before = 0; at = 0; line = 0; break }
        :: true -> s = 0; before = 0; at = 0; line = 0
        fi
     od;
     goto over
next: skip
  od;
over: skip
}

active proctype Dispatcher() {
  byte s, at; bit line, knows;
  do
  :: atomic { !S[primary].is_dead1 -> S[primary].is_dead1 = 1; WRITE(primary) }           /* bury */
  :: atomic { ANSWERS(0) && !S[0].is_dead1 -> S[0].is_dead1 = 1; WRITE(0) }
  :: atomic { !knows && (S[primary].is_dead1 || (ANSWERS(0) && S[0].is_dead1)) ->
       if :: S[primary].is_dead1 -> s = primary :: ANSWERS(0) && S[0].is_dead1 -> s = 0 fi; at = S[s].off; line = S[s].line };   /* HGETALL of the nodes */
     if
     :: atomic { WAITS_VIEW(s, at, line) -> knows = 1 }
     :: true
     fi;
     s = 0; at = 0; line = 0
  :: atomic { knows && (S[primary].place == CLAIMED + 1 || (ANSWERS(0) && S[0].place == CLAIMED + 1)) ->   /* reap: it runs each second */
       if :: S[primary].place == CLAIMED + 1 -> s = primary :: ANSWERS(0) && S[0].place == CLAIMED + 1 -> s = 0 fi;
       if :: failed_over && s == 0 :: else -> HOLDS(inv5_no_second_copy, !recorded[1]) fi;
       S[s].place = WAITING; WRITE(s);
       if :: dot[1] -> doubted = 1 :: else fi; s = 0 }
  od
}

active proctype Monitor() { atomic { answered && S[primary].place == NONE -> HOLDS(inv1_250_is_durable, false) } }
init { atomic { run Courier(1); run Courier(2) } }
