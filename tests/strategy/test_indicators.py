"""Every indicator against its formula written out in plain Python, its stated needs, holes, and the future."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from algo_py.errors import InvalidInput
from algo_py.strategy import COLUMNS, Bars
from algo_py.strategy import indicators as ta

from .formulas import (
    NAN,
    ROWS,
    Row,
    closes_of,
    mean,
    own_frame,
    plain_atr,
    plain_bollinger,
    plain_change,
    plain_directional,
    plain_donchian,
    plain_ema,
    plain_macd,
    plain_rsi,
    plain_session_vwap,
    plain_supertrend,
    plain_vwap,
    plain_zscore,
    records,
    windowed,
)

HOLES = [0, 5, 6, 7, 30, 61, 62, 88]


@dataclass(frozen=True)
class Case:
    """An indicator of a length, its formula, and what its docstring says of it."""

    name: str
    length: int
    run: Callable[[Bars, int], object]
    plain: Callable[[list[Row], int], Sequence[Sequence[float]]]
    needs: int
    remembers: bool = False

    def frames(self, bars: Bars) -> list[pd.DataFrame]:
        """Return its outputs."""
        found = self.run(bars, self.length)
        if is_dataclass(found) and not isinstance(found, type):
            return [getattr(found, field.name) for field in fields(found)]
        assert isinstance(found, pd.DataFrame)
        return [found]


def cases() -> Iterator[Case]:
    yield Case("macd", 9, lambda b, n: ta.macd(b.close, fast=4, slow=n, signal=5), lambda r, n: plain_macd(r, 4, n, 5), 13, True)
    yield Case("macd", 3, lambda b, n: ta.macd(b.close, fast=2, slow=n, signal=1), lambda r, n: plain_macd(r, 2, n, 1), 3, True)
    yield Case("session_vwap", 24, lambda b, n: ta.session_vwap(b), lambda r, n: plain_session_vwap(r), 1, True)
    for n in (1, 2, 7, 20):
        yield Case("ema", n, lambda b, n: ta.ema(b.close, n), lambda r, n: [plain_ema(closes_of(r), n)], n, n > 1)
        yield Case("sma", n, lambda b, n: ta.sma(b.close, n), lambda r, n: [windowed(closes_of(r), n, mean)], n)
        yield Case("highest", n, lambda b, n: ta.highest(b.close, n), lambda r, n: [windowed(closes_of(r), n, max)], n)
        yield Case("lowest", n, lambda b, n: ta.lowest(b.close, n), lambda r, n: [windowed(closes_of(r), n, min)], n)
        yield Case("atr", n, ta.atr, lambda r, n: [plain_atr(r, n)], n + 1, n > 1)
        yield Case("donchian", n, ta.donchian, plain_donchian, n)
        yield Case(
            "supertrend",
            n,
            lambda b, n: ta.supertrend(b, n, multiplier=1.3),
            lambda r, n: plain_supertrend(r, n, 1.3),
            n + 1,
            True,
        )
        yield Case("vwap", n, ta.vwap, plain_vwap, n)
        yield Case("rate_of_change", n, lambda b, n: ta.rate_of_change(b.close, n), plain_change, n + 1)
        yield Case("previous", n, lambda b, n: ta.previous(b.close, n), lambda r, n: [[NAN] * n + closes_of(r)[:-n]], n + 1)
    for n in (2, 7, 20):
        yield Case("rsi", n, lambda b, n: ta.rsi(b.close, n), plain_rsi, n + 1, True)
        yield Case("adx", n, ta.adx, lambda r, n: [plain_directional(r, n)[2]], 2 * n, True)
        yield Case("plus_di", n, ta.plus_di, lambda r, n: [plain_directional(r, n)[0]], n + 1, True)
        yield Case("minus_di", n, ta.minus_di, lambda r, n: [plain_directional(r, n)[1]], n + 1, True)
        yield Case(
            "bollinger", n, lambda b, n: ta.bollinger(b.close, n, deviations=1.5), lambda r, n: plain_bollinger(r, n, 1.5), n
        )
        yield Case("zscore", n, lambda b, n: ta.zscore(b.close, n), plain_zscore, n)


ALL = list(cases())
every_indicator = pytest.mark.parametrize("case", ALL, ids=[f"{case.name} {case.length}" for case in ALL])


def holed() -> Bars:
    """Three symbols: A lacks bars here and there, B begins late and ends early, C has all."""
    frame = own_frame(seed=1)
    return Bars.from_frames(
        {
            "A": frame.drop(frame.index[HOLES]),
            "B": own_frame(seed=2).iloc[40:80],
            "C": own_frame(seed=3),
        }
    )


def alone(bars: Bars, symbol: str) -> Bars:
    return Bars.from_frames({symbol: bars[symbol]})


def test_every_indicator_stands_in_the_list() -> None:
    tested = {case.name for case in ALL}
    results = {"BollingerBands", "DonchianChannel", "Macd", "Supertrend"}
    assert tested == set(ta.__all__) - results - {"cross_above", "cross_below", "rank"}


@every_indicator
def test_it_equals_its_formula(case: Case) -> None:
    for seed in range(4):
        frame = own_frame(seed=seed)
        for found, values in zip(
            case.frames(Bars.from_frames({"A": frame})), case.plain(records(frame), case.length), strict=True
        ):
            np.testing.assert_allclose(found["A"].to_numpy(), values, rtol=1e-9, atol=1e-9)


@every_indicator
def test_its_first_value_stands_where_it_says(case: Case) -> None:
    for found in case.frames(Bars.from_frames({"A": own_frame()})):
        assert found["A"].isna().tolist() == [row < case.needs - 1 for row in range(ROWS)]


@every_indicator
def test_it_remembers_what_it_says(case: Case) -> None:
    frame = own_frame()
    whole, late = (case.frames(Bars.from_frames({"A": own})) for own in (frame, frame.iloc[31:]))
    for one, other in zip(whole, late, strict=True):
        after = slice(30, 30 + 10)
        is_same = np.allclose(one["A"].to_numpy()[31:][after], other["A"].to_numpy()[after], rtol=1e-9, atol=0)
        if not case.remembers:
            assert is_same
    if case.remembers and case.name != "session_vwap":
        first = case.needs - 1
        assert any(
            not math.isclose(one["A"].iloc[31 + first], other["A"].iloc[first], rel_tol=1e-6)
            for one, other in zip(whole, late, strict=True)
        )


@every_indicator
def test_a_symbol_among_others_has_the_values_that_it_has_alone(case: Case) -> None:
    bars = holed()
    for found in case.frames(bars):
        assert list(found.columns) == ["A", "B", "C"]
        assert found.index.equals(bars.index)
    for symbol in bars.symbols:
        for among, own in zip(case.frames(bars), case.frames(alone(bars, symbol)), strict=True):
            present = bars.close[symbol].notna()
            np.testing.assert_array_equal(among[symbol][present].to_numpy(), own[symbol].to_numpy())
            assert among[symbol][~present].isna().all()


@every_indicator
@settings(max_examples=6, deadline=None, phases=[Phase.generate])
@given(rows=st.integers(1, ROWS - 1), seed=st.integers(10, 1_000_000))
def test_later_bars_change_nothing(case: Case, rows: int, seed: int) -> None:
    """Bars are appended, and the later ones of A are other bars altogether."""
    bars = holed()
    other = pd.concat([own_frame().iloc[:rows], own_frame(seed=seed).iloc[rows:] * 3])
    altered = Bars.from_frames({"A": other.drop(other.index[HOLES]), "B": bars["B"], "C": bars["C"]})
    known_then = case.frames(bars.head(rows))
    for later in (case.frames(bars), case.frames(altered)):
        for now, then in zip(later, known_then, strict=True):
            assert now.index[:rows].equals(then.index)
            np.testing.assert_array_equal(now.to_numpy()[:rows], then.to_numpy())


@every_indicator
def test_few_bars_or_none_give_no_value_and_no_error(case: Case) -> None:
    few = Bars.from_frames({"A": own_frame(max(case.needs - 1, 1)), "B": own_frame(ROWS)})
    for found in case.frames(few):
        assert case.needs == 1 or found["A"].isna().all()
        assert found["B"].notna().any()
    nothing_yet = few.head(0)
    for found in case.frames(nothing_yet):
        assert found.shape == (0, 2)


@every_indicator
def test_the_unit_of_the_price_does_not_matter(case: Case) -> None:
    """A coin may cost 0.00000001; powers of two leave every digit as it is."""
    frame = own_frame()
    tiny = frame.assign(**{name: frame[name] * 2.0**-40 for name in COLUMNS[:4]})
    for one, other in zip(case.frames(Bars.from_frames({"A": frame})), case.frames(Bars.from_frames({"A": tiny})), strict=True):
        assert any(np.allclose(other * scale, one, rtol=1e-9, atol=0, equal_nan=True) for scale in (1.0, 2.0**40))


@pytest.mark.parametrize("length", [0, -1, 2.0, "14", True, None, 100_001, NAN])
def test_a_length_that_cannot_be_used_is_refused_by_name(length: int) -> None:
    bars = holed()
    calls: list[Callable[[], object]] = [
        *(lambda f=f: f(bars.close, length) for f in (ta.ema, ta.sma, ta.rsi, ta.bollinger, ta.zscore, ta.rate_of_change)),
        *(lambda f=f: f(bars.close, length) for f in (ta.highest, ta.lowest)),
        *(lambda f=f: f(bars, length) for f in (ta.atr, ta.adx, ta.plus_di, ta.minus_di, ta.donchian, ta.supertrend, ta.vwap)),
    ]
    for call in calls:
        with pytest.raises(InvalidInput, match=r"length must be a whole number from [12] to 100000 \(was "):
            call()
    with pytest.raises(InvalidInput, match=r"bars must be a whole number from 1"):
        ta.previous(bars.close, length)
    for name in ("fast", "slow", "signal"):
        with pytest.raises(InvalidInput, match=rf"{name} must be a whole number from [12] to 100000"):
            ta.macd(bars.close, **{name: length})


def test_other_parameters_are_refused_by_name() -> None:
    bars = holed()
    for factor in (0, -1.0, NAN, math.inf, True, "2"):
        with pytest.raises(InvalidInput, match=r"deviations must be a finite number above 0 \(was "):
            ta.bollinger(bars.close, 5, deviations=factor)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match=r"multiplier must be a finite number above 0 \(was "):
            ta.supertrend(bars, 5, multiplier=factor)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"fast must be below slow \(was 9 and 9\)"):
        ta.macd(bars.close, fast=9, slow=9)
    for function in (ta.rsi, ta.bollinger, ta.zscore):
        with pytest.raises(InvalidInput, match="length must be a whole number from 2"):
            function(bars.close, 1)
    with pytest.raises(InvalidInput, match="values must be a DataFrame, time x symbol \\(was Series\\)"):
        ta.ema(bars.close["A"], 5)  # type: ignore[arg-type]


def test_an_infinite_value_counts_as_missing() -> None:
    values = holed().close
    broken = values.copy()
    broken.iloc[50, 2] = math.inf
    missing = values.copy()
    missing.iloc[50, 2] = NAN
    pd.testing.assert_frame_equal(ta.sma(broken, 5), ta.sma(missing, 5))


def test_numpy_lengths_are_lengths() -> None:
    values = holed().close
    pd.testing.assert_frame_equal(ta.sma(values, np.int64(5)), ta.sma(values, 5))  # type: ignore[arg-type]


def table(*columns: list[float]) -> pd.DataFrame:
    index = pd.date_range("2025-01-01", periods=len(columns[0]), freq="D", tz="UTC")
    return pd.DataFrame(np.array(columns).T, index=index, columns=list("ABC")[: len(columns)])


def test_a_cross_comes_from_the_other_side_or_from_equality() -> None:
    left, right = table([1, 2, 3, 3, 2, 2, 1, 3]), table([2, 2, 2, 2, 2, 2, 2, 2])
    assert ta.cross_above(left, right)["A"].tolist() == [False, False, True, False, False, False, False, True]
    assert ta.cross_below(left, right)["A"].tolist() == [False, False, False, False, False, False, True, False]
    assert ta.cross_above(left, 2).equals(ta.cross_above(left, right))
    assert ta.cross_below(left, 2.0).equals(ta.cross_below(left, right))


def test_the_first_known_bar_crosses_nothing() -> None:
    assert not ta.cross_above(table([5, 5]), 2).to_numpy().any()
    assert not ta.cross_above(table([NAN, 5, 5]), 2).to_numpy().any()
    assert not ta.cross_below(table([1, 1, 1]), table([NAN, 2, 2])).to_numpy().any()


def test_a_hole_does_not_swallow_a_cross() -> None:
    left = table([1, NAN, NAN, 3, 1], [1, 3, 3, 3, 1])
    assert ta.cross_above(left, 2).to_numpy().T.tolist() == [
        [False, False, False, True, False],
        [False, True, False, False, False],
    ]
    assert ta.cross_below(table([3, 3, 1]), table([2, NAN, 2]))["A"].tolist() == [False, False, True]


@pytest.mark.parametrize("level", [NAN, math.inf, "2", None, True])
def test_a_level_must_be_a_finite_number(level: float) -> None:
    with pytest.raises(InvalidInput, match="right must be a frame or a finite number"):
        ta.cross_above(table([1, 2]), level)


def test_frames_that_do_not_fit_are_refused() -> None:
    left = table([1, 2], [1, 2])
    for right in (left[["A"]], left[["B", "A"]], left.iloc[:1]):
        with pytest.raises(InvalidInput, match="right must have the times and symbols of left"):
            ta.cross_above(left, right)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_crosses_equal_a_walk_over_the_known_bars(data: st.DataObject) -> None:
    one = st.sampled_from([NAN, 1.0, 2.0, 3.0])
    left, right = (data.draw(st.lists(one, min_size=12, max_size=12)) for _ in range(2))
    above, below, before = [False] * 12, [False] * 12, 0.0
    has_before = False
    for t, (a, b) in enumerate(zip(left, right, strict=True)):
        if math.isnan(a) or math.isnan(b):
            continue
        above[t], below[t] = has_before and a - b > 0 >= before, has_before and a - b < 0 <= before
        before, has_before = a - b, True
    assert ta.cross_above(table(left), table(right))["A"].tolist() == above
    assert ta.cross_below(table(left), table(right))["A"].tolist() == below


def test_previous_counts_own_bars() -> None:
    found = ta.previous(table([1, NAN, 2, 3], [5, 6, 7, 8]))
    assert str(found["A"].tolist()) == "[nan, nan, 1.0, 2.0]"
    assert found["B"].tolist()[1:] == [5, 6, 7]


def test_ranks_leave_out_what_is_missing_and_break_ties_by_the_universe() -> None:
    found = ta.rank(table([3, 1, NAN, 2, NAN], [1, 2, 5, 2, NAN], [2, NAN, 6, 2, NAN]))
    assert str(found.to_numpy().tolist()) == str(
        [[1.0, 3.0, 2.0], [2.0, 1.0, NAN], [NAN, 2.0, 1.0], [1.0, 2.0, 3.0], [NAN, NAN, NAN]]
    )


def still(rows: int, price: float, frame: pd.DataFrame) -> pd.DataFrame:
    """Append bars on which nothing moves and nothing is traded, as an exchange publishes for its own outages."""
    index = pd.date_range(frame.index[-1] + pd.Timedelta(hours=1), periods=rows, freq="1h", unit="us", name="open_time")
    flat = pd.DataFrame(dict.fromkeys(COLUMNS, price), index=index).assign(volume=0.0)
    return pd.concat([frame, flat])


@pytest.mark.parametrize("seed", range(5))
def test_a_price_that_stands_still_crosses_nothing(seed: int) -> None:
    frame = own_frame(seed=seed)
    price = float(frame["close"].iloc[-1])
    bars = Bars.from_frames({"A": still(80, price, frame)})
    flat = slice(ROWS + 20, None)
    bands = ta.bollinger(bars.close, 20)
    for band in (bands.upper, bands.middle, bands.lower, ta.sma(bars.close, 20)):
        assert (band["A"].iloc[flat] == price).all()
        assert not ta.cross_above(bars.close, band).iloc[flat].to_numpy().any()
        assert not ta.cross_below(bars.close, band).iloc[flat].to_numpy().any()
    assert ta.zscore(bars.close, 20)["A"].iloc[flat].isna().all()
    assert (ta.rate_of_change(bars.close, 5)["A"].iloc[flat] == 0).all()


def test_a_window_without_volume_has_no_vwap() -> None:
    frame = own_frame()
    frame["volume"] *= 1e9
    bars = Bars.from_frames({"A": still(60, 50.0, frame)})
    found = ta.vwap(bars, 20)["A"]
    assert found.iloc[ROWS - 1 : ROWS + 19].notna().all()
    assert found.iloc[ROWS + 19 :].isna().all()
    daily = ta.session_vwap(bars)["A"]
    assert daily.iloc[: 4 * 24].notna().all()  # the fourth day had traded before it stood still
    assert daily.iloc[4 * 24 :].isna().all()


def test_an_rsi_of_nothing_is_unknown() -> None:
    flat = table([5.0] * 30)
    assert ta.rsi(flat, 5)["A"].isna().all()
    moved = table([5.0] * 20 + [4.0] + [5.0, 4.0] * 5)
    found = ta.rsi(moved, 5)["A"]
    assert found.iloc[:20].isna().all()
    assert found.iloc[20] == 0
    assert found.iloc[21:].between(1, 99).all()


def test_a_change_against_nothing_is_unknown() -> None:
    assert str(ta.rate_of_change(table([0.0, 1.0, 3.0]), 1)["A"].tolist()) == "[nan, nan, 2.0]"


def test_days_of_the_session_vwap_are_those_of_the_market() -> None:
    """At NSE a day of half-hours runs from 09:15 to 15:30 in India, within one UTC date; its daily bar opens at 18:30 UTC."""
    frame = own_frame(40, freq="30min")
    india = frame.set_axis(pd.date_range("2025-01-06 16:00", periods=40, freq="30min", tz="UTC", unit="us", name="open_time"))
    times = pd.DatetimeIndex(india.index)
    days = times.tz_convert(ZoneInfo("Asia/Kolkata")).date
    price = (india["high"] + india["low"] + india["close"]) / 3
    for market, groups in (("indian_equity", days), ("crypto_binance", times.date), (None, times.date)):
        found = ta.session_vwap(Bars.from_frames({"A": india}, market=market))["A"]
        for day in set(groups):
            own = groups == day
            weights = india["volume"][own]
            expected = (price[own] * weights).expanding().sum() / weights.expanding().sum()
            np.testing.assert_allclose(found[own].to_numpy(), expected.to_numpy(), rtol=1e-12)


def test_results_cannot_be_confused_and_are_frames() -> None:
    bars = holed()
    bands = ta.bollinger(bars.close, 5)
    ordered = (bands.upper >= bands.middle) & (bands.middle >= bands.lower) | bands.middle.isna()
    assert ordered.to_numpy().all()
    trend = ta.supertrend(bars, 5)
    is_up, is_down = trend.direction == 1, trend.direction == -1
    assert ((bars.close >= trend.line) | ~is_up).to_numpy().all()
    assert ((bars.close <= trend.line) | ~is_down).to_numpy().all()
    assert (is_up | is_down | trend.direction.isna()).to_numpy().all()
    with pytest.raises(AttributeError):
        bands.upper = bars.close  # type: ignore[misc]


def test_the_bars_stay_as_they_are() -> None:
    bars = holed()
    before = {name: bars.array(name).copy() for name in COLUMNS}
    for case in ALL:
        for found in case.frames(bars):
            found.iloc[:, :] = 0.0
    for name in COLUMNS:
        np.testing.assert_array_equal(bars.array(name), before[name])


def test_every_indicator_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "indicators.md").read_text(encoding="utf-8")
    functions = [name for name in ta.__all__ if name.islower()]
    assert [name for name in functions if f"`{name}(" not in text] == []
