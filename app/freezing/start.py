"""Where the frozen program begins: its surroundings first, then `vl2`."""

import sys

from app import frozen

frozen.prepare()

from app.cli import main  # noqa: E402 (only now: this may load libraries)

sys.exit(main())
