/*
 * Does: makes calls that invite overflows or share hidden state fail to compile. Included by the Makefile before every source of ours.
 * Does not: ban what a rule of tests/check/rules.sh finds (allocation outside mem.c, system(), sleeps in tests).
 * Fails: at compile time: "attempt to use poisoned".
 */
#pragma once

/* The headers that declare the names come first: afterwards the name itself is an error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <wchar.h>

#undef strcpy
#undef strcat
#undef stpcpy
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat stpcpy sprintf vsprintf strtok gmtime localtime asctime ctime gets
