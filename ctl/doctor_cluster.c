/* What the nodes tell of themselves, and the store. */
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/mem.h"
#include "cluster/settings_digest.h"
#include "ctl/doctor.h"
#include "ctl/inspection.h"
#include "io/tls.h"

enum { CLOCK_WRONG_MS = 5000, CLOCK_ADVICE_MS = 500, CERTIFICATE_DAYS = 14, DAY_MS = 86400000 };

/* ---- roles and versions ---- */

void doctor_roles(struct diagnosis *d, const struct health *h)
{
    if (!h->knows_nodes)
        diagnose(d, SEVERITY_WRONG, "nodes", "mend the store first: the common keys have them",
                 "which nodes work cannot be told");
    for (enum role role = 0; h->knows_nodes && role < ROLE_COUNT; role++) {
        unsigned working = working_count(h, role);
        if (working == 0)
            diagnose(d, SEVERITY_WRONG, "nodes",
                     "start one, or see in the log of those there are what they lack", "no %s works",
                     role_name(role));
        else if (working == 1)
            diagnose(d, SEVERITY_ADVICE, "nodes", "run a second one, on another machine",
                     "one %s works: mail waits while it is away", role_name(role));
        else
            diagnose(d, SEVERITY_GOOD, "nodes", "", "%u of role %s work", working, role_name(role));
    }
    for (size_t i = 0; i < h->view.count; i++) {
        const struct node_peer *p = &h->view.peers[i];
        if (p->stats.role != ROLE_COUNT && !is_beating(h, p))
            diagnose(d, SEVERITY_WRONG, "nodes", "see whether it runs, and whether it reaches Redis",
                     "%s is silent", p->stats.name);
        else if (p->stats.role != ROLE_COUNT && !p->stats.store_audit_ok)
            diagnose(d, SEVERITY_WRONG, "nodes", "its log says why", "%s may not use the store",
                     p->stats.name);
    }
    for (size_t i = 1; i < h->view.count; i++) {
        const struct node_stats *first = &h->view.peers[0].stats, *other = &h->view.peers[i].stats;
        if (*first->version && *other->version && strcmp(first->version, other->version) != 0) {
            diagnose(d, SEVERITY_ADVICE, "versions",
                     "finish the upgrade: versions run side by side, but not for long",
                     "%s is version %s, %s is %s", first->name, first->version, other->name, other->version);
            return;
        }
    }
}

/* ---- clocks ---- */

void doctor_clocks(struct diagnosis *d, const struct health *h)
{
    bool is_good = true;

    for (size_t i = 0; i < h->view.count; i++) {
        const struct node_stats *s = &h->view.peers[i].stats;
        int64_t apart_ms = s->clock_ahead_ms < 0 ? -s->clock_ahead_ms : s->clock_ahead_ms;
        if (s->role == ROLE_COUNT || apart_ms < CLOCK_ADVICE_MS)
            continue;
        is_good = false;
        diagnose(d, apart_ms >= CLOCK_WRONG_MS ? SEVERITY_WRONG : SEVERITY_ADVICE, "clocks",
                 "run a time service (chrony, systemd-timesyncd) there and where Redis is",
                 "the clock of %s is %.1f s %s that of Redis", s->name, (double) apart_ms / 1000,
                 s->clock_ahead_ms > 0 ? "ahead of" : "behind");
    }
    if (is_good && h->view.count > 0)
        diagnose(d, SEVERITY_GOOD, "clocks", "", "the clocks of all nodes are those of Redis");
}

/* ---- settings ---- */

/* The digest of a section; empty: a former version tells none. */
static struct span digest_of(const char *digests, struct span section)
{
    struct span rest = span_of(digests);

    while (rest.len) {
        struct span value = span_cut(&rest, ' '), name = span_cut(&value, '=');
        if (span_equal(name, section))
            return value;
    }
    return span_of("");
}

/* The digest that most nodes have. */
static struct span most_common(const struct health *h, struct span section)
{
    struct span best = span_of("");
    size_t best_count = 0;

    for (size_t i = 0; i < h->view.count; i++) {
        struct span digest = digest_of(h->view.peers[i].stats.settings, section);
        size_t count = 0;
        for (size_t j = 0; digest.len && j < h->view.count; j++)
            count += span_equal(digest_of(h->view.peers[j].stats.settings, section), digest);
        if (count > best_count) {
            best = digest;
            best_count = count;
        }
    }
    return best;
}

void doctor_settings(struct diagnosis *d, const struct health *h)
{
    AUTO_BUF struct buf ours = {.data = NULL};
    bool is_good = true;

    settings_digest(conf_get(), &ours);
    AUTO_FREE char *own = buf_steal_text(&ours);
    for (struct span rest = span_of(own); rest.len;) {
        struct span digest = span_cut(&rest, ' '), section = span_cut(&digest, '=');
        struct span usual = most_common(h, section);
        for (size_t i = 0; i < h->view.count; i++) {
            const struct node_stats *s = &h->view.peers[i].stats;
            struct span theirs = digest_of(s->settings, section);
            if (!theirs.len || span_equal(theirs, usual))
                continue;
            is_good = false;
            diagnose(
                d, SEVERITY_WRONG, "settings",
                "compare its file and environment with the others' (`baridctl config show` there), and reload or restart it",
                "section %.*s of %s is not as that of most nodes", SPAN_ARG(section), s->name);
        }
        if (usual.len && !span_equal(usual, digest)) {
            is_good = false;
            diagnose(
                d, SEVERITY_ADVICE, "settings",
                "use the nodes' file with --config, else `route`, `why` and this one judge by other settings",
                "section %.*s is not the same here as on the nodes", SPAN_ARG(section));
        }
    }
    if (is_good && h->view.count > 0)
        diagnose(d, SEVERITY_GOOD, "settings", "", "all nodes have the same, and so has this program");
}

/* ---- the store ---- */

static void note_findings(struct diagnosis *d, const struct findings *f, const char *address)
{
    for (size_t i = 0; i < f->count; i++)
        diagnose(d, f->all[i].level > AUDIT_ADVICE ? SEVERITY_WRONG : SEVERITY_ADVICE, "store",
                 *f->all[i].why ? f->all[i].why : "as it says; `baridctl store check` shows all of it",
                 "%s%s%s%s", address ? "Redis at " : "", address ? address : "", address ? " " : "",
                 f->all[i].text);
}

int doctor_store(struct diagnosis *d, struct ask *k)
{
    struct inspection n;
    int status = inspect(k, &n);

    if (status != EXIT_OK)
        return status;
    for (size_t i = 0; i < n.count; i++)
        note_findings(d, &n.servers[i]->findings, n.servers[i]->address);
    note_findings(d, &n.findings, NULL);
    if (n.worst == AUDIT_GOOD)
        diagnose(d, SEVERITY_GOOD, "store", "", "what is written is kept, and nothing would stop it");
    inspection_done(&n);
    return EXIT_OK;
}

/* ---- certificates: the files that the settings name, as far as they are on this machine ---- */

static const char renew_it[] = "renew it; nodes take the new file by themselves";

static void judge_end(struct diagnosis *d, const char *whose, int64_t ends_ms)
{
    int64_t left_ms = ends_ms - (int64_t) clock_wall_ms();
    long long days = left_ms / DAY_MS;

    if (left_ms <= 0)
        diagnose(d, SEVERITY_WRONG, "certificates", renew_it, "one of %s has expired", whose);
    else if (days < CERTIFICATE_DAYS)
        diagnose(d, SEVERITY_WRONG, "certificates", renew_it, "one of %s expires in %lld days", whose, days);
    else
        diagnose(d, SEVERITY_GOOD, "certificates", "", "those of %s are good for %lld days", whose, days);
}

/* One that is shown to others; item: as tls_client_settings has it. */
static void look_at_own(struct diagnosis *d, const char *whose, const char *item)
{
    const struct tls_client_settings settings = {.min_version = TLS_1_2, .certificate = item};
    struct tls_client *client;
    AUTO_FREE char *error = NULL;

    if (!*item)
        return;
    if (tls_client_new(&settings, &client, &error) < 0) {
        diagnose(d, SEVERITY_ADVICE, "certificates",
                 "if this is a machine that shows it, mend the file; else run doctor there",
                 "that of %s cannot be used here: %s", whose, error);
        return;
    }
    judge_end(d, whose, tls_client_ends_ms(client));
    tls_client_release(client);
}

static void look_at_listener(struct diagnosis *d, const struct conf *conf, const struct conf_listener *l)
{
    const struct tls_server_settings settings = {.certificates = &l->certificates,
                                                 .min_version = (enum tls_version) conf->tls.min_version,
                                                 .ciphers = conf->tls.ciphers,
                                                 .client_ca = l->client_ca,
                                                 .trust = ""};
    struct tls_server *server;
    AUTO_FREE char *error = NULL;

    if (tls_server_new(&settings, &server, &error) < 0) {
        diagnose(d, SEVERITY_ADVICE, "certificates",
                 "if this is the machine of an ingress, mend the file; else run doctor there",
                 "those of listener %s cannot be used here: %s", l->name, error);
        return;
    }
    AUTO_FREE char *whose = mem_format("listener %s", l->name);
    const char *warning = tls_server_warning(server);
    if (*warning)
        diagnose(d, SEVERITY_WRONG, "certificates", renew_it, "%s: %s", whose, warning);
    else
        judge_end(d, whose, tls_server_ends_ms(server));
    tls_server_release(server);
}

void doctor_certificates(struct diagnosis *d)
{
    const struct conf *conf = conf_get();
    size_t looked = 0;

    for (size_t i = 0; i < conf->listener_count; i++) {
        if (conf->listeners[i].certificates.count == 0)
            continue;
        look_at_listener(d, conf, &conf->listeners[i]);
        looked++;
    }
    AUTO_FREE char *shown = *conf->store.tls_key
                                ? mem_format("%s %s", conf->store.tls_certificate, conf->store.tls_key)
                                : mem_string(conf->store.tls_certificate);
    look_at_own(d, "tls_out.certificate", conf->tls_out.certificate);
    look_at_own(d, "store.tls_certificate", conf->store.tls ? shown : "");
    if (looked == 0)
        diagnose(d, SEVERITY_ADVICE, "certificates", "name one in tls.certificates",
                 "no listener has one: mail comes in the clear, and nobody can log in");
}
