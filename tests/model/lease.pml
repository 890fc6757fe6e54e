/* Leases of partitions and the grants under them, where only time decides: when can a limit be exceeded? Ticks of 1 s.
 *
 * Two dispatchers, two couriers, one queue whose limit is one connection; dispatcher d grants it to courier d. Requests are executed late or
 * never, replies and frames are late or lost, processes stop at any point. All timers tick
 * at the same instants: drift is not modelled, and ALONE = GRANT leaves no slack for it (a lease that ran out would need USE + GRANT - LEASE only; who yields may have granted just before). What reports add is handover.pml's.
 *
 * LEASE, USE, ALONE, GRANT are LEASE_MS of acquire.lua and keep.lua, LEASE_USE_MS, LEASE_ALONE_MS, and GRANT_MS and SHARE_MS, in seconds.
 *
 * Switches, each of which must fail:
 *   ALONE=4       the wait of a new owner is shorter              FROM_SENT     it counts from the sending of acquire, not from its reply
 *   FROM_ARRIVAL  a grant counts from its arrival, not from the hello that it answers
 *   USE_READ      the owner counts from the reply of keep         JUMP          Redis TIME jumps, to any value: with ALLOW=2 (two whole
 *                 seconds of excess) it holds; a lease guards limits, not mail
 */
#include "property.pml"

#ifndef ALONE
#define ALONE 5
#endif
#ifndef ALLOW
#define ALLOW 0
#endif
#define USE 3                              /* 2 s with a closed end: still usable at the second tick */
#define LEASE 3
#define GRANT 5
#define FAR 9                              /* until - now, clamped: "tomorrow" */

/* Redis: owner (0 none, 1, 2), token, until - now in ticks (0: over) */
byte o_owner, o_token = 1, o_left; bit jumped;
byte excess;                               /* ticks seen with both grants alive, after a jump */
#ifndef MAXTOK
#define MAXTOK 3                           /* takeovers: 2 and 3 */
#endif

typedef disp { byte tok, use, wait, out; bit req, rep, yields; byte age, rep_tok, yield_tok };           /* out: how long its grant may still live */
typedef cour { byte left; bit msg; byte msg_left };                                   /* left: of its grant */
disp D[2];  cour C[2];

#ifdef FROM_SENT
#define WAIT_START(d) D[d].age
#else
#define WAIT_START(d) 0
#endif
#ifdef USE_READ
#define USE_START(d) 0
#else
#define USE_START(d) D[d].age
#endif
#ifdef NO_VOID
#define VOID false
#else
#define VOID (o_left > LEASE)
#endif
#ifdef FROM_ARRIVAL
#define ARRIVES(c) GRANT
#else
#define ARRIVES(c) C[c].msg_left
#endif
#define BOTH (C[0].left && C[1].left)
#define MINUS(a, b) ((a) > (b) -> (a) - (b) : 0)
#define MINE(d) (o_owner == d + 1 && o_token == D[d].tok)
#define FREE(d) (o_owner == 0 || o_left == 0 || VOID)

inline read_reply(d) { D[d].rep = 0;
  if :: D[d].rep_tok != D[d].tok -> D[d].tok = D[d].rep_tok; D[d].wait = MINUS(ALONE, WAIT_START(d)) :: else fi;
  D[d].use = MINUS(USE, USE_START(d)); D[d].age = 0; D[d].rep_tok = 0 }
inline no_reply(d) { D[d].req = 0; D[d].rep = 0; D[d].age = 0; D[d].rep_tok = 0 }

proctype Dispatcher(byte d) {
  do
  :: atomic { !D[d].req && !D[d].rep && !D[d].yields -> D[d].req = 1 }                              /* keep or acquire is sent */
  :: atomic { D[d].req || D[d].rep -> no_reply(d) }                                 /* it, or its reply, is lost */
  :: atomic { D[d].req && MINE(d) -> D[d].req = 0; D[d].rep = 1; D[d].rep_tok = o_token; o_left = LEASE }       /* keep: ok */
  :: atomic { D[d].req && !MINE(d) && o_owner == d + 1 -> D[d].req = 0; D[d].rep = 1; D[d].rep_tok = o_token; o_left = LEASE } /* repeated acquire */
  :: atomic { D[d].req && o_owner != d + 1 && FREE(d) && o_token < MAXTOK ->                                     /* acquire */
              o_token++; o_owner = d + 1; o_left = LEASE; D[d].req = 0; D[d].rep = 1; D[d].rep_tok = o_token }
  :: atomic { D[d].req && o_owner != d + 1 && !FREE(d) -> no_reply(d); D[d].use = 0 }                           /* taken, lost */
  :: atomic { D[d].rep -> read_reply(d) }
#ifndef NO_YIELD
  :: atomic { D[d].use && !D[d].req && !D[d].rep && !D[d].yields -> D[d].use = 0; D[d].yields = 1; D[d].yield_tok = D[d].tok }
#endif
  :: atomic { D[d].yields && !D[d].req -> if :: o_owner == d + 1 && o_token == D[d].yield_tok -> o_owner = 0; o_left = 0 :: else fi; D[d].yields = 0; D[d].yield_tok = 0 }
  :: atomic { D[d].yields -> D[d].yields = 0; D[d].yield_tok = 0 }                  /* lost */
  :: atomic { D[d].use && !D[d].wait && !C[d].msg && !D[d].out ->
              D[d].out = GRANT; C[d].msg = 1; C[d].msg_left = GRANT }
  od
}
proctype Courier(byte c) {
  do
  :: atomic { C[c].msg -> if :: ARRIVES(c) -> C[c].left = ARRIVES(c) :: else fi;
              C[c].msg = 0; C[c].msg_left = 0; HOLDS(limit_is_kept, !BOTH || (jumped && ALLOW)) }
  :: atomic { C[c].msg -> C[c].msg = 0; C[c].msg_left = 0 }       /* lost */
  od
}
#define DEC(x) if :: x -> x-- :: else fi
proctype Clock() {
  do
  :: atomic { DEC(o_left);
       DEC(D[0].use); DEC(D[1].use); DEC(D[0].wait); DEC(D[1].wait); DEC(D[0].out); DEC(D[1].out);
       if :: (D[0].req || D[0].rep) && D[0].age < ALONE -> D[0].age++ :: else fi;
       if :: (D[1].req || D[1].rep) && D[1].age < ALONE -> D[1].age++ :: else fi;
       DEC(C[0].left); DEC(C[1].left); DEC(C[0].msg_left); DEC(C[1].msg_left);
       if :: BOTH && jumped -> excess++; HOLDS(limit_is_kept, excess <= ALLOW) :: else fi }
#ifdef JUMP
  :: atomic { !jumped -> jumped = 1; if :: o_left = 0 :: o_left = FAR fi }
#endif
  od
}
init { atomic { run Dispatcher(0); run Dispatcher(1); run Courier(0); run Courier(1); run Clock() } }
