#!/usr/bin/env python3
"""Polars: a schema of the columns that are needed, collected by the streaming engine, sets of days and events as bit masks.
Only what the raw score counts is told apart by messageId: every other measure is the same with repeated calls."""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from definition import EVENTS, MEMBER_DAYS, STEP_BIT, WEIGHT_BIT, WEIGHTS, WINDOW
from table import arguments, finish

options = arguments()
os.environ["POLARS_MAX_THREADS"] = str(options.threads)
import polars as pl  # noqa: E402  it reads the number of threads when it is imported

SCHEMA = {"messageId": pl.String, "type": pl.String, "event": pl.String, "userId": pl.String, "groupId": pl.String,
          "context": pl.Struct({"groupId": pl.String}), "timestamp": pl.String}


def by_event(values):
    return pl.col("event").replace_strict({event: values.get(event, 0) for event in EVENTS}, default=0, return_dtype=pl.Int32)


def load(ours):
    """The calls, narrow."""
    lines = pl.scan_ndjson(sorted(glob.glob(options.glob)), schema=SCHEMA | ({"anonymousId": pl.String} if ours else {}))
    track = pl.col("type") == "track"
    # A device matters where there is no user, and where a call says who its user is.
    device = pl.when(track & pl.col("userId").is_not_null()).then(None).otherwise("anonymousId") if ours else pl.lit(None, pl.String)
    return lines.select(
        "messageId", "userId", tr=track, idf=pl.col("type") == "identify", dev=device, g=pl.col("groupId"),
        gid=pl.coalesce("groupId", pl.col("context").struct.field("groupId")), ts=pl.col("timestamp"),
        d=pl.col("timestamp").str.slice(0, 10).str.to_date("%Y-%m-%d").to_physical(),
        w=by_event(WEIGHTS), wbit=by_event(WEIGHT_BIT), sbit=by_event(STEP_BIT)).collect(engine="streaming")


def count(calls, ours):
    """Counted by stated account and id, then resolved, then by account and user, then by account."""
    last = options.last_day or calls["d"].max()
    low = last - WINDOW + 1
    calls = calls.lazy()
    window = pl.col("tr") & (pl.col("d") >= low)
    active = window & (pl.col("w") > 0) if ours else window
    zero = pl.lit(0, pl.Int32)
    day = pl.lit(2, pl.Int64).pow((pl.col("d") - low).clip(0).cast(pl.UInt32))
    key = ["gid", "userId", "dev"] if ours else ["gid", "userId"]
    alone = calls.with_columns(dev=pl.when(pl.col("userId").is_null()).then("dev")) if ours else calls
    counted = (alone.filter(~pl.col("idf")) if ours else alone).group_by(key).agg(
        d0=pl.col("d").filter(pl.col("tr")).min() if ours else pl.col("d").min(), last=pl.col("ts").filter(pl.col("tr")).max(),
        member=(pl.col("tr") & (pl.col("d") > last - MEMBER_DAYS)).any() if ours else pl.lit(True),
        days=pl.when(active).then(day).otherwise(0).cast(pl.Int64).bitwise_or(),
        wb=pl.when(window).then("wbit").otherwise(zero).bitwise_or(), sb=pl.when("tr").then("sbit").otherwise(zero).bitwise_or())
    raw = (alone.filter(window & (pl.col("w") > 0)).select("messageId", *key, "w").unique(subset="messageId")
           .group_by(key).agg(raw=pl.col("w").sum()))
    known = counted.join(raw, on=key, how="left", nulls_equal=True).with_columns(pl.col("raw").fill_null(0))
    if ours:
        says = ~pl.col("tr") & pl.col("userId").is_not_null() & pl.col("dev").is_not_null()
        links = calls.filter(says).group_by("dev").agg(link=pl.col("userId").max())
        known = known.join(links, on="dev", how="left").with_columns(userId=pl.coalesce("userId", "link", "dev"))
    groups = calls.filter(pl.col("g").is_not_null()).group_by("userId").agg(mg=pl.col("g").max())
    users = (known.join(groups, on="userId", how="left").with_columns(account=pl.coalesce("gid", "mg"))
             .filter(pl.col("account").is_not_null()).group_by("account", "userId")
             .agg(pl.col("d0").min(), pl.col("last").max(), pl.col("member").any(), pl.col("days").bitwise_or(),
                  pl.col("wb").bitwise_or(), pl.col("sb").bitwise_or(), pl.col("raw").sum()))
    user = pl.col("userId").is_not_null()
    def bits(name):
        return pl.col(name).bitwise_or().bitwise_count_ones()
    accounts = users.group_by("account").agg(
        raw=pl.col("raw").sum(), active=(user & (pl.col("days") != 0)).sum(), total=(user & pl.col("member")).sum(),
        f=bits("days"), last=pl.col("last").max(), used=bits("wb"), steps=bits("sb"), tenure=last - pl.col("d0").min())
    if ours:
        accounts = accounts.with_columns(raw=pl.when(pl.col("tenure").is_not_null()).then("raw"))
    return accounts.with_columns(last=pl.col("last").str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ").dt.epoch("ms")).collect()


ours = options.definition == "vitalsync"
finish(options.out, options.definition, count(load(ours), ours).iter_rows())
