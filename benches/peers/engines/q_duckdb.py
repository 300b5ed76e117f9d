#!/usr/bin/env python3
"""DuckDB: columns stated instead of inferred, UUIDs and times in their own types, sets of days and events as bit masks, no
order kept. Only what the raw score counts is told apart by messageId: every other measure is the same with repeated calls."""
import os
import sys

import duckdb

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from definition import EVENTS, MEMBER_DAYS, STEP_BIT, WEIGHT_BIT, WEIGHTS, WINDOW
from table import arguments, finish


def load(db, options, ours):
    """The calls, narrow, into the table `e`; those of another run stay in it."""
    db.execute("CREATE OR REPLACE TEMP TABLE ev(event VARCHAR, w INTEGER, wbit INTEGER, sbit INTEGER)")
    db.executemany("INSERT INTO ev VALUES (?, ?, ?, ?)",
                   [[event, WEIGHTS.get(event, 0), WEIGHT_BIT.get(event, 0), STEP_BIT.get(event, 0)] for event in EVENTS])
    # A device matters where there is no user, and where a call says who its user is.
    device = "CASE WHEN type='track' AND userId IS NOT NULL THEN NULL ELSE anonymousId END" if ours else "NULL::UUID"
    columns = """messageId: 'UUID', type: 'VARCHAR', event: 'VARCHAR', userId: 'VARCHAR', groupId: 'VARCHAR',
                 context: 'STRUCT(groupId VARCHAR)', timestamp: 'TIMESTAMP'""" + (", anonymousId: 'UUID'" if ours else "")
    there = options.db and db.execute("SELECT count(*) FROM information_schema.tables WHERE table_name='e'").fetchone()[0]
    head = "INSERT INTO e" if there else "CREATE TABLE e AS" if options.db else "CREATE TEMP TABLE e AS"
    db.execute(f"""
        {head}
        SELECT messageId, type='track' tr, type='identify' idf, userId, {device} dev, coalesce(groupId, context.groupId) gid,
               groupId g, epoch_ms(timestamp) ms, (ms // 86400000)::INTEGER d,
               coalesce(w, 0) w, coalesce(wbit, 0) wbit, coalesce(sbit, 0) sbit
        FROM read_json('{options.glob}', format='newline_delimited', columns={{{columns}}}) LEFT JOIN ev USING (event)""")


def query(db, options, ours):
    """Counted by stated account and id, then resolved, then by account and user, then by account."""
    last = options.last_day or db.execute("SELECT max(d) FROM e").fetchone()[0]
    low = last - WINDOW + 1
    dev = "CASE WHEN userId IS NULL THEN dev END" if ours else "NULL::UUID"
    user = "coalesce(l1.userId, link.u, l1.dev::VARCHAR)" if ours else "l1.userId"
    link = "AND l1.dev IS NOT DISTINCT FROM rw.dev LEFT JOIN link ON l1.userId IS NULL AND l1.dev = link.dev" if ours else ""
    active = f"tr AND d >= {low}" + (" AND w > 0" if ours else "")
    member = f"coalesce(bool_or(tr AND d > {last - MEMBER_DAYS}), false)" if ours else "true"
    started = "min(d) FILTER (tr)" if ours else "min(d)"
    return db.execute(f"""
        WITH link AS (SELECT dev, max(userId) u FROM e WHERE NOT tr AND userId IS NOT NULL AND dev IS NOT NULL GROUP BY dev),
        l1 AS (SELECT gid, userId, {dev} dev, {started} d0, max(ms) FILTER (tr) last, {member} member,
                 bit_or(CASE WHEN {active} THEN 1 << (d - {low}) ELSE 0 END) dm,
                 bit_or(CASE WHEN tr AND d >= {low} THEN wbit ELSE 0 END) wb, bit_or(CASE WHEN tr THEN sbit ELSE 0 END) sb
               FROM e {"WHERE NOT idf" if ours else ""} GROUP BY ALL),
        rw AS (SELECT gid, userId, dev, sum(w) raw
               FROM (SELECT DISTINCT messageId, gid, userId, {dev} dev, w FROM e WHERE tr AND w > 0 AND d >= {low}) GROUP BY ALL),
        m AS (SELECT userId, max(g) g FROM e WHERE g IS NOT NULL GROUP BY userId),
        j AS (SELECT l1.gid, {user} u, d0, last, member, dm, wb, sb, coalesce(raw, 0) raw FROM l1
              LEFT JOIN rw ON l1.userId IS NOT DISTINCT FROM rw.userId AND l1.gid IS NOT DISTINCT FROM rw.gid {link}),
        l2 AS (SELECT coalesce(gid, m.g) account, u, min(d0) d0, max(last) last, bool_or(member) member, bit_or(dm) dm,
                 bit_or(wb) wb, bit_or(sb) sb, sum(raw) raw
               FROM j LEFT JOIN m ON j.u = m.userId WHERE coalesce(gid, m.g) IS NOT NULL GROUP BY coalesce(gid, m.g), u)
        SELECT account, {"CASE WHEN min(d0) IS NULL THEN NULL ELSE sum(raw)::BIGINT END" if ours else "sum(raw)::BIGINT"},
          count(u) FILTER (dm <> 0), count(u) FILTER (member), bit_count(bit_or(dm)), max(last)::BIGINT,
          bit_count(bit_or(wb)), bit_count(bit_or(sb)), {last} - min(d0)
        FROM l2 GROUP BY account""").fetchall()


def main():
    options = arguments()
    ours = options.definition == "vitalsync"
    db = duckdb.connect(options.db or ":memory:")
    db.execute(f"SET threads={options.threads}; SET preserve_insertion_order=false; SET TimeZone='UTC'")
    load(db, options, ours)
    finish(options.out, options.definition, query(db, options, ours))


if __name__ == "__main__":
    main()
