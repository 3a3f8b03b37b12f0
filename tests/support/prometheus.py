"""What Prometheus would make of a scrape: series by their name and labels, and the alerts that fire for them."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from config.secrets import PROJECT_ROOT

RULES = PROJECT_ROOT / "deploy" / "prometheus" / "alerts.yml"
STEPS = 240
"""Of 15 s, for which series go on; alerts are looked at after three quarters of them."""

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian's package prometheus)"
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
