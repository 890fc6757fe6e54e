/* The operator's rules: rows of a table, and whom each means. */
#include "cluster/rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cluster/lane.h"
#include "cluster/wire.h"
#include "mail/bounce.h"

/* Ended ones are many more than those in force only if nobody has tidied for long; above this it is somebody else's hash. */
enum { RULES_READ_MAX = 16 * RULES_MAX };

static const struct {
    const char *name;
    bool stands, undoes;
} rows[RULE_ACTION_COUNT] = {
#define RULE(NAME, name, stands, undoes, help) [RULE_##NAME] = {(name), (stands), (undoes)},
#include "cluster/rule.def"
#undef RULE
};

const char *rule_name(enum rule_action action)
{
    must(action < RULE_ACTION_COUNT);
    return rows[action].name;
}

bool rule_stands(enum rule_action action)
{
    must(action < RULE_ACTION_COUNT);
    return rows[action].stands;
}

bool rule_undoes(enum rule_action action)
{
    must(action < RULE_ACTION_COUNT);
    return rows[action].undoes;
}

/* ---- rows */

static void text_free(const char *text)
{
    mem_free((char *) (uintptr_t) text);
}

void rule_done(struct rule *r)
{
    text_free(r->filter.queue);
    text_free(r->filter.message);
    text_free(r->filter.sender);
    text_free(r->filter.recipient);
    text_free(r->filter.user);
    text_free(r->filter.tenant);
    text_free(r->filter.error);
    text_free(r->filter.class);
    text_free(r->filter.client);
    text_free(r->to);
    text_free(r->by);
    text_free(r->because);
    *r = (struct rule){.number = 0};
}

int rule_read(struct span field, struct span value, struct rule *ret_rule)
{
    uint64_t number;

    if (rule_id_parse(field, &number) < 0 || value.len > RULE_BYTES_MAX)
        return -EBADMSG;
    int r = wire_get_rule(value, ret_rule);
    if (r < 0)
        return r;
    if (ret_rule->number == number)
        return 0;
    rule_done(ret_rule); /* put there by a hand that copied another's */
    return -EBADMSG;
}

void rule_write(const struct rule *r, struct buf *out)
{
    wire_put_rule(r, out);
}

static int rule_compare(const void *left, const void *right)
{
    const struct rule *a = left, *b = right;

    return (a->number > b->number) - (a->number < b->number);
}

int rules_read(const struct redis_value *value, uint64_t now_ms, struct rules *ret_rules)
{
    struct rules rules = {.items = NULL};

    if (value->type != REDIS_ARRAY || value->count % 2)
        return -EBADMSG;
    if (value->count / 2 > RULES_READ_MAX)
        return -E2BIG;
    if (value->count)
        rules.items = mem_array(value->count / 2, sizeof *rules.items);
    for (size_t i = 0; i < value->count; i += 2) {
        struct rule *r = &rules.items[rules.count];
        uint64_t number;
        if (rule_id_parse(redis_text(&value->items[i]), &number) == 0 && number > rules.last)
            rules.last = number;
        if (rule_read(redis_text(&value->items[i]), redis_text(&value->items[i + 1]), r) < 0)
            rules.unreadable++;
        else if (now_ms == 0 || rule_is_in_force(r, now_ms))
            rules.count++;
        else
            rule_done(r);
    }
    for (size_t i = 0; i < rules.count; i++)
        rules.actions |= UINT64_C(1) << rules.items[i].action;
    if (rules.count)
        qsort(rules.items, rules.count, sizeof *rules.items, rule_compare);
    rules_index(&rules);
    *ret_rules = rules;
    return 0;
}

void rules_done(struct rules *r)
{
    for (size_t i = 0; i < r->count; i++)
        rule_done(&r->items[i]);
    mem_free(r->items);
    mem_free(r->by_queue);
    *r = (struct rules){.items = NULL};
}

void rules_copy(const struct rules *rules, enum rule_action action, struct rules *ret_rules)
{
    struct rules copy = {.items = NULL};
    size_t count = rules_count(rules, action);

    if (count > 0)
        copy.items = mem_array(count, sizeof *copy.items);
    for (size_t i = 0; count > 0 && i < rules->count; i++) {
        AUTO_BUF struct buf record = {.data = NULL};
        if (rules->items[i].action != action)
            continue;
        rule_write(&rules->items[i], &record);
        must(wire_get_rule(buf_span(&record), &copy.items[copy.count++]) == 0); /* it was read so */
        copy.actions = UINT64_C(1) << action;
    }
    *ret_rules = copy;
}

bool rule_is_in_force(const struct rule *r, uint64_t now_ms)
{
    return r->is_standing && !r->undone_ms && (!r->until_ms || r->until_ms > now_ms);
}

uint64_t rule_ended_ms(const struct rule *r, uint64_t now_ms)
{
    if (rule_is_in_force(r, now_ms))
        return 0;
    if (!r->is_standing)
        return r->since_ms;
    return r->undone_ms && (!r->until_ms || r->undone_ms < r->until_ms) ? r->undone_ms : r->until_ms;
}

/* ---- whom it means */

bool rule_address_fits(const char *pattern, const char *addr)
{
    const char *at = strrchr(pattern, '@'), *found = strrchr(addr, '@');

    if (!at || !found || !span_equal_nocase(span_of(at), span_of(found)))
        return false;
    size_t local = (size_t) (at - pattern);
    return local == 0 || (local == (size_t) (found - addr) && memcmp(pattern, addr, local) == 0);
}

const struct verdict *rule_last_error(const struct job_state *s)
{
    size_t first = 0;

    while (first < s->recipient_count && s->recipients[first].is_done)
        first++;
    if (s->recipient_count == 0)
        return NULL;
    const struct verdict *v = &s->recipients[first < s->recipient_count ? first : 0].last;
    return v->class == VERDICT_NONE ? NULL : v;
}

static bool is_any(const char *wanted)
{
    return !wanted || !*wanted;
}

char *rule_queue_origin(const char *queue)
{
    struct buf from = {.data = NULL};
    struct span domain, lane;

    queue_split(span_of(queue), &domain, &lane);
    buf_add_span(&from, domain);
    buf_add_text(&from, lane.len > 0 ? "/" : "");
    buf_add_span(&from, lane);
    return buf_steal_text(&from);
}

/* What travels apart is meant with the queue it comes from. */
static bool comes_from(const char *queue, const char *wanted)
{
    AUTO_FREE char *from = rule_queue_origin(queue);

    return strcmp(from, wanted) == 0;
}

bool rule_queue_fits(const char *wanted, const char *queue)
{
    if (is_any(wanted))
        return true;
    bool is_pattern = wanted[0] == '*' || wanted[0] == '.', is_apart = queue_apart(span_of(queue)).len > 0;
    if (strcmp(wanted, queue) == 0 || (is_pattern && queue_fits(wanted, queue)))
        return true;
    return is_apart && !is_pattern && comes_from(queue, wanted);
}

static bool job_is_meant(const char *wanted, const char *job)
{
    if (is_any(wanted))
        return true;
    size_t len = strlen(wanted);
    return strncasecmp(wanted, job, len) == 0 && (job[len] == '\0' || job[len] == '.');
}

static bool sender_fits(const char *wanted, const char *sender)
{
    return is_any(wanted) || (strcmp(wanted, "<>") == 0 ? !*sender : rule_address_fits(wanted, sender));
}

/* How many recipients are open, and how many of these fit. */
static size_t count_open(const char *wanted, const struct rule_subject *s, size_t *ret_fit)
{
    size_t open = 0, fit = 0;

    for (size_t i = 0; i < s->envelope->recipient_count; i++) {
        if (s->state && i < s->state->recipient_count && s->state->recipients[i].is_done)
            continue;
        open++;
        fit += is_any(wanted) || rule_address_fits(wanted, s->envelope->recipients[i].addr);
    }
    *ret_fit = fit;
    return open;
}

static bool error_fits(const struct rule_filter *f, const struct rule_subject *s)
{
    if (is_any(f->error) && is_any(f->class))
        return true;
    const struct verdict *v = s->state ? rule_last_error(s->state) : NULL;
    if (!v || (!is_any(f->class) && strcmp(f->class, bounce_name(v->bounce)) != 0))
        return false;
    if (is_any(f->error))
        return true;
    AUTO_FREE char *words = mem_format("%u %s %s %s", v->code, v->status, v->remote ? v->remote : "",
                                       v->text ? v->text : "");
    return strcasestr(words, f->error) != NULL;
}

static bool is_in_network(const char *wanted, struct span address)
{
    struct network network;
    struct ip ip;

    return strchr(wanted, '/') && network_parse(span_of(wanted), &network) == 0 &&
           ip_parse(address, &ip) == 0 && network_has(&network, &ip);
}

/* "helo [192.0.2.1]": either of them, or a network that has the address. */
static bool client_fits(const char *wanted, const char *client)
{
    struct span rest = span_of(client), name = span_cut(&rest, ' ');

    if (is_any(wanted))
        return true;
    if (rest.len > 2 && rest.at[0] == '[' && rest.at[rest.len - 1] == ']')
        rest = (struct span){.at = rest.at + 1, .len = rest.len - 2};
    return span_equal_nocase(span_of(wanted), name) || span_equal_nocase(span_of(wanted), rest) ||
           is_in_network(wanted, rest);
}

static bool text_fits(const char *wanted, const char *text)
{
    return is_any(wanted) || (text && strcmp(wanted, text) == 0);
}

static bool needs_texts(const struct rule_filter *f)
{
    return !is_any(f->sender) || !is_any(f->recipient) || !is_any(f->user) || !is_any(f->tenant) ||
           !is_any(f->error) || !is_any(f->class) || !is_any(f->client);
}

bool rule_filter_is_queue_only(const struct rule_filter *f)
{
    return !needs_texts(f) && is_any(f->message) && !f->older_ms;
}

static bool filter_fits(const struct rule_filter *f, const struct rule_subject *s, uint64_t now_ms, bool all)
{
    struct id id;
    uint32_t index;
    size_t open, fit = 0;

    if (!rule_queue_fits(f->queue, s->queue))
        return false;
    if (rule_filter_is_queue_only(f))
        return true;
    if (!s->job || !job_is_meant(f->message, s->job))
        return false;
    if (f->older_ms &&
        (job_parse(span_of(s->job), &id, &index) < 0 || id_time_ms(&id) + f->older_ms > now_ms))
        return false;
    if (!needs_texts(f))
        return true;
    const struct envelope *e = s->envelope;
    if (!e || !sender_fits(f->sender, e->sender) || !text_fits(f->user, e->user) ||
        !text_fits(f->tenant, e->tenant) || !client_fits(f->client, e->client ? e->client : "") ||
        !error_fits(f, s))
        return false;
    open = count_open(f->recipient, s, &fit);
    return is_any(f->recipient) || (fit > 0 && (!all || fit == open));
}

bool rule_filter_fits(const struct rule_filter *f, const struct rule_subject *s, uint64_t now_ms)
{
    return filter_fits(f, s, now_ms, false);
}

bool rule_filter_fits_all(const struct rule_filter *f, const struct rule_subject *s, uint64_t now_ms)
{
    return filter_fits(f, s, now_ms, true);
}

bool rule_means(const struct rule *r, const struct rule_subject *s, uint64_t now_ms)
{
    bool is_report = s->envelope && s->envelope->is_dsn;

    if (r->action == RULE_BOUNCE && is_report &&
        (is_any(r->filter.sender) || strcmp(r->filter.sender, "<>") != 0))
        return false;
    return rule_filter_fits(&r->filter, s, now_ms);
}

const struct rule *rules_find(const struct rules *rules, enum rule_action action,
                              const struct rule_subject *s, uint64_t now_ms)
{
    struct rule_walk w;
    const struct rule *r;

    if (!rules_has(rules, action))
        return NULL;
    rule_walk_begin(&w, rules, s->queue);
    while ((r = rule_walk_next(&w)))
        if (r->action == action && rule_is_in_force(r, now_ms) && rule_means(r, s, now_ms))
            return r;
    return NULL;
}

size_t rules_count(const struct rules *rules, enum rule_action action)
{
    size_t count = 0;

    for (size_t i = 0; rules_has(rules, action) && i < rules->count; i++)
        count += rules->items[i].action == action;
    return count;
}

const struct rule *rules_suspending(const struct rules *rules, const char *queue, uint64_t now_ms)
{
    const struct rule *r = rules_find(rules, RULE_SUSPEND, &(struct rule_subject){.queue = queue}, now_ms);

    return r && strcmp(queue, QUEUE_FANOUT) == 0 && strcmp(r->filter.queue, QUEUE_FANOUT) != 0 ? NULL : r;
}

/* ---- its name */

void rule_id_add(uint64_t number, struct buf *out)
{
    buf_add_char(out, 'r');
    buf_add_number(out, number);
}

int rule_id_parse(struct span text, uint64_t *ret_number)
{
    uint64_t number;

    if (text.len < 2 || text.len > RULE_ID_MAX || text.at[0] != 'r' || text.at[1] == '0')
        return -EINVAL;
    struct span digits = {.at = text.at + 1, .len = text.len - 1};
    if (span_number(digits, (UINT64_C(1) << 53) - 1, &number) < 0)
        return -EINVAL;
    *ret_number = number;
    return 0;
}

uint64_t rule_released(struct span note)
{
    struct span id = span_cut(&note, ' ');
    uint64_t number;

    if (note.len < 3 || memcmp(note.at, "h q", 3) != 0 || rule_id_parse(id, &number) < 0)
        return 0;
    return number;
}

void rule_reason_add(const struct rule *r, struct buf *out)
{
    buf_add_text(out, "rule ");
    rule_id_add(r->number, out);
    if (!is_any(r->because)) {
        buf_add_text(out, ": ");
        buf_add_text(out, r->because);
    }
}
