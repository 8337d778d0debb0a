"""The ini files that come with this project, and copies of them with other paths."""

import re
from pathlib import Path

from data_prep.core.errors import DataError

DATA, MODELS = Path("data"), Path("models")
"""Folders that the networks' ini files name, in the folder that a command runs in."""

_PACKAGED = Path(__file__).parents[1] / "ini_files"
"""Where a wheel has them (setup.py copies config_ini there)."""

_CHECKOUT = Path(__file__).parents[2] / "config_ini"
"""Where a checkout has them."""


def folder() -> Path:
    """Return the folder of the shipped ini files."""
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


def names() -> list[str]:
    """Return the names of the shipped ini files, without ``.ini``."""
    return sorted(path.stem for path in folder().glob("*.ini"))


def read(name: str) -> str:
    """Return the text of a shipped ini file.

    :param name: as of :func:`names`.
    :raises DataError: there is none of this name.
    """
    if name not in names():
        raise DataError(
            f"There is no shipped ini file {name!r}. Choose one of {', '.join(names())}."
        )
    return (folder() / f"{name}.ini").read_text(encoding="utf-8")


def with_paths(name: str, data_dir: Path, models_dir: Path) -> str:
    """Return the text of a shipped ini file with other folders, its comments kept.

    Paths become absolute: NiftyNet looks for some of them from the folder it runs in, for others
    from the model folder.

    :param name: as of :func:`names`.
    :param data_dir: folder that ``net_lung preprocess`` wrote or will write.
    :param models_dir: folder for the model folder, which gets the ini file's name.
    :raises DataError: no such ini file, or a path that NiftyNet cannot read from one.
    """
    data_dir, models_dir = data_dir.absolute(), models_dir.absolute()
    for path in (data_dir, models_dir):
        if "%" in str(path) or str(path) != str(path).strip() or "\n" in str(path):
            raise DataError(
                f"{path}: NiftyNet cannot read a path with %, a line break, or a space at an end "
                "from an ini file. Choose another folder."
            )
    values = {
        ("CT", "csv_file"): data_dir / "ct.csv",
        ("LABEL", "csv_file"): data_dir / "label.csv",
        ("SYSTEM", "model_dir"): models_dir / name,
        ("SYSTEM", "dataset_split_file"): data_dir / "split.csv",
    }
    section, lines = "", []
    for line in read(name).splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
        key = line.partition("=")[0].strip()
        value = values.pop((section, key), None)
        lines.append(line if value is None else f"{key} = {value}")
    if values:
        raise ValueError(f"{name}.ini lacks {values}")
    return "\n".join(lines) + "\n"
