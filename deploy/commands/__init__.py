"""One file per command; each returns an ``Outcome`` that ``cli.main`` prints."""
