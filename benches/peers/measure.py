"""One process at a time, measured whole, and many in turn: what the operating system says of it when it ends.

A command is started by a small process of its own (this file as a program), because a new process's peak of memory begins with
that of the one that started it.
"""
import json
import os
import statistics
import subprocess
import sys
import time

MEASURES = ["wall_s", "cpu_s", "peak_mib"]


def busy():
    """Seconds of CPU that this machine has spent on everybody so far; 0 where that is not said."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    except OSError:
        return 0.0
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def start(log, argv):
    """Runs a command to its end; its output goes to LOG.out and LOG.err."""
    with open(log + ".out", "wb") as out, open(log + ".err", "wb") as err:
        others, since = busy(), time.monotonic()
        child = subprocess.Popen(argv, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        wall, others = time.monotonic() - since, busy() - others
        child.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return dict(exit=child.returncode, wall_s=round(wall, 4), cpu_s=round(cpu, 4), peak_mib=round(usage.ru_maxrss / 1024, 1),
                others_cpu_s=round(max(0.0, others - cpu), 2))


def run(argv, log):
    """Runs a command. Wall seconds; CPU seconds, user and system, of it and all its children; the peak of resident memory of
    the largest of them; CPU seconds that others used meanwhile. Output goes to LOG.out and LOG.err."""
    answer = subprocess.run([sys.executable, "-E", "-S", os.path.abspath(__file__), log, *argv], stdout=subprocess.PIPE, check=True)
    measured = json.loads(answer.stdout)
    if measured.pop("exit") != 0:
        with open(log + ".err", errors="replace") as err, open(log + ".out", errors="replace") as out:
            said = (err.read() + out.read()[-2000:])[-4000:]
        raise RuntimeError(f"failed: {' '.join(argv)}\n{said}")
    return measured


def interleaved(tasks, rounds, log, tell):
    """Runs every task once a round, the first of one round being the last of the next: whatever the machine does meanwhile
    hits all alike. Tasks are (name, prepare), prepare giving the command. By name, the list of what was measured; a task's last
    output is in LOG-NAME.out."""
    measured = {name: [] for name, _ in tasks}
    for turn in range(rounds):
        for name, prepare in tasks[turn % len(tasks):] + tasks[:turn % len(tasks)]:
            argv = prepare()
            os.sync()      # nobody pays for what the one before has left to write
            result = run(argv, f"{log}-{name}")
            measured[name].append(dict(result, round=turn))
            tell(f"round {turn + 1} of {rounds}: {name}: {result['wall_s']:.2f} s wall, {result['cpu_s']:.2f} s CPU, "
                 f"{result['peak_mib']:.0f} MiB")
    return measured


def medians(runs):
    return {measure: statistics.median(run[measure] for run in runs) for measure in MEASURES}


def ratios(ours, theirs):
    """Medians of vitalsync ÷ medians of a peer."""
    return {measure: round(ours[measure] / theirs[measure], 4) if theirs[measure] else None for measure in MEASURES}


if __name__ == "__main__":
    print(json.dumps(start(sys.argv[1], sys.argv[2:])))
