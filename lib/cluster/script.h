/*
 * Does: the embedded scripts by number: text and the SHA-1 by which Redis knows them.
 * Does not: load them (store.c).
 * Owns: the hashes, computed once. Fails: never.
 */
#pragma once

#include "base/buf.h"
#include "cluster/store.h"

enum { SCRIPT_HASH_LEN = 40 };
struct span script_text(enum script script);
struct span script_hash(enum script script); /* 40 hex digits. Thread-safe. */
/* Appends SCRIPT LOAD of every script: SCRIPT_COUNT commands. */
void script_load_all(struct buf *commands);
