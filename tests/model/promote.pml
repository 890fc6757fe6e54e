/* Promotion: Sentinels, and replicas of a Cluster by themselves, choose by figures that may be old, and a primary may start anew.
 *
 * Server 0 is the primary, 1 and 2 are replicas that follow it, level `replicas: 1`; one node accepts. Whoever promotes looks at each replica's
 * offset from time to time and, when the primary is lost, takes the one whose figure is the largest. A replica may lose its way to the primary
 * and find it again; the primary may start anew, with all it had, and counts its stream from nought then; the node may start anew too, and
 * knows no follower. It looks at who follows from time to time, and confirms what as many hold as it counts. A look that finds fewer is believed
 * when every figure is newer than the last one that found all: of those who follow by at least one write (each look makes one).
 *
 * Switches, each of which must fail:
 *   ONE_IS_ENOUGH  one replica that holds a write confirms it, whoever else follows
 *   NO_GATHERING   a node that has just started, or just met the primary, counts those who follow, not those who may be promoted
 *   ONE_HISTORY    that the stream began anew makes no difference to who has followed
 *   NOT_KEPT       who does not follow any more is not counted from the next look on
 *   LATE_LOOK      who follows again is counted from the next look on, and promoted before it: what the code leaves open, for a second
 *   FAULTS=2       a replica is left behind, then the primary starts anew, then it is lost: the one left behind has the largest figure
 */
#include "property.pml"

#ifndef WRITES
#define WRITES 4
#endif
#ifndef FAULTS
#define FAULTS 1                /* before the primary is lost */
#endif
#define BOTH 3                  /* the replicas, a bit each */
#define BIT(i) (1 << ((i) - 1))
#define COUNT(set) (((set) & 1) + ((set) >> 1))

typedef server { byte off; byte has };
server S[3];
byte follows = BOTH, figure[3];
byte counted = BOTH, news, lost_at;     /* of the node; news: figures that are newer than lost_at */
bit gathered = 1, waits;
byte made, confirmed, faults;
bit is_renewed, is_over;

#define COPY(i) S[i].off = S[0].off; S[i].has = S[0].has
inline look() {
  if
  :: COUNT(follows) >= COUNT(counted) -> counted = follows; waits = 0
#ifdef NOT_KEPT
  :: else -> counted = follows
#else
  :: else -> if
     :: !waits -> waits = 1; lost_at = S[0].off; news = 0
     :: waits && news == BOTH -> counted = follows; waits = 0
     :: else
     fi
#endif
  fi;
  if :: follows == BOTH -> gathered = 1 :: else fi
}
#ifdef NO_GATHERING
#define MEET skip
#else
#define MEET gathered = 0
#endif

#define HOLDERS(w) ((follows & 1 && S[1].has & (1 << (w)) -> 1 : 0) + (follows & 2 && S[2].has & (1 << (w)) -> 1 : 0))
#ifdef ONE_IS_ENOUGH
#define NEEDED 1
#else
#define NEEDED (!gathered || counted == BOTH -> 2 : 1)
#endif

proctype Replica(byte i) {
  do
  :: atomic { !is_over && (follows & BIT(i)) && S[i].off < S[0].off -> COPY(i) }
  :: atomic { !is_over && (follows & BIT(i)) && faults < FAULTS -> faults++; follows = follows & ~BIT(i) }
  :: atomic { !is_over && !(follows & BIT(i)) -> COPY(i); follows = follows | BIT(i);
#ifndef LATE_LOOK
       look()
#endif
     }
  :: atomic { !is_over && figure[i] != S[i].off || waits && !(news & BIT(i)) ->       /* it is looked at */
       figure[i] = S[i].off;
       if :: !(follows & BIT(i)) || figure[i] > lost_at -> news = news | BIT(i) :: else fi }
  :: is_over -> break
  od
}

active proctype Primary() {
  do
  :: atomic { !is_over && made < WRITES -> S[0].off++; S[0].has = S[0].has | (1 << made); made++ }
  :: atomic { !is_over && faults < FAULTS -> faults++; S[0].off = 0; follows = 0; waits = 0;
#ifndef ONE_HISTORY
       MEET
#endif
     }
  :: atomic { !is_over -> is_over = 1;                                                 /* lost for good: one is promoted */
       if
       :: figure[1] >= figure[2] -> HOLDS(inv1_250_is_durable, !(confirmed & ~S[1].has))
       :: figure[2] >= figure[1] -> HOLDS(inv1_250_is_durable, !(confirmed & ~S[2].has))
       fi; break }
  od
}

active proctype Node() {
  byte w;
  do
  :: atomic { !is_over -> look() }
  :: atomic { !is_over && !is_renewed -> is_renewed = 1; counted = 0; waits = 0; MEET }
  :: atomic { !is_over ->
       if :: w = 0 :: made > 1 -> w = 1 :: made > 2 -> w = 2 :: made > 3 -> w = 3 fi;
       if :: w < made && HOLDERS(w) >= NEEDED -> confirmed = confirmed | (1 << w) :: else fi; w = 0 }
  :: is_over -> break
  od
}

init { atomic { run Replica(1); run Replica(2) } }
