"""`hil completion`: print a completion script for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from hil.errors import UsageError

__all__ = ["completion"]

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> str:
    r"""Print a script that completes `hil` in SHELL: commands, options, places, boards.

    \b
    hil completion bash > ~/.local/share/bash-completion/completions/hil
    hil completion zsh > ~/.zfunc/_hil
    hil completion fish > ~/.config/fish/completions/hil.fish

    Exit status: 0 done, 2 misuse.
    """
    found = get_completion_class(shell)
    if found is None:  # pragma: no cover  # click has these three
        raise UsageError(f"there is no completion for {shell}", remedy=f"one of {', '.join(_SHELLS)}")
    script = found(context.find_root().command, {}, "hil", "_HIL_COMPLETE")
    return (script.source_template % script.source_vars()).strip()
