from dataclasses import replace

import pytest

from appliance.site.preflight import GIB, Machine, NotReadyError, check, refusals

GOOD = Machine(
    folder="/srv/demo",
    installed=True,
    free_disk=20 * GIB,
    free_memory=7 * GIB,
    missing=frozenset(),
    occupied=frozenset(),
)


def test_a_machine_with_all_it_needs_is_not_refused() -> None:
    check(GOOD)


@pytest.mark.parametrize(
    ("machine", "reason", "remedy"),
    [
        pytest.param(
            replace(GOOD, running=4242), "tourne déjà dans /srv/demo", "DIR=", id="running"
        ),
        pytest.param(
            replace(GOOD, installed=False, free_disk=14 * GIB),
            "14,0 Gio sur le disque de /srv/demo, il en faut 15,0 Gio",
            "libérez de la place",
            id="disk of a first start",
        ),
        pytest.param(replace(GOOD, free_disk=GIB), "il en faut 2,0 Gio", "libérez", id="disk"),
        pytest.param(
            replace(GOOD, free_memory=4 * GIB), "4,0 Gio de mémoire", "VECTORS=non", id="memory"
        ),
        pytest.param(
            replace(GOOD, occupied=frozenset({8080})),
            "Le port 8080 est occupé",
            "PORT=",
            id="port",
        ),
        pytest.param(
            replace(GOOD, missing=frozenset({"haproxy", "libnuma.so.1"})),
            "Il manque des paquets",
            "sudo apt-get install -y haproxy libnuma1",
            id="packages",
        ),
        pytest.param(
            replace(GOOD, model="/srv/m", model_lacks=("params.json", "tekken.json")),
            "/srv/m n’est pas un modèle au format Mistral, il y manque params.json, tekken",
            "MODEL=",
            id="model",
        ),
        pytest.param(replace(GOOD, folder="/" + "x" * 99), "trop long", "DIR=", id="path"),
    ],
)
def test_what_is_missing_is_one_sentence_with_its_remedy(
    machine: Machine, reason: str, remedy: str
) -> None:
    (sentence,) = refusals(machine)

    assert reason in sentence
    assert remedy in sentence
    assert "\n" not in sentence


def test_every_reason_is_told_at_once() -> None:
    with pytest.raises(NotReadyError) as refusal:
        check(replace(GOOD, free_disk=0, free_memory=0, occupied=frozenset({1, 2})))

    assert len(str(refusal.value).splitlines()) == 4


def test_less_memory_is_enough_without_vectors() -> None:
    check(replace(GOOD, free_memory=3 * GIB, vectors=False))
