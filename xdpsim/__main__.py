"""`python -m xdpsim`: the same as the console script."""

from xdpsim.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
