"""Which of NSE's shares have derivatives, from when to when: these close by auction.

The shipped list is a start. The list of a broker renews it (`renewed`), and a person may correct it in `config/calendar.toml`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

# Gathered from public lists of the underlyings of NSE's F&O segment of 2025 and 2026; `since` is not known and does not matter
# before closing auctions began.
SHIPPED_AS_OF: Final = date(2026, 8, 3)
SHIPPED_SOURCE: Final = "shipped list of NSE's F&O underlyings"
_SHIPPED: Final = """
360ONE ABB ABCAPITAL ADANIENSOL ADANIENT ADANIGREEN ADANIPORTS ALKEM AMBER AMBUJACEM ANGELONE APLAPOLLO APOLLOHOSP ASHOKLEY
ASIANPAINT ASTRAL AUBANK AUROPHARMA AXISBANK BAJAJ-AUTO BAJAJFINSV BAJAJHLDNG BAJFINANCE BANDHANBNK BANKBARODA BANKINDIA BDL BEL
BHARATFORG BHARTIARTL BHEL BIOCON BLUESTARCO BOSCHLTD BPCL BRITANNIA BSE CAMS CANBK CDSL CGPOWER CHOLAFIN CIPLA COALINDIA COFORGE
COLPAL CONCOR CROMPTON CUMMINSIND DABUR DALBHARAT DELHIVERY DIVISLAB DIXON DLF DMART DRREDDY EICHERMOT ETERNAL EXIDEIND FEDERALBNK
FORTIS GAIL GLENMARK GMRAIRPORT GODREJCP GODREJPROP GRASIM HAL HAVELLS HCLTECH HDFCAMC HDFCBANK HDFCLIFE HEROMOTOCO HINDALCO
HINDPETRO HINDUNILVR HINDZINC HUDCO ICICIBANK ICICIGI ICICIPRULI IDEA IDFCFIRSTB IEX IIFL INDHOTEL INDIANB INDIGO INDUSINDBK
INDUSTOWER INFY INOXWIND IOC IRCTC IREDA IRFC ITC JINDALSTEL JIOFIN JSWENERGY JSWSTEEL JUBLFOOD KALYANKJIL KAYNES KEI KFINTECH
KOTAKBANK KPITTECH LAURUSLABS LICHSGFIN LICI LODHA LT LTF LTIM LUPIN M&M MANAPPURAM MANKIND MARICO MARUTI MAXHEALTH MAZDOCK MCX
MFSL MOTHERSON MPHASIS MUTHOOTFIN NATIONALUM NAUKRI NBCC NESTLEIND NHPC NMDC NTPC NUVAMA NYKAA OBEROIRLTY OFSS OIL ONGC PAGEIND
PATANJALI PAYTM PERSISTENT PETRONET PFC PGEL PHOENIXLTD PIDILITIND PIIND PNB PNBHOUSING POLICYBZR POLYCAB POWERGRID POWERINDIA
PPLPHARMA PREMIERENE PRESTIGE RBLBANK RECLTD RELIANCE RVNL SAIL SAMMAANCAP SBICARD SBILIFE SBIN SHREECEM SHRIRAMFIN SIEMENS
SOLARINDS SONACOMS SRF SUNPHARMA SUPREMEIND SUZLON SWIGGY SYNGENE TATACONSUM TATAELXSI TATAPOWER TATASTEEL TATATECH TCS TECHM
TIINDIA TITAN TMPV TORNTPHARM TORNTPOWER TRENT TVSMOTOR ULTRACEMCO UNIONBANK UNITDSPR UNOMINDA UPL VBL VEDL VOLTAS WAAREEENER
WIPRO YESBANK ZYDUSLIFE
"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A stretch of days, both ends included, on which a share has derivatives. None: since ever, until further notice."""

    since: date | None = None
    until: date | None = None

    def holds_on(self, day: date) -> bool:
        return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)


Listings = Mapping[str, tuple[Listed, ...]]

SHIPPED: Final[Listings] = {symbol: (Listed(),) for symbol in _SHIPPED.split()}


def with_derivatives(listings: Listings, symbol: str, day: date) -> bool:
    """Return whether `symbol` has derivatives on `day`."""
    return any(stretch.holds_on(day) for stretch in listings.get(symbol, ()))


def renewed(listings: Listings, symbols: Collection[str], seen_on: date) -> dict[str, tuple[Listed, ...]]:
    """Return the listings as a full list that was seen on `seen_on` corrects them.

    A share that is new on it counts from that day on, one that is missing until the day before. An empty list changes nothing:
    it is a failure of who sent it.
    """
    result = {symbol: tuple(stretches) for symbol, stretches in listings.items()}
    if not symbols:
        return result
    for symbol in set(symbols):
        if not with_derivatives(result, symbol, seen_on):
            result[symbol] = (*result.get(symbol, ()), Listed(since=seen_on))
    for symbol, stretches in result.items():
        if symbol not in symbols and with_derivatives(result, symbol, seen_on):
            result[symbol] = tuple(_ended(stretches, seen_on - timedelta(days=1)))
    return result


def _ended(stretches: Iterable[Listed], last: date) -> Iterable[Listed]:
    for stretch in stretches:
        if stretch.since is None or stretch.since <= last:
            yield Listed(stretch.since, last if stretch.until is None or stretch.until > last else stretch.until)
