"""``net_lung``: the one command line of both packages."""

import argparse
import errno
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from data_prep.core.errors import NetLungError
from data_prep.core.exit_codes import ExitCode
from data_prep.core.identity import VERSION

COMMANDS = {
    "download": "data_prep.commands.download",
    "check": "data_prep.commands.check",
    "preprocess": "data_prep.commands.preprocess",
    "lists": "data_prep.commands.lists",
    "phantom": "data_prep.commands.phantom",
    "config": "niftynet_ext.commands.config",
    "train": "niftynet_ext.commands.train",
    "restore": "data_prep.commands.restore",
    "picture": "data_prep.commands.picture",
    "evaluate": "niftynet_ext.commands.evaluate",
    "select": "niftynet_ext.commands.select",
    "ensemble": "niftynet_ext.commands.ensemble",
    "postprocess": "niftynet_ext.commands.postprocess",
    "report": "niftynet_ext.commands.report",
    "segment": "niftynet_ext.commands.segment",
    "reproduce": "niftynet_ext.commands.reproduce",
    "demo": "niftynet_ext.commands.demo",
}
"""Module of each command, in the order in which a person needs them."""

PROGRAM = "net_lung"

DESCRIPTION = (
    "Segment lung tumours with NiftyNet, from DICOM to DICOM. Training and inference themselves "
    "are NiftyNet's own commands: net_segment train | inference -c FILE.ini."
)


class HelpFormatter(argparse.HelpFormatter):
    """Help with room for the longest name of a command beside its text."""

    def __init__(self, prog: str, **others: Any) -> None:
        super().__init__(prog, max_help_position=32, **others)

    def add_arguments(self, actions: Iterable[argparse.Action]) -> None:
        """Add a group's actions, and leave room for the indent of commands."""
        super().add_arguments(actions)
        self._action_max_length += 2  # argparse forgets that commands are indented further


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the parser with all commands.

    :param only: give this command its options and the others none, which saves their imports.
    """
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=DESCRIPTION,
        allow_abbrev=False,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module_name in COMMANDS.items():
        module = import_module(module_name)
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=f"{module.HELP[0].upper()}{module.HELP[1:]}.",
            epilog=getattr(module, "EPILOG", None),
            allow_abbrev=False,
            formatter_class=HelpFormatter,
        )
        if only in (None, name):
            module.add_arguments(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    :param arguments: words after ``net_lung``; those of the process by default.
    :return: one of :class:`~data_prep.core.exit_codes.ExitCode`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(build_parser())
    name = next((word for word in words if word in COMMANDS), None)
    parser = build_parser(only=name or "")
    if not words:
        parser.print_help(sys.stderr)
        return int(ExitCode.WRONG_INPUT)
    options, unknown = parser.parse_known_args(words)
    module = import_module(COMMANDS[options.command])
    if getattr(module, "PASSES_ON", False):
        options.passed_on = unknown
    elif unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return run_command(module, options)


DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""Nobody's input is wrong where the disk is full or broken."""


def _code_of(error: Exception) -> ExitCode:
    if isinstance(error, NetLungError):
        return error.exit_code
    is_disk = isinstance(error, OSError) and error.errno in DISK_FAULTS
    return ExitCode.FAILED if is_disk else ExitCode.WRONG_INPUT


def one_line(text: str) -> str:
    """Return a text of several lines as one; a line without a full stop gets one."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    ended = [line if line[-1] in ".:;,!?" else f"{line}." for line in lines[:-1]]
    return " ".join([*ended, *lines[-1:]])


def run_command(module: ModuleType, options: argparse.Namespace) -> int:
    """Run a command module; turn every error into one line and an exit code."""
    try:
        return int(module.run(options))
    except (NetLungError, OSError, ValueError) as error:
        if isinstance(error, BrokenPipeError):  # whoever read the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return int(ExitCode.OK)
        code = _code_of(error)
        message = one_line(str(error)).removeprefix("error: ")
        print(f"{PROGRAM} {options.command}: {message}", file=sys.stderr)
        return int(code)
    except KeyboardInterrupt:
        print(
            f"{PROGRAM} {options.command}: interrupted. {module.AFTER_INTERRUPT}", file=sys.stderr
        )
        return int(ExitCode.INTERRUPTED)
