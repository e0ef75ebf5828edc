"""``python -m edgewise.cli``."""

from edgewise.cli import main

raise SystemExit(main())
