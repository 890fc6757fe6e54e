/*
 * Does: takes a password from where it is given, or makes one up.
 * Does not: judge it (password_check() of cluster/verifier.h), or keep it.
 * Owns: nothing; the caller wipes what it gets.
 * Fails: EXIT_ASKED_FAILED, said.
 */
#pragma once

#include "base/buf.h"

/* The first line; where: what it is called when it cannot be read. */
int password_read(int fd, const char *where, struct buf *out);
int password_read_file(const char *file, struct buf *out);
/* 24 letters and digits: more than 128 bits. */
void password_make(struct buf *out);
