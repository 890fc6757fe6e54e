/*
 * Does: ends or stops the process at a named step (fault.def), and tells the bus which frames to lose or delay, as BARID_FAULT says.
 * Does not: exist in a normal build: its macros are nothing without -DFAULTS (make FAULTS=1: FAULT_BUILD), and the variables are refused as no settings.
 * Owns: the plan read from the environment. Thread-safe.
 * Fails: a plan that cannot be understood is a bug of the test: must().
 * See: tests/faults, which walks all steps.
 *
 * BARID_FAULT: several, comma separated: "before_dot:crash:1" (SIGKILL at the first pass), "before_dot:pause:2" (SIGSTOP at the second),
 * "bus_send:lose:20", "bus_send:delay:50" (percent of the frames; late by 10 to 2000 ms). BARID_FAULT_SEED: a number, for the frames.
 * BARID_FAULT_DIR: a directory where a file called "before_dot:crash:1" arms that step while the processes run: passes of all of them count,
 * the one that takes the file away is hit.
 */
#pragma once

#include <stdbool.h>

enum fault {
#define FAULT(name, program, what) FAULT_##name,
#include "base/fault.def"
#undef FAULT
    FAULT_COUNT
};

/* The process is at this step. A line on stderr tells step, pid and time (CLOCK_MONOTONIC) before the process ends or stops. */
void fault_pass(enum fault step);
/* As fault_pass(), but once all that this round of the loop has to send has left: the loop says when. */
void fault_sent(enum fault step);
void fault_round_over(void);
/* What becomes of the frame about to be sent: 0: sent; FAULT_FRAME_LOST; else late by so many ms. */
enum { FAULT_FRAME_LOST = -1 };
int fault_frame(void);

#ifdef FAULTS
#define FAULT_BUILD true
#define FAULT_POINT(step) fault_pass(FAULT_##step)
#define FAULT_SENT(step) fault_sent(FAULT_##step)
#define FAULT_ROUND_OVER() fault_round_over()
#else
#define FAULT_BUILD false
#define FAULT_POINT(step) ((void) 0)
#define FAULT_SENT(step) ((void) 0)
#define FAULT_ROUND_OVER() ((void) 0)
#endif
