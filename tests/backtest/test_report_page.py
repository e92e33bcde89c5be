"""The report as a file: its numbers are the snapshot's, it loads nothing, nothing in it can break out of its place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from algo_py.backtest import Snapshot, SnapshotStore, run_backtest
from algo_py.backtest.report import ReportData, file_name, render_report, write_page
from algo_py.backtest.report.activity import MOST_TRADES
from algo_py.backtest.report.markup import Markup, element, embedded_json, together
from algo_py.backtest.summary import METRICS
from algo_py.backtest.words import METRIC_WORDS
from algo_py.errors import Refused
from algo_py.settings import Workspace

from .conftest import config
from .test_snapshot import GOLDEN_1, GOLDEN_2

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">&lt;"\'$title ${data}\u2028'
VOID = {"meta", "path", "rect", "link", "br", "img"}


@dataclass
class Page(HTMLParser):
    """A page taken apart: texts, elements, and whether every element ends where it must."""

    html: str
    open: list[str] = field(default_factory=list)
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    metrics: dict[str, float | None] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()
        assert self.open == []

    def __hash__(self) -> int:
        return id(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        if tag == "data":
            value = float(found["value"]) if found["value"] else None
            if "data-metric" in found:
                self.metrics[str(found["data-metric"])] = value
            self.numbers.setdefault(self._place(), []).append(np.nan if value is None else value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def _place(self) -> str:
        """Return the classes of the last element of the page's grid that has some."""
        return next((str(found["class"]) for _, found in reversed(self.elements) if "class" in found), "")

    @property
    def words(self) -> str:
        return " ".join(text for tag, texts in self.texts.items() if tag not in ("script", "style") for text in texts)

    @property
    def embedded(self) -> dict[str, Any]:
        (block,) = re.findall(r'<script type="application/json" id="report-data">(.*?)</script>', self.html, re.DOTALL)
        found: dict[str, Any] = json.loads(block)
        return found


Make = Callable[..., ReportData]


@pytest.fixture
def make(workspace: Workspace) -> Make:
    """Run a backtest, save it, and read it again for its report."""

    def made(name: str = "mine", **changes: Any) -> ReportData:
        store = SnapshotStore(workspace)
        return ReportData.of_snapshot(store.save(run_backtest(workspace, config(**changes)), name))

    return made


def test_all_numbers_are_those_of_the_snapshot(make: Make) -> None:
    data = make(symbols=("BTC/USDT", "ETH/USDT"), size=0.3, stop_loss=0.05)
    page = Page(render_report(data))
    assert page.embedded["backtest"]["metrics"] == dict(data.metrics)
    assert page.metrics == dict(data.metrics)
    assert set(METRIC_WORDS) == set(METRICS) == set(page.metrics)
    equity, drawdown = page.embedded["charts"]["equity"], page.embedded["charts"]["drawdown"]
    strategy, held = equity["lines"]
    assert strategy["values"][-1] == data.metrics["final_equity"]
    assert held["values"][-1] / 10_000 - 1 == pytest.approx(data.metrics["benchmark_return_fraction"], rel=1e-12)
    assert min(drawdown["lines"][0]["values"]) == data.metrics["max_drawdown_fraction"]
    assert equity["t"][0] == data.curves.equity.index[0].timestamp()
    assert equity["t"][-1] == data.curves.equity.index[-1].timestamp()
    assert np.prod([1 + one for one in (*page.numbers["gain"], *page.numbers["loss"])]) > 0
    (year,) = page.numbers["year"]
    assert year == pytest.approx(data.metrics["total_return_fraction"], rel=1e-9)


def test_the_headline_says_what_was_tested(make: Make) -> None:
    data = make("first try", symbols=("BTC/USDT", "ETH/USDT"), params={"upper": 104.5}, stop_loss=0.05, fixed_fees=1.0)
    words = Page(render_report(data)).words
    for text in (
        *("first try", "wave", "1h bars of BTC/USDT, ETH/USDT", "Crypto (Binance spot)", "upper = 104.5"),
        *(
            "1 Jan 2025 to 13 Jan 2025, 300 bars",
            "10,000.00 USDT",
            "fees 0.10 %, 1.00 USDT a fill, slippage 0.05 %",
            "stop-loss 5.00 %",
        ),
        *("ETH/USDT lacks 3 bars in 2 gaps", data.fingerprint["BTC/USDT"].sha256[:16], str(data.id), "wave.py", "_levels.py"),
        *(f"{name} {version}" for name, version in data.environment.items()),
    ):
        assert text in words


def test_every_trade_is_listed_and_very_many_are_cut(make: Make) -> None:
    data = make(size=0.3)
    page = Page(render_report(data))
    for reason in data.trades["exit_reason"]:
        assert reason in page.words
    assert f"{data.trades['entry_price'].iloc[0]:,.8g}"[:6] in page.words
    many = pd.concat([data.trades] * (MOST_TRADES // len(data.trades) + 2), ignore_index=True)
    html = render_report(replace(data, trades=many))
    assert html.count("<tr>") < MOST_TRADES + 60
    assert f"The last {MOST_TRADES:,} of {len(many):,} trades; the saved backtest holds all." in Page(html).words
    assert len(html) < 1_000_000


@pytest.mark.parametrize(
    "changes",
    [
        {"end": "2025-01-01T01:00"},
        {"end": "2025-01-01T02:00"},
        {"end": "2025-01-02", "strategy": "ema-cross"},
        {"initial_cash": 1.0},
        {"params": {"upper": 1000}},
        {"fees": 0.3, "fixed_fees": 100.0},
        {"execution": "close"},
        {"strategy": "bollinger-reversion", "direction": "short", "borrow_rate_annual": 0.1, "take_profit": 0.02},
    ],
    ids=["one bar", "two bars", "no order", "all denied", "never closed", "costs eat all", "close fills", "shorts"],
)
def test_whatever_came_of_it_there_is_a_page(make: Make, changes: dict[str, Any]) -> None:
    data = make(**changes)
    page = Page(render_report(data))
    assert page.metrics == dict(data.metrics)
    written = re.sub(r"(?s)<style.*?</style>|<script>.*?</script>", "", page.html)
    assert not re.search(r"(?i)\b(nan|inf|infinity|nat)\b", written)


def test_a_backtest_of_schema_1_says_what_it_did_not_save() -> None:
    data = ReportData.of_snapshot(Snapshot.read(GOLDEN_1))
    page = Page(render_report(data))
    assert page.metrics == dict(data.metrics)
    assert page.words.count("not saved in this backtest") == 3
    assert [line["name"] for line in page.embedded["charts"]["equity"]["lines"]] == ["Strategy"]
    assert "not saved" not in Page(render_report(ReportData.of_snapshot(Snapshot.read(GOLDEN_2)))).words


def test_a_result_that_is_not_saved_has_a_report_too(workspace: Workspace) -> None:
    result = run_backtest(workspace, config())
    page = Page(render_report(ReportData.of_result(result)))
    assert page.metrics == result.portfolio.metrics
    assert page.embedded["backtest"]["id"] is None
    assert "The strategy's source is not saved in this backtest." in page.words


def test_nothing_is_loaded_from_anywhere(make: Make) -> None:
    page = Page(render_report(make()))
    assert not re.search(r"https?:|//[a-z]|@import|url\(|\bsrc=|\bhref=|fetch\(|XMLHttpRequest|WebSocket|import\(", page.html)
    assert {tag for tag, _ in page.elements}.isdisjoint({"link", "img", "iframe", "object", "embed", "base", "form", "a"})
    (policy,) = [found["content"] for tag, found in page.elements if found.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "script-src 'sha256-" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2]


def test_the_same_backtest_gives_the_same_page() -> None:
    first, second = (render_report(ReportData.of_snapshot(Snapshot.read(GOLDEN_2))) for _ in range(2))
    assert first == second


def test_what_comes_from_people_stays_text(make: Make) -> None:
    data = make()
    trades = data.trades.assign(symbol=HOSTILE, exit_reason=HOSTILE)
    positions = data.open_positions
    assert positions is not None
    hostile = replace(
        data,
        name=HOSTILE,
        warnings=(HOSTILE,),
        environment={HOSTILE: HOSTILE},
        sources={HOSTILE: "0" * 64},
        fingerprint={HOSTILE: data.fingerprint["BTC/USDT"]},
        config=data.config.model_copy(update={"params": {HOSTILE: HOSTILE}, "strategy": HOSTILE, "symbols": (HOSTILE,)}),
        trades=trades,
        open_positions=positions.assign(symbol=HOSTILE) if len(positions) else positions,
    )
    plain, page = Page(render_report(data)), Page(render_report(hostile))
    assert sum(tag == "script" for tag, _ in page.elements) == sum(tag == "script" for tag, _ in plain.elements) == 2
    assert not any("onerror" in found or tag == "img" for tag, found in page.elements)
    assert page.words.count("alert(1)") > 8
    assert page.embedded["backtest"]["name"] == HOSTILE
    assert page.embedded["backtest"]["warnings"] == [HOSTILE]


def test_elements_escape_all_but_their_own_kind() -> None:
    inner = element("b", "<&>")
    assert inner == "<b>&lt;&amp;&gt;</b>"
    assert element("p", inner, ["x<", None], title='"<', hidden=True, open=False, data_a_b=1.5) == (
        '<p title="&quot;&lt;" hidden data-a-b="1.5"><b>&lt;&amp;&gt;</b>x&lt;</p>'
    )
    assert isinstance(together([inner, "a"]), Markup)
    block = embedded_json({"a": "</script><!--&\u2029"}, element_id="x")
    assert "</script><" not in block.removesuffix("</script>")
    assert json.loads(block.partition(">")[2].rpartition("<")[0]) == {"a": "</script><!--&\u2029"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("first", "first.html"),
        ("wave BTC/USDT 1h 2", "wave-BTC-USDT-1h-2.html"),
        ("../../etc/passwd", "etc-passwd.html"),
        ("..", "backtest.html"),
        ("Über 50 %", "Über-50.html"),
    ],
)
def test_a_name_becomes_that_of_a_file_in_this_folder(name: str, expected: str) -> None:
    assert file_name(name) == expected


def test_a_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    file = tmp_path / "a.html"
    write_page(b"one", file)
    with pytest.raises(Refused, match=r"a\.html is there already\. Replace it with --force, or name another file with -o\."):
        write_page(b"two", file)
    assert file.read_bytes() == b"one"
    write_page(b"two", file, may_replace=True)
    assert file.read_bytes() == b"two"
    for place, message in ((tmp_path, "is a folder"), (tmp_path / "no" / "a.html", "there is no folder")):
        for may_replace in (False, True):
            with pytest.raises(Refused, match=message):
                write_page(b"x", place, may_replace=may_replace)
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_the_example_of_the_documentation_works(workspace: Workspace) -> None:
    SnapshotStore(workspace).save(run_backtest(workspace, config()), "first")
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {"workspace": workspace}
    exec(page.split("```python\n")[1].split("```")[0], names)
    assert list(names["by_month"].index) == [2025]
    assert names["page"] == render_report(names["data"])
