"""The table that every engine writes: CSV, one row an account, sorted by account. An empty field means unknown.

Engines hand over whole numbers; what is left to do with floats is done here, so that they cannot differ by rounding. The
naive recount and vitalsync itself are held against it; vitalsync computes its own.
"""
import argparse
import csv
import datetime
import math
import os

from definition import CURVE, DEFINITIONS, FEW, PERCENTILE, STEPS, WEIGHTS, WINDOW

COLUMNS = ["account", "raw", "score", "active_users", "total_users", "active_percent", "frequency", "last_active_ms",
           "adoption", "activation_percent", "tenure_days"]
# Digits after the point.
PLACES = 6


def day(text):
    """A date as days since 1970."""
    return (datetime.date.fromisoformat(text) - datetime.date(1970, 1, 1)).days


def arguments():
    """What every engine takes: GLOB and OUT, the definition, threads, a last day; DuckDB a database to go on with."""
    parser = argparse.ArgumentParser()
    parser.add_argument("glob")
    parser.add_argument("out")
    parser.add_argument("--definition", choices=DEFINITIONS, default="query")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--last-day", type=day, help="the last day of the windows; the latest of all calls if left out")
    parser.add_argument("--db", help="DuckDB only: keep the calls in this file; if it is there, the files of GLOB are added to it")
    return parser.parse_args()


def percentile(values, percent):
    """Type 7: linear interpolation between closest ranks."""
    values = sorted(values)
    at = (len(values) - 1) * (percent / 100)
    below = int(at)
    return values[below] + (at - below) * (values[min(below + 1, len(values) - 1)] - values[below])


def benchmark(raws, definition):
    """The raw score that counts as 100; 0 if there is none."""
    if definition == "query":
        return percentile(raws, PERCENTILE) if raws else 0
    raws = [raw for raw in raws if raw > 0]
    if not raws:
        return 0
    return max(raws) if len(raws) < FEW else percentile(raws, PERCENTILE)


def score(raw, pegged):
    """1 + 99 (1 - e^(-kx)) / (1 - e^(-k)), with x = min(raw / benchmark, 1)."""
    x = min(raw / pegged, 1) if pegged else 0
    return min(100.0, max(1.0, 1 + 99 * (1 - math.exp(-CURVE * x)) / (1 - math.exp(-CURVE))))


def rounded(value):
    return "" if value is None else round(value, PLACES)


def write(path, rows):
    """Rows in the order of COLUMNS, rounded; None becomes empty."""
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for row in sorted(rows):
            out.writerow([row[0], *(rounded(value) for value in row[1:])])


def finish(path, definition, accounts):
    """Accounts as (account, raw, active users, total users, days with use, last active in ms, weighted events used, steps
    done, tenure in days); raw, last and tenure are None for an account without an event."""
    accounts = list(accounts)
    known = [account[1] for account in accounts if account[1] is not None]
    pegged = benchmark(known, definition)
    rows = []
    for account, raw, active, total, days, last, used, steps, tenure in accounts:
        percent = 100 * active / total if total else (0 if definition == "query" else None)
        rows.append([account, raw, None if raw is None else score(raw, pegged), active, total, percent, days / WINDOW, last,
                     used / len(WEIGHTS), 100 * steps / len(STEPS), tenure])
    write(path, rows)


def read(path):
    """A table by account: each value a number, or None where the field is empty."""
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == COLUMNS, f"{path}: {rows[0]}"
    return {row[0]: [None if field == "" else float(field) for field in row[1:]] for row in rows[1:]}


def differences(ours, theirs):
    """By column, the accounts whose values are not the same to the last digit; under `account` those that only one has."""
    found = {}
    for account in sorted(ours.keys() | theirs.keys()):
        if account not in ours or account not in theirs:
            found.setdefault("account", []).append((account, account in ours, account in theirs))
            continue
        for column, one, other in zip(COLUMNS[1:], ours[account], theirs[account]):
            if one != other:
                found.setdefault(column, []).append((account, one, other))
    return found
