"""The process that sets one document: JSON on its input, a PDF on its output, then it ends.

It takes bounded memory, and the time that its caller allows; it opens no file above its folder
and no network. A warning of the typesetter, such as a font that is not there, is a refusal.
"""

import json
import resource
import sys
import tempfile
from pathlib import Path

import typst

MEMORY = 4 << 30  # bytes of addresses; a page takes about 4 MiB, letters and threads the rest


def pressed(order: dict[str, object]) -> bytes:
    """Return the PDF of an order.

    Args:
        order: `files`, names and texts of the templates; `main`, the name of one; `facts`,
            which the templates read as `facts.json`.

    Raises:
        TypstError: The template cannot be set with these facts.
        ValueError: It was set with warnings.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        texts = order["files"]
        assert isinstance(texts, dict), "of our own caller"
        for name, text in texts.items():
            (root / str(name)).write_text(str(text), "utf-8")
        (root / "facts.json").write_text(json.dumps(order["facts"]), "utf-8")
        compiler = typst.Compiler(
            input=root / str(order["main"]), root=root, ignore_system_fonts=True,
            package_path=root, package_cache_path=root,
        )  # fmt: skip
        # Archived for long; read aloud in order.
        made, warnings = compiler.compile_with_warnings(
            format="pdf", pdf_standards=["a-2a", "ua-1"]
        )
    if warnings:
        raise ValueError("; ".join(warning.message for warning in warnings))
    assert isinstance(made, bytes), "one file was asked for"
    return made + b"\n"  # PDF/A wants an end of line after its last word


def main() -> None:
    """Set what the input orders."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        made = pressed(json.load(sys.stdin.buffer))
    except (typst.TypstError, ValueError) as exc:
        sys.stderr.write(str(exc))
        sys.exit(1)
    sys.stdout.buffer.write(made)


if __name__ == "__main__":
    main()
