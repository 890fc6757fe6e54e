/*
 * Who may send what to whom. A client outside the trusted networks may send to relay domains only, and only plainly: a local part that asks
 * somebody further on to route (user%host, host!user, "user@host") would make us the first half of an open relay (BEHAVIOURS E02).
 */
#include "ingress/policy.h"

#include <errno.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "ingress/networks.h"
#include "io/idn.h"

struct policy {
    struct networks trusted;
    struct map domains; /* relay domains, normalised; those with a leading dot stand for what is below them */
    char *postmaster;   /* where <postmaster> goes; NULL: nowhere */
};

static int add_domains(struct policy *p, const struct conf_listener *conf, char **ret_error)
{
    const struct conf_list *list = &conf->relay_domains;

    for (size_t i = 0; i < list->count; i++) {
        struct span name = span_of(list->items[i]);
        bool is_parent = name.len > 0 && name.at[0] == '.';
        char text[DOMAIN_MAX + 2] = ".";
        char *domain = text + (is_parent ? 1 : 0);
        char room[DOMAIN_MAX + 1];
        if (is_parent)
            name = (struct span){.at = name.at + 1, .len = name.len - 1};
        if (idn_domain(name, room) < 0) {
            AUTO_FREE char *setting = conf_member_path(&conf->as_member, "listeners", "relay_domains");
            *ret_error = mem_format("%s: \"%s\" is not a domain; expected example.com or .example.com",
                                    setting, list->items[i]);
            return -EINVAL;
        }
        memcpy(domain, room, strlen(room) + 1);
        (void) map_set(&p->domains, span_of(text), p); /* the same domain twice is no harm */
        if (!is_parent && !p->postmaster)
            p->postmaster = mem_format("postmaster@%s", domain);
    }
    return 0;
}

static int add_postmaster(struct policy *p, const struct conf_listener *conf, char **ret_error)
{
    struct addr addr;

    if (!conf->postmaster || !conf->postmaster[0])
        return 0; /* of the first relay domain */
    if (addr_parse(span_of(conf->postmaster), &addr) < 0 || addr.is_literal) {
        AUTO_FREE char *setting = conf_member_path(&conf->as_member, "listeners", "postmaster");
        *ret_error = mem_format("%s: \"%s\" is not an address; expected postmaster@example.com", setting,
                                conf->postmaster);
        return -EINVAL;
    }
    p->postmaster = mem_string(conf->postmaster);
    return 0;
}

int policy_new(const struct conf_listener *conf, struct policy **ret_policy, char **ret_error)
{
    struct policy *p = NEW(struct policy);
    int r = networks_parse(conf, "trusted_networks", &conf->trusted_networks, &p->trusted, ret_error);
    if (r >= 0)
        r = add_postmaster(p, conf, ret_error);
    if (r >= 0)
        r = add_domains(p, conf, ret_error);
    if (r < 0) {
        (void) policy_free(p); /* always NULL */
        return r;
    }
    *ret_policy = p;
    return 0;
}

struct policy *policy_free(struct policy *p)
{
    if (!p)
        return NULL;
    map_done(&p->domains);
    networks_done(&p->trusted);
    mem_free(p->postmaster);
    mem_free(p);
    return NULL;
}

bool policy_is_trusted(const struct policy *p, const struct ip *client)
{
    return networks_have(&p->trusted, client);
}

/* domain: normalised. Itself, or one of its parents with a leading dot. */
static bool is_relay_domain(const struct policy *p, const char *domain)
{
    if (p->domains.count == 0)
        return false;
    if (map_get(&p->domains, span_of(domain)))
        return true;
    for (const char *dot = strchr(domain, '.'); dot; dot = strchr(dot + 1, '.'))
        if (map_get(&p->domains, span_of(dot)))
            return true;
    return false;
}

bool policy_is_ours(const struct policy *p, const char *domain)
{
    return is_relay_domain(p, domain);
}

static void answer_postmaster(const struct policy *p, struct smtp_answer *ret_answer)
{
    if (p->postmaster)
        *ret_answer = (struct smtp_answer){250, "2.1.5", "Ok", (const char *const *) &p->postmaster, 1};
    else
        *ret_answer = (struct smtp_answer){550, "5.1.1", "There is no postmaster without a domain here", NULL,
                                           0};
}

void policy_recipient(const struct policy *p, bool is_trusted, const struct addr *recipient,
                      struct smtp_answer *ret_answer)
{
    char domain[DOMAIN_MAX + 1];
    if (recipient->domain.len == 0) {
        answer_postmaster(p, ret_answer);
        return;
    }
    if (!recipient->is_literal && idn_domain(recipient->domain, domain) < 0) {
        *ret_answer = (struct smtp_answer){501, "5.1.3", "That is not a mail domain", NULL, 0};
        return;
    }
    bool is_ours = !recipient->is_literal && is_relay_domain(p, domain);
    if (!is_trusted && (!is_ours || addr_has_route(recipient)))
        *ret_answer = (struct smtp_answer){550, "5.7.1", "Relaying is not allowed for you", NULL, 0};
    else if (recipient->is_literal)
        *ret_answer = (struct smtp_answer){550, "5.1.2", "Address literals are not taken", NULL, 0};
    else
        *ret_answer = (struct smtp_answer){250, "2.1.5", "Ok", NULL, 0};
}
