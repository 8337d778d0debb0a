"""``python -m niftynet_ext`` is ``net_lung``."""

import sys

from niftynet_ext.commands.parser import main

if __name__ == "__main__":
    sys.exit(main())
