"""The sources by name, each with the credentials, the address and the limit that belong to it.

| name | bars |
|---|---|
| `binance` | Binance spot, through ccxt |
| `ccxt:<exchange>` | any other exchange that ccxt knows |
| `binance-archive` | Binance's monthly and daily files, for long history |
| `kite` | NSE through Zerodha's Kite Connect |
| `yahoo` | NSE through Yahoo Finance (needs the extra `yahoo`) |
| `files:<folder>` | CSV and parquet files |
| `stored:<timeframe>` | made from shorter bars of the same store |
| `sample` | the bars that come with Algo.Py |
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from algo_py.credentials import Credentials
from algo_py.errors import InvalidInput, NotFound
from algo_py.finstore.sources.protocol import Source
from algo_py.finstore.store import FinStore
from algo_py.market import Market, Timeframe
from algo_py.settings import Workspace

NO_SOURCE: Final = "none"

# Which plain names can serve which market.
_MARKETS_OF: Final = {
    "binance": ("crypto_binance",),
    "binance-archive": ("crypto_binance",),
    "kite": ("indian_equity",),
    "yahoo": ("indian_equity",),
    "sample": ("crypto_binance", "indian_equity"),
}
_NAMES: Final = ("binance", "binance-archive", "kite", "yahoo", "sample", "ccxt:EXCHANGE", "files:FOLDER", "stored:TIMEFRAME")


def source_names(market: Market) -> tuple[str, ...]:
    """Return the plain names of the sources that serve a market, the usual one first."""
    return tuple(name for name, markets in _MARKETS_OF.items() if market.name in markets)


def source_of(market: Market, *, workspace: Workspace, store: FinStore, name: str | None = None) -> Source:
    """Open the source called `name`, or the one that the settings name for the market. Raises InvalidInput when there is none."""
    chosen = name or workspace.settings().data.sources.get(market.name, NO_SOURCE)
    if chosen == NO_SOURCE:
        raise InvalidInput(
            f"the bars of {market.name} have no source",
            remedy="Name one with --source, or in config/algo.toml under [data.sources].",
        )
    return open_source(chosen, workspace=workspace, market=market, store=store)


def open_source(name: str, *, workspace: Workspace, market: Market, store: FinStore) -> Source:
    """Open a source. Nothing is asked yet, and credentials are not judged.

    Raises NotFound for an unknown name, InvalidInput for one that does not serve the market.
    """
    kind, _, detail = name.partition(":")
    credentials = Credentials.of(workspace)
    if not detail and name in _MARKETS_OF and market.name not in _MARKETS_OF[name]:
        raise InvalidInput(f"{name} has no bars of {market.name}", remedy=f"Use one of {', '.join(source_names(market))}.")
    match kind:
        case "binance" if not detail:
            from algo_py.finstore.sources.exchange import exchange_source

            return exchange_source("binance", base_url=credentials.base_url("binance"))
        case "ccxt" if detail:
            from algo_py.finstore.sources.exchange import exchange_source

            return exchange_source(detail, base_url=credentials.base_url(detail))
        case "binance-archive" if not detail:
            from algo_py.finstore.sources.archive import archive_source

            return archive_source(base_url=credentials.base_url("binance-archive"))
        case "kite" if not detail:
            from algo_py.finstore.sources.kite import kite_source

            return kite_source(
                lambda: Credentials.of(workspace),  # its token changes daily
                folder=store.folder / "_kite",
                derivatives=workspace.derivatives_file,
            )
        case "yahoo" if not detail:
            from algo_py.finstore.sources.yahoo import yahoo_source

            return yahoo_source(base_url=credentials.base_url("yahoo"))
        case "files" if detail:
            from algo_py.finstore.sources.files import FileSource

            return FileSource(Path(detail).expanduser(), market)
        case "stored" if detail:
            from algo_py.finstore.sources.stored import StoredSource

            return StoredSource(store, market, Timeframe.parse(detail))
        case "sample" if not detail:
            from algo_py.finstore.sources.sample import SampleSource

            return SampleSource(market)
    raise NotFound(f"there is no source {name!r}", remedy=f"Use one of {', '.join(_NAMES)}.")
