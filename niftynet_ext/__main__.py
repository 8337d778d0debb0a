"""``net_lung``, and ``python -m niftynet_ext``: the entry of the one command line."""

import sys


def main() -> int:
    """Run the command line; Ctrl-C while it is still being imported ends it quietly too."""
    try:
        from niftynet_ext.commands import parser

        return parser.main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
