"""The languages of what a user reads: English texts, and their Chinese from `chinese.TEXTS`."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .chinese_notes import Entry

ENGLISH, CHINESE = 'en', 'zh'
LANGUAGES = (ENGLISH, CHINESE)
# Holes that a number alone fills; the others take any text. So a text of the user's that only ends like a template is none.
NUMBERS = frozenset((
    'annual', 'cash', 'commission', 'count', 'days', 'end', 'ended', 'high', 'left', 'low', 'other', 'own', 'percent',
    'start', 'tax', 'total', 'transfer', 'turnover'))
# Holes for codes, names of files and the like, which stay as they are.
CODES = frozenset((
    'boards', 'call', 'code', 'codes', 'column', 'columns', 'error', 'feed', 'file', 'found', 'index', 'kind', 'params', 'path'))
_HOLE = re.compile(r'\{(\w+)\}')
_NUMBER = r'[+-]?(?:\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?|inf|nan)(?: ?%)?'
_LISTS = (('; ', '；'), (', ', '、'))  # between the parts of a list, in English and in Chinese


def known_language(language: str) -> str:
    """Return a language.

    Raises
    ------
    ValueError
        It is none of `LANGUAGES`.
    """
    if language not in LANGUAGES:
        raise ValueError(f'language is {language!r}: expected one of {", ".join(LANGUAGES)}')
    return language


def say(language: str, template: str, **values: Any) -> str:
    """Return a text in a language.

    Parameters
    ----------
    language : str
        Of `LANGUAGES`.
    template : str
        English, with ``{name}`` where a value goes.
    **values
        Already written, such as numbers; a text among them is translated as well, but for `CODES`.
    """
    if language == ENGLISH:
        return template.format(**values) if values else template
    found = _texts().get(template, template)
    return _filled(found, {name: str(value) for name, value in values.items()}) if values else str(found)


def translate(text: str, language: str) -> str:
    """Return an English text, be it finished with all its numbers, in a language; as it is where nobody has translated it.

    Parameters
    ----------
    text : str
        A text of the catalogue, one of its templates with its holes filled, or a list of such, with ``,`` or ``;`` between.
    language : str
        Of `LANGUAGES`.
    """
    if language == ENGLISH or not re.search('[A-Za-z]', text):
        return text
    found = _texts().get(text)
    if found is not None and not _HOLE.search(text):
        return str(found)
    for pattern, entry in _patterns():
        match = pattern.fullmatch(text)
        if match:
            return _filled(entry, match.groupdict())
    return _listed(text) or text


def _filled(entry: Entry, values: dict[str, str]) -> str:
    """Return what an entry of the catalogue says of some values."""
    shown = {name: value if name in CODES else translate(value, CHINESE) for name, value in values.items()}
    return entry.format(**shown) if isinstance(entry, str) else entry(partial(translate, language=CHINESE), **shown)


def _listed(text: str) -> str:
    """Return a list, translated part by part; empty where it is none, because a part is neither known nor one word."""
    for theirs, ours in _LISTS:
        parts = text.split(theirs)
        shown = [translate(part, CHINESE) for part in parts] if len(parts) > 1 else parts
        if shown != parts and all(part != own or ' ' not in own for part, own in zip(shown, parts, strict=True)):
            return ours.join(shown)
    return ''


@cache
def _texts() -> dict[str, Entry]:
    """Return the catalogue, which is imported when something is said in Chinese."""
    from .chinese import TEXTS

    return TEXTS


@cache
def _patterns() -> list[tuple[re.Pattern, Entry]]:
    """Return the templates with holes, those with most fixed text first."""
    texts = _texts()
    holed = sorted((text for text in texts if _HOLE.search(text)), key=lambda text: (-len(_HOLE.sub('', text)), text))
    return [(_pattern(text), texts[text]) for text in holed]


def _pattern(template: str) -> re.Pattern:
    parts = _HOLE.split(template)  # text, name, text, name, ..., text
    return re.compile(''.join(
        re.escape(part) if not place % 2 else f'(?P<{part}>{_NUMBER if part in NUMBERS else ".+?"})'
        for place, part in enumerate(parts)), re.S)


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in 'WF' else 1 for character in text)
