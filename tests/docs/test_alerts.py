"""The alerts, the scrape configuration and the dashboard are what Prometheus understands (promtool), and alerts fire when they should."""

import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests"))

from harness import paths  # noqa: E402

ALERTS = os.path.join(ROOT, "deploy", "prometheus", "alerts.yml")


def promtool(*arguments):
    done = subprocess.run([paths.peer("promtool"), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
    return done.returncode, done.stdout.decode()


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_the_rules_and_the_configuration_are_understood():
    code, text = promtool("check", "rules", ALERTS)
    assert code == 0, text
    assert int(re.search(r"(\d+) rules found", text)[1]) == len(re.findall("^ALERT", read(os.path.join(ROOT, "lib/base/alert.def")), re.MULTILINE))
    code, text = promtool("check", "config", os.path.join(ROOT, "deploy", "prometheus", "prometheus.yml"))
    assert code == 0, text


def test_alerts_fire_when_they_should(tmp_path):
    tests = tmp_path / "alerts.test.yml"
    tests.write_text(read(os.path.join(ROOT, "tests", "docs", "alerts.test.yml")).replace("ALERTS", ALERTS))
    code, text = promtool("test", "rules", tests)
    assert code == 0, text


def test_a_wrong_alert_is_found(tmp_path):
    """What the test before says is of promtool: with another limit it fails."""
    rules, tests = tmp_path / "alerts.yml", tmp_path / "alerts.test.yml"
    rules.write_text(read(ALERTS).replace("sum(barid_partitions) < max(barid_partitions_of_cluster)", "sum(barid_partitions) < 100"))
    tests.write_text(read(os.path.join(ROOT, "tests", "docs", "alerts.test.yml")).replace("ALERTS", str(rules)))
    assert promtool("test", "rules", tests)[0] != 0


def test_alerts_and_dashboard_name_metrics_that_exist():
    known = {"barid_" + name.lower() for name in re.findall(r"^METRIC\((\w+),", read(os.path.join(ROOT, "lib/base/metric.def")), re.MULTILINE)}
    dashboard = read(os.path.join(ROOT, "deploy", "grafana", "barid.json"))
    for text in (read(ALERTS), dashboard):
        named = {re.sub("_bucket$", "", name) for name in re.findall(r"\bbarid_\w+", text)}
        assert named and named <= known, named - known
    assert known <= {re.sub("_bucket$", "", name) for name in re.findall(r"\bbarid_\w+", dashboard)}    # each has a panel


def test_the_dashboard_asks_what_prometheus_understands(tmp_path):
    dashboard = json.loads(read(os.path.join(ROOT, "deploy", "grafana", "barid.json")))
    panels = [panel for row in dashboard["panels"] for panel in [row, *row.get("panels", [])]]
    graphs = [panel for panel in panels if panel["type"] != "row"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["fieldConfig"]["defaults"]["unit"] and panel["description"] for panel in graphs)
    queries = [target["expr"] for panel in graphs for target in panel["targets"]]
    rules = tmp_path / "queries.yml"
    rules.write_text(json.dumps({"groups": [{"name": "panels", "rules": [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, query in enumerate(queries)]}]}))
    code, text = promtool("check", "rules", rules)
    assert code == 0, text
