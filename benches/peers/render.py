"""The result as Markdown. All figures are medians; ratios are ratios of medians."""


def number(value):
    return "–" if value is None else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def rows(result, part):
    """A row for each engine: its medians, and what vitalsync's are in ratio to them."""
    lines = ["| | wall s | CPU s | peak MiB | calls per CPU s | vitalsync ÷ it: wall | CPU | memory |", "|---|--:|--:|--:|--:|--:|--:|--:|"]
    for name, found in part["engines"].items():
        medians, ratio = found["medians"], found.get("ratios")
        rate = f"{part['calls'] / medians['cpu_s']:,.0f}" if medians["cpu_s"] else "–"
        cells = [number(ratio[measure]) if ratio else "" for measure in ("wall_s", "cpu_s", "peak_mib")]
        title = f"{name} {result['versions'].get(name, '')}".strip()
        figures = [number(medians[measure]) for measure in ("wall_s", "cpu_s", "peak_mib")]
        lines.append("| " + " | ".join([title, *figures, rate, *cells]) + " |")
    return lines


def markdown(result):
    data = result["data"]
    lines = [f"{data['calls']:,} calls of {data['accounts']:,} accounts; medians of {result['rounds']} rounds in turn, whole processes, "
             f"{result['cpus']} CPUs; the peers answer the definition `{result['definition']}`.", ""]
    for part in result["parts"]:
        lines += [f"**{part['title']}**", "", *rows(result, part), ""]
        lines += [f"- {note}" for note in part["notes"]] + [""]
    equal = [check for check in result["checks"] if check["equal"]]
    lines.append(f"{len(equal)} of {len(result['checks'])} comparisons equal, to the last digit:")
    lines.append("")
    for check in result["checks"]:
        lines.append(f"- {'equal' if check['equal'] else 'DIFFERENT'}: {check['what']}")
        for column, examples in check.get("differences", {}).items():
            lines.append(f"  - {column}: {examples['count']} differ, as in {examples['examples']}")
    return "\n".join(lines) + "\n"


def quiet(result):
    """False if others used more than a tenth of the CPU time that there was: then nothing here is to be quoted."""
    runs = [run for part in result["parts"] for found in part["engines"].values() for run in found["runs"]]
    there = sum(run["wall_s"] for run in runs) * result["cpus"]
    return not there or sum(run["others_cpu_s"] for run in runs) <= 0.1 * there
