"""`python -m app` is `vl2`."""

import sys

from app.cli import main

sys.exit(main())
