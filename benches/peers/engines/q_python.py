#!/usr/bin/env python3
"""Naive recount with nothing but the standard library: all calls in memory, each measure a loop. The measure of correctness,
not of speed."""
import collections
import datetime
import glob
import gzip
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from definition import MEMBER_DAYS, STEPS, WEIGHTS, WINDOW
from table import arguments, finish

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
Call = collections.namedtuple("Call", "kind event user device account ms day")


def calls(pattern):
    """Every call once, whichever copy comes first."""
    seen = set()
    for path in sorted(glob.glob(pattern)):
        with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                call = json.loads(line)
                if call["messageId"] in seen:
                    continue
                seen.add(call["messageId"])
                since = datetime.datetime.fromisoformat(call["timestamp"].replace("Z", "+00:00")) - EPOCH
                stated = call.get("groupId") if call["type"] == "group" else call["context"].get("groupId")
                yield Call(call["type"], call.get("event"), call["userId"], call["anonymousId"], stated,
                           since // datetime.timedelta(milliseconds=1), since.days)


def count(everything, definition, last_day=None):
    """The rows that `finish` takes."""
    ours = definition == "vitalsync"
    devices = {}      # who a device is, as identify and group calls say
    for call in everything:
        if ours and call.kind != "track" and call.user and call.device:
            devices[call.device] = max(call.user, devices.get(call.device, ""))

    def who(call):
        return call.user or (devices.get(call.device, call.device) if ours else None)

    groups = {}
    for call in everything:
        if call.kind == "group":
            groups[who(call)] = max(call.account, groups.get(who(call), ""))
    accounts = collections.defaultdict(list)
    for call in everything:
        account = call.account or groups.get(who(call))
        if account and not (ours and call.kind == "identify"):
            accounts[account].append(call)

    last_day = last_day or max(call.day for call in everything)
    for account, own in accounts.items():
        events = [call for call in own if call.kind == "track"]
        window = [call for call in events if call.day > last_day - WINDOW]
        weighted = [call for call in window if call.event in WEIGHTS]
        active = weighted if ours else window
        members = [call for call in events if call.day > last_day - MEMBER_DAYS] if ours else own
        started = events if ours else own
        yield (account,
               sum(WEIGHTS[call.event] for call in weighted) if events or not ours else None,
               len({who(call) for call in active} - {None}),
               len({who(call) for call in members} - {None}),
               len({call.day for call in active}),
               max((call.ms for call in events), default=None),
               len({call.event for call in weighted}),
               len({call.event for call in events} & set(STEPS)),
               last_day - min(call.day for call in started) if started else None)


def main():
    options = arguments()
    finish(options.out, options.definition, count(list(calls(options.glob)), options.definition, options.last_day))


if __name__ == "__main__":
    main()
