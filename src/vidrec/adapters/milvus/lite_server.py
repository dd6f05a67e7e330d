"""Milvus Lite's own server, started without pandas and ended in order. `python -m vidrec.adapters.milvus.lite_server`
takes what `milvus-lite` takes."""

from __future__ import annotations

import signal

from vidrec.adapters.milvus.light import import_pymilvus


def main() -> int:
    """Runs the command; its exit status."""
    import_pymilvus()
    from milvus_lite.cmdline import main as milvus_lite

    # On Ctrl-C it writes out what its log holds, so that the next start need not; on SIGTERM it would just end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return int(milvus_lite() or 0)


if __name__ == "__main__":
    raise SystemExit(main())
