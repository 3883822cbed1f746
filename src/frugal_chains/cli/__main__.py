"""`python -m frugal_chains.cli`: the same as `frugal`."""

from frugal_chains.cli import main

if __name__ == "__main__":
    main()
