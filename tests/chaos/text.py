"""The report of a run, for people."""


def figure_lines(recovery):
    for name, row in recovery.items():
        target = f"target {row['target']:.0f}" if row["target"] else "no target"
        parts = [f"{key}: {row[key]['count']}, median {row[key]['median']}, worst {row[key]['worst']}"
                 for key in ("alone", "among others") if row[key]["count"]]
        yield f"  {name:<32} {target:<10}  {'; '.join(parts) or 'not measured'}"
        yield f"  {'':<32} ({row['how']})"


def report(result):
    kinds = ", ".join(f"{count} {kind}" for kind, count in result["faults_by_kind"].items())
    causes = [f"  {count} {why}" for why, count in sorted(result["second_copies_by_cause"].items())]
    return "\n".join([
        "",
        f"{result['store']}: {result['faults']} faults in {result['minutes']} minutes ({result['two_at_once']} times two at once): {kinds}",
        f"{result['octets_cut']} octets that Redis had not synced were cut off",
        f"{result['messages']} messages; recipients acknowledged {result['acknowledged']} = delivered {result['delivered']}"
        f" + reported {result['reported']} + dropped (null sender) {result['dropped']} + lost {result['lost']};"
        f" expired though the host was healthy {result['expired_at_healthy_hosts']}; held and released {result['held_and_released']};"
        f" empty {result['seconds_to_empty']} s after the last mail",
        f"second copies {result['second_copies']}, matched {sum(result['second_copies_by_cause'].values())}:", *causes,
        f"from 250 to delivered, healthy hosts, all faults included: {result['latency']}",
        "times to recover, seconds (alone: no other fault near; among others: overlapped by other faults):", *figure_lines(result["recovery"])])
