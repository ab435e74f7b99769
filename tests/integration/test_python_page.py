"""docs/python.md: each block is run, in its order."""

import re

import pytest
from support import ROOT
from support.processes import python

PAGE = (ROOT / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.alone
def test_each_block_of_the_page_works_and_says_something(checkout):
    (checkout / "models").mkdir()
    assert python("train.py", "models/sports.tar.gz", cwd=checkout).returncode == 0
    program = "\nprint('-----')\n".join(BLOCKS)
    (checkout / "page.py").write_text(program)
    # A script of one's own is code that the model names, and no drift.
    done = python("page.py", cwd=checkout)
    assert done.returncode == 0, done.stderr
    opened, demanded, frame, mistakes, all_mistakes, other = done.stdout.split("-----\n")
    assert re.match(r"<SportClassifier 'sports': \d+ terms; 14 labels \(american foot", opened)
    assert "['ice hockey']" in opened
    assert "unsure (" in opened
    assert "policy - not trusted (policy): it is 'sports', not 'weather'" in demanded
    assert re.search(r"golf .*True", frame)
    assert re.search(r"NaN .*False", frame)
    accuracy, rows = re.search(r"'accuracy': ([0-9.]+), .*'rows': (\d+)", mistakes).groups()
    wrong = round((1 - float(accuracy)) * int(rows))
    assert f"[{wrong} rows x 4 columns]" in all_mistakes
    assert "<Corpus of rows.jsonl: " in other
    assert "<SportClassifier 'desk': " in other


@pytest.mark.parametrize("block", BLOCKS)
def test_a_task_takes_about_ten_lines(block):
    assert len(block.strip().splitlines()) <= 13
