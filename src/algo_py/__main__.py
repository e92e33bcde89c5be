"""`python -m algo_py` is `algo-py`."""

from algo_py.cli.app import main

if __name__ == "__main__":
    main()
