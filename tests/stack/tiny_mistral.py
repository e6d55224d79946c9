"""Make a tiny model in Mistral's format: `python tiny_mistral.py FOLDER`.

Runs under the interpreter of vLLM's environment. About 140 MB, because of Tekken's vocabulary
of 131 072 tokens. The weights are noise from a fixed seed: its answers mean nothing, its token
counts are exact, which is what plumbing is tested with.
"""

import json
import shutil
import sys
from importlib.resources import files
from pathlib import Path

import torch  # type: ignore[import-not-found,unused-ignore] # in vLLM's environment only
from safetensors.torch import save_file  # type: ignore[import-not-found,unused-ignore]

PARAMS = {
    "dim": 256, "n_layers": 4, "head_dim": 32, "hidden_dim": 512, "n_heads": 8, "n_kv_heads": 2,
    "norm_eps": 1e-5, "vocab_size": 131_072, "rope_theta": 1e6, "max_position_embeddings": 4096,
}  # fmt: skip
TEKKEN = "tekken_240911.json"


def main(folder: Path) -> None:
    """Write tokenizer, parameters and weights."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(str(files("mistral_common") / "data" / TEKKEN), folder / "tekken.json")
    (folder / "params.json").write_text(json.dumps(PARAMS))
    save_file(weights(), folder / "consolidated.safetensors")


def weights() -> "dict[str, torch.Tensor]":
    """Return every tensor of the format, N(0, 0.02) in bfloat16."""
    source = torch.Generator().manual_seed(217)
    dim, hidden, head = int(PARAMS["dim"]), int(PARAMS["hidden_dim"]), int(PARAMS["head_dim"])
    queries, keys = int(PARAMS["n_heads"]) * head, int(PARAMS["n_kv_heads"]) * head

    def noise(*shape: int) -> "torch.Tensor":
        return (torch.randn(*shape, generator=source) * 0.02).to(torch.bfloat16)

    ones = torch.ones(dim, dtype=torch.bfloat16)
    vocabulary = int(PARAMS["vocab_size"])
    made = {
        "tok_embeddings.weight": noise(vocabulary, dim),
        "norm.weight": ones.clone(),
        "output.weight": noise(vocabulary, dim),
    }
    for number in range(int(PARAMS["n_layers"])):
        layer = f"layers.{number}."
        made |= {
            layer + "attention.wq.weight": noise(queries, dim),
            layer + "attention.wk.weight": noise(keys, dim),
            layer + "attention.wv.weight": noise(keys, dim),
            layer + "attention.wo.weight": noise(dim, queries),
            layer + "attention_norm.weight": ones.clone(),
            layer + "ffn_norm.weight": ones.clone(),
            layer + "feed_forward.w1.weight": noise(hidden, dim),
            layer + "feed_forward.w2.weight": noise(dim, hidden),
            layer + "feed_forward.w3.weight": noise(hidden, dim),
        }
    return made


if __name__ == "__main__":
    main(Path(sys.argv[1]))
