"""``net_lung config``: a shipped ini file with the paths asked for."""

import argparse
import sys
from pathlib import Path

from data_prep.commands import shared
from data_prep.core import files
from data_prep.core.errors import DataError
from data_prep.core.exit_codes import ExitCode
from niftynet_ext.core import ini_files

HELP = "write a shipped ini file, comments kept, with your paths"
AFTER_INTERRUPT = "Run the same command again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="which one; see --list")
    parser.add_argument("--list", action="store_true", help="list the names of the shipped files")
    parser.add_argument(
        "--out", type=Path, help="ini file to write (default: NAME.ini in the current folder)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=ini_files.DATA,
        help="folder that preprocess wrote or will write (default: %(default)s)",
    )
    parser.add_argument(
        "--models",
        type=Path,
        default=ini_files.MODELS,
        help="folder for the model folder NAME (default: %(default)s)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Write the ini file, or list the names."""
    if options.list:
        names = ini_files.names()
        shared.print_json(names) if options.json else print("\n".join(names))
        return ExitCode.OK
    if not options.name:
        raise DataError(f"NAME is missing. Choose one of {', '.join(ini_files.names())}.")
    path = options.out or Path(f"{options.name}.ini")
    text = ini_files.with_paths(options.name, options.data, options.models)
    if path.exists() and not options.overwrite:
        raise DataError(f"{path} exists. Give another --out, or --overwrite to replace it.")
    files.write_bytes(path, text.encode())
    if options.json:
        shared.print_json({"ini_file": str(path)})
    else:
        print(f"The ini file is {path}. Next: net_lung train -c {path}")
        if not (options.data / "ct.csv").is_file():
            print(
                f"No {options.data / 'ct.csv'} yet: run net_lung preprocess --out {options.data} "
                "first.",
                file=sys.stderr,
            )
    return ExitCode.OK
