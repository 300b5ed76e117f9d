"""vitalsync as one of the engines: its config, its commands, its accounts as the common table."""
import datetime
import json
import os
import shutil

import table
from definition import PERCENTILE, STEPS, WEIGHTS, WINDOW

CONFIG = """version: 1
timezone: UTC
state: {state}
sources:
  archive: {{ type: segment_archive, location: {archive} }}
accounts:
  id: [context.groupId]
profiles:
  - name: all
    window: {window}d
    events: {events}
    hold: off
    benchmark: {{ percentile: {percentile}, refresh: every_run }}
activation:
  steps: {steps}
"""


class Ours:
    """One state directory and the archive it is counted from. Nothing is sent: there are no destinations."""

    def __init__(self, binary, folder, archive):
        self.binary, self.folder = binary, folder
        self.state, self.config = os.path.join(folder, "state"), os.path.join(folder, "vitalsync.yaml")
        os.makedirs(folder, exist_ok=True)
        steps = {f"step_{place}": event for place, event in enumerate(STEPS, 1)}
        # JSON is YAML too.
        text = CONFIG.format(state=json.dumps(self.state), archive=json.dumps(archive), window=WINDOW,
                             percentile=PERCENTILE, events=json.dumps(WEIGHTS), steps=json.dumps(steps))
        with open(self.config, "w") as file:
            file.write(text)

    def forget(self, instead=None):
        """Begins with no state, or with a copy of another one."""
        shutil.rmtree(self.state, ignore_errors=True)
        if instead:
            shutil.copytree(instead, self.state)

    def command(self, *words, day):
        return [self.binary, *words, "--format", "json", "--as-of", day, "--config", self.config]

    def run(self, day):
        return self.command("run", "--once", day=day)

    def accounts(self, day):
        return self.command("accounts", day=day)


def milliseconds(time):
    """An RFC 3339 time in UTC as milliseconds since 1970."""
    since = datetime.datetime.fromisoformat(time.replace("Z", "+00:00")) - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return since // datetime.timedelta(milliseconds=1)


def write_table(accounts, path):
    """The answer of `vitalsync accounts --format json` as the common table; nothing is computed anew but units."""
    rows = []
    for account in accounts:
        users, frequency, last = account["users"], account["frequency"], account["last_active"]
        rows.append([account["account"], account["health"]["raw"], account["health"]["score"], users["active"], users["total"],
                     users["active_percent"], frequency["active_days"] / frequency["days"],
                     None if last is None else milliseconds(last), account["adoption"]["window_percent"] / 100,
                     account["activation"]["percent"], account["tenure_days"]])
    table.write(path, rows)
