"""HTTP, page and command line: translates, decides nothing."""
