"""
Bugs for the fuzzers to find: (name, fuzzer, source, text, what it becomes). Each is a mistake that is easily made in that source, and most were
made by somebody. The fuzzer starts from its committed corpus, with a fixed seed.
"""

PLANTS = [
    ("a backslash ends an address", "fuzz_addr", "lib/mail/addr.c", r"if (s.at[i] == '\\' && (++i == s.len ||", r"if (s.at[i] == '\\' && (++i > s.len ||"),
    ("control bytes in a quoted local part", "fuzz_addr", "lib/mail/addr.c", "if (step == 0 || (step == 1 && !is_printable(s.at[i])))",
     r"if (step == 0 || (step == 1 && s.at[i] == '\r'))"),
    ("a domain longer than its room", "fuzz_addr", "lib/mail/domain.c", "int too_long = domain.len > DOMAIN_MAX ? -E2BIG : 0;", "int too_long = 0;"),

    ("an address that begins the words", "fuzz_bounce", "lib/mail/bounce.c", "while (p->len > 0 && !ends_address(p->words[p->len - 1]))", "while (!ends_address(p->words[p->len - 1]))"),
    ("a rule of any length", "fuzz_bounce", "lib/mail/bounce.c", "!is_said || rest.len > WORDS_MAX || ", "!is_said || "),

    ("control bytes in a setting", "fuzz_conf", "lib/base/conf_value.c", "if (!is_clean(text) || text.len", "if (text.len"),
    ("a setting above its range", "fuzz_conf", "lib/base/conf_value.c", "if (value < low || value > high)", "if (value < low)"),
    ("a backslash printed as it is", "fuzz_conf", "lib/base/conf_value.c", r"""if (text.at[i] == '"' || text.at[i] == '\\')""", """if (text.at[i] == '"')"""),

    ("a member of any name", "fuzz_conf", "lib/base/conf_group.c", "name.at[i] == '-' || name.at[i] == '_'))", "name.at[i] > ' '))"),

    ("data longer than the packet", "fuzz_dns_answer", "lib/io/dns_answer.c", "if (w->packet.len - ret_record->data < ret_record->len)",
     "if (w->packet.len < ret_record->len)"),
    ("texts whose lengths are believed", "fuzz_dns_answer", "lib/io/dns_answer.c", "if (r->len == 0 || at != r->len)", "if (r->len == 0)"),
    ("a short TLSA taken for a whole one", "fuzz_dns_answer", "lib/io/dns_answer.c", "(struct span){.at = mem_copy(data, r->len), .len = r->len};",
     "(struct span){.at = mem_copy(data, r->len < 35 ? 35 : r->len), .len = r->len};"),
    ("a byte of the next record beside a TLSA", "fuzz_dns_answer", "lib/io/dns_answer.c", "(struct span){.at = mem_copy(data, r->len), .len = r->len};",
     "(struct span){.at = mem_copy(data, r->len + 1), .len = r->len + 1};"),
    ("an error that carries records", "fuzz_dns_answer", "lib/io/dns_answer.c", "else if (rcode != 0 ||", "else if (rcode > 5 ||"),

    ("an escape at the very end", "fuzz_dovecot", "ingress/dovecot_line.c", "if (++i == value.len)", "if (++i > value.len)"),
    ("a tab that ends its field", "fuzz_dovecot", "ingress/dovecot_line.c", "while (n < sizeof escaped && value.at[i] != escaped[n])", "while (n < sizeof escaped && (n == 2 || value.at[i] != escaped[n]))"),

    ("an address written as it is", "fuzz_dsn", "lib/mail/dsn_words.c", "if (s.len <= PATH_MAX_LEN && span_is_text(s))", "if (s.len <= PATH_MAX_LEN)"),
    ("a boundary that the original has", "fuzz_dsn", "lib/mail/dsn.c", "d->original.len > 0 && memmem(", "d->original.len > 99999 && memmem("),
    ("a header line of any kind", "fuzz_dsn", "lib/mail/dsn_original.c", "is_good = is_good && !is_cut && is_clean_line(line);", "is_good = is_good && !is_cut;"),
    ("a folded line without its field", "fuzz_dsn", "lib/mail/dsn_original.c", "        } else {\n            out->len = field;\n        }", "        }"),
    ("an original that mail cannot carry", "fuzz_dsn", "lib/mail/dsn_original.c", "if (!is_clean_line(line) || end == 1)", "if (!is_clean_line(line))"),
    ("a status of another class", "fuzz_dsn", "lib/mail/dsn_report.c", "return is_fit && is_status(status)", "return is_status(status)"),
    ("eight bits that are not told", "fuzz_dsn", "lib/mail/dsn.c", "dsn_add_original(d, room - parts.len, &original) || written.is_utf8",
     "dsn_add_original(d, room - parts.len, &original) && written.is_utf8"),
    ("an equals sign that stands for itself", "fuzz_dsn", "lib/mail/mime.c", "is_printable(line.at[i]) && line.at[i] != '='", "is_printable(line.at[i])"),
    ("a word that ends its line", "fuzz_dsn", "lib/mail/fold.c", "is_printable(*rest.at) ? *rest.at : '?'", "*rest.at"),
    ("a recipient of another action", "fuzz_dsn", "lib/mail/dsn_report.c", '[DSN_DELAYED] = "delayed"', '[DSN_DELAYED] = "failed"'),
    ("a field in braces that nobody knows", "fuzz_dsn", "lib/mail/dsn_template.c", "if (part.field == DSN_FIELDS)\n            return", "if (part.field > DSN_FIELDS)\n            return"),

    ("folded lines stay when their field goes", "fuzz_fixup", "ingress/fixup.c", "while (len < rest.len && is_blank(rest.at[len]))", "while (false)"),
    ("the last of several From fields", "fuzz_fixup", "ingress/fixup.c", "found->from_count == 1 && ", "found->from_count >= 1 && "),
    ("a header section that two pieces share", "fuzz_fixup", "ingress/fixup.c", "part(&f->held, f->line_start, f->held.len)", "line"),

    ("a partition too many", "fuzz_frame", "lib/cluster/wire_frame.c", "if (partition >= PARTITION_COUNT ||", "if (partition > PARTITION_COUNT ||"),
    ("an incarnation that Lua would round", "fuzz_frame", "lib/cluster/wire_frame.c", "m->hello->incarnation > WIRE_EXACT_MAX", "m->hello->incarnation > UINT64_MAX - 1"),

    ("a line whose start came before", "fuzz_header", "lib/mail/header.c", "if (end && h->line_len == 0) {", "if (end) {"),
    ("a Message-ID of its whole room", "fuzz_header", "lib/mail/header.c", "len + gap + piece.len < sizeof h->message_id", "len + gap + piece.len <= sizeof h->message_id"),

    ("a queue that is not there", "fuzz_record", "lib/cluster/wire_envelope.c", "m->queue < queue_count", "m->queue <= queue_count"),
    ("any bits of NOTIFY", "fuzz_record", "lib/cluster/wire_envelope.c", "m->notify <= NOTIFY_ALL &&", ""),
    ("any way to deliver by", "fuzz_record", "lib/cluster/wire_envelope.c", "m->by_mode < BY_MODE_COUNT && ", ""),
    ("a space in an ORCPT", "fuzz_record", "lib/cluster/wire_envelope.c", " && orcpt_is_sound(bytes_span(m->orcpt))", ""),
    ("a recipient that is not there", "fuzz_record", "lib/cluster/wire_record.c", "m->index < count && ", "m->index <= count && "),
    ("a status longer than its room", "fuzz_record", "lib/cluster/wire_record.c", "bytes_fit(m->status, 0, status_max)", "bytes_fit(m->status, 0, VERDICT_WORDS_MAX)"),
    ("a line end in a sender", "fuzz_record", "lib/cluster/wire_envelope.c", "return bytes_fit(b, min_len, ADDR_TEXT_MAX) && bytes_are_line(b);",
     "return bytes_fit(b, min_len, ADDR_TEXT_MAX);"),
    ("a sender that is none", "fuzz_record", "lib/cluster/wire_user.c", "if (user_sender_check(bytes_span(m->senders[i]), sender) < 0)\n            return false;", ""),

    ("a piece behind the last one", "fuzz_parcel", "lib/cluster/parcel.c", "e->chunk.index - r->chunk_next >= r->chunks_left", "e->chunk.index - r->chunk_next > r->chunks_left"),
    ("an end that counts as it likes", "fuzz_parcel", "lib/cluster/parcel.c", "e->end.entries != r->counts.entries || ", ""),
    ("a place of nobody", "fuzz_parcel", "lib/cluster/wire_parcel.c", "return is_job(m->place->job) && place_is_sound(m->place);", "return place_is_sound(m->place);"),
    ("content of its own and of another", "fuzz_parcel", "lib/cluster/wire_parcel.c", "(is_job(m->content_of) && !m->chunk_count)", "is_job(m->content_of)"),

    ("a length without its own header", "fuzz_proxy", "ingress/proxy.c", "if (in.len < FIXED_LEN + len)", "if (in.len < len)"),
    ("a line a byte too long", "fuzz_proxy", "ingress/proxy.c", "if (len + 2 > PROXY_LINE_MAX)", "if (len > PROXY_LINE_MAX)"),
    ("addresses that are not there", "fuzz_proxy", "ingress/proxy.c", "!(family == TCP4 && len >= TCP4_LEN)", "!(family == TCP4)"),

    ("a code of any first digit", "fuzz_reply", "lib/mail/reply.c", "line.at[0] > '5'", "line.at[0] > '9'"),
    ("a status without end", "fuzz_reply", "lib/mail/reply.c", "return i - from <= 3 ? i - from : 0;", "return i - from;"),
    ("a blank line is read on", "fuzz_reply", "lib/mail/reply.c", "if (line.len < CODE_LEN || line.at[0]", "if (line.at[0]"),

    ("a text without its end", "fuzz_resp", "lib/io/redis_reply.c", "arena_take(task->privdata, len + 1)", "arena_take(task->privdata, len)"),
    ("any depth", "fuzz_resp", "lib/io/redis_reply.c", "depth > DEPTH_MAX || ", ""),

    ("acting for somebody else", "fuzz_sasl", "ingress/sasl_exchange.c", "(authzid.len == 0 || span_equal(authzid, name))", "authzid.len < 100"),
    ("a channel that nobody compares", "fuzz_sasl", "ingress/sasl_scram.c", "crypto_is_equal(buf_span(&binding), buf_span(&e->scram.binding)) &&", "binding.len < 9999 &&"),

    ("go ahead is taken for delivered", "fuzz_smtp_client", "courier/smtp_client_reply.c", "if (t->phase == PHASE_DOT_SENT && client_reply_class(c) == 2)",
     "if (client_reply_class(c) < 4)"),
    ("content for nobody", "fuzz_smtp_client", "courier/smtp_client_reply.c", "if (c->reply.code == 354 && t->accepted > 0) {", "if (c->reply.code == 354) {"),
    ("notifications for a host that knows none", "fuzz_smtp_client", "courier/smtp_client_envelope.c", "    if (m->is_dsn_passed)\n", "    if (m->count > 0)\n"),
    ("binary content for a host without BINARYMIME", "fuzz_smtp_client", "courier/smtp_client_envelope.c", "OFFERS_CHUNKING | OFFERS_BINARYMIME",
     "OFFERS_CHUNKING"),
    ("an address the host cannot read", "fuzz_smtp_client", "courier/smtp_client_envelope.c",
     "while (recipient < m->count && !can_take_recipient(c, m, recipient))", "while (recipient > m->count)"),
    ("a piece whose answer nobody reads", "fuzz_smtp_client", "courier/smtp_client_reply.c", "    if (client_reply_class(c) == 2)\n        return;\n    take_verdict_for_all",
     "    if (client_reply_class(c) < 9)\n        return;\n    take_verdict_for_all"),
    ("a lost reply to the dot is no doubt", "fuzz_smtp_client", "courier/smtp_client.c", "m->verdicts[i].in_doubt = true;", "m->verdicts[i].in_doubt = false;"),
    ("bytes behind the answer to STARTTLS are kept", "fuzz_smtp_client", "courier/smtp_client_reply.c", "|| c->awaits == ASK_KEY;", "|| c->awaits != ASK_REPLY;"),
    ("offers in plain are remembered", "fuzz_smtp_client", "courier/smtp_client_hello.c", "    forget_extensions(c);\n", "    (void) forget_extensions;\n"),
    ("a login in plain", "fuzz_smtp_client", "courier/smtp_client_auth.c", "if (!c->is_secured && !c->terms->is_private)", "if (c->is_over)"),
    ("a host that proves nothing", "fuzz_smtp_client", "courier/smtp_client_auth.c", "c->login.round < m->rounds || ", ""),
    ("any signature", "fuzz_smtp_client", "courier/smtp_client_auth.c", "        !crypto_is_equal(buf_span(&signature),", "        signature.len < sizeof(\"\") || false * !crypto_is_equal(buf_span(&signature),"),
    ("a mail store's first answer is for all", "fuzz_smtp_client", "courier/smtp_client_reply.c", "if (c->terms->is_lmtp)\n        take_verdict(c", "if (c->is_over)\n        take_verdict(c"),
    ("protected mail to anybody", "fuzz_smtp_client", "courier/smtp_client_envelope.c", "c->is_proven && client_offers(c, OFFERS_REQUIRETLS)", "client_offers(c, OFFERS_REQUIRETLS)"),

    ("a bare carriage return between two pieces", "fuzz_smtp_server", "ingress/smtp_content.c", r"bool is_bad = (p[0] == '\n') != after_cr || p[0] == '\0';",
     r"bool is_bad = p[0] == '\0';"),
    ("a dot and a bare line feed end the message", "fuzz_smtp_server", "ingress/smtp_content.c", r"c->place = **p == '\r' ? SMTP_DOT_CR : SMTP_IN_LINE;",
     r"c->place = **p == '\r' || **p == '\n' ? SMTP_DOT_CR : SMTP_IN_LINE;"),
    ("a chunk takes a byte of what is behind it", "fuzz_smtp_server", "ingress/smtp_body.c", "in.len > t->chunk_left)", "in.len > t->chunk_left + 1)"),
    ("recipients outlive their transaction", "fuzz_smtp_server", "ingress/smtp_server.c", "    s->transaction = smtp_transaction_free(s->transaction);\n    s->address",
     "    s->address"),

    ("two records of one version", "fuzz_sts", "courier/sts_policy.c", "if (ours != 1 ||", "if (ours == 0 ||"),
    ("an id longer than its room", "fuzz_sts", "courier/sts_policy.c", "if (id.len == 0 || id.len > STS_ID_MAX)", "if (id.len == 0 || id.len > 2 * STS_ID_MAX)"),
    ("a star for any number of labels", "fuzz_sts", "courier/sts_policy.c", "    return span_cut(&rest, '.').len > 0 && span_equal_nocase(span_of(pattern + 2), rest);",
     "    while (rest.len > strlen(pattern + 2))\n        rest = (struct span){rest.at + 1, rest.len - 1};\n    return rest.len < host.len && span_equal_nocase(span_of(pattern + 2), rest);"),
    ("a policy of any age", "fuzz_sts", "courier/sts_policy.c", "if (p->max_age_s > sts_max_age_limit_s)", "if (p->max_age_s > UINT32_MAX)"),
    ("a policy that allows no host", "fuzz_sts", "courier/sts_policy.c", 'p->mx_count == 0 && p->mode != STS_NONE ? "no mx" : NULL', "NULL"),
    ("a stored policy of any domain", "fuzz_sts", "lib/cluster/wire_sts.c", "domain_check(bytes_span(m->domain)) == 0 && ", ""),

    ("reports for two records", "fuzz_tlsrpt", "lib/mail/tlsrpt_record.c", "if (found != 1 ||", "if (found == 0 ||"),
    ("a fifth place", "fuzz_tlsrpt", "lib/mail/tlsrpt_record.c", "r->mail_count == TLSRPT_PLACES_MAX || ", ""),
    ("a percent sign at the end", "fuzz_tlsrpt", "lib/mail/tlsrpt_record.c", "i + 2 < text.len ?", "i < text.len ?"),
    ("reports for any version", "fuzz_tlsrpt", "lib/mail/tlsrpt_record.c", "record.at && span_equal(version, SPAN(VERSION))", 'record.at && span_starts_nocase(version, SPAN("v="))'),
    ("a host of any bytes", "fuzz_tlsrpt", "lib/mail/tlsrpt_record.c", "return domain_normalise(host, ret_host);", "return host.len > 0 ? 0 : -EINVAL;"),
    ("a url of any bytes", "fuzz_tlsrpt", "lib/mail/tlsrpt_record.c", "if (!is_printable(place.at[i]) || place.at[i] == ' ')", "if (place.at[i] == ' ')"),

    ("a backslash that is not written as one", "fuzz_table", "lib/cluster/address_text.c", r"""if (plain.data[i] == '"' || plain.data[i] == '\\')""",
     """if (plain.data[i] == '"')"""),
    ("a domain that stands for an address", "fuzz_table", "lib/cluster/address_text.c", "if (is_domain && (!key.len || key.at[0] != '@'))", "if (is_domain && !key.len)"),
    ("one address more than one", "fuzz_table", "lib/cluster/address_text.c", "count > most ? -E2BIG", "count > most + 1 ? -E2BIG"),

    ("a rule that nobody knows", "fuzz_rule", "lib/cluster/wire_rule.c", "m->action < RULE_ACTION_COUNT &&", "m->action < 64 &&"),
    ("two lines in a rule", "fuzz_rule", "lib/cluster/wire_rule.c", " && span_is_text(bytes_span(m->field)) &&", " &&"),
    ("what travels apart has no rules", "fuzz_rule", "lib/cluster/rule_walk.c", "if (queue_apart(span_of(queue)).len > 0) {", "if (!queue) {"),
    ("rules of a queue in any order", "fuzz_rule", "lib/cluster/rule_walk.c", "at(w, i)->number < first->number", "at(w, i)->number > first->number"),

    ("what came before the handshake gets inside", "fuzz_tls", "lib/io/stream_io.c",
     'int r = s->in.len > 0 ? tls_refuse(s->tls, "bytes came before the handshake") : tls_handshake(s->tls);', "int r = tls_handshake(s->tls);"),
    ("a server that has proven itself is not believed", "fuzz_tls", "lib/io/tls_proof.c", "if (!has_fingerprint(a, X509", "if (has_fingerprint(a, X509"),
    ("what is said in the handshake goes out plain", "fuzz_tls", "lib/io/stream.c", " &&\n           !stream_is_shaking(s);", ";"),
    ("plain bytes after the end of TLS are read", "fuzz_tls", "lib/io/stream_io.c", "static void stream_end_input(struct stream *s)\n{\n",
     "static void stream_end_input(struct stream *s)\n{\n    if (s->tls) {\n        s->tls = tls_free(s->tls);\n        return;\n    }\n"),

    ("a block of any length", "fuzz_zstd", "lib/io/zstd.c", " || told > max_len)", ")"),
    ("a frame behind the frame", "fuzz_zstd", "lib/io/zstd.c", "if (ZSTD_findFrameCompressedSize(frame.at, frame.len) != frame.len)", "if (frame.len == 0)"),
    ("no checksum", "fuzz_zstd", "lib/io/zstd.c", "ZSTD_c_checksumFlag, 1", "ZSTD_c_checksumFlag, 0"),

    ("a slot that there is not", "fuzz_topology", "lib/cluster/topology.c", "span_number(slot, SLOT_COUNT - 1, &number)", "span_number(slot, SLOT_COUNT, &number)"),
    ("a range beyond the last slot", "fuzz_topology", "lib/cluster/topology.c", "first > last || last >= SLOT_COUNT", "first > last || last > SLOT_COUNT"),
    ("a slot of two primaries", "fuzz_topology", "lib/cluster/topology.c", "if (m->owner[slot] != SLOT_NOBODY)", "if (m->owner[slot] == place)"),
]
