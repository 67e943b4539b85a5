"""`python -m graphlambda`: the command line."""

import sys

from graphlambda.cli import main

sys.exit(main())
