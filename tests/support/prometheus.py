"""What Prometheus would make of a scrape: series by their name and labels, and the alerts that fire for them."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

import pytest
from prometheus_client.parser import text_string_to_metric_families

from config.secrets import PROJECT_ROOT
from tests.support.processes import free_ports
from tests.support.shipped import edited, program
from tests.support.speaking import Browser
from tests.support.waiting import wait_until

SHIPPED = PROJECT_ROOT / "deploy" / "prometheus"
RULES = SHIPPED / "alerts.yml"
STEPS = 240
"""Of 15 s, for which series go on; alerts are looked at after three quarters of them."""

needs_prometheus = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="Prometheus is not installed (Debian's package prometheus)"
)

Series = dict[str, float]


def series_of(text: str, **target: str) -> Series:
    """Return the samples of a scrape, as ``name{label="value"}``, with the labels of the target."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {named(sample.name, **sample.labels, **target): sample.value for sample in samples}


def named(name: str, **labels: str) -> str:
    return name + "{" + ",".join(f'{label}="{labels[label]}"' for label in sorted(labels)) + "}"


def going_on(value: float) -> str:
    return f"{value}x{STEPS}"


@contextmanager
def prometheus(folder: Path, token: str, targets: Mapping[str, str]) -> Iterator[Callable[[str], Series]]:
    """Run Prometheus with the shipped configuration but for its targets and pace; yield what asks it an expression."""
    edits = {"scrape_interval: 15s": "scrape_interval: 200ms"} | dict(targets)
    (folder / "prometheus.yml").write_text(edited(SHIPPED / "prometheus.yml", edits), encoding="utf-8")
    (folder / "metrics-token").write_text(token)
    shutil.copy(RULES, folder)
    port = free_ports(1)[0]
    server = Browser(f"http://127.0.0.1:{port}")

    def ask(expression: str) -> Series:
        found = server.get(f"/api/v1/query?{urlencode({'query': expression})}").json["data"]["result"]
        return {named(one["metric"].pop("__name__"), **one["metric"]): float(one["value"][1]) for one in found}

    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/series"]
    with program([*command, f"--web.listen-address=127.0.0.1:{port}"], port, folder / "prometheus.log"):
        wait_until(lambda: server.get("/-/ready").status == HTTPStatus.OK)
        yield ask


def assert_fires(folder: Path, cases: Iterable[tuple[Mapping[str, str], list[str]]]) -> None:
    """Let promtool run the shipped rules over series; exactly these alerts must fire in the end, in each case."""
    tests = [
        {
            "interval": "15s",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": "45m",
                    "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected],
                }
            ],
        }
        for series, expected in cases
    ]
    file = folder / "alerts_test.json"  # JSON is YAML
    file.write_text(json.dumps({"rule_files": [str(RULES)], "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
