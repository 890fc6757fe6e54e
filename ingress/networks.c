/* Lists of networks. */
#include "ingress/networks.h"

#include <errno.h>

#include "base/mem.h"

int networks_parse(const struct conf_listener *l, const char *name, const struct conf_list *list,
                   struct networks *ret_networks, char **ret_error)
{
    struct networks n = {.items = mem_array(list->count + 1, sizeof n.items[0])};
    for (size_t i = 0; i < list->count; i++) {
        if (network_parse(span_of(list->items[i]), &n.items[n.count++]) == 0)
            continue;
        AUTO_FREE char *setting = conf_member_path(&l->as_member, "listeners", name);
        *ret_error = mem_format("%s: \"%s\" is not a network; expected 192.0.2.0/24 or 2001:db8::/32",
                                setting, list->items[i]);
        networks_done(&n);
        return -EINVAL;
    }
    *ret_networks = n;
    return 0;
}

void networks_done(struct networks *n)
{
    mem_free(n->items);
    *n = (struct networks){.count = 0};
}

bool networks_have(const struct networks *n, const struct ip *ip)
{
    for (size_t i = 0; i < n->count; i++)
        if (network_has(&n->items[i], ip))
            return true;
    return false;
}
