/* Delivered in the end, if one courier lives. Weak fairness (pan -a -f); each actor is a process of its own, so that it applies to its steps.
 *
 * One job. Courier 0 may die, or drain and leave, at any point, and leaves its claim behind, perhaps executed after its burial; courier 1 lives;
 * up to two requests in all are lost.
 *
 * Switches, each of which must fail: REAP_ONCE  reap runs once, when the courier vanishes, not each second
 *                                    NO_REPEAT  courier 1 does not repeat a request
 *                                    DUE_ONCE   the dispatcher looks for due work once: what comes back later is not found
 */
mtype = { Q, C, DONE };
mtype place = Q; byte k; bit granted;
bit dead0, buried0, reaped, cl0, cl1, se1, got1, none1; byte lost;
ltl delivered_in_the_end { <> (place == DONE) }

active proctype Look() {                        /* due: a queue with work is granted, again and again */
#ifdef DUE_ONCE
  atomic { place == Q -> granted = 1 }
#else
  do :: atomic { place == Q && !granted -> granted = 1 } :: place == DONE -> break od
#endif
}
active proctype Courier0() {                    /* claims, delivers, settles, dies between any two steps, or drains: what it has goes back */
  cl0 = 1;
  if :: place == C && k == 1 -> if :: atomic { place == C && k == 1 -> place = DONE; k = 0 } :: atomic { place == C && k == 1 -> place = Q; k = 0 } :: skip fi :: skip fi;
  dead0 = 1
}
active proctype Net0() { if :: atomic { cl0 -> cl0 = 0; if :: place == Q -> place = C; k = 1 :: else fi } fi }   /* any time later */
active proctype Dispatcher() {
  dead0 -> buried0 = 1;
#ifdef REAP_ONCE
  atomic { if :: place == C && k == 1 -> place = Q; k = 0 :: else fi; reaped = 1 }
#else
  do :: atomic { place == C && k == 1 -> place = Q; k = 0 } :: place == DONE -> break od
#endif
}
#ifdef NO_REPEAT
#define REPEAT false
#else
#define REPEAT true
#endif
active proctype Courier1() {
  do
  :: place == DONE -> break
  :: atomic { place != DONE && granted -> granted = 0 };
     cl1 = 1;
     do :: atomic { got1 -> got1 = 0; se1 = 1; break }
        :: atomic { none1 -> none1 = 0; goto next }
        :: atomic { !cl1 && !got1 && !none1 && REPEAT -> cl1 = 1 }              /* no reply: repeated */
        :: place == DONE -> goto out
     od;
     do :: place == DONE -> break
        :: atomic { !se1 && place != DONE && REPEAT -> se1 = 1 }
     od;
next: skip
  od;
out: skip
}
active proctype Net1() {
  do
  :: atomic { cl1 -> cl1 = 0; if :: place == Q -> place = C; k = 2; got1 = 1 :: place == C && k == 2 -> got1 = 1 :: else -> none1 = 1 fi }
  :: atomic { se1 -> se1 = 0; if :: place == C && k == 2 -> place = DONE; k = 0 :: else fi }
  :: atomic { cl1 && lost < 2 -> lost++; cl1 = 0 }
  :: atomic { se1 && lost < 2 -> lost++; se1 = 0 }
  :: atomic { cl1 && lost < 2 -> lost++; cl1 = 0; if :: place == Q -> place = C; k = 2 :: else fi }   /* executed, its reply lost */
  :: place == DONE -> break
  od
}
