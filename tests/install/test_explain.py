from pathlib import Path

from appliance.install.explain import explained, names
from appliance.install.phases import BY_NAME
from appliance.install.telephone import Fault, code, parse


def playbooks(folder: Path) -> Path:
    tasks = folder / "roles/keycloak/tasks"
    tasks.mkdir(parents=True)
    (tasks / "main.yml").write_text(
        '---\n- name: "Start it"\n  block:\n    - name: Wait for it\n'
    )
    (folder / "site.yml").write_text("- name: The site\n  hosts: site\n")
    return folder


def test_names_of_a_role_are_those_of_its_tasks(tmp_path: Path) -> None:
    assert list(names(playbooks(tmp_path), "keycloak")) == ["Start it", "Wait for it"]
    assert list(names(playbooks(tmp_path / "again"), "")) == ["The site"]


def test_a_dictated_code_gives_the_task_of_the_role(tmp_path: Path) -> None:
    said = code(Fault(BY_NAME["data"], "keycloak", "Wait for it"))
    assert explained(parse(said), playbooks(tmp_path)) == ["Wait for it"]


def test_a_code_outside_a_role_is_one_of_the_table_of_errors(tmp_path: Path) -> None:
    said = code(Fault(BY_NAME["checks"], "", "CM-INS-65"))
    assert explained(parse(said), playbooks(tmp_path)) == ["CM-INS-65"]


def test_a_code_of_a_role_that_this_release_has_not_explains_nothing(tmp_path: Path) -> None:
    said = code(Fault(BY_NAME["data"], "of_tomorrow", "Wait for it"))
    assert explained(parse(said), playbooks(tmp_path)) == []
