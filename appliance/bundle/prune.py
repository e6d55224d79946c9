"""Makes room in the store: drops old releases, then every file that no release left needs.

The state is written first, so that a cut leaves files too many and never a release that lacks
some; the next run removes them. What an interrupted import copied goes too: it is copied again.
"""

import shutil
from collections.abc import Collection
from dataclasses import dataclass

from msgspec.structs import replace

from appliance.bundle.store import State, Store


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed."""

    releases: tuple[int, ...]
    files: int
    bytes: int


def kept(state: State, count: int, used: Collection[int]) -> dict[str, str]:
    """Return the releases to keep: number to manifest digest.

    Args:
        state: Of the store.
        count: How many of the newest, 1 at least: the last one received always stays.
        used: Numbers that must stay, such as the one that runs.
    """
    assert count >= 1, "the newest release stays"
    newest = sorted(map(int, state.releases), reverse=True)[:count]
    wanted = {str(number) for number in (*newest, *used)}
    return {n: digest for n, digest in state.releases.items() if n in wanted}


def prune(store: Store, count: int, used: Collection[int]) -> Pruned:
    """Drop the releases that are not kept, and what only they needed. The caller holds it.

    Raises:
        DamagedError: The manifest of a release that stays cannot be read; nothing is removed.
    """
    state = store.state()
    left = kept(state, count, used)
    files = {store.blob(f) for digest in left.values() for f in store.manifest(digest).tree()}
    if left != state.releases:
        store.write_state(replace(state, releases=left))
    for tree in store.releases.iterdir():
        if tree.name not in left:
            shutil.rmtree(tree)
    for manifest in store.manifests.iterdir():
        if manifest.stem not in left.values():
            manifest.unlink()
    removed = size = 0
    for blob in [path for path in store.blobs.rglob("*") if path.is_file()]:
        if blob not in files:
            removed, size = removed + 1, size + blob.stat().st_size
            blob.unlink()
    gone = sorted(int(number) for number in state.releases if number not in left)
    return Pruned(tuple(gone), removed, size)
