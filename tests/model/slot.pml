/* A slot moves from node 0 to node 1 of a Redis Cluster, key by key, while scripts of its partition run.
 *
 * One job. Its record j and the indexes q and c are keys of the slot; a script names some of them and finds j by itself. The rules of Redis:
 * a node that gives a slot away runs what names only keys that are there, and answers ASK to the rest; a node that takes it runs what comes
 * with ASKING and names only keys that are there, and answers TRYAGAIN to the rest; who does not own it and does neither answers MOVED.
 * Every script of ours names `never` too, which is nowhere: so nothing runs on either side until the slot has one owner again.
 *
 * Switches: NO_NEVER  the scripts do not name it: must fail
 */
#include "property.pml"

bit owns[2], gives, takes, j[2], q[2], c[2], held;
#ifdef NO_NEVER
#define NAMED(s, all) (all)
#else
#define NAMED(s, all) false
#endif
/* Runs on node s; all: the named keys are there. */
#define RUNS(s, asking, all) ((s == 0 && owns[0] && (!gives || NAMED(0, all))) || (s == 1 && owns[1]) || (s == 1 && takes && asking && NAMED(1, all)))
#define ASKS(s) (s == 0 && gives)

inline look(s) {
  HOLDS(half_moved_is_unseen, !j[1 - s] && !q[1 - s] && !c[1 - s]);
  HOLDS(inv2_one_place, q[s] + c[s] + held == 1 && j[s]) }

inline claim(s) { look(s); if :: q[s] && j[s] -> q[s] = 0; c[s] = 1 :: q[s] && !j[s] -> q[s] = 0; held = 1 :: else fi }
inline reap(s)  { look(s); if :: c[s] && j[s] -> c[s] = 0; q[s] = 1 :: c[s] && !j[s] -> c[s] = 0; held = 1 :: else fi }

proctype Client(bit claims) {
  bit s, asking;
  do
  :: atomic { RUNS(s, asking, (claims && q[s]) || (!claims && c[s])) ->
       if :: claims -> claim(s) :: else -> reap(s) fi; asking = 0 }
  :: atomic { !RUNS(s, asking, (claims && q[s]) || (!claims && c[s])) && ASKS(s) -> s = 1; asking = 1 }      /* ASK, followed once */
  :: atomic { !RUNS(s, asking, (claims && q[s]) || (!claims && c[s])) && !ASKS(s) ->
       if :: s = 0 :: s = 1 fi; asking = 0 }                                      /* MOVED, TRYAGAIN: the owner by a map that may be old */
  od
}

active proctype Mover() {
  atomic { owns[0] = 1; j[0] = 1; q[0] = 1; run Client(0); run Client(1) };
  if :: takes = 1; gives = 1 :: gives = 1; takes = 1 fi;
  do
  :: atomic { j[0] -> j[0] = 0; j[1] = 1 }
  :: atomic { q[0] -> q[0] = 0; q[1] = 1 }
  :: atomic { c[0] -> c[0] = 0; c[1] = 1 }
  :: atomic { !j[0] && !q[0] && !c[0] -> break }
  od;
  atomic { owns[1] = 1; takes = 0 };
  atomic { owns[0] = 0; gives = 0 }
}
