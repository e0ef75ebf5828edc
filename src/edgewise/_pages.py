"""The look of the pages that the library writes.

Colours of text and ground follow the reader's preference for light or dark; nothing is loaded from anywhere.
"""

from __future__ import annotations

__all__ = ["page_style"]

_COMMON = """
:root { color-scheme: light dark; --ground: #fff; --ink: #24292e; --faint: #636c76; --line: #d8dee4; --tint: #f4f7fa;
  --mark: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ground: #15181c; --ink: #e3e7eb; --faint: #9aa4ae; --line: #343b43;
  --tint: #1d2228; --mark: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1.2rem 4rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .2rem; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; }
.under { color: var(--faint); margin: 0 0 1.2rem; }
.verdict { background: var(--tint); border-left: 4px solid var(--mark); padding: .8rem 1rem; margin: 1.2rem 0; }
.interrupted { border-left-color: #d55e00; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; }
figure { margin: 1.2rem 0; }
figure svg { height: auto; color: var(--ink); }
pre { background: var(--tint); padding: .8rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
"""
_PRINT = "@media print { body { max-width: none; } figure { break-inside: avoid; } }\n"


def page_style(own: str) -> str:
    """The style of a page: what all have in common, then its ``own``, then how it is printed."""
    return _COMMON + own + _PRINT
