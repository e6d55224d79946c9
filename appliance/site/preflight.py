"""What must hold before anything starts: each refusal is one sentence and a remedy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appliance.errors import ApplianceError

GIB = 1 << 30
DISK_NEEDED = 15 * GIB  # of a fresh folder: wheels, Keycloak, vLLM; less once they are there
DISK_TO_RUN = 2 * GIB
MEMORY_NEEDED = 5 * GIB  # available, with the embedder; PostgreSQL, Keycloak and vLLM together
MEMORY_WITHOUT_VECTORS = 2 * GIB
SOCKET_PATH_LIMIT = 107  # bytes: sun_path of Linux
LONGEST_SOCKET = "/run/pg/.s.PGSQL.65535"

# Program -> the Debian package that has it.
PACKAGES: Mapping[str, str] = {
    "haproxy": "haproxy",
    "setpriv": "util-linux",
    "libnuma.so.1": "libnuma1",
    "libgomp.so.1": "libgomp1",
}


class NotReadyError(ApplianceError):
    """The machine cannot run the stack as asked; the message has one line per reason."""

    code = "CM-NET-06"


@dataclass(frozen=True, slots=True)
class Machine:
    """What was observed, before anything was started."""

    folder: str
    installed: bool  # the environments and Keycloak are already there
    free_disk: int  # bytes, where the folder is
    free_memory: int  # bytes available
    missing: frozenset[str]  # of PACKAGES
    occupied: frozenset[int]  # of the ports that were asked for
    running: int | None = None  # pid of the demo that holds this folder
    vectors: bool = True  # an embedder is asked for
    model: str = ""  # folder of the model that was asked for
    model_lacks: tuple[str, ...] = ()  # names of its files that are not there


def refusals(machine: Machine) -> Iterator[str]:
    """Yield one sentence, with its remedy, per reason not to start."""
    if machine.running is not None:
        yield (
            f"Une démonstration tourne déjà dans {machine.folder} "
            f"(processus {machine.running}) : arrêtez-la par Ctrl-C, "
            "ou donnez un autre dossier avec DIR=…"
        )
    yield from _shortages(machine)
    for port in sorted(machine.occupied):
        yield f"Le port {port} est occupé : libérez-le, ou choisissez-en un autre avec PORT=…"
    if packages := sorted({PACKAGES[name] for name in machine.missing}):
        yield (
            "Il manque des paquets : exécutez "
            f"« sudo apt-get install -y {' '.join(packages)} », puis recommencez."
        )
    if machine.model_lacks:
        yield (
            f"Le dossier {machine.model} n’est pas un modèle au format Mistral, il y manque "
            f"{', '.join(machine.model_lacks)} : donnez le bon dossier avec MODEL=…"
        )
    if len(f"{machine.folder}{LONGEST_SOCKET}".encode()) > SOCKET_PATH_LIMIT:
        yield (
            f"Le chemin {machine.folder} est trop long pour une prise Unix : donnez un dossier "
            "plus court avec DIR=…"
        )


def _shortages(machine: Machine) -> Iterator[str]:
    disk = DISK_TO_RUN if machine.installed else DISK_NEEDED
    if machine.free_disk < disk:
        yield (
            f"Il reste {_gib(machine.free_disk)} sur le disque de {machine.folder}, il en faut "
            f"{_gib(disk)} : libérez de la place, ou donnez un dossier sur un autre disque "
            "avec DIR=…"
        )
    memory = MEMORY_NEEDED if machine.vectors else MEMORY_WITHOUT_VECTORS
    if machine.free_memory < memory:
        yield (
            f"Il reste {_gib(machine.free_memory)} de mémoire, il en faut {_gib(memory)} : "
            "fermez des programmes, ou renoncez aux vecteurs avec VECTORS=non."
        )


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} Gio".replace(".", ",")


def check(machine: Machine) -> None:
    """Refuse to start on a machine that cannot.

    Raises:
        NotReadyError: With every reason, one per line.
    """
    if found := list(refusals(machine)):
        raise NotReadyError("\n".join(found))
