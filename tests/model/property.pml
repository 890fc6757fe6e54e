/* Names of what must hold. A name stands in the text of its assertion, so that a violation says what was violated; it is always false. */
bit inv1_250_is_durable;         /* DESIGN.md section 3, by their numbers */
bit inv2_one_place;
bit inv3_one_worker;
bit inv4_no_dot_when_buried;
bit inv5_no_second_copy;
bit inv6_one_report;
bit content_stays;               /* what lives has its content */
bit orders_are_kept;             /* "later" to an operator is not forgotten */
bit others_go_on;                /* one part of the store that is away keeps no other's mail */
bit nobody_is_buried;            /* by an outage of Redis */
bit limit_is_kept;
bit half_moved_is_unseen;
#define HOLDS(name, condition) assert((condition) || name)
