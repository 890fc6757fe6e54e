/*
 * Does: a setting's list of networks, and whether an address is in one of them.
 * Does not: know what they are for.
 * Owns: its array. A zeroed one is valid and empty.
 * Fails: networks_parse() -EINVAL with a sentence that names the setting.
 */
#pragma once

#include "base/conf.h"
#include "mail/addr.h"

struct networks {
    struct network *items;
    size_t count;
};

/* A listener's list; name: that of the setting, for the sentence. */
int networks_parse(const struct conf_listener *l, const char *name, const struct conf_list *list,
                   struct networks *ret_networks, char **ret_error);
void networks_done(struct networks *n);
bool networks_have(const struct networks *n, const struct ip *ip);
