"""`python -m portico VERB …`: the command line, where its script is not on the path."""

import sys

from portico.cli.main import main

sys.exit(main())
