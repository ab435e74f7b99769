"""What scripts/test.sh newsroom hands on: the options of the training."""


def pytest_addoption(parser):
    parser.addoption(
        "--training", metavar="OPTION", action="append", default=[], help="of train.py, e.g. --data"
    )
