/* Accepting: commit, unknown outcome, revoke, requests that come late, the content's time limit, a failover.
 *
 * One message, two recipients (bits 1 and 2), content of one chunk. Ingress sends (SET chunk, commit) up to three times, then delete with
 * revoke up to twice. Each request is executed at any later time or never, the two halves of a pipeline may part, every reply may be lost.
 * A courier claims, delivers to none, some or all, bounces, settles, may die. The store fails over once, at any moment, to what was confirmed
 * last (Dur); a WAIT that returns makes the state durable. A request is executed before the marks of the message end, or never: MARK_MS is
 * longer than store.commit_time, and the clocks are watched (LATE_MARK drops that).
 *
 * Switches, each of which must fail:
 *   PLAIN_SET   the chunk is SET without NX                   REVOKE_ALL  revoke looks only at the claims, not at what has moved or ended
 *   NO_MARK     a job that ended leaves no mark               NO_REVOKED  revoke leaves no mark
 *   NO_WAIT     250 without WAIT                              LATE_MARK   the mark ends while requests are under way
 *   NO_DOUBT    gives up with a 451 that is not counted in doubt
 */
#include "property.pml"

mtype = { NOTHING, QUEUED, CLAIMED };              /* j and its place */
mtype = { NOMARK, DIGEST, REVOKED };               /* seen */
mtype = { ABSENT, TTL, PERM };                     /* chunk */
mtype = { NOANS, A250, A451, A451_DOUBT };
mtype = { NEW, AGAIN, GONE, DELETED, HELD, REFUSED };

typedef store { mtype j; byte s; mtype seen; mtype chunk; bit crash; byte k };
store R, Dur;                                       /* the primary; what every promotable replica holds */
bit failed_over;

byte set_req, commit_req, revoke_req;              /* sent and not yet executed or lost (any order, any delay) */
bit  ingress_listens_c, ingress_listens_r;          /* the newest send may still be answered */
mtype answer = NOANS;
byte  got[3];                                      /* copies at recipient 1 and 2 */
bit   reported, doubted, gave_up;

inline copy(a, b) { a.j = b.j; a.s = b.s; a.seen = b.seen; a.chunk = b.chunk; a.crash = b.crash; a.k = b.k }
#ifdef NO_DOUBT
#define GIVE_UP answer = A451
#else
#define GIVE_UP answer = A451_DOUBT
#endif
#ifdef NO_WAIT
#define WAITED true
#else
#define WAITED false
#endif
#ifdef REVOKE_ALL
#define MOVED false
#else   /* the job may have been delivered, in part or in whole */
#define MOVED (R.seen == DIGEST || (R.j == QUEUED && (R.s || R.crash)))
#endif
#ifdef NO_REVOKED
#define MARK_REVOKED skip
#else
#define MARK_REVOKED R.seen = REVOKED
#endif
#ifdef NO_MARK
#define MARK_ENDED skip
#else
#define MARK_ENDED R.seen = DIGEST
#endif
#ifdef PLAIN_SET
#define SET_CHUNK R.chunk = TTL
#else
#define SET_CHUNK if :: R.chunk == ABSENT -> R.chunk = TTL :: else fi
#endif
#ifdef LATE_MARK
#define NOTHING_LATE true
#else
#define NOTHING_LATE (gave_up && !commit_req && !revoke_req)
#endif
chan rep_c = [1] of { mtype, bit };  chan rep_r = [1] of { mtype, bit };   /* answer, and from which primary */
inline do_rep_c(x) { if :: ingress_listens_c && empty(rep_c) -> rep_c!x,failed_over :: true fi }   /* or the reply is lost */
inline do_rep_r(x) { if :: ingress_listens_r && empty(rep_r) -> rep_r!x,failed_over :: true fi }

active proctype Redis() {
  R.j = NOTHING; R.seen = NOMARK; R.chunk = ABSENT; copy(Dur, R);
  do
  :: atomic { set_req -> set_req--; SET_CHUNK }
  :: atomic { commit_req -> commit_req--;
       if :: R.seen == DIGEST  -> do_rep_c(AGAIN)
          :: R.seen == REVOKED -> do_rep_c(REFUSED)
          :: R.seen == NOMARK && R.j != NOTHING -> do_rep_c(AGAIN)
          :: R.seen == NOMARK && R.j == NOTHING && R.chunk == ABSENT -> do_rep_c(REFUSED)
          :: else -> R.chunk = PERM; R.j = QUEUED; R.s = 0; R.crash = 0; do_rep_c(NEW) fi }
  :: atomic { revoke_req -> revoke_req--;
       if :: R.j == CLAIMED || MOVED -> do_rep_r(HELD)
          :: else -> MARK_REVOKED;
             if :: R.j == NOTHING -> do_rep_r(GONE)
                :: else -> R.j = NOTHING; R.s = 0; R.crash = 0; R.chunk = ABSENT; do_rep_r(DELETED) fi fi }
  :: atomic { set_req -> set_req-- }                 /* lost */
  :: atomic { commit_req -> commit_req-- }
  :: atomic { revoke_req -> revoke_req-- }
  :: atomic { R.chunk == TTL -> R.chunk = ABSENT }   /* the TTL runs out */
  :: atomic { R.seen == DIGEST && NOTHING_LATE -> R.seen = NOMARK }
  :: atomic { !failed_over -> failed_over = 1; copy(R, Dur) }
  od
}

active proctype Ingress() {
  byte n; mtype x; bit ep;
  do
  :: atomic { n < 3 -> n++; set_req++; commit_req++; ingress_listens_c = 1 }
     if
     :: atomic { rep_c?x,ep -> ingress_listens_c = 0; gave_up = 1;
          if :: (x == NEW || x == AGAIN) && WAITED -> answer = A250
             :: (x == NEW || x == AGAIN) && ep == failed_over -> copy(Dur, R); answer = A250   /* WAIT, sent after the script, returned n */
             :: true -> gave_up = 0                  /* WAIT fell short, or "incomplete": repeat, then revoke */
          fi; x = 0; ep = 0 }
     :: atomic { ingress_listens_c = 0; do :: rep_c?x,ep :: empty(rep_c) -> break od; x = 0; ep = 0 }   /* nothing came */
     fi;
     if :: answer == A250 -> goto done :: else fi
  :: n > 0 -> break
  od;
  n = 0;
  do
  :: atomic { n < 2 -> n++; revoke_req++; ingress_listens_r = 1 }
     if
     :: atomic { rep_r?x,ep -> ingress_listens_r = 0;
          if :: ep == failed_over -> copy(Dur, R);    /* the revoke counts when confirmed */
                if :: x == GONE || x == DELETED -> answer = A451 :: x == HELD -> answer = A451_DOUBT fi
             :: true fi; x = 0; ep = 0 }
     :: atomic { ingress_listens_r = 0; do :: rep_r?x,ep :: empty(rep_r) -> break od; x = 0; ep = 0 }
     fi;
     if :: answer != NOANS -> goto done :: else fi
  :: atomic { n > 0 ->
GIVE_UP; break }
  od;
done: gave_up = 1;
  if :: answer == A451 -> HOLDS(inv5_no_second_copy, (!got[1] && !got[2]) || doubted) :: else fi
}

byte tokens;
inline settle_end()  { if :: R.j == CLAIMED && R.k == k -> R.j = NOTHING; R.s = 0; R.k = 0; R.crash = 0; R.chunk = ABSENT;
       MARK_ENDED;
       copy(Dur, R) :: else fi }
inline settle_back() { if :: R.j == CLAIMED && R.k == k -> R.j = QUEUED; R.s = s; R.k = 0; R.crash = 0; copy(Dur, R) :: else fi }

active proctype Courier() {
  byte k, s, r; 
  do
  :: atomic { R.j == QUEUED && tokens < 3 && R.chunk != ABSENT -> tokens++; k = tokens; R.j = CLAIMED; R.k = k; s = R.s; copy(Dur, R) }   /* claim, confirmed */
     if
     :: true -> skip                                 /* attempt */
     :: atomic { true -> goto release }
     fi;
     r = 1;
     do :: atomic { r <= 2 && !(s & r) ->             /* a dot for recipient r; its reply may be a refusal, or lost */
              if :: true -> got[r]++; s = s | r;
                    HOLDS(inv5_no_second_copy, answer != A451 || doubted);
                    HOLDS(inv5_no_second_copy, got[r] == 1 || doubted)
                 :: true -> skip
                 :: true -> got[r]++; doubted = 1; HOLDS(inv5_no_second_copy, answer != A451 || doubted)
              fi; r++ }
        :: r <= 2 && (s & r) -> r++
        :: r > 2 -> break
     od;
     if
     :: atomic { true -> doubted = 1; if :: R.j == CLAIMED && R.k == k -> R.j = QUEUED; R.k = 0; R.crash = 1 :: else fi }   /* dies: reaped, in doubt */
     :: atomic { s == 3 -> settle_end() }
     :: atomic { s != 3 -> settle_back() }
     :: atomic { s != 3 -> if :: R.j == CLAIMED && R.k == k -> reported = 1 :: else fi; settle_end() }   /* the rest is bounced: verdict and DSN in one write */
     fi;
     s = 0; k = 0; r = 0; goto again;
release: atomic { if :: R.j == CLAIMED && R.k == k -> R.j = QUEUED; R.k = 0; copy(Dur, R) :: else fi; s = 0; k = 0 }
again: skip
  od
}
/* never false: a message with a 250 is in the queue with its content, or each recipient was served or reported */
#define SAFE (answer != A250 || reported || (got[1] && got[2]) || (R.j != NOTHING && R.chunk != ABSENT))
active proctype Monitor() { atomic { !SAFE -> HOLDS(inv1_250_is_durable, false) } }
