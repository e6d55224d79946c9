"""One start of `casemate install`: from where the last one stopped to the signed report.

On failure: one code and one sentence to dictate, what is reversible undone, everything done
kept. The same command, started again, goes on.
"""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from appliance.errors import ApplianceError
from appliance.install import answers as asked
from appliance.install import retreat, screen, telephone
from appliance.install.answers import Answers, AnswersError, Ask
from appliance.install.phases import BY_NAME, PHASES, Phase, State, advance, failed, opened
from appliance.install.places import Places
from appliance.install.record import Record, held, replace_file
from appliance.install.work import Bundle, StoppedError, Work, body, fault_of

KEPT = "answers.json"  # those of an installation, for its next start
_PATIENCE = 120  # seconds for systemd to stop units


@dataclass(frozen=True, slots=True)
class Wish:
    """What the engineer asked for."""

    language: screen.Language
    answers: Path | None = None  # file
    ask: Ask | None = None  # None: unattended


class HaltedError(ApplianceError):
    """The installation stopped; the sentence was said. `cause` is what stopped it."""

    code = "CM-INS-67"

    def __init__(self, sentence: str, cause: ApplianceError) -> None:
        super().__init__(sentence)
        self.exit_code: int = getattr(cause, "exit_code", 1)


def install(places: Places, wish: Wish, bundle: Bundle, say: Callable[[str], None]) -> int:
    """Install, or go on. Return how many tasks changed something.

    Raises:
        HaltedError: A phase failed.
        ApplianceError: It could not begin: answers, lock, another release half installed.
    """
    with held(places.install) as lock:
        record = Record(places.install)
        state = opened(record.state(), bundle.release)
        answers = _answers(places.install / KEPT, wish, fresh=state.starts == 1)
        record.save(state)
        event = "install.begin" if state.starts == 1 else "install.resume"
        record.note(event, {**msgspec.to_builtins(bundle.release), "start": state.starts,
                            "operator": answers.operator})  # fmt: skip
        if state.done:
            say(screen.resumes((BY_NAME[name] for name in state.done), wish.language))
        work = Work(places, record, answers, bundle, say, wish.language, lock)
        _run(work, state)
        return work.changed


def _run(work: Work, state: State) -> None:
    phases = [PHASES[0]]

    def do(phase: Phase, now: State) -> None:
        phases.append(phase)
        work.do(phase, now)

    try:
        advance(state, do, work.record.save)
    except ApplianceError as exc:
        raise _halt(work, phases[-1], exc) from exc


def _halt(work: Work, phase: Phase, error: ApplianceError) -> HaltedError:
    """Write the failure down, undo what is reversible, and say what to dictate."""
    fault = fault_of(phase, error)
    code = telephone.code(fault)
    state = work.record.state()
    assert state is not None, "saved before the first phase"
    work.record.note("phase.failed", {"phase": phase.name, "code": code, **body(error)})
    undone = retreat.plan(state, phase.name, work.places.linked())
    work.record.save(failed(state, code, undone.again))  # before: a cut here undoes nothing
    _undo(work.places, undone)
    work.record.note("retreat", {"words": undone.words[0]})
    if text := str(error):
        work.say(text)
    if isinstance(error, StoppedError):
        work.say(str(work.places.install / "scratch/ansible.log"))
    say = telephone.sentence if work.language == screen.Language.FR else telephone.english
    words = screen.spoken(*undone.words, work.language)
    again = screen.spoken(
        "Relancez la même commande pour reprendre.", "Run the same command to go on.",
        work.language,
    )  # fmt: skip
    return HaltedError(f"{say(fault)}\n{words} {again}", error)


def _undo(places: Places, plan: retreat.Retreat) -> None:
    if plan.current is not None:
        places.link(plan.current)
    for words in retreat.commands(plan):
        subprocess.run(  # noqa: S603 - fixed words, no shell
            words, check=False, capture_output=True, timeout=_PATIENCE
        )


def _answers(kept: Path, wish: Wish, *, fresh: bool) -> Answers:
    """Return the answers: of the file, else those of the last start, else asked for.

    Raises:
        AnswersError: One is missing or wrong.
    """
    given: dict[str, object] = {}
    if wish.answers is not None:
        given = asked.read_answers(text_of(wish.answers))
    elif kept.exists() and not (fresh and wish.ask):
        given = msgspec.json.decode(kept.read_bytes(), type=dict[str, object])
    if wish.ask is not None:
        given = {**given, **_questions(given, wish.ask)}
    answers = asked.check(given)
    _check_zone(answers.time_zone)
    if answers.site_toml is not None and not Path(answers.site_toml).is_file():
        raise AnswersError(f"site_toml : {answers.site_toml} n’existe pas. / does not exist.")
    replace_file(kept, answers.model_dump_json(indent=1, exclude_defaults=True).encode())
    return answers


def _questions(given: Mapping[str, object], ask: Ask) -> dict[str, object]:
    return {name: ask(*asked.QUESTIONS[name]) for name in asked.missing(given)}


def text_of(path: Path) -> str:
    """Return the text of an answers file.

    Raises:
        AnswersError: It cannot be read.
    """
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise AnswersError(f"{path} : {exc}") from exc


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as exc:
        raise AnswersError(f"time_zone : {name} n’existe pas. / does not exist.") from exc
