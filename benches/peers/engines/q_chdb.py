#!/usr/bin/env python3
"""chDB (ClickHouse in a process): structure stated instead of inferred, parallel parsing, sets of days and events as bit masks.
Only what the raw score counts is told apart by messageId: every other measure is the same with repeated calls."""
import csv
import io
import os
import sys

from chdb import session

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from definition import MEMBER_DAYS, STEP_BIT, STEPS, WEIGHT_BIT, WEIGHTED, WEIGHTS, WINDOW
from table import arguments, finish


def listed(values):
    return "[" + ",".join(f"'{value}'" if isinstance(value, str) else str(value) for value in values) + "]"


def load(db, options, ours):
    """The calls, narrow, into the table `d.e` in memory. Null and absent text is empty here."""
    # A device matters where there is no user, and where a call says who its user is.
    device = "if(type='track' AND userId!='', '', anonymousId)" if ours else "''"
    db.query("CREATE DATABASE IF NOT EXISTS d ENGINE=Atomic")
    db.query(f"""
        CREATE TABLE d.e ENGINE=Memory AS
        SELECT messageId, type='track' tr, type='identify' idf, userId, {device} dev, if(groupId!='', groupId, context.groupId) gid,
          groupId g, toUnixTimestamp(toDateTime(substring(timestamp,1,19),'UTC'))*1000+toUInt32(substring(timestamp,21,3)) ms,
          toInt32(intDiv(ms,86400000)) d,
          toInt32(transform(event,{listed(WEIGHTED)},{listed(WEIGHTS[event] for event in WEIGHTED)},0)) w,
          toUInt32(transform(event,{listed(WEIGHTED)},{listed(WEIGHT_BIT[event] for event in WEIGHTED)},0)) wbit,
          toUInt32(transform(event,{listed(STEPS)},{listed(STEP_BIT[event] for event in STEPS)},0)) sbit
        FROM file('{options.glob}', 'JSONEachRow', 'messageId UUID, type String, event String, userId String, groupId String,
          context Tuple(groupId String), timestamp String{", anonymousId String" if ours else ""}')
        SETTINGS max_threads={options.threads}, input_format_skip_unknown_fields=1, input_format_null_as_default=1,
          input_format_parallel_parsing=1, input_format_json_ignore_unnecessary_fields=1,
          input_format_json_defaults_for_missing_elements_in_named_tuple=1""")


def query(db, options, ours):
    """Counted by stated account and id, then resolved, then by account and user, then by account."""
    last = options.last_day or int(str(db.query("SELECT max(d) FROM d.e", "TSV")).strip())
    low = last - WINDOW + 1
    dev = "if(userId='', dev, '')" if ours else "''"
    user = "multiIf(l1.userId!='', l1.userId, link.u!='', link.u, l1.dv)" if ours else "l1.userId"
    link = "LEFT JOIN link ON l1.dv=link.dev" if ours else ""
    active = f"tr AND d>={low}" + (" AND w>0" if ours else "")
    member = f"max(tr AND d>{last - MEMBER_DAYS})" if ours else "1"
    answer = db.query(f"""
        WITH link AS (SELECT dev, max(userId) u FROM d.e WHERE NOT tr AND userId!='' AND dev!='' GROUP BY dev),
        l1 AS (SELECT gid, userId, {dev} dv, {"min(if(tr, d, 2147483647))" if ours else "min(d)"} d0, maxIf(ms,tr) last, {member} mem,
          groupBitOrIf(bitShiftLeft(toUInt32(1),toUInt8(if(d>={low},d-{low},0))), {active}) days,
          groupBitOrIf(wbit, tr AND d>={low}) wb, groupBitOrIf(sbit, tr) sb
          FROM d.e {"WHERE NOT idf" if ours else ""} GROUP BY gid, userId, dv),
        rw AS (SELECT gid, userId, dv, sum(w) raw0
          FROM (SELECT DISTINCT messageId, gid, userId, {dev} dv, w FROM d.e WHERE tr AND w>0 AND d>={low}) GROUP BY gid, userId, dv),
        m AS (SELECT userId, max(g) mg FROM d.e WHERE g!='' GROUP BY userId),
        j AS (SELECT l1.gid gid, {user} us, l1.d0 d0, l1.last last, l1.mem mem, l1.days days, l1.wb wb, l1.sb sb, rw.raw0 raw FROM l1
          LEFT JOIN rw ON l1.userId=rw.userId AND l1.gid=rw.gid AND l1.dv=rw.dv {link}),
        l2 AS (SELECT if(j.gid!='', j.gid, m.mg) account, j.us us, min(j.d0) d0, max(j.last) last, max(j.mem) mem,
          groupBitOr(j.days) days, groupBitOr(j.wb) wb, groupBitOr(j.sb) sb, sum(j.raw) raw
          FROM j LEFT JOIN m ON j.us=m.userId GROUP BY account, us HAVING account!='')
        SELECT account, sum(l2.raw), countIf(us!='' AND l2.days!=0), countIf(us!='' AND l2.mem!=0), bitCount(groupBitOr(l2.days)),
          max(l2.last), bitCount(groupBitOr(l2.wb)), bitCount(groupBitOr(l2.sb)), min(l2.d0) FROM l2 GROUP BY account
        SETTINGS max_threads={options.threads}""", "CSV")
    text = answer.data() if hasattr(answer, "data") else str(answer)
    for account, *numbers in csv.reader(io.StringIO(text)):
        raw, active_users, total, days, latest, used, steps, first = map(int, numbers)
        none = ours and first == 2147483647
        yield (account, None if none else raw, active_users, total, days, latest or None, used, steps, None if none else last - first)


def main():
    options = arguments()
    ours = options.definition == "vitalsync"
    db = session.Session()
    load(db, options, ours)
    finish(options.out, options.definition, query(db, options, ours))


if __name__ == "__main__":
    main()
