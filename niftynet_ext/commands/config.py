"""``net_lung config``: a shipped ini file with the paths asked for."""

import argparse
from pathlib import Path

from data_prep.commands import shared
from data_prep.core.errors import DataError
from data_prep.core.exit_codes import ExitCode
from niftynet_ext.core import ini_files

HELP = "write a shipped ini file with your paths; its comments are kept"
AFTER_INTERRUPT = "Run the same command again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="name of the ini file (--list shows them)"
    )
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
        help="folder in which training creates the model folder NAME (default: %(default)s)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    shared.add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Write the ini file, or list the names."""
    from data_prep.core import files

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
        print(f"The ini file is {path}. Next: {next_step(options.data, path)}")
    return ExitCode.OK


def next_step(data_dir: Path, ini_file: Path) -> str:
    """Return the command that comes next.

    :param data_dir: folder that the ini file names.
    :param ini_file: the file just written.
    """
    if not (data_dir / "ct.csv").is_file():
        return f"net_lung preprocess --dicom DIR --out {data_dir}"
    labels = data_dir / "label.csv"
    if labels.is_file() and labels.stat().st_size:
        return f"net_lung train -c {ini_file}"
    return f"net_segment inference -c {ini_file}"
