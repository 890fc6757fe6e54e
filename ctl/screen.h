/*
 * Does: a terminal taken whole: lines drawn in place, keys read, told when its size changes. Plain sequences that every terminal of today knows
 *       (ECMA-48 and xterm's other screen), no database of them.
 * Does not: know what is drawn.
 * Owns: the terminal's state from screen_open() to screen_close(), and gives it back also when the program ends by a signal or by must().
 * Fails: screen_open() with EXIT_BAD_USAGE and said: standard input and output are no terminal.
 */
#pragma once

#include "base/buf.h"
#include "io/loop.h"

enum stroke { /* keys that are no character */
              STROKE_UP = 256,
              STROKE_DOWN,
              STROKE_LEFT,
              STROKE_RIGHT,
              STROKE_PAGE_UP,
              STROKE_PAGE_DOWN,
              STROKE_HOME,
              STROKE_END,
};
enum screen_style { SCREEN_PLAIN, SCREEN_BOLD, SCREEN_TURNED };

struct screen {
    unsigned width, height;
    int input;
    struct watch *keys;
    struct buf out;  /* of the picture under way */
    unsigned lines;  /* in it */
    char waiting[8]; /* the start of a key that came in pieces */
    size_t waiting_len;
    void (*on_key)(void *owner, int key); /* a character, or a stroke */
    void (*on_resize)(void *owner);
    void *owner;
};
/* on_key, on_resize and owner are set. What is said on standard error meanwhile comes when it is closed. */
int screen_open(struct screen *s, struct loop *l);
void screen_close(struct screen *s);

/* A picture: begun, its lines from the top, ended. Lines that there is no room for are left out, and what is too long is cut. Text is printable ASCII. */
void screen_begin(struct screen *s);
void screen_line(struct screen *s, struct span text, enum screen_style style);
void screen_end(struct screen *s);

/* Pure: one key from the start of bytes: how many it takes, *ret_key 0: a sequence of no meaning here; 0: it needs more. */
size_t screen_key(struct span bytes, int *ret_key);
