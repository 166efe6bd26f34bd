"""Runs the console examples of the README files, and rewrites them: ``python tests/docs/console.py``."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_NOISY = re.compile(r" *\b\d+(\.\d+)?\b *")
_BORDERS = ("┏", "┃", "┡", "└")
_PERTURBED = ("perturbed by cell key", "按单元格密钥扰动")
_ENTRY = re.compile(r"(audit entry:? |审计记录[:：]? ?)\d+")


def run(command, folder):
    """Run one command line of the platform with its state in ``folder``; return all that it prints."""
    words = shlex.split(command)
    assert words[0] == "middleplatform"
    environment = {
        **os.environ,
        "MIDDLEPLATFORM_STATE": str(folder / "state"),
        "MIDDLEPLATFORM_DATA": str(folder / "data"),
        "COLUMNS": "100",
        "LC_ALL": "C.UTF-8",
    }
    ended = subprocess.run(
        [sys.executable, "-m", *words],
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return ended.stdout


def settled(text):
    """Return output with what differs from run to run made alike."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    if any(told in text for told in _PERTURBED):
        # Noise hangs on a secret that each installation makes for itself.
        lines = [_NOISY.sub("N", line) if line.startswith("│") else line for line in lines]
        lines = [line for line in lines if not line.startswith(_BORDERS)]
    return _ENTRY.sub(r"\1N", _HASH.sub("HASH", "\n".join(lines)))


def examples(text):
    """Split a console block into (command, output) pairs; a block without a prompt has none."""
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def executed(code):
    """Run a Python block in a fresh namespace; return what it prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "page", "exec"), {"__name__": "page"})
    return out.getvalue()


def rewritten(text, folder):
    """Return a page with the output of its examples replaced by what they print now."""

    def console(match):
        shown = [
            f"$ {command}\n{run(command, folder).strip()}\n" for command, _ in examples(match[1])
        ]
        return f"```console\n{''.join(shown) or match[1]}```"

    def python(match):
        return f"```python\n{match[1]}```\n\n```output\n{executed(match[1]).strip()}\n```"

    text = re.sub(r"```console\n(.*?)```", console, text, flags=re.DOTALL)
    return re.sub(r"```python\n(.*?)```\n\n```output\n.*?\n```", python, text, flags=re.DOTALL)


if __name__ == "__main__":
    for page in (Path("README.md"), Path("README.zh-CN.md"), Path("docs/spec/disclosure.md")):
        with tempfile.TemporaryDirectory() as name:
            page.write_text(
                rewritten(page.read_text(encoding="utf-8"), Path(name)), encoding="utf-8"
            )
