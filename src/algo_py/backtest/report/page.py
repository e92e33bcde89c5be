"""The report as one HTML file: everything in it, nothing loaded, and readable without scripts."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from string import Template

from algo_py.backtest.report.activity import costs_section, distribution_section, positions_section, trades_section
from algo_py.backtest.report.data import ReportData
from algo_py.backtest.report.headline import cards, headline, warnings
from algo_py.backtest.report.markup import embedded_json, together
from algo_py.backtest.report.performance import (
    drawdowns_section,
    equity_section,
    exposure_section,
    metrics_section,
    months_section,
    rolling_section,
)
from algo_py.backtest.report.provenance import conventions, provenance_section
from algo_py.clock import format_time
from algo_py.formatting import places_of

_SECTIONS = (
    equity_section,
    metrics_section,
    months_section,
    rolling_section,
    exposure_section,
    drawdowns_section,
    distribution_section,
    costs_section,
    positions_section,
    trades_section,
    provenance_section,
)


def render_report(data: ReportData) -> str:
    """Return the page. The same data give the same page, byte by byte.

    A data block `report-data` holds what `backtest show --json` prints, the time zone, and the numbers of every chart.
    """
    sections = [build(data) for build in _SECTIONS]
    charts = {name: chart.numbers for section in sections for name, chart in section.charts.items()}
    embedded = {
        "backtest": data.summary(),
        "created_at": format_time(data.created_at),
        "environment": dict(data.environment),
        "currency": data.currency,
        "digits": _digits(data.currency),
        "zone": data.zone.key,
        "spacing_s": data.config.timeframe.delta.total_seconds(),
        "charts": charts,
    }
    body = together(
        [
            headline(data),
            warnings(data.warnings),
            cards(data),
            [section.markup for section in sections],
            conventions(data),
        ]
    )
    script = _asset("script.js")
    allowed = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; script-src"
    return Template(_asset("page.html")).substitute(
        title=together(f"{data.name} – backtest report"),
        policy=f"{allowed} 'sha256-{_hash(script)}'",
        style=_asset("style.css"),
        body=body,
        data=embedded_json(embedded, element_id="report-data"),
        script=script,
    )


def _digits(currency: str) -> dict[str, int]:
    """Return how JavaScript is told the digits of a currency."""
    places = places_of(currency)
    return {"maximumSignificantDigits": 8} if places is None else {"minimumFractionDigits": 2, "maximumFractionDigits": places}


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Return the script's hash as a content security policy names it: no other script may run in the page."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
