"""Progress is shown to a person who looks, and to nobody else."""

import io

from rich.console import Console

from middleplatform.cli.locale import sayer
from middleplatform.cli.progress import shown


def test_progress_is_shown_on_a_terminal_in_its_language():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80)
    with shown(console, sayer("zh")) as hear:
        hear("dispatch", 1, 3)
        hear("dispatch", 3, 3)
    assert "分发" in stream.getvalue()
    assert "3/3" in stream.getvalue()


def test_pipe_sees_no_progress():
    stream = io.StringIO()
    with shown(Console(file=stream), sayer("en")) as hear:
        assert hear is None
    assert stream.getvalue() == ""
