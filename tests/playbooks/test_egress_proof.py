from pathlib import Path

import yaml

TASKS = Path(__file__).parents[2] / "playbooks" / "roles" / "egress_proof" / "tasks"
CHANGES_NOTHING = {"ansible.builtin.assert", "ansible.builtin.set_fact", "ansible.builtin.file",
                   "ansible.builtin.include_tasks", "ansible.builtin.import_tasks"}  # fmt: skip


def test_a_measure_is_no_change_of_the_site_however_often_it_is_made() -> None:
    tasks = [task for path in TASKS.glob("*.yml") for task in yaml.safe_load(path.read_text())]
    assert len(tasks) > 8
    told = [
        task["name"]
        for task in tasks
        if not CHANGES_NOTHING & task.keys() and task.get("changed_when") is not False
    ]
    assert told == []
