"""The process that sets one document: a template by its path, a PDF on its output.

It takes bounded memory, and the time that its caller allows; it opens no file above its folder
and no network. A warning of the typesetter, such as a font that is not there, is a refusal.
"""

import resource
import sys
from pathlib import Path

import typst

MEMORY = 4 << 30  # bytes of addresses; a page takes about 4 MiB, letters and threads the rest


def pressed(main: Path) -> bytes:
    """Return the PDF of a template, which reads files of its own folder alone.

    Raises:
        TypstError: It cannot be set with its facts.
        ValueError: It was set with warnings.
    """
    root = main.parent
    compiler = typst.Compiler(
        input=main, root=root, ignore_system_fonts=True, package_path=root,
        package_cache_path=root,
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
    """Set the template that the command line names."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        made = pressed(Path(sys.argv[1]))
    except (typst.TypstError, ValueError) as exc:
        sys.stderr.write(str(exc))
        sys.exit(1)
    sys.stdout.buffer.write(made)


if __name__ == "__main__":
    main()
