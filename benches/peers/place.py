"""What a comparison needs to be there: an environment with the peers in their pinned versions, the archive, the binary."""
import gzip
import hashlib
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# What an engine is built from; numpy is the generator's. `python` is the standard library alone.
PINS = {"duckdb": ["duckdb==2.0.0"], "chdb": ["chdb==4.4.0"], "polars": ["polars==2.1.0"], "python": [], "vitalsync": []}
GENERATOR = ["numpy==2.4.6"]
SUFFIX = {"plain": ".ndjson", "gz": ".ndjson.gz"}


class Unfit(Exception):
    """Something is missing or not as said; the message says what."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def environment(cache, engines):
    """The interpreter of a virtual environment with what the engines and the generator need; made once for each set of pins."""
    pins = sorted(GENERATOR + [pin for engine in engines for pin in PINS[engine]])
    name = hashlib.sha256("\n".join([sys.version, *pins]).encode()).hexdigest()[:12]
    folder = os.path.join(cache, f"venv-{name}")
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(os.path.join(folder, "complete")):
        say(f"installing {', '.join(pins)}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins], check=True)
        open(os.path.join(folder, "complete"), "w").close()
    return python, pins


def binary(path):
    """vitalsync as it is in this repository, built for release, unless another one is named."""
    if path:
        if not os.path.isfile(path):
            raise Unfit(f"there is no {path}")
        return os.path.abspath(path)
    say("building vitalsync for release")
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=ROOT, check=True)
    return os.path.join(ROOT, os.environ.get("CARGO_TARGET_DIR", "target"), "release", "vitalsync")


def about(folder, kind):
    """What the generator says of an archive in one format, when it is complete; else None."""
    try:
        with open(os.path.join(folder, f"about-{kind}.json")) as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def generate(python, folder, shape, formats, day_after=None):
    """The archive of a shape (events, accounts, seed), or the day that follows it, in the formats that are not there yet."""
    for kind in formats:
        if about(folder, kind) is None:
            say(f"generating {os.path.join(folder, kind)}")
            command = [python, os.path.join(HERE, "generate.py"), "--out-dir", folder, "--format", kind,
                       "--events", str(shape["events"]), "--accounts", str(shape["accounts"]), "--seed", str(shape["seed"])]
            subprocess.run(command + (["--day-after", str(day_after)] if day_after else []), check=True, stdout=subprocess.DEVNULL)
    return about(folder, formats[0])


def described(folder, shape, formats):
    """What there is to know of an archive from elsewhere; where nothing is said it is taken for what the options say."""
    for kind in formats:
        if not files(folder, kind):
            raise Unfit(f"{folder}/{kind} has no *{SUFFIX[kind]}")
    known = about(folder, formats[0])
    if known:
        return known
    last = b""
    for path in files(folder, formats[0])[-3:]:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as lines:
            for line in lines:
                found = re.search(rb'"timestamp":"(\d{4}-\d\d-\d\d)', line)
                last = max(last, found.group(1) if found else b"")
    return dict(calls=shape["events"], copies=int(shape["events"] * 0.01), accounts=shape["accounts"], seed=shape["seed"],
                last_day=last.decode())


def files(folder, kind):
    """An archive's files in one format, in order."""
    place = os.path.join(folder, kind)
    names = sorted(os.listdir(place)) if os.path.isdir(place) else []
    return [os.path.join(place, name) for name in names if name.endswith(SUFFIX[kind])]


def size(folder):
    """Bytes of all files below a folder."""
    return sum(os.path.getsize(os.path.join(d, name)) for d, _, names in os.walk(folder) for name in names)
