"""Run ``python -m softclass``."""

from softclass.cli.main import run

if __name__ == "__main__":
    run()
