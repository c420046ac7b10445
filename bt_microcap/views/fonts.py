"""Fonts with Chinese characters, of those that are installed."""

from __future__ import annotations

# simplified Chinese first; the Japanese face of a font has most of its characters
CHINESE = (
    'Noto Sans CJK SC', 'Noto Sans SC', 'Source Han Sans SC', 'Source Han Sans CN', 'Microsoft YaHei', 'PingFang SC', 'SimHei',
    'Hiragino Sans GB', 'STHeiti', 'Heiti SC', 'Heiti TC', 'WenQuanYi Micro Hei', 'WenQuanYi Zen Hei', 'Droid Sans Fallback',
    'Arial Unicode MS', 'Noto Sans CJK JP', 'Source Han Sans', 'Noto Serif CJK SC', 'SimSun',
)
ALWAYS = 'DejaVu Sans'  # comes with matplotlib


def chinese_font() -> str | None:
    """Return the name of an installed font with Chinese characters, None without any."""
    from matplotlib import font_manager

    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return next((name for name in CHINESE if name in installed), None)


def families() -> list[str]:
    """Return the fonts of a picture: for each character the first one that has it."""
    found = chinese_font()
    return [ALWAYS] if found is None else [ALWAYS, found]


def without_missing(text: str) -> str:
    """Return a text as it can be drawn: without a font for them, Chinese and other wide characters become question marks."""
    if chinese_font() is not None:
        return text
    return ''.join(character if ord(character) < 0x2E80 else '?' for character in text)
