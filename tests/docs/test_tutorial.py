"""The tutorial is true: its commands run in an empty folder and write what its text names."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from niftynet_ext.commands import demo
from tests.support.documents import ROOT, code_blocks, commands, words

TUTORIAL = ROOT / "docs/tutorial.rst"


def tutorial_commands():
    """Return the tutorial's commands in order, without the installation."""
    found = [
        command
        for block in code_blocks(TUTORIAL)
        if block.language == "console"
        for command in commands(block)
    ]
    return [command for command in found if words(command)[0] not in ("pip", "python3", ".")]


def test_has_the_steps_of_the_demo():
    tutorial = iter([words(command) for command in tutorial_commands()])
    for step in demo.steps(Path("demo")):
        wanted = [word for word in step if word != "--overwrite"]
        assert wanted in tutorial, f"not in the tutorial, or not in this order: {wanted}"


def named_files():
    """Return the files of the demo that the text names in literals."""
    text = TUTORIAL.read_text(encoding="utf-8")
    return sorted(set(re.findall(r"``(demo/[\w./-]+)``", text)))


@pytest.mark.long
def test_commands_run_and_write_what_the_text_names(tmp_path):
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    for command in tutorial_commands():
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, text=True, capture_output=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert named_files()
    assert [name for name in named_files() if not (tmp_path / name).exists()] == []
