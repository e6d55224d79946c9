"""A machine with graphics cards, in a folder: the bus, a driver that answers, device nodes.

Programs are small scripts on the PATH; each writes its command line to `calls`. What a real
driver does is not shown by it: the profile is said not to be rehearsed on a GPU.
"""

import grp
import json
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROLES = Path(__file__).parents[2] / "playbooks" / "roles"
BIN = Path(sys.executable).parent
VERSION = "580.95.05"
LINUX = "6.12.48+deb13-amd64"
LOADED = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {VERSION}  Release Build"
CARD = "{}, NVIDIA H100 80GB HBM3, 81559, Enabled, 0, Disabled, Enabled, Completed"
DETAILS = "    GPU Virtualization Mode\n        Virtualization Mode               : None\n"
LOCK: dict[str, Any] = {
    "name": "gpu-driver", "version": VERSION, "licence": "x", "kernels": [LINUX],
    "schema": "casemate.given-lock/v1",
    "files": [
        {"path": "nvidia-smi_1_amd64.deb", "name": "nvidia-smi", "version": "1"},
        {"path": f"modules/{LINUX}/nvidia.ko", "name": "", "version": ""},
        {"path": "modules/6.1.0-1/nvidia.ko", "name": "", "version": ""},
    ],
}  # fmt: skip
# What systemctl says of a unit that runs; enough for Ansible's module.
SYSTEMCTL = """\
case "$*" in
  *show*) printf '%s\\n' LoadState=loaded ActiveState=active UnitFileState=enabled ;;
  *is-enabled*) echo enabled ;;
esac
"""
AGAIN = "the second time"
STEPS = ("install", "configure")  # the others only ask, and their answers are still known
PLAYBOOK: list[dict[str, Any]] = [
    {"hosts": "all", "gather_facts": False, "roles": [{"role": "gpu"}]},
    {"name": AGAIN, "hosts": "all", "gather_facts": False, "tasks": [
        {"ansible.builtin.import_role": {"name": "gpu", "tasks_from": step}} for step in STEPS
    ]},
]  # fmt: skip


def script(path: Path, text: str) -> None:
    """Write a program."""
    path.write_text(
        f'#!/bin/sh\necho "$(basename "$0") $*" >> "{path.parents[1]}/calls"\n{text}'
    )
    path.chmod(0o755)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine in a folder."""

    root: Path

    @classmethod
    def make(cls, root: Path, cards: int = 2) -> "Machine":
        """Make one whose driver runs."""
        machine = cls(root)
        for number in range(cards):
            machine.function(f"0000:0{number + 1}:00.0", "0x030200", "nvidia")
            machine.node(f"nvidia{number}")
        for name in ("nvidiactl", "nvidia-uvm"):
            machine.node(name)
        (root / "etc" / "systemd" / "system").mkdir(parents=True)
        machine.write("proc/driver/nvidia/version", LOADED)
        machine.write("release/binaries/gpu-driver.lock.json", json.dumps(LOCK))
        machine.write(f"release/binaries/gpu-driver/modules/{LINUX}/nvidia.ko", "module")
        machine.programs("\n".join(map(CARD.format, range(cards))))
        return machine

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def node(self, name: str) -> None:
        """Make a device node: here a file."""
        self.write(f"dev/{name}", "")
        (self.root / "dev" / name).chmod(0o660)

    def function(self, address: str, kind: str, bound: str) -> None:
        """Put a function on the bus."""
        place = f"sys/bus/pci/devices/{address}"
        self.write(f"{place}/vendor", "0x10de\n")
        self.write(f"{place}/class", f"{kind}\n")
        (self.root / place / "driver").symlink_to(f"../../../bus/pci/drivers/{bound}")

    def programs(self, cards: str) -> None:
        """Write the programs that the role calls."""
        folder = self.root / "bin"
        folder.mkdir(exist_ok=True)
        answers = (
            f'case "$1" in --query) cat <<E\n{DETAILS}E\n;; *) cat <<E\n{cards}\nE\n;; esac\n'
        )
        script(folder / "nvidia-smi", answers)
        script(folder / "modprobe", f'mkdir -p "{self.root}/sys/module/nvidia_uvm"\n')
        script(folder / "systemctl", SYSTEMCTL)
        for name in ("depmod", "udevadm", "update-initramfs", "systemd-analyze"):
            script(folder / name, "")

    @property
    def calls(self) -> list[str]:
        """Return the command lines that were run."""
        path = self.root / "calls"
        return path.read_text("utf-8").splitlines() if path.exists() else []

    def play(self) -> tuple[int, str]:
        """Play the role twice, but what needs root; return Ansible's status and output."""
        playbook = self.root / "play.json"
        playbook.write_text(json.dumps(PLAYBOOK))
        values = {
            "gpu_release_dir": str(self.root / "release"),
            "__gpu_root": str(self.root),
            "__gpu_owner": pwd.getpwuid(os.geteuid()).pw_name,
            "__gpu_group": grp.getgrgid(os.getegid()).gr_name,
            "__gpu_gid": os.getegid(),
            "__gpu_kernel": LINUX,
            # Without an environment it starts faster; the modules need the standard library.
            "ansible_python_interpreter": str(Path(sys.executable).resolve()),
        }
        environment = {
            "PATH": f"{self.root}/bin:{BIN}:{os.environ['PATH']}",
            "HOME": str(self.root), "LANG": "C.UTF-8", "ANSIBLE_HOME": str(self.root),
            "ANSIBLE_ROLES_PATH": str(ROLES), "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_INJECT_FACT_VARS": "0", "ANSIBLE_FORCE_HANDLERS": "1",
            "ANSIBLE_PIPELINING": "1",
        }  # fmt: skip
        command = [
            str(BIN / "ansible-playbook"), "-i", "localhost,", "-c", "local",
            "--skip-tags", "gpu_packages", "-e", json.dumps(values),
            str(playbook),
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr
