"""Make docs/reference/cli.md again from the signatures of the commands and the table of codes.

python scripts/make_cli_reference.py            writes the page
python scripts/make_cli_reference.py --check    says whether it is what would be written; exit status 1 if not
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from softclass.cli.commands import COMMANDS
from softclass.cli.help import command_help, overview
from softclass.cli.output import Stream
from softclass.codes import CODES

TARGET = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"
COMMON = "\nEvery command:\n"
INTRODUCTION = """# The command line

Made by `scripts/make_cli_reference.py` from the signatures of the commands; a test compares. `softclass COMMAND --help`
shows the same in the width of the terminal.

Results go to stdout; progress, notes and errors to stderr. With `--json`, stdout holds one JSON document. An option is
taken from the command line, else from `SOFTCLASS_<COMMAND>_<OPTION>`, else from the table `[command]` of the file that
`--config` names, else it has its default. `SOFTCLASS_NUM_THREADS` is the default of `--threads`.
`SOFTCLASS_CPU_TARGET` names the instruction set of the kernels; `softclass doctor` says which there are.

| exit status | means |
| --- | --- |
| 0 | done |
| 1 | a bug in softclass |
| 2 | the command line or its configuration |
| 3 | the data |
| 4 | the model file |
| 5 | a check that was asked for failed |
| 6 | the machine: packages, files, memory |
| 130, 143 | interrupted, terminated; nothing is half-written |
"""


def page() -> str:
    """Return the page: every command, the options they share, and every code."""
    stream = Stream(io.StringIO(), "never", {})
    parts = [INTRODUCTION, _block(overview(stream))]
    common = ""
    for command in COMMANDS:
        own, _, common = command_help(command, stream).partition(COMMON)
        parts.append(f"## {command}\n\n{_block(own)}")
    parts.append(f"## Options of every command\n\n{_block(common)}")
    parts.append("## Codes\n\nThe first digit is the exit status; 8 is a note, which does not fail a command.\n")
    rows = [f"| {code} | {one.title} | {one.text} |" for code, one in sorted(CODES.items())]
    return "\n".join([*parts, "| code | what | more |", "| --- | --- | --- |", *rows]) + "\n"


def _block(text: str) -> str:
    return f"```text\n{text.strip(chr(10))}\n```\n"


def main() -> int:
    """Write the page, or compare it."""
    wanted = page()
    if sys.argv[1:] == ["--check"]:
        same = TARGET.is_file() and TARGET.read_text(encoding="utf-8") == wanted
        print(f"{TARGET.name}: {'as made' if same else 'differs; run scripts/make_cli_reference.py'}")
        return 0 if same else 1
    TARGET.write_text(wanted, encoding="utf-8")
    print(f"{TARGET.name}: {len(wanted.splitlines()):,} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
