"""Checks of the lists of a ``train`` or ``inference``: ``csv_file`` of each input, the split."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pandas
from niftynet.engine.signal import INFER, TRAIN, VALID
from niftynet.io.misc_io import resolve_file_name
from niftynet.utilities.niftynet_global_config import NiftyNetGlobalConfig
from niftynet.utilities.user_parameters_default import DEFAULT_DATASET_SPLIT_FILE

from data_prep.core.console import count_of
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import did_you_mean, say, some

# NiftyNet is untyped: its objects (parameters of sections) are Any

SPLIT_SETS = (TRAIN, VALID, INFER)
"""The sets of a split, as NiftyNet writes them in lower case."""


def read_pairs(path: str, second: str, example: str) -> pandas.DataFrame:
    """Read a list of ids and something else.

    :param path: csv file without a header
    :param second: what its second column holds, for the message
    :param example: a line, for the message
    :return: table of two columns of text
    :raises RefusedError: the file is empty, has not two columns, or has an id twice
    """
    try:
        table = pandas.read_csv(path, header=None, dtype=str, skipinitialspace=True)
    except pandas.errors.EmptyDataError as error:
        raise RefusedError(f"{path} is empty; expected lines such as {example!r}") from error
    except (pandas.errors.ParserError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path} is not a csv file: {error}") from error
    if table.shape[1] != 2 or table.isnull().any(axis=None):
        raise RefusedError(f"{path}: every line must be 'id,{second}', e.g. {example!r}")
    twice = table[0][table[0].duplicated()].unique()
    if len(twice):
        raise RefusedError(
            f"{path} has more than one line for {some(twice)}: each subject must have one {second}"
        )
    return table


def check_lists(inputs: Any) -> None:
    """Check the ``csv_file`` of each input.

    :param inputs: NiftyNet's dict of input section to parameters
    :raises RefusedError: a list is not valid
    """
    for parameters in (inputs or {}).values():
        path = getattr(parameters, "csv_file", "")
        if path and os.path.isfile(path) and not getattr(parameters, "path_to_search", ""):
            read_pairs(path, "path", "LUNG1-001,images/LUNG1-001.nii.gz")


def zeros_lost(absent: Iterable[Any], present: Iterable[Any]) -> tuple[list[Any], Any]:
    """Find ids that differ from existing ids only by leading zeros.

    :param absent: ids that were looked for and not found
    :param present: ids that exist
    :return: those of the absent ids; the existing id that is like the first of them, or None
    """
    stripped = {str(name).lstrip("0"): name for name in present}
    lost = [name for name in absent if str(name).lstrip("0") in stripped]
    return lost, stripped[str(lost[0]).lstrip("0")] if lost else None


def check_rows(
    table: pandas.DataFrame, sections: Iterable[str], subjects: Collection[str] | None
) -> None:
    """Check that every subject has a file in every list, and that the files exist.

    :param table: NiftyNet's table of ids and, for each input section, paths
    :param sections: those that are read
    :param subjects: ids that are used; None for all
    :raises RefusedError: leading zeros lost in one of the lists, or a file that does not exist
    """
    ids = table.columns[0]
    used = table if subjects is None else table[table[ids].isin(subjects)]
    home = NiftyNetGlobalConfig().get_niftynet_home_folder()
    for section in sections:
        lacking = list(used[ids][used[section].isnull()])
        lost, like = zeros_lost(lacking, table[ids][table[section].notnull()])
        if lost:
            raise RefusedError(
                f"[{section}] csv_file has {like} where another list has {lost[0]}: a spreadsheet "
                f"may have removed (or added) leading zeros. Write the same ids in all lists"
            )
        if lacking:
            say(
                f"[{section}] csv_file lacks {count_of(len(lacking), 'subject')}, which will not "
                f"be used: {some(lacking)}"
            )
        for name, path in used[used[section].notnull()][[ids, section]].itertuples(index=False):
            try:
                resolve_file_name(path, (".", home))
            except OSError as error:
                raise RefusedError(
                    f"subject {name}: {path} does not exist. Write it (`net_lung preprocess`), or "
                    f"correct csv_file of [{section}]"
                ) from error


def check_split_file(path: str | None, drawn: bool) -> None:
    """Check ``dataset_split_file``.

    :param path: of that file
    :param drawn: whether NiftyNet is about to draw a split and to write it there
    :raises RefusedError: the file does not exist, is empty, has lines that are not ``id,phase``, an
        unknown phase, or an id twice
    """
    if not path or not os.path.isfile(path):
        if (
            path
            and not drawn
            and (os.path.basename(path) != os.path.basename(DEFAULT_DATASET_SPLIT_FILE))
        ):
            raise RefusedError(
                f"dataset_split_file = {path} does not exist, and NiftyNet would use all subjects. "
                f"Correct the path; to use all subjects, remove the key"
            )
        return
    for subject, phase in read_pairs(path, "phase", "LUNG1-001,Training").itertuples(index=False):
        if phase.lower() not in SPLIT_SETS:
            raise RefusedError(
                f"{path}: {subject} is in the set {phase!r}: "
                f"{did_you_mean(phase, [name.capitalize() for name in SPLIT_SETS])}"
            )


def used_sets(training: bool, phase: str) -> set[str]:
    """Return the sets of the split that are read; empty where all subjects are.

    :param training: whether the action is ``train``
    :param phase: ``dataset_to_infer``
    """
    return {TRAIN, VALID} if training else {phase} & set(SPLIT_SETS)


def check_sets(
    subjects: Sequence[str],
    split: Mapping[str, str],
    path: str | None,
    training: bool,
    phase: str = "",
    validation_every_n: int = -1,
) -> None:
    """Compare the split with the subjects that have images.

    :param subjects: ids of the input sections
    :param split: set of each subject, in lower case; empty if there is no split
    :param path: of the split file, for the message
    :param training: whether the action is ``train``
    :param phase: ``dataset_to_infer``
    :param validation_every_n: of [TRAINING]
    :raises RefusedError: subjects without images, or a set that is needed and empty
    """
    if not split:
        return
    used = used_sets(training, phase)
    absent = [
        subject for subject, name in split.items() if name in used and subject not in subjects
    ]
    lost, like = zeros_lost(absent, subjects)
    if lost:
        raise RefusedError(
            f"{path} has {some(lost)}, but csv_file has {like}: a spreadsheet may have removed (or "
            f"added) leading zeros. Write the ids as they are in csv_file"
        )
    if absent:
        raise RefusedError(
            f"{path} has {count_of(len(absent), 'subject')} without images in any csv_file: "
            f"{some(absent)}. Remove from the split, or add the images"
        )
    left_out = [subject for subject in subjects if subject not in split]
    if left_out:
        say(
            f"{path} lacks {count_of(len(left_out), 'subject')} with images, which will not be "
            f"used: {some(left_out)}"
        )
    needed = used if validation_every_n > 0 or not training else {TRAIN}
    for name in sorted(needed):
        if name not in split.values():
            raise RefusedError(
                f"{path}: no subject is in the set {name.capitalize()}. "
                f"{advice_for_empty(name, training)}"
            )


def advice_for_empty(name: str, training: bool) -> str:
    """Say what to do about a set without subjects.

    :param name: of the set
    :param training: whether the action is ``train``
    """
    if name == VALID:
        return "Add some, or set validation_every_n = -1"
    if training:
        return "Add some: NiftyNet would use all subjects"
    return "Add some, or change dataset_to_infer"
