/* A partition changes hands: what couriers report lets the new owner grant before ALONE has passed (lease.pml). Ticks of 0.2 s.
 *
 * The queue's limit is one connection. The owner before sends its last grant to courier 0 at tick 0. The courier reports all it holds every
 * HELLO, to everybody, by a timer that runs anyhow; a frame is on its way for less than NET + 1 ticks. Then the partition is yielded (taken over
 * at tick 0 or later), or its lease runs out (at tick LEASE - USE or later: the owner stopped so long before). The new owner has heard courier 0
 * all the time; SETTLE after acquire, or MARGIN after it when the lease ran out, it believes what was reported last and grants courier 1 the rest.
 *
 * HELLO, SETTLE, MARGIN are HELLO_MS, LEASE_SETTLE_MS and LEASE_EXPIRED_MS.
 *
 * Switches, each of which must fail: NO_SETTLE  a partition that was yielded is granted at once
 *                                    NO_MARGIN  the same of one whose lease ran out
 *                                    NET=1      frames are late by more than the margins
 *                                    LOSS       the report that would tell is lost
 */
#include "property.pml"

#ifndef NET
#define NET 0
#endif
#define HELLO 5
#ifdef NO_SETTLE
#define SETTLE 0
#else
#define SETTLE 6
#endif
#ifdef NO_MARGIN
#define MARGIN 0
#else
#define MARGIN 1
#endif
#define EXPIRED_AFTER 5         /* LEASE - USE: 1 s */

bit expires, has0, has1, grant = 1, report, report_says, believes, acquired;
byte now, grant_age, report_age, phase, since;

proctype Courier() {
  do
  :: atomic { grant -> grant = 0; has0 = 1; HOLDS(limit_is_kept, !has1) }
  :: atomic { phase == HELLO && !report -> report = 1; report_says = has0; report_age = 0; phase = 0 }
  :: now > 20 && !grant -> break
  od
}
proctype Dispatcher() {
  do
  :: atomic { report -> believes = report_says; report = 0; report_says = 0; report_age = 0 }
#ifdef LOSS
  :: atomic { report -> report = 0; report_says = 0; report_age = 0 }
#endif
  :: atomic { !acquired && now >= (expires -> EXPIRED_AFTER : 0) -> acquired = 1; since = 0 }
  :: atomic { acquired && !believes && !has1 && since >= (expires -> MARGIN : SETTLE) -> has1 = 1; HOLDS(limit_is_kept, !has0) }
  :: now > 20 && !report -> break
  od
}
/* Nothing stays on its way, or undone, longer than it may. */
proctype Clock() {
  do
  :: atomic { now <= 20 && !(grant && grant_age >= NET) && !(report && report_age >= NET) && phase < HELLO && (acquired || now < 8) ->
       now++; phase++; if :: acquired && since < 10 -> since++ :: else fi;
       if :: grant -> grant_age++ :: else fi; if :: report -> report_age++ :: else fi }
  :: now > 20 -> break
  od
}
init { atomic {
  if :: expires = 1 :: true fi;
  if :: phase = 0 :: phase = 1 :: phase = 2 :: phase = 3 :: phase = 4 fi;
  run Courier(); run Dispatcher(); run Clock() } }
