"""The one command line: its options, its exit codes, and what it imports."""

import os
import re
import subprocess
import sys

import pytest

from data_prep.commands import lists
from data_prep.core.errors import DataError
from data_prep.core.exit_codes import ExitCode
from data_prep.core.identity import VERSION
from niftynet_ext.commands import parser as command_line

HEAVY = ("tensorflow", "niftynet", "pandas", "matplotlib", "SimpleITK", "highdicom", "distributed")
"""What takes a second or more to import, and no help text needs."""


def test_every_command_has_help_options_and_a_sentence_after_ctrl_c():
    for name in command_line.COMMANDS:
        module = command_line.import_module(command_line.COMMANDS[name])
        assert module.HELP[0].islower() or module.HELP[:5] in ("DICOM", "Nifty"), name
        assert not module.HELP.endswith("."), name
        assert module.AFTER_INTERRUPT.endswith("."), name


@pytest.mark.parametrize("name", command_line.COMMANDS)
def test_help_of_each_command(name, capsys):
    with pytest.raises(SystemExit) as caught:
        command_line.main([name, "--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert text.startswith(f"usage: net_lung {name} ")
    assert "None" not in text


def test_help_lists_the_commands_in_the_order_of_their_use(capsys):
    with pytest.raises(SystemExit):
        command_line.main(["--help"])
    text = capsys.readouterr().out
    names = re.findall(r"^    (\w+)  ", text, re.MULTILINE)
    assert names == list(command_line.COMMANDS)


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        command_line.main(["--version"])
    assert caught.value.code == 0 and capsys.readouterr().out == f"net_lung {VERSION}\n"


def test_without_words_it_shows_the_help_and_fails(capsys):
    assert command_line.main([]) == ExitCode.WRONG_INPUT
    captured = capsys.readouterr()
    assert captured.out == "" and "postprocess" in captured.err


@pytest.mark.parametrize("words", [["chek"], ["lists"], ["lists", "--data", "d", "--oops"]])
def test_wrong_words_are_exit_code_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        command_line.main(words)
    captured = capsys.readouterr()
    assert caught.value.code == ExitCode.WRONG_INPUT
    assert captured.out == "" and captured.err.startswith("usage: net_lung")


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (DataError("No file\n  Make one."), 2, "net_lung lists: No file. Make one.\n"),
        (OSError(28, "No space left on device", "x"), 1, "No space left on device"),
        (KeyboardInterrupt(), 130, "net_lung lists: interrupted. Run the same command again.\n"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(monkeypatch, capsys, raised, code, text):
    def fail(options):
        raise raised

    monkeypatch.setattr(lists, "run", fail)
    assert command_line.main(["lists", "--data", "data"]) == code
    captured = capsys.readouterr()
    assert text in captured.err and captured.err.count("\n") == 1 and captured.out == ""


def test_a_fault_of_the_program_is_not_hidden(monkeypatch):
    def fail(options):
        raise ZeroDivisionError

    monkeypatch.setattr(lists, "run", fail)
    with pytest.raises(ZeroDivisionError):
        command_line.main(["lists", "--data", "data"])


def test_only_train_passes_flags_on(monkeypatch, capsys):
    passed = []
    monkeypatch.setattr(
        "niftynet_ext.study.rounds.train_in_rounds", lambda *words: passed.extend(words)
    )
    words = ["train", "-c", "x.ini", "--plan", "Focal:5", "--lr", "0.1", "--model_dir", "m"]
    assert command_line.main(words) == 0
    config, plan, model_dir, overrides, dry_run = passed
    assert (str(config), str(model_dir), overrides, dry_run) == (
        "x.ini",
        "m",
        ["--lr", "0.1"],
        False,
    )
    assert [(stage.loss, stage.last) for stage in plan] == [("Focal", 5)]


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from niftynet_ext.commands.parser import build_parser\n"
        "build_parser().format_help()\n"
        f"print(*(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_a_command_pays_for_its_own_options_only():
    code = (
        "import sys\n"
        "from niftynet_ext.commands.parser import build_parser\n"
        "build_parser(only='train')\n"
        "print(*(name for name in ('numpy', 'pydantic', 'pydicom') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def complete(line):
    """Return what a shell would offer behind a line, by argcomplete's own protocol."""
    env = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    done = subprocess.run(
        [sys.executable, "-m", "niftynet_ext"], env=env, capture_output=True, text=True
    )
    return [word.strip() for word in done.stdout.split("\n")]


def test_the_shell_completes_commands_and_options():
    assert {"segment", "select"} <= set(complete("net_lung se"))
    assert "--allow-unlabelled" in complete("net_lung preprocess --allow")
