#!/usr/bin/env python3
"""An archive of Segment-format calls, made up: the same options give the same bytes. Needs numpy.

    generate.py --accounts 2000 --events 1000000 --out-dir DIR --format both
    generate.py … --day-after 128000        # instead: the day that follows that archive, so many calls, events-090

Writes DIR/plain/events-NNN.ndjson and DIR/gz/events-NNN.ndjson.gz, split by received day, and, when all is there, about-plain.json
and about-gz.json.
About 92 % track, 4 % identify, 4 % group calls; 1 % come twice, 0.5 % one to three days late, 2 % of the track calls have no
userId; a quarter of the accounts never state context.groupId, the others leave it out of 5 % of their track calls. The first
call of every user is a group call, so that each belongs to an account.
"""
import argparse
import gzip
import json
import multiprocessing as mp
import os

import numpy as np

from definition import EVENTS

BASE = np.datetime64("2026-02-01")
DAYS = 90
DAY_MS = 86_400_000
# So many of the calls are second copies of others.
COPIES = 0.01


def mix(x, salt):
    """splitmix64 of (x, salt): a counter-based generator, so an event's bytes never depend on the file split."""
    with np.errstate(over="ignore"):
        z = x.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def uuids(hi, lo):
    b = np.empty((len(hi), 16), dtype=np.uint8)
    b[:, :8] = hi.astype(">u8").view(np.uint8).reshape(-1, 8)
    b[:, 8:] = lo.astype(">u8").view(np.uint8).reshape(-1, 8)
    b[:, 6] = (b[:, 6] & 0x0F) | 0x40
    b[:, 8] = (b[:, 8] & 0x3F) | 0x80
    h = np.empty((len(hi), 32), dtype=np.uint8)
    h[:, 0::2] = HEX[b >> 4]
    h[:, 1::2] = HEX[b & 15]
    o = np.full((len(hi), 36), ord("-"), dtype=np.uint8)
    o[:, 0:8], o[:, 9:13], o[:, 14:18], o[:, 19:23], o[:, 24:36] = h[:, 0:8], h[:, 8:12], h[:, 12:16], h[:, 16:20], h[:, 20:32]
    return [s.decode() for s in o.view("S36").ravel().tolist()]


UAS = [
    f"Mozilla/5.0 ({os_}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{v}.0.0.0 Safari/537.36"
    for os_ in ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64")
    for v in range(118, 134)
] + [f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:{v}.0) Gecko/20100101 Firefox/{v}.0" for v in range(115, 127)]
LOCTZ = [("en-US", "America/New_York"), ("en-US", "America/Los_Angeles"), ("en-AU", "Australia/Sydney"),
         ("en-GB", "Europe/London"), ("de-DE", "Europe/Berlin"), ("fr-FR", "Europe/Paris"),
         ("pt-BR", "America/Sao_Paulo"), ("ja-JP", "Asia/Tokyo")]
PLANS = ["free", "starter", "growth", "enterprise"]
POOL = 2048


def prop_pool(seed):
    """2048 property objects (3-6 keys) per event name, as JSON text without the closing brace."""
    rng = np.random.default_rng([seed, 99])
    pick = lambda xs: xs[int(rng.integers(len(xs)))]
    gens = [
        ("record_id", lambda: "rec_%016x" % int(rng.integers(1 << 62))),
        ("source", lambda: pick(["web", "api", "mobile", "slack", "import"])),
        ("duration_ms", lambda: int(rng.integers(20, 60000))),
        ("plan", lambda: pick(PLANS)),
        ("is_first_time", lambda: bool(rng.integers(2))),
        ("item_count", lambda: int(rng.integers(1, 500))),
        ("amount", lambda: round(float(rng.random() * 900), 2)),
        ("section", lambda: pick(["overview", "billing", "analytics/weekly", "team \"core\"", "pipeline \u2013 Q3"])),
        ("tags", lambda: [pick(["beta", "vip", "ops", "eu", "legacy"]) for _ in range(int(rng.integers(1, 4)))]),
    ]
    pools = []
    for e in range(len(EVENTS)):
        n = 3 + e % 4
        keys = [gens[int(i)] for i in rng.permutation(len(gens))[:n]]
        pools.append([json.dumps({k: g() for k, g in keys}, separators=(",", ":"), ensure_ascii=(i % 2 == 0))
                      for i in range(POOL)])
    return pools


# All calls as columns, and what their text is made of; the processes that write inherit it.
G = {}


def build(a):
    """Draws the archive. The order of the draws is part of the format: another order is another archive."""
    rng = np.random.default_rng(a.seed)
    A, N = a.accounts, a.events
    n_dup = int(N * COPIES)
    n = N - n_dup
    w = (np.arange(1, A + 1) ** -0.8)
    w /= w.sum()
    order = rng.permutation(A)
    aw = np.empty(A); aw[order] = w
    users_per = np.clip((200 * (aw / aw.max()) ** 0.5 * rng.lognormal(-0.3, 0.7, A)), 1, 200).astype(np.int64)
    ustart = np.concatenate([[0], np.cumsum(users_per)])
    U = int(ustart[-1])
    start_day = np.where(rng.random(A) < 0.7, 0, rng.integers(0, 75, A)).astype(np.int32)
    end_day = np.where(rng.random(A) < 0.12, rng.integers(20, DAYS, A), DAYS).astype(np.int32)   # churned
    end_day = np.maximum(end_day, start_day + 1)
    sends_gid = rng.random(A) >= 0.25               # a quarter of accounts never put groupId in context

    acct = rng.choice(A, size=n, p=aw).astype(np.int32)
    up = users_per[acct]
    user = (ustart[acct] + np.minimum((rng.random(n) ** 1.8 * up).astype(np.int64), up - 1)).astype(np.int32)
    span = (end_day - start_day)[acct]
    day = (start_day[acct] + (rng.random(n) * span).astype(np.int32)).astype(np.int32)
    wk = (day + 6) % 7                               # 2026-02-01 is a Sunday
    shift = (wk >= 5) & (rng.random(n) < 0.6)
    day = np.where(shift & (day - 2 >= start_day[acct]), day - 2, day).astype(np.int32)
    sec = np.clip(rng.normal(50_000, 14_000, n), 0, 86_399).astype(np.int64)
    ts = day.astype(np.int64) * DAY_MS + sec * 1000 + rng.integers(0, 1000, n)

    p = np.arange(1, 41) ** -0.75
    p /= p.sum()
    ev = rng.choice(40, size=n, p=p).astype(np.int8)
    # first event of each user is its group call (so that users without context.groupId can be attributed)
    o = np.lexsort((ts, user))
    first = np.zeros(n, bool)
    first[o[np.concatenate([[True], user[o][1:] != user[o][:-1]])]] = True
    r = rng.random(n)
    pg = max(0.0, 0.04 - first.mean())
    typ = np.where(r < pg, 2, np.where(r < pg + 0.04, 1, 0)).astype(np.int8)   # 0 track 1 identify 2 group
    typ[first] = 2
    late = rng.random(n) < 0.005
    sent = ts + rng.integers(100, 20_000, n) + np.where(late, rng.integers(DAY_MS, 3 * DAY_MS, n), 0)
    recv = sent + rng.integers(30, 900, n)
    over = recv >= DAYS * DAY_MS
    sent[over] = ts[over] + 40
    recv[over] = np.minimum(ts[over] + 90, DAYS * DAY_MS - 1)
    dup_of = rng.choice(n, size=n_dup, replace=False)
    drecv = np.minimum(recv[dup_of] + rng.integers(500, DAY_MS, n_dup), DAYS * DAY_MS - 1)
    idx = np.concatenate([np.arange(n), dup_of])
    recv_all = np.concatenate([recv, drecv])
    ordr = np.argsort(recv_all, kind="stable")
    uu = np.arange(U, dtype=np.uint64)
    h1, h2, h3 = mix(uu, a.seed * 11 + 1), mix(uu, a.seed * 11 + 2), mix(uu, a.seed * 11 + 3)
    ah = mix(np.arange(A, dtype=np.uint64), a.seed * 11 + 4)
    G.update(
        n=n, acct=acct, user=user, ts=ts, ev=ev, typ=typ, sent=sent, idx=idx[ordr], recv=recv_all[ordr],
        uid=["%016x%08x" % (int(x), int(y) & 0xFFFFFFFF) for x, y in zip(h1, h2)],
        anon=uuids(h2, h3),
        ip=["%d.%d.%d.%d" % (x % 223 + 1, x >> 8 & 255, x >> 16 & 255, x >> 24 & 255) for x in map(int, h3)],
        ua=[UAS[int(x) % len(UAS)] for x in h2],
        gid=["acc_%016x" % int(x) for x in ah], gshort=["%06x" % (int(x) & 0xFFFFFF) for x in ah],
        end_day=end_day, aw=aw, users_per=users_per, ustart=ustart, sends=sends_gid, pools=prop_pool(a.seed),
        dates=[str(BASE + i) for i in range(DAYS + 6)],
        hms=["T%02d:%02d:%02d." % (s // 3600, s // 60 % 60, s % 60) for s in range(86_400)],
        ms=["%03dZ" % m for m in range(1000)],
        slug=[e.lower().replace(" ", "-") for e in EVENTS], seed=a.seed)
    return U


def day_after(a, n_lines):
    """Replaces what is to be written by the calls received on the day after the archive: of accounts that are still there, with
    users that it knows and some that are new. One in a hundred is a second copy, half of these of calls of the day before."""
    rng = np.random.default_rng([a.seed, DAYS])
    n_dup = int(n_lines * COPIES)
    n = n_lines - n_dup
    start, end = DAYS * DAY_MS, (DAYS + 1) * DAY_MS
    there = np.flatnonzero(G["end_day"] == DAYS)
    acct = rng.choice(there, size=n, p=G["aw"][there] / G["aw"][there].sum()).astype(np.int32)
    up = G["users_per"][acct]
    user = (G["ustart"][acct] + np.minimum((rng.random(n) ** 1.8 * up).astype(np.int64), up - 1)).astype(np.int32)
    late = rng.random(n) < 0.005
    sec = np.clip(rng.normal(50_000, 14_000, n), 0, 86_399).astype(np.int64)
    recv = np.minimum(start + sec * 1000 + rng.integers(1000, 2000, n), end - 1)
    ts = recv - rng.integers(200, 900, n) - np.where(late, rng.integers(DAY_MS, 3 * DAY_MS, n), 0)
    sent = recv - rng.integers(30, 100, n)
    p = np.arange(1, 41) ** -0.75
    ev = rng.choice(40, size=n, p=p / p.sum()).astype(np.int8)
    r = rng.random(n)
    typ = np.where(r < 0.03, 2, np.where(r < 0.07, 1, 0)).astype(np.int8)
    o = np.lexsort((ts, user))
    first = np.zeros(n, bool)
    first[o[np.concatenate([[True], user[o][1:] != user[o][:-1]])]] = True
    typ[first & ~np.isin(user, G["user"])] = 2
    # Copies of calls of this day, and of the latest of the archive.
    own = rng.choice(n, size=n_dup - n_dup // 2, replace=False) + G["n"]
    before = G["idx"][-max(n_dup, 1) * 4:]
    before = rng.choice(np.unique(before), size=n_dup // 2, replace=False)
    recv_own = np.minimum(recv[own - G["n"]] + rng.integers(500, DAY_MS, len(own)), end - 1)
    recv_before = start + rng.integers(0, DAY_MS, len(before))
    idx = np.concatenate([np.arange(n) + G["n"], own, before])
    recv_all = np.concatenate([recv, recv_own, recv_before])
    order = np.argsort(recv_all, kind="stable")
    for name, more in dict(acct=acct, user=user, ts=ts, ev=ev, typ=typ, sent=sent).items():
        G[name] = np.concatenate([G[name], more])
    G.update(idx=idx[order], recv=recv_all[order])


def iso(t):
    D, H, Z = G["dates"], G["hms"], G["ms"]
    d, r = np.divmod(t, DAY_MS)
    s, m = np.divmod(r, 1000)
    return [D[x] + H[y] + Z[z] for x, y, z in zip(d.tolist(), s.tolist(), m.tolist())]


def lines(lo, hi):
    i = G["idx"][lo:hi]
    seed = G["seed"]
    h = mix(i, seed * 7 + 5)
    mid = uuids(mix(i, seed * 7 + 1), mix(i, seed * 7 + 2))
    ts, sent = G["ts"][i], G["sent"][i]
    acct, user, ev, typ = G["acct"][i].tolist(), G["user"][i].tolist(), G["ev"][i].tolist(), G["typ"][i].tolist()
    pi = (h % np.uint64(POOL)).astype(np.int64).tolist()
    anon_only = ((h >> np.uint64(20)) % np.uint64(50) == 0).tolist()     # 2% of tracks have no userId
    drop_gid = ((h >> np.uint64(32)) % np.uint64(20) == 0).tolist()      # 5% of tracks drop context.groupId
    lp = (h >> np.uint64(40)).astype(np.int64).tolist()
    T, S, R = iso(ts), iso(sent), iso(G["recv"][lo:hi])
    O = iso(np.maximum(ts - 37, 0))
    gid, gs, uid, anon, ip, ua = G["gid"], G["gshort"], G["uid"], G["anon"], G["ip"], G["ua"]
    sends, pools, slug = G["sends"].tolist(), G["pools"], G["slug"]
    out = []
    for k in range(hi - lo):
        a, u, e, t = acct[k], user[k], ev[k], typ[k]
        g, x = gid[a], lp[k]
        cg = f'"groupId":"{g}",' if sends[a] and not (drop_gid[k] and t == 0) else ""
        loc, tz = LOCTZ[a & 7]
        sl = slug[e]
        ctx = (f'"context":{{{cg}"ip":"{ip[u]}","library":{{"name":"analytics.js","version":"npm:next-1.{a % 60}.0"}},'
               f'"locale":"{loc}","page":{{"path":"/{gs[a]}/{sl}/{x & 65535}","referrer":"https://app.example.com/{gs[a]}/home",'
               f'"search":"?tab={x & 7}","title":"{EVENTS[e]} | Example","url":"https://app.example.com/{gs[a]}/{sl}/{x & 65535}?tab={x & 7}"}},'
               f'"timezone":"{tz}","userAgent":"{ua[u]}"}}')
        head = f'{{"anonymousId":"{anon[u]}","channel":"client",{ctx},'
        tail = f'"originalTimestamp":"{O[k]}","receivedAt":"{R[k]}","sentAt":"{S[k]}","timestamp":"{T[k]}"'
        if t == 0:
            us = "null" if anon_only[k] else f'"{uid[u]}"'
            out.append(f'{head}"event":"{EVENTS[e]}","integrations":{{"All":true}},"messageId":"{mid[k]}",'
                       f'"properties":{pools[e][pi[k]]},{tail},"type":"track","userId":{us}}}\n')
        elif t == 1:
            out.append(f'{head}"integrations":{{"All":true}},"messageId":"{mid[k]}",{tail},"traits":{{"email":"{uid[u][:8]}@{gs[a]}.example.com",'
                       f'"name":"User {uid[u][:6]}","role":"{("admin", "member", "viewer")[x % 3]}","createdAt":"2025-11-0{1 + u % 9}T00:00:00.000Z"}},'
                       f'"type":"identify","userId":"{uid[u]}"}}\n')
        else:
            out.append(f'{head}"groupId":"{g}","integrations":{{"All":true}},"messageId":"{mid[k]}",{tail},"traits":{{"name":"Account {gs[a]}",'
                       f'"plan":"{PLANS[a & 3]}","mrr":{a % 900},"employees":{a % 5000},"industry":"software"}},"type":"group","userId":"{uid[u]}"}}\n')
    return "".join(out).encode()


def write_file(job):
    f, lo, hi, out, fmt = job
    fp = open(f"{out}/plain/events-{f:03d}.ndjson", "wb") if fmt in ("both", "plain") else None
    fg = None
    if fmt in ("both", "gz"):
        raw = open(f"{out}/gz/events-{f:03d}.ndjson.gz", "wb")
        fg = gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0)
    nb = 0
    for s in range(lo, hi, 20_000):
        b = lines(s, min(s + 20_000, hi))
        nb += len(b)
        if fp: fp.write(b)
        if fg: fg.write(b)
    if fp: fp.close()
    if fg: fg.close(); raw.close()
    return nb


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--accounts", type=int, default=2000)
    ap.add_argument("--events", type=int, default=1_000_000)
    ap.add_argument("--seed", type=int, default=7)
    ap.add_argument("--out-dir", required=True)
    ap.add_argument("--format", choices=["both", "plain", "gz"], default="both")
    ap.add_argument("--procs", type=int, default=2)
    ap.add_argument("--day-after", type=int, metavar="CALLS")
    a = ap.parse_args()
    formats = ["plain", "gz"] if a.format == "both" else [a.format]
    for d in formats:
        os.makedirs(f"{a.out_dir}/{d}", exist_ok=True)
    users = build(a)
    if a.day_after:
        day_after(a, a.day_after)
    # One file a received day.
    days = range(DAYS, DAYS + 1) if a.day_after else range(DAYS)
    cuts = np.searchsorted(G["recv"] // DAY_MS, [*days, days.stop]).tolist()
    jobs = [(day, cuts[i], cuts[i + 1], a.out_dir, a.format) for i, day in enumerate(days)]
    with mp.get_context("fork").Pool(a.procs) as pool:
        size = sum(pool.imap_unordered(write_file, jobs))
    # Of the day after, copies of calls of the archive itself too.
    copies = len(G["idx"]) - len(np.unique(G["idx"])) + (int((np.unique(G["idx"]) < G["n"]).sum()) if a.day_after else 0)
    about = dict(calls=len(G["idx"]), copies=copies, bytes=size, accounts=a.accounts, users=users,
                 seed=a.seed, last_day=str(BASE + int(G["ts"][G["idx"]].max() // DAY_MS)))
    for d in formats:
        with open(f"{a.out_dir}/about-{d}.json", "w") as f:
            json.dump(about, f)
    print(json.dumps(about))


if __name__ == "__main__":
    main()
