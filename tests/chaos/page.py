"""The report of a run as one page: for each leg what was done, how long everything took, and pictures of the load over time."""

import html

WIDTH, HEIGHT, LEFT, BOTTOM = 1100, 170, 60, 26
_COLOURS = ("#1f5fa8", "#c0392b", "#2e8b57")
_STYLE = ("body{font:15px/1.45 system-ui,sans-serif;max-width:1160px;margin:2rem auto;padding:0 1rem;color:#222}table{border-collapse:collapse}"
          "td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #ddd}svg{display:block;margin:.4rem 0 1.2rem}"
          "text{font:11px system-ui,sans-serif;fill:#555}.bad{color:#b00020}")


def _per_second(moments, began, seconds):
    counts = [0] * (int(seconds) + 1)
    for moment in moments:
        if 0 <= moment - began < len(counts):
            counts[int(moment - began)] += 1
    return counts


def _svg(title, curves, marks, seconds):
    """curves: {name: [value of each second]}; marks: [(second, name)]"""
    top = max([1, *(max(values, default=0) for values in curves.values())])
    across, up = (WIDTH - LEFT) / max(1, seconds), (HEIGHT - BOTTOM - 20) / top
    parts = [f'<svg role="img" aria-label="{html.escape(title)}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
             f'<text x="{LEFT}" y="12">{html.escape(title)}</text>', f'<text x="4" y="26">{top}</text>', f'<text x="4" y="{HEIGHT - BOTTOM}">0</text>']
    for at, name in marks:
        x = LEFT + at * across
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="18" y2="{HEIGHT - BOTTOM}" stroke="#ddd"><title>{at:.1f} s: {html.escape(name)}</title></line>')
    for place, (name, values) in enumerate(curves.items()):
        points = " ".join(f"{LEFT + second * across:.1f},{HEIGHT - BOTTOM - value * up:.1f}" for second, value in enumerate(values))
        parts.append(f'<polyline fill="none" stroke="{_COLOURS[place]}" stroke-width="1.3" points="{points}"/>')
        parts.append(f'<text x="{LEFT + 260 * place}" y="{HEIGHT - 8}" style="fill:{_COLOURS[place]}">{html.escape(name)}</text>')
    return "".join(parts) + "</svg>"


def _pictures(chaos):
    load, began = chaos.load, chaos.began
    attempts = [attempt for item in load.items for attempt in item.attempts]
    taken = [attempt.reply_at for attempt in attempts if attempt.outcome == "taken"]
    later = [attempt.reply_at for attempt in attempts if attempt.outcome == "later" and attempt.reply_at]
    lost = [attempt.began_at for attempt in attempts if attempt.outcome == "lost"]
    dots = [copies[0].dot_at for copies in chaos.ledger.copies.values()]
    doubled = [copy.dot_at for copies in chaos.ledger.copies.values() for copy in copies[1:]]
    seconds = max([*taken, *dots, began]) - began
    marks = [(done.began - began, f"{done.kind} {done.name}") for done in chaos.done]
    yield _svg("at the door, per second (grey: faults)", {"250 to a dot": _per_second(taken, began, seconds), "451, 421": _per_second(later, began, seconds),
                                                         "connection lost": _per_second(lost, began, seconds)}, marks, seconds)
    yield _svg("at the hosts, per second", {"first copies": _per_second(dots, began, seconds), "second copies": _per_second(doubled, began, seconds)},
               marks, seconds)


def _table(head, rows):
    cells = ["<tr>" + "".join(f"<th>{html.escape(str(cell))}</th>" for cell in head) + "</tr>"]
    cells += ["<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows]
    return "<table>" + "".join(cells) + "</table>"


def _times(recovery):
    for name, row in recovery.items():
        for how in ("alone", "among others"):
            if row[how]["count"]:
                yield name, row["target"] or "", how, row[how]["count"], row[how]["median"], row[how]["worst"], row["how"]


def _leg(chaos):
    result = chaos.result
    yield f"<h2>{html.escape(chaos.store)}, seed {chaos.seed}</h2>"
    yield "".join(f'<p class="bad">{html.escape(problem[:2000])}</p>' for problem in chaos.problems)
    if not result:
        return
    yield (f"<p>{result['faults']} faults in {result['minutes']} minutes, {result['messages']} messages; recipients acknowledged {result['acknowledged']} = "
           f"delivered {result['delivered']} + reported {result['reported']} + dropped {result['dropped']} + lost {result['lost']}. "
           f"Second copies {result['second_copies']}. Latency at healthy hosts, s: {html.escape(str(result['latency']))}.</p>")
    yield from _pictures(chaos)
    yield "<h3>Times to recover, seconds</h3>" + _table(("what", "target", "with faults", "times", "median", "worst", "how measured"),
                                                        _times(result["recovery"]))
    yield "<h3>Second copies by cause</h3>" + _table(("how many", "why"), [(count, why) for why, count in result["second_copies_by_cause"].items()])
    yield "<h3>Faults</h3>" + _table(("how many", "what"), [(count, kind) for kind, count in result["faults_by_kind"].items()])


def write(path, seed, legs):
    """Returns the path."""
    parts = [f'<!doctype html><html lang="en"><meta charset="utf-8"><title>chaos, seed {seed}</title><style>{_STYLE}</style><h1>Chaos, seed {seed}</h1>']
    for chaos in legs:
        parts += _leg(chaos)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(parts) + "</html>\n")
    return path
