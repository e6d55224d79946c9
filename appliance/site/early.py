"""What would refuse a demo is said before anything is fetched.

    python3 -m appliance.site.early DIR PORT MODEL VECTORS

Run by the machine's own Python, when the environment is not there yet: nothing here, nor in
what it imports, needs a package. The words are those of `make demo`.
"""

import sys
from pathlib import Path

from appliance.errors import ApplianceError
from appliance.site.machine import held, observe, with_model
from appliance.site.preflight import check

CLONE = Path(__file__).parents[2]
WITHOUT = {"non", "no"}  # vectors


def refuse(clone: Path, directory: Path, port: int, model: str, *, vectors: bool) -> None:
    """Refuse a demo that could not run.

    Args:
        clone: With the environments that are there already, or will be.
        directory: Of the stack; made if it is not there.
        port: Public port; 0 for any.
        model: Folder in Mistral's format, or empty.
        vectors: Whether an embedder is asked for.

    Raises:
        NotReadyError: With every reason, one per line.
    """
    installed = (clone / ".venv-vllm" / ".installed").exists()
    root = directory.resolve()
    root.mkdir(parents=True, exist_ok=True)
    with held(root) as running:
        found = observe(root, [port], installed=installed, vectors=vectors, running=running)
    check(with_model(found, Path(model).resolve() if model else None))


def main() -> None:
    """Read the words of `make demo`."""
    directory, port, model, vectors = sys.argv[1:]
    try:
        refuse(CLONE, Path(directory), int(port), model, vectors=vectors not in WITHOUT)
    except ApplianceError as exc:
        print(f"casemate : {exc}", file=sys.stderr)  # noqa: T201 - the edge of the process
        sys.exit(1)


if __name__ == "__main__":
    main()
