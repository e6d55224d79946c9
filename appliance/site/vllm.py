"""vLLM on CPU: how it is started for embeddings and for a model folder in Mistral's format.

It lives in an environment of its own (`offline-wheels/vllm.lock`), since its pins fit nobody
else's. `vllm serve` looks up a distribution named `vllm`, which the CPU wheel is not: the
module of the API server is run instead. Nothing is looked up outside: paths only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

CONTEXT = 2048  # tokens of the chat model in the demo
PASSAGE = 256  # tokens that the embedding model of the wheel was trained on
SOCKETS_BYTES_MAX = 107 - 1 - 36  # sun_path of Linux; the name of a socket is a UUID
SILENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
}


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine to start."""

    python: str  # interpreter of vLLM's environment
    model: str  # absolute folder
    name: str  # under which it answers
    socket: str


def _server(engine: Engine) -> list[str]:
    module = ["-m", "vllm.entrypoints.openai.api_server"]
    names = ["--model", engine.model, "--served-model-name", engine.name]
    return [engine.python, *module, *names, "--enforce-eager", "--uds", engine.socket]


def embedder(engine: Engine) -> list[str]:
    """Return the command that serves an embedding model."""
    return [*_server(engine), "--runner", "pooling", "--max-model-len", str(PASSAGE)]


def chat(engine: Engine) -> list[str]:
    """Return the command that serves a folder in Mistral's format."""
    mistral = ["--tokenizer-mode", "mistral", "--config-format", "mistral"]
    return [
        *_server(engine),
        *mistral,
        "--load-format",
        "mistral",
        "--max-model-len",
        str(CONTEXT),
    ]


def environment(home: str, sockets: str) -> Mapping[str, str]:
    """Return the environment of an engine: silent, its caches in `home`.

    Args:
        home: Absolute folder.
        sockets: Of its processes among themselves; those of a killed engine stay there. Where
            the path is too long for them, they are among the temporary files of the machine.
    """
    own = {"TMPDIR": sockets} if len(sockets.encode()) <= SOCKETS_BYTES_MAX else {}
    return SILENT | {"HOME": home} | own
