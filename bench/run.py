"""`make bench`: every figure, as a table and as `build/bench.json`.

The exit code says that the run ended; a goal that is missed is printed with its figure.
"""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import gateway

ROOT = Path(__file__).parents[1]
PEER = ROOT / ".venv-litellm" / "bin" / "litellm"


def main() -> None:
    """Measure, print, write."""
    wanted = set(sys.argv[1:]) or {"gateway", "piaf", "scale", "trail", "export"}
    rows: list[dict[str, Any]] = []
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}"
    )
    if "gateway" in wanted:
        print(f"LiteLLM {gateway.version(PEER)}, no database, PRODUCTION mode, one worker")
        rows += gateway.measure(PEER)
    if "piaf" in wanted:
        from bench import piaf  # noqa: PLC0415 - brings a database of its own

        rows += piaf.measure()
    if "scale" in wanted:
        from bench import scale  # noqa: PLC0415 - as above

        rows += scale.measure()
    if "trail" in wanted:
        from bench import trail  # noqa: PLC0415 - as above

        rows += trail.measure()
    if "export" in wanted:
        from bench import export  # noqa: PLC0415 - as above

        rows += export.measure()
    show(rows)
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "bench.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False))


def show(rows: list[dict[str, Any]]) -> None:
    """Print the figures as a table."""
    table = Table("figure", "value", "unit", "goal", "ok")
    for row in rows:
        kept = "" if not row["goal"] else ("yes" if row["ok"] else "MISSED")
        table.add_row(row["name"], f"{row['value']:g}", row["unit"], row["goal"], kept)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
