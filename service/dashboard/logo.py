"""The mark: an eye whose ground shines back."""

from typing import Final

__all__ = ["LOGO"]

LOGO: Final = (
    '<svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">'
    '<path d="M2 16C6.5 8.5 11 5.5 16 5.5S25.5 8.5 30 16c-4.5 7.5-9 10.5-14 10.5S6.5 23.5 2 16z" '
    'fill="none" stroke="currentColor" stroke-width="2.2" stroke-linejoin="round"/>'
    '<circle class="tp-eye" cx="16" cy="16" r="6.5" fill="#5fd4b6"/>'
    '<ellipse class="tp-pupil" cx="16" cy="16" rx="1.8" ry="5" fill="#0e1317"/></svg>'
)
