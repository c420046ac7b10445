"""The manifest of a store's folder: which files it has, and what they must be."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..invocation import command

FORMAT = 2  # of the folder, as it is written; 2 has the indices of `indices`
READABLE = (1, 2)  # a store of format 1 is as good, but its index counts issue prices and is not used: see `benchmarks`
MANIFEST = 'manifest.json'


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a store.

    Raises
    ------
    DataError
        No store, or one of another format.
    """
    file = path / MANIFEST
    again = f'make the store anew with {command("ingest")}, in another folder'
    try:
        text = file.read_text(encoding='utf-8')
    except FileNotFoundError:
        raise DataError(f'{path}: found no {MANIFEST}, expected a store; make one with {command("ingest")}') from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'{file}: cannot be read ({getattr(error, "strerror", None) or "not UTF-8"}); {again}') from None
    try:
        manifest = json.loads(text)
        found, crc32 = manifest['format'], manifest.get('crc32')
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(f'{file}: found no manifest of a store; {again}') from None
    if found not in READABLE:
        raise DataError(f'{file}: found format {found!r}, expected {" or ".join(map(str, READABLE))}; {again}')
    if crc32 != manifest_checksum(manifest):
        raise DataError(f'{file}: the content is not what was written; {again}')
    return manifest


def manifest_checksum(manifest: dict[str, Any]) -> int:
    """Return the CRC-32 of a manifest, less its own entry."""
    content = {name: value for name, value in manifest.items() if name != 'crc32'}
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def of_written_size(file: Path, entry: dict[str, Any]) -> Path:
    """Return a file that has the size it was written with."""
    try:
        size = file.stat().st_size
    except OSError as error:
        raise DataError(f'{file}: cannot be read ({error.strerror}); make the store anew with {command("ingest")}') from None
    if size != entry['bytes']:
        raise DataError(f'{file}: found {size} bytes, expected {entry["bytes"]}: the file is cut off or not the one '
                        f'that was written; make the store anew with {command("ingest")}')
    return file


def file_checksum(file: Path) -> int:
    """Return the CRC-32 of a file."""
    value = 0
    try:
        with open(file, 'rb') as stream:
            while part := stream.read(1 << 22):
                value = zlib.crc32(part, value)
    except OSError as error:
        raise DataError(f'{file}: cannot be read ({error.strerror}); make the store anew with {command("ingest")}') from None
    return value
