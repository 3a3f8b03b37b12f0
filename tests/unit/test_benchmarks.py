"""Benchmarks run with what the start command installs, which is what the server needs."""

import subprocess
import sys
import tomllib

from config.secrets import PROJECT_ROOT

IN_CHROMIUM = "pages"


def test_benchmarks_start_without_the_packages_that_only_tests_need() -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    absent = [name.partition(">=")[0].replace("-", "_") for name in project["optional-dependencies"]["test"]]
    assert {"pytest", "hypothesis", "trustme"} <= {*absent}
    names = {path.stem for path in (PROJECT_ROOT / "benchmarks").glob("[a-z]*.py")} - {IN_CHROMIUM}
    lines = [f"import sys; sys.modules.update(dict.fromkeys({absent}))", *(f"import benchmarks.{one}" for one in names)]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=PROJECT_ROOT, check=True)
