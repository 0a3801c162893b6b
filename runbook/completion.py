"""What a shell completes after `runbook`: a script, made of the command line itself, that starts no Python."""

import argparse
import shlex

from . import paths

# What shtab calls to complete such an argument: one of _FUNCTIONS, or its own.
PARAMS = {"bash": "_runbook_params", "zsh": "_runbook_params"}
FILES = {"bash": "_shtab_compgen_files", "zsh": "_files"}  # shtab.FILE, without the import
_FUNCTIONS = {
    "bash": """
_runbook_params() {
  local file
  for file in %s/*.yml; do
    file=${file##*/}
    [[ ${file%%.yml} == "$1"* ]] && printf '%%s\n' "${file%%.yml}"
  done
  compgen -f -X '!*.yml' -- "$1"
}
""",
    "zsh": """
_runbook_params() {
  compadd -- %s/*.yml(N:t:r)
  _files -g '*.yml'
}
""",
}
SHELLS = tuple(_FUNCTIONS)


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """For `eval` in the shell's start file."""
    import shtab

    functions = {name: text % shlex.quote(str(paths.PARAMS)) for name, text in _FUNCTIONS.items()}
    return shtab.complete(parser, shell, root_prefix="runbook", preamble=functions)
