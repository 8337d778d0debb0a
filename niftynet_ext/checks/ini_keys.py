"""Keys of the ini file: ours, and what is misspelt or in the wrong section.

NiftyNet gathers the keys of all sections into one set: it refuses a word that is in none of them,
and silently ignores ``lr`` in [NETWORK]. A misspelt section becomes an input section.
"""

import argparse
import difflib

from niftynet_ext.core import choices
from niftynet_ext.core.errors import RefusedError
from niftynet_ext.core.messages import did_you_mean, say


def add_system_keys(parser):
    """
    :param parser: the argparse parser of [SYSTEM]
    :return: the same parser
    """
    parser.add_argument(
        "--seed",
        metavar="",
        type=int,
        default=-1,
        help="Fix initialisation, split, sampling and augmentation; -1: another training each time",
    )
    return parser


def add_network_keys(parser):
    """
    :param parser: the argparse parser of [NETWORK]
    :return: the same parser
    """
    parser.add_argument(
        "--mixed_precision",
        metavar="",
        choices=choices.PRECISIONS,
        default=choices.OFF,
        help="bfloat16: the DenseHighRes3DNets compute in 16 bits, for Tensor Cores",
    )
    for action in parser._actions:
        if action.dest == "window_sampling":
            action.choices = [*action.choices, choices.UNIFORM_FAST]
    return parser


def add_training_keys(parser):
    """
    :param parser: the argparse parser of [TRAINING]
    :return: the same parser
    """
    parser.add_argument(
        "--volume_memory_gb",
        metavar="",
        type=float,
        default=choices.VOLUME_MEMORY_GB,
        help="window_sampling = uniform_fast: memory for volumes; beyond it they are kept in a "
        "file in model_dir",
    )
    parser.add_argument(
        "--foreground_share",
        metavar="",
        type=float,
        default=0.0,
        help="window_sampling = uniform_fast: share of the training windows that are centred on "
        "the label; 0: all uniform",
    )
    parser.add_argument(
        "--whole_volume_validation_every_n",
        metavar="",
        type=int,
        default=-1,
        help="Infer the validation set and keep the best checkpoint every n iterations "
        "(event handler best_checkpoint); -1: never",
    )
    return parser


def add_inference_keys(parser):
    """
    :param parser: the argparse parser of [INFERENCE]
    :return: the same parser
    """
    parser.add_argument(
        "--inference_windows",
        metavar="",
        choices=choices.INFERENCE_WINDOWS,
        default=choices.GRID,
        help="grid: NiftyNet's, the last of overlapping windows wins; gaussian: windows that "
        "overlap by twice the border or more (0: a quarter) are blended; whole: the volume",
    )
    return parser


OURS = {
    "SYSTEM": add_system_keys,
    "NETWORK": add_network_keys,
    "TRAINING": add_training_keys,
    "INFERENCE": add_inference_keys,
}


def add_keys(defaults):
    """Add this project's keys to NiftyNet's sections.

    :param defaults: the module ``niftynet.utilities.user_parameters_default``
    """

    def both(theirs, ours):
        return lambda parser: ours(theirs(parser))

    for section, ours in OURS.items():
        theirs = defaults.SUPPORTED_DEFAULT_SECTIONS[section]
        defaults.SUPPORTED_DEFAULT_SECTIONS[section] = both(theirs, ours)


def check_keys_when_parsed(parser_module):
    """Let our checks take the place of NiftyNet's.

    :param parser_module: the module ``niftynet.utilities.user_parameters_parser``
    """

    def raises_bad_keys(keys, error_info="config file"):
        check_words(keys, parser_module.KEYWORDS, error_info)

    def check_config_file_keywords(config):
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


def keys_of(add_arguments):
    """
    :param add_arguments: function that adds the keys of a section to an argparse parser
    :return: set of those keys
    """
    # NiftyNet's regression adds some names twice
    parser = add_arguments(argparse.ArgumentParser(add_help=False, conflict_handler="resolve"))
    return {option.lstrip("-") for action in parser._actions for option in action.option_strings}


def check_words(words, known, where):
    """
    :param words: keys that the user gave
    :param known: keys of all sections
    :param where: section or command line, for the message
    :raises RefusedError: a word is not known; names the nearest
    """
    for word in words:
        if word not in known:
            raise RefusedError(
                f"{where}: {word!r} is not a key of any section: {did_you_mean(word, known)}"
            )


def check_sections(sections, known):
    """
    :param sections: names of the sections of an ini file
    :param known: names that NiftyNet has a meaning for
    :raises RefusedError: an input section whose name is nearly one of NiftyNet's that is not there
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


def check_places(section, words, known, input_keys):
    """Warn of keys that exist, but that NiftyNet does not read in this section.

    :param section: name of the section
    :param words: its keys
    :param known: dict of NiftyNet's sections to their keys
    :param input_keys: keys of a section of input images
    """
    here = known.get(section, input_keys)
    for word in words:
        if word not in here:
            homes = sorted(name for name, keys in known.items() if word in keys)
            homes += ["an input section"] if word in input_keys else []
            say(f"[{section}] {word} has no effect there: it is a key of {' or '.join(homes)}")
