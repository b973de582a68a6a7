"""The documents are true: their code runs, prints what they say it prints, and their links lead somewhere."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from click.testing import CliRunner

from pointwise.cli import commands

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
RUN = [page for page in PAGES if page == ROOT / "README.md" or page.is_relative_to(ROOT / "docs")]

METRICS_HEADING = (
    "# The metrics\nThe output of `pointwise metrics --markdown`; made by that command, not edited by hand.\n\n"
)
_NOT_RUN = "<!-- not run -->"
_FENCED = re.compile(r"^ *(?P<fence>```+|~~~+)(?P<language>[^\n`]*)\n(?P<content>.*?)^ *(?P=fence)[ \t]*$", re.M | re.S)
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_SAME = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A python block, the line it begins in, and what the text block right after it says it prints."""

    line: int
    code: str
    output: str | None


def test_the_page_of_metrics_is_what_the_command_prints():
    printed = CliRunner().invoke(commands, ["metrics", "--markdown"], catch_exceptions=False).output
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == METRICS_HEADING + printed


@pytest.fixture
def one_thread():
    """Pages solve many small problems; where a machine is busy their threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
@pytest.mark.usefixtures("one_thread")
def test_python_of_a_page_runs_and_prints_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(blocks(page.read_text(encoding="utf-8")), page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page):
    assert broken_links(page.read_text(encoding="utf-8"), page.parent) == []


PAGE = """\
# A page

See [itself](page.md#top), [nothing](gone.md), [elsewhere](https://example.org/gone.md) and `[code](gone.py)`.

```python
x = 1
```

<!-- not run -->
```python
raise RuntimeError
```

```python
print(f"x is {x}")
```

```text
x is 1
```
"""


def test_blocks_are_those_that_are_not_marked_as_not_run():
    assert blocks(PAGE) == [Block(5, "x = 1\n", None), Block(14, 'print(f"x is {x}")\n', "x is 1\n")]


def test_blocks_of_a_page_share_their_names():
    run(blocks(PAGE), "page.md")


def test_another_output_than_the_page_says_is_found():
    with pytest.raises(AssertionError, match=r"page\.md, line 14, prints\s+x is 1\s+and not\s+x is 2"):
        run(blocks(PAGE.replace("\nx is 1\n", "\nx is 2\n")), "page.md")


def test_a_warning_in_a_page_is_an_error():
    with pytest.raises(RuntimeWarning, match="divide by zero"):
        run([Block(1, "import numpy as np\nnp.log(np.zeros(1))\n", None)], "page.md")


def test_a_link_to_nothing_is_found(tmp_path):
    (tmp_path / "page.md").write_text(PAGE)
    assert broken_links(PAGE, tmp_path) == ["gone.md"]


def blocks(text):
    """The python blocks of a page in order, those marked as not run left out."""
    fenced = list(_FENCED.finditer(text))
    found = []
    for i, block in enumerate(fenced):
        if block["language"].strip() != "python" or text[: block.start()].rstrip().endswith(_NOT_RUN):
            continue
        follower = fenced[i + 1] if i + 1 < len(fenced) else None
        shown = follower and follower["language"].strip() == "text" and not text[block.end() : follower.start()].strip()
        line = text.count("\n", 0, block.start()) + 1
        found.append(Block(line, textwrap.dedent(block["content"]), follower["content"] if shown else None))
    return found


def run(page_blocks, name):
    """Run blocks in one namespace; a failure points at the line of the page."""
    namespace = {"__name__": "__main__"}
    for block in page_blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * block.line + block.code, name, "exec"), namespace)
        if block.output is not None:
            got = printed.getvalue()
            same = doctest.OutputChecker().check_output(block.output, got, _SAME)
            assert same, f"{name}, line {block.line}, prints\n{got}and not\n{block.output}"


def broken_links(text, folder):
    """The targets of links, outside of code, that are neither addresses nor files."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCED.sub("", text))
    targets = [target for target in _LINK.findall(prose) if not re.match(r"[a-z][a-z+.-]*:|#", target)]
    return [target for target in targets if not (folder / target.split("#")[0]).exists()]
