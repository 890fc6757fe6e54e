/*
 * Who may send what to whom. A client outside the trusted networks may send to relay domains only, and only plainly: a local part that asks
 * somebody further on to route (user%host, host!user, "user@host") would make us the first half of an open relay (BEHAVIOURS E02).
 */
#include "ingress/policy.h"

#include <errno.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "io/idn.h"

struct policy {
    struct network *trusted;
    size_t trusted_count;
    struct map domains; /* relay domains, normalised; those with a leading dot stand for what is below them */
    char *postmaster;   /* where <postmaster> goes; NULL: nowhere */
};

static int add_networks(struct policy *p, const struct conf_list *list, char **ret_error)
{
    p->trusted = mem_array(list->count + 1, sizeof p->trusted[0]);
    for (size_t i = 0; i < list->count; i++) {
        if (network_parse(span_of(list->items[i]), &p->trusted[i]) < 0) {
            *ret_error = mem_format(
                "ingress.trusted_networks: \"%s\" is not a network; expected 192.0.2.0/24 or 2001:db8::/32",
                list->items[i]);
            return -EINVAL;
        }
        p->trusted_count++;
    }
    return 0;
}

static int add_domains(struct policy *p, const struct conf_list *list, char **ret_error)
{
    for (size_t i = 0; i < list->count; i++) {
        struct span name = span_of(list->items[i]);
        bool is_parent = name.len > 0 && name.at[0] == '.';
        char text[DOMAIN_MAX + 2] = ".";
        char *domain = text + (is_parent ? 1 : 0);
        char room[DOMAIN_MAX + 1];
        if (is_parent)
            name = (struct span){.at = name.at + 1, .len = name.len - 1};
        if (idn_domain(name, room) < 0) {
            *ret_error = mem_format(
                "ingress.relay_domains: \"%s\" is not a domain; expected example.com or .example.com",
                list->items[i]);
            return -EINVAL;
        }
        memcpy(domain, room, strlen(room) + 1);
        (void) map_set(&p->domains, span_of(text), p); /* the same domain twice is no harm */
        if (!is_parent && !p->postmaster)
            p->postmaster = mem_format("postmaster@%s", domain);
    }
    return 0;
}

int policy_new(const struct conf *conf, struct policy **ret_policy, char **ret_error)
{
    struct policy *p = NEW(struct policy);
    int r = add_networks(p, &conf->ingress.trusted_networks, ret_error);
    if (r >= 0)
        r = add_domains(p, &conf->ingress.relay_domains, ret_error);
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
    mem_free(p->trusted);
    mem_free(p->postmaster);
    mem_free(p);
    return NULL;
}

bool policy_is_trusted(const struct policy *p, const struct ip *client)
{
    for (size_t i = 0; i < p->trusted_count; i++)
        if (network_has(&p->trusted[i], client))
            return true;
    return false;
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

void policy_sender(const struct policy *p UNUSED, const struct addr *sender UNUSED,
                   struct smtp_answer *ret_answer)
{
    *ret_answer = (struct smtp_answer){250, "2.1.0", "Ok", NULL};
}

static void answer_postmaster(const struct policy *p, struct smtp_answer *ret_answer)
{
    if (p->postmaster)
        *ret_answer = (struct smtp_answer){250, "2.1.5", "Ok", p->postmaster};
    else
        *ret_answer = (struct smtp_answer){550, "5.1.1", "There is no postmaster without a domain here",
                                           NULL};
}

void policy_recipient(const struct policy *p, bool is_trusted, const struct addr *recipient,
                      struct smtp_answer *ret_answer)
{
    char domain[DOMAIN_MAX + 1];
    if (recipient->domain.len == 0) {
        answer_postmaster(p, ret_answer);
        return;
    }
    if (!recipient->is_literal && domain_normalise(recipient->domain, domain) < 0) {
        *ret_answer = (struct smtp_answer){501, "5.1.3", "That is not a mail domain", NULL};
        return;
    }
    bool is_ours = !recipient->is_literal && is_relay_domain(p, domain);
    if (!is_trusted && (!is_ours || addr_has_route(recipient)))
        *ret_answer = (struct smtp_answer){550, "5.7.1", "Relaying is not allowed for you", NULL};
    else if (recipient->is_literal)
        *ret_answer = (struct smtp_answer){550, "5.1.2", "Address literals are not taken", NULL};
    else
        *ret_answer = (struct smtp_answer){250, "2.1.5", "Ok", NULL};
}
