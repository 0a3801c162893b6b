"""Colours of words in a notebook: the theme's, mixed with that of its text until both of JupyterLab's themes show them
at 4.5:1 (WCAG 2.2, 1.4.3). Each is a value of CSS's `color`, before it one that stays where JupyterLab takes `var(…)`
out: in notebooks that it does not trust."""


def _mixed(plain: str, name: str, percent: int) -> str:
    return f"{plain};color:color-mix(in srgb,var(--jp-{name}-color1,{plain}) {percent}%,var({_TEXT},currentColor))"


_TEXT = "--jp-content-font-color0"
GREEN = _mixed("#2e7d32", "success", 70)
RED = _mixed("#c62828", "error", 70)
AMBER = _mixed("#8a5300", "warn", 50)
