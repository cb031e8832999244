"""nftables(8) by its library: a script is one transaction, all of it or nothing.

By ctypes, for a program costs ten times as much to start. See libnftables(3).
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

from launcher.errors import ContainerizerError

LIBRARY = "libnftables.so.1"

_NFT_CTX_DEFAULT = 0
_TOLD = 300  # characters of an error


class NftablesFailed(ContainerizerError):
    """The kernel, or the library, refuses the rules."""


def run(script: str) -> None:
    """Apply it in this process' network namespace. Raises NftablesFailed; then nothing has changed."""
    library = _library()
    context = library.nft_ctx_new(_NFT_CTX_DEFAULT)
    if not context:
        raise NftablesFailed("cannot open nftables", hint="use a kernel with CONFIG_NF_TABLES")
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        if library.nft_run_cmd_from_buffer(context, script.encode()):
            told = (library.nft_ctx_get_error_buffer(context) or b"").decode(errors="replace")
            raise NftablesFailed(f"nftables: {' '.join(told.split())[:_TOLD]}")
    finally:
        library.nft_ctx_free(context)


def is_installed() -> bool:
    try:
        _library()
    except NftablesFailed:
        return False
    return True


@functools.cache
def _library() -> Any:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        hint = "apt-get install libnftables1"
        raise NftablesFailed(f"cannot load {LIBRARY}: {error}", hint=hint) from None
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = (ctypes.c_void_p,)
    library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    return library
