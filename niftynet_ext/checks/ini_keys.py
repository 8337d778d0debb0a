"""Keys of the ini file: those of this project, and those misspelt or in the wrong section.

NiftyNet gathers the keys of all sections into one set: it refuses a word that is in none of them,
and silently ignores ``lr`` in [NETWORK]. A misspelt section becomes an input section.
"""

import argparse
import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from niftynet_ext.core import choices
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import did_you_mean, say

AddKeys = Callable[[argparse.ArgumentParser], argparse.ArgumentParser]
"""A function that adds the keys of a section to its parser, as NiftyNet has them."""


def add_system_keys(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the keys of [SYSTEM].

    :param parser: the argparse parser of that section
    :return: the same parser
    """
    parser.add_argument(
        "--seed",
        metavar="",
        type=int,
        default=-1,
        help="Seed for initialisation, split, sampling and augmentation; -1: each training differs",
    )
    return parser


def add_network_keys(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the keys of [NETWORK].

    :param parser: the argparse parser of that section
    :return: the same parser
    """
    parser.add_argument(
        "--mixed_precision",
        metavar="",
        choices=choices.PRECISIONS,
        default=choices.OFF,
        help="bfloat16: the DenseHighRes3DNets compute in 16 bits, for Tensor Cores; off: in 32",
    )
    for action in parser._actions:
        if action.dest == "window_sampling":
            action.choices = [*(action.choices or ()), choices.UNIFORM_FAST]
    return parser


def add_training_keys(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the keys of [TRAINING].

    :param parser: the argparse parser of that section
    :return: the same parser
    """
    parser.add_argument(
        "--volume_memory_gb",
        metavar="",
        type=float,
        default=choices.VOLUME_MEMORY_GB,
        help="For window_sampling = uniform_fast: memory for volumes, in GB; volumes that exceed "
        "it are kept in a temporary file in model_dir",
    )
    parser.add_argument(
        "--foreground_share",
        metavar="",
        type=float,
        default=0.0,
        help="For window_sampling = uniform_fast: share of the training windows that are centred "
        "on the label, from 0 (all windows are uniform) to 1",
    )
    parser.add_argument(
        "--whole_volume_validation_every_n",
        metavar="",
        type=int,
        default=-1,
        help="Segment the whole volumes of the validation set every n iterations and keep the best "
        "checkpoint (needs the event handler best_checkpoint); -1: never",
    )
    return parser


def add_inference_keys(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the keys of [INFERENCE].

    :param parser: the argparse parser of that section
    :return: the same parser
    """
    parser.add_argument(
        "--inference_windows",
        metavar="",
        choices=choices.INFERENCE_WINDOWS,
        default=choices.GRID,
        help="grid: NiftyNet's windows, where the last of overlapping windows wins; gaussian: "
        "windows that overlap by at least twice the border (border 0: by a quarter of the window) "
        "are blended; whole: the whole volume is one window",
    )
    return parser


SECTION_KEYS: dict[str, AddKeys] = {
    "SYSTEM": add_system_keys,
    "NETWORK": add_network_keys,
    "TRAINING": add_training_keys,
    "INFERENCE": add_inference_keys,
}
"""What adds this project's keys to each of NiftyNet's sections."""


def add_keys(defaults: Any) -> None:
    """Add this project's keys to NiftyNet's sections.

    :param defaults: the module ``niftynet.utilities.user_parameters_default`` (untyped)
    """

    def both(niftynet_keys: AddKeys, project_keys: AddKeys) -> AddKeys:
        return lambda parser: project_keys(niftynet_keys(parser))

    for section, project_keys in SECTION_KEYS.items():
        niftynet_keys = defaults.SUPPORTED_DEFAULT_SECTIONS[section]
        defaults.SUPPORTED_DEFAULT_SECTIONS[section] = both(niftynet_keys, project_keys)


def check_keys_when_parsed(parser_module: Any) -> None:
    """Replace NiftyNet's checks of keys with those of this module.

    :param parser_module: the module ``niftynet.utilities.user_parameters_parser`` (untyped)
    """

    def raises_bad_keys(keys: Iterable[str], error_info: str = "config file") -> None:
        check_words(keys, parser_module.KEYWORDS, error_info)

    def check_config_file_keywords(config: Any) -> None:
        known = {
            name: keys_of(add)
            for name, add in (
                *parser_module.SUPPORTED_DEFAULT_SECTIONS.items(),
                *parser_module.SUPPORTED_ARG_SECTIONS.items(),
            )
        }
        check_sections(config.sections(), known)
        for section in config.sections():
            words = list(dict(config.items(section)))
            raises_bad_keys(words, f"[{section}]")
            check_places(section, words, known, keys_of(parser_module.add_input_data_args))

    parser_module._raises_bad_keys = raises_bad_keys
    parser_module._check_config_file_keywords = check_config_file_keywords


def keys_of(add_arguments: AddKeys) -> set[str]:
    """Return the keys of a section.

    :param add_arguments: function that adds them to an argparse parser
    """
    # NiftyNet's regression adds some names twice
    parser = add_arguments(argparse.ArgumentParser(add_help=False, conflict_handler="resolve"))
    return {option.lstrip("-") for action in parser._actions for option in action.option_strings}


def check_words(words: Iterable[str], known: Collection[str], where: str) -> None:
    """Refuse a key that no section has.

    :param words: keys that the user gave
    :param known: keys of all sections
    :param where: section or command line, for the message
    :raises RefusedError: a key is unknown; the message names the nearest
    """
    for word in words:
        if word not in known:
            raise RefusedError(
                f"{where}: {word!r} is not a key of any section: {did_you_mean(word, known)}"
            )


def check_sections(sections: Collection[str], known: Iterable[str]) -> None:
    """Refuse a section whose name is probably misspelt.

    :param sections: names of the sections of an ini file
    :param known: names of NiftyNet's sections
    :raises RefusedError: the name is nearly that of a NiftyNet section that the file lacks
    """
    absent = [name for name in known if name not in sections]
    for section in sections:
        if section not in known:
            near = difflib.get_close_matches(section.upper(), absent, n=1, cutoff=0.8)
            if near:
                raise RefusedError(
                    f"[{section}] would be a section of input images; did you mean "
                    f"[{near[0]}]? Correct it, or give the input another name"
                )


def check_places(
    section: str, words: Iterable[str], known: Mapping[str, set[str]], input_keys: set[str]
) -> None:
    """Warn of keys that exist, but that NiftyNet does not read in this section.

    :param section: name of the section
    :param words: its keys
    :param known: keys of each of NiftyNet's sections, by its name
    :param input_keys: keys of a section of input images
    """
    here = known.get(section, input_keys)
    for word in words:
        if word not in here:
            homes = sorted(name for name, keys in known.items() if word in keys)
            homes += ["an input section"] if word in input_keys else []
            say(f"[{section}] {word} has no effect there: it is a key of {' or '.join(homes)}")
