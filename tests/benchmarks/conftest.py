"""Keep pytest from importing the programs here: each needs an engine that may not be installed."""

collect_ignore_glob = ["*.py"]
