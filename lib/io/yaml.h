/*
 * Does: reads a configuration file in YAML (or JSON, which is YAML): section -> name -> one value, a list, or a map of values;
 * and group -> member -> name -> the same.
 * Does not: know which settings there are (base/conf.h), only which names are groups.
 * Owns: nothing; the items are the caller's.
 * Fails: -EINVAL with "file:line: reason": not readable, above YAML_FILE_MAX, not well-formed, deeper than a setting goes, an anchor, alias or
 * tag, a second document, or a key that is there twice.
 * Calls: libyaml.
 */
#pragma once

#include "base/conf.h"

enum { YAML_FILE_MAX = 1048576 };

/* A conf_reader. A section or file without any setting gives no items. */
int yaml_read_settings(const char *file, struct conf_item **ret_items, size_t *ret_count, char **ret_error);
