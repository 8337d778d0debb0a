"""Checks of the lists of a ``train`` or ``inference``: ``csv_file`` of each input, the split."""

import os

import pandas
from niftynet.io.misc_io import resolve_file_name
from niftynet.utilities.niftynet_global_config import NiftyNetGlobalConfig
from niftynet.utilities.user_parameters_default import DEFAULT_DATASET_SPLIT_FILE

from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import did_you_mean, say, some

PHASES = ("training", "validation", "inference")


def read_pairs(path, second, example):
    """
    :param path: csv file without a header
    :param second: what its second column holds, for the message
    :param example: a line
    :return: table of two columns of text
    :raises RefusedError: empty, not two columns, or an id in it twice
    """
    try:
        table = pandas.read_csv(path, header=None, dtype=str, skipinitialspace=True)
    except pandas.errors.EmptyDataError as error:
        raise RefusedError(f"{path} is empty; expected lines such as {example!r}") from error
    except (pandas.errors.ParserError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path} is no csv file: {error}") from error
    if table.shape[1] != 2 or table.isnull().any(axis=None):
        raise RefusedError(f"{path}: every line must be 'id,{second}', e.g. {example!r}")
    twice = table[0][table[0].duplicated()].unique()
    if len(twice):
        raise RefusedError(
            f"{path}: {some(twice)} stands there more than once; a subject has one {second}"
        )
    return table


def check_lists(inputs):
    """
    :param inputs: NiftyNet's dict of input section to parameters
    :raises RefusedError: the first list that is not one
    """
    for parameters in (inputs or {}).values():
        path = getattr(parameters, "csv_file", "")
        if path and os.path.isfile(path) and not getattr(parameters, "path_to_search", ""):
            read_pairs(path, "path", "LUNG1-001,images/LUNG1-001.nii.gz")


def zeros_lost(absent, present):
    """
    :param absent: ids that were looked for
    :param present: ids that there are
    :return: those absent that are present but for leading zeros; how the first is written there
    """
    stripped = {str(name).lstrip("0"): name for name in present}
    lost = [name for name in absent if str(name).lstrip("0") in stripped]
    return lost, stripped[str(lost[0]).lstrip("0")] if lost else None


def check_rows(table, sections, subjects):
    """
    :param table: NiftyNet's table of ids and, for each input section, paths
    :param sections: those that are read
    :param subjects: ids that are used; None for all
    :raises RefusedError: leading zeros lost in one of the lists, or a file that is not there
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
                f"has dropped (or added) leading zeros. Write the ids alike in all lists"
            )
        if lacking:
            say(
                f"{len(lacking)} subjects are not in csv_file of [{section}], and are left out: "
                f"{some(lacking)}"
            )
        for name, path in used[used[section].notnull()][[ids, section]].itertuples(index=False):
            try:
                resolve_file_name(path, (".", home))
            except OSError as error:
                raise RefusedError(
                    f"subject {name}: {path} does not exist. Write it (`python -m data_prep "
                    f"preprocess`), or correct csv_file of [{section}]"
                ) from error


def check_split_file(path, drawn):
    """
    :param path: NiftyNet's ``dataset_split_file``
    :param drawn: whether NiftyNet is about to draw a split and to write it there
    :raises RefusedError: not there, empty, not ``id,phase``, an unknown phase, or an id in it twice
    """
    if not path or not os.path.isfile(path):
        if (
            path
            and not drawn
            and (os.path.basename(path) != os.path.basename(DEFAULT_DATASET_SPLIT_FILE))
        ):
            raise RefusedError(
                f"dataset_split_file = {path} does not exist, and NiftyNet would "
                f"take all subjects. Correct the path; to take all, remove the key"
            )
        return
    for subject, phase in read_pairs(path, "phase", "LUNG1-001,Training").itertuples(index=False):
        if phase.lower() not in PHASES:
            raise RefusedError(
                f"{path}: {subject} is in the set {phase!r}: "
                f"{did_you_mean(phase, [p.capitalize() for p in PHASES])}"
            )


def used_sets(training, phase):
    """
    :param training: whether the action is ``train``
    :param phase: ``dataset_to_infer``
    :return: sets of the split that are read; none where all subjects are
    """
    return {"training", "validation"} if training else {phase} & set(PHASES)


def check_sets(subjects, split, path, training, phase="", validation_every_n=-1):
    """
    :param subjects: ids of the input sections
    :param split: dict of id to phase in lower case; empty if there is no split
    :param path: of the split file, for the message
    :param training: whether the action is ``train``
    :param phase: ``dataset_to_infer``
    :param validation_every_n: of [TRAINING]
    :raises RefusedError: ids that are not there, or a set that is needed and empty
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
            f"{path}: {some(lost)} has no image, but {like} has: a spreadsheet has "
            f"dropped (or added) leading zeros. Write the ids as they are in the "
            f"csv_file"
        )
    if absent:
        raise RefusedError(
            f"{path}: {len(absent)} subjects are in no csv_file: {some(absent)}. Remove "
            f"them from the split, or add their images"
        )
    left_out = [subject for subject in subjects if subject not in split]
    if left_out:
        say(
            f"{path}: {len(left_out)} subjects have images but no set, and are left out: "
            f"{some(left_out)}"
        )
    needed = used if validation_every_n > 0 or not training else {"training"}
    for name in sorted(needed):
        if name not in split.values():
            hint = (
                "or set validation_every_n = -1"
                if name == "validation"
                else "NiftyNet would take all subjects"
                if training
                else "or change dataset_to_infer"
            )
            raise RefusedError(
                f"{path}: no subject is in the set {name.capitalize()}; add some, {hint}"
            )
