"""Each role describes its variables, and refuses wrong ones before the first change."""

from typing import ClassVar

from ansiblelint.errors import MatchError
from ansiblelint.file_utils import Lintable
from ansiblelint.rules import AnsibleLintRule


class DescribedRolesRule(AnsibleLintRule):
    """Each role has meta/argument_specs.yml."""

    id = "casemate-described-roles"
    description = "A role without meta/argument_specs.yml takes anything and says nothing."
    severity = "HIGH"
    tags: ClassVar = ["casemate"]
    version_changed = "26.10.1"

    def matchyaml(self, file: Lintable) -> list[MatchError]:
        """Look at the table of contents of a role."""
        parts = file.path.parts
        if parts[-2:] != ("tasks", "main.yml"):
            return []
        if (file.path.parents[1] / "meta" / "argument_specs.yml").is_file():
            return []
        return [self.create_matcherror("meta/argument_specs.yml is missing", filename=file)]
