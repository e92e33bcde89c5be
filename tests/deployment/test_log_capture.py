"""What a strategy prints, logs and warns of comes into the log, within bounds, and no secret with it."""

# ruff: noqa: T201 - printing is what is tested

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path

import pytest

from algo_py.clock import SystemClock, parse_time
from algo_py.deployment import DeploymentManager, DeploymentRequest
from algo_py.deployment.config import Replay
from algo_py.deployment.log_capture import Capture
from algo_py.deployment.log_writing import LONGEST_TEXT, open_log
from algo_py.deployment.logs import Entry, whole_log
from algo_py.deployment.masking import SecretMask
from algo_py.deployment.schedule import OnBarClose
from algo_py.settings import LogSettings, Workspace
from tests.deployment.conftest import Save

SECRET = "s3cr3t/pa+ss'w0rd"
TALKATIVE = f"""
import logging, warnings
from algo_py.strategy import Bars, Signals, Strategy

SECRET = {SECRET!r}

class Talkative(Strategy):
    def run(self, bars: Bars) -> Signals:
        if len(bars.index) == 2:
            raise RuntimeError("cannot log in with " + SECRET)
        if len(bars.index) == 1:
            self.talk()
        return Signals(entries=bars.close > bars.open, exits=bars.close < bars.open)

    def talk(self) -> None:
        print("my key is", SECRET)
        logging.getLogger("mine").warning("key %s", SECRET)
        logging.getLogger("mine").debug("not heard")
        logging.getLogger("mine").info("%d", "no number")
        warnings.warn("old key " + SECRET)
        try:
            raise KeyError(SECRET)
        except KeyError:
            logging.exception("failed")
        for number in range(50):
            print("line", number)
        print("half a line", end="")
"""


class Listener:
    """A capture whose log is in a folder."""

    def __init__(self, folder: Path, *, lines_per_run: int = 1000) -> None:
        self._folder = folder
        log = open_log(folder, deployment_id="d", clock=SystemClock(), settings=LogSettings(), mask=str)
        self.capture = Capture(log, lines_per_run=lines_per_run)

    def heard(self) -> list[Entry]:
        return list(whole_log(self._folder))

    def messages(self) -> list[str]:
        return [entry["message"] for entry in self.heard()]


@pytest.fixture
def listener(tmp_path: Path) -> Listener:
    return Listener(tmp_path)


def test_lines_come_as_they_are_printed_and_the_last_one_without_its_end(listener: Listener) -> None:
    with listener.capture.listening():
        print("one")
        print("two", end="")
        print(" and more\nthree\n\n", end="")
        print("windows", end="\r\n")
        print("10 %\r20 %\r100 %")
        print("oops", file=sys.stderr)
        print("no end", end="")
        assert listener.messages()[-1] == "oops"
    assert listener.messages() == ["one", "two and more", "three", "windows", "100 %", "oops", "no end"]
    assert [entry["event"] for entry in listener.heard()[-2:]] == ["strategy.stderr", "strategy.print"]
    assert sys.stdout.encoding


def test_records_of_loggers_keep_level_name_and_error(listener: Listener) -> None:
    with listener.capture.listening():
        mine = logging.getLogger("mine.of.me")
        mine.info("%s bars", 5)
        mine.log(25, "odd level")
        mine.critical("worst")
        mine.debug("not heard")
        try:
            raise ValueError("reason")
        except ValueError:
            mine.exception("it failed")
        for name in ("urllib3.connectionpool", "ccxt.base.exchange", "kiteconnect.connect"):
            logging.getLogger(name).info("noise of %s", name)
        logging.getLogger("urllib3").warning("retrying")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)  # pytest puts its own listener in its place
            warnings.warn("getting old", UserWarning, stacklevel=1)
    logging.getLogger("mine").error("after the end")
    heard = listener.heard()
    assert {entry["event"] for entry in heard} == {"strategy.log"}
    assert [(entry["logger"], entry["level"], entry["message"].partition("\n")[0][-30:]) for entry in heard[:-1]] == [
        ("mine.of.me", "info", "5 bars"),
        ("mine.of.me", "info", "odd level"),
        ("mine.of.me", "critical", "worst"),
        ("mine.of.me", "error", "it failed"),
        ("urllib3", "warning", "retrying"),
    ]
    assert heard[3]["exception"].endswith("ValueError: reason")
    assert "Traceback" in heard[3]["exception"]
    assert (heard[-1]["logger"], "UserWarning: getting old" in heard[-1]["message"]) == ("py.warnings", True)


def test_a_run_has_so_many_lines_and_the_next_one_again(tmp_path: Path) -> None:
    listener = Listener(tmp_path, lines_per_run=10)
    with listener.capture.listening():
        for _ in range(2):
            for number in range(500):
                print(number)
                logging.getLogger("mine").info("%s", number)
            listener.capture.end_run()
        print("a short run")
    heard = listener.heard()
    assert [entry["event"] for entry in heard].count("strategy.print_suppressed") == 2
    assert heard[10] | {"event": "strategy.print_suppressed", "count": 990, "allowed": 10, "level": "warning"} == heard[10]
    assert len(heard) == 23
    assert heard[-1]["message"] == "a short run"


@pytest.mark.parametrize("piece", [1, 1_000, 10_000_000])
def test_a_line_without_an_end_is_cut(listener: Listener, piece: int) -> None:
    with listener.capture.listening():
        for _ in range(100_000 // min(piece, 100_000)):
            sys.stdout.write("x" * piece)
        sys.stdout.write(" the end")
    [message] = listener.messages()
    assert len(message) < LONGEST_TEXT + 100
    assert "characters cut]" in message


def test_both_ends_of_a_long_traceback_are_kept_and_odd_texts_can_be_read_again(listener: Listener) -> None:
    with listener.capture.listening():
        try:
            raise ValueError("y" * 20_000 + " at last")
        except ValueError:
            logging.exception("long")
        print("\ud800 ₹ \u2028")
    entry, odd = listener.heard()
    assert entry["exception"].startswith("Traceback")
    assert entry["exception"].endswith("y at last")
    assert odd["message"] == "? ₹ \u2028"


class TestMasking:
    """Values of config/.env, in every way in which they may stand in a text."""

    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Workspace:
        workspace = Workspace(tmp_path)
        workspace.credentials_file.parent.mkdir()
        return workspace

    @pytest.mark.parametrize(
        ("line", "text", "masked"),
        [
            ("BINANCE_API_SECRET=abcdef123", "key abcdef123, again abcdef123.", "key ***, again ***."),
            ("BINANCE_API_SECRET='a+b/c=d e'", "GET /?s=a%2Bb%2Fc%3Dd+e and a%2Bb%2Fc%3Dd%20e", "GET /?s=*** and ***"),
            ("SOME_PASSWORD='it\\'s\"mine\"'", """it's"mine" "it's\\"mine\\"" """, '*** "***" '),
            ("TELEGRAM_BOT_TOKEN=12345:AAbb-cc", "https://api/bot12345:AAbb-cc/send", "https://api/bot***/send"),
            ("DATABASE_URL=postgresql://algo:pa%24%24word@localhost:5432/algo", "password pa$$word at localhost:5432", None),
            ("ALERT_URLS='tgram://99887766:AAxyz/1234567890 json://localhost:8080'", "bot99887766:AAxyz chat 1234567890", None),
            ("BINANCE_BASE_URL=http://127.0.0.1:9000", "http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("ZERODHA_ACCESS_TOKEN_EXPIRES=2026-01-02T06:00", "ends 2026-01-02T06:00", "ends 2026-01-02T06:00"),
            ("BINANCE_TESTNET=true", "it is true", "it is true"),
        ],
    )
    def test_a_value(self, workspace: Workspace, line: str, text: str, masked: str | None) -> None:
        workspace.credentials_file.write_text(line)
        mask = SecretMask(workspace)
        if masked is None:
            assert mask(text).count("***") == text.count("pa$$word") + 2 * text.count("chat")
            assert "localhost:8080 localhost:5432" in mask("localhost:8080 localhost:5432")
        else:
            assert mask(text) == masked
        assert SecretMask(Workspace(workspace.root / "elsewhere"))(text) == text
        assert line.partition("=")[2].strip("'") not in repr(mask)

    def test_a_token_that_was_renewed(self, workspace: Workspace) -> None:
        mask = SecretMask(workspace)
        assert mask("token-old token-new") == "token-old token-new"
        workspace.credentials_file.write_text("ZERODHA_ACCESS_TOKEN=token-old")
        assert mask("token-old token-new") == "*** token-new"
        workspace.credentials_file.write_text("ZERODHA_ACCESS_TOKEN=token-new")
        assert mask("token-old token-new") == "*** ***"
        workspace.credentials_file.unlink()
        assert mask("token-old token-new") == "*** ***"

    def test_every_field_of_an_event(self, workspace: Workspace, tmp_path: Path) -> None:
        workspace.credentials_file.write_text("A_KEY=abcdef123\nA_NUMBER=987654321\n")
        log = open_log(
            tmp_path,
            deployment_id="d",
            clock=SystemClock(),
            settings=LogSettings(),
            mask=SecretMask(workspace),
            wall=SystemClock(),
        )
        try:
            raise RuntimeError("abcdef123")
        except RuntimeError as error:
            log.error(
                "event abcdef123",
                nested={"abcdef123": ["abcdef123", ("x", {"deep abcdef123"})]},
                number=987654321,
                other=98765432,
                ratio=float("nan"),
                odd=error,
                path=Path("/abcdef123"),
                exc_info=True,
            )
        long = "z" * (LONGEST_TEXT // 2 - 4) + "abcdef123" + "z" * LONGEST_TEXT
        log.info("long", message=long)
        text = (tmp_path / "log.jsonl").read_text()
        assert "abcdef123" not in text
        assert "987654321" not in text
        first, second = whole_log(tmp_path)
        assert first["nested"] == {"***": ["***", ["x", ["deep ***"]]]}
        assert (first["number"], first["other"], first["ratio"]) == ("***", 98765432, "nan")
        assert "RuntimeError: ***" in first["exception"]
        assert "abcd" not in second["message"], "half a secret was left by the cut"


@pytest.mark.parametrize("is_secret", [True, False])
def test_in_a_deployment(workspace: Workspace, manager: DeploymentManager, save: Save, is_secret: bool) -> None:
    """The real process, from what the strategy says to its traceback; what stands not in config/.env is not masked."""
    with workspace.settings_file.open("a") as file:
        file.write("[logs]\nmax_mib = 0.005\nkeep_files = 1000\nlines_per_run = 20\n")
    if is_secret:
        workspace.credentials_file.write_text(f"MY_PASSWORD={json.dumps(SECRET)}\n")
    workspace.strategies.mkdir()
    (workspace.strategies / "talkative.py").write_text(TALKATIVE)
    save(strategy="talkative", params={}, symbols=("BTC/USDT",), end=parse_time("2025-01-03"))
    request = DeploymentRequest(backtest="saved", schedule=OnBarClose(), clock=Replay(bars_per_s=None))
    deployment = manager.wait_until(manager.deploy(request).id, lambda d: d.status.has_ended, timeout_s=60)
    assert deployment.status == "finished", deployment.reason

    folder = workspace.deployments / deployment.id
    written = "".join(file.read_text() for file in folder.glob("log*.jsonl"))
    assert len(list(folder.glob("log.*.jsonl"))) > 3
    assert (SECRET in written) is not is_secret
    key = "***" if is_secret else SECRET
    entries = list(manager.whole_log(deployment.id))
    said = [(entry["event"], entry["message"].partition("\n")[0]) for entry in entries if "message" in entry]
    assert said[:2] == [("strategy.print", f"my key is {key}"), ("strategy.log", f"key {key}")]
    assert said[2] == ("strategy.log", "%d (its arguments do not fit)")
    assert f"UserWarning: old key {key}" in said[3][1]
    assert said[4:7] == [("strategy.log", "failed"), ("strategy.print", "line 0"), ("strategy.print", "line 1")]
    assert f'KeyError: "{key}"' in next(entry["exception"] for entry in entries if entry.get("message") == "failed")
    assert len(said) == 20
    [suppressed] = [entry for entry in entries if entry["event"] == "strategy.print_suppressed"]
    assert (suppressed["count"], suppressed["run_id"]) == (36, entries[entries.index(suppressed) - 1]["run_id"])
    [failed] = [entry for entry in entries if entry["event"] == "run.failed"]
    assert failed["reason"].endswith(f"RuntimeError: cannot log in with {key}")
    assert entries[-1]["event"] == "deployment.ended"
