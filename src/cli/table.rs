//! Plain tables for people.

/// Columns as wide as their widest cell, two spaces between; numbers to the right.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |text: &str| text.chars().count();
    let mut widths: Vec<usize> = head.iter().map(|cell| width(cell)).collect();
    for row in rows {
        for (column, cell) in widths.iter_mut().zip(row) {
            *column = (*column).max(width(cell));
        }
    }
    let numeric = |column: usize| {
        let number =
            |cell: &String| cell.starts_with(|c: char| c.is_ascii_digit() || "+-–".contains(c)) && !cell.contains("-0");
        !rows.is_empty() && rows.iter().filter_map(|row| row.get(column)).all(number)
    };
    let right: Vec<bool> = (0..head.len()).map(numeric).collect();
    let line = |cells: &[String]| {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let pad = " ".repeat(widths.get(column).copied().unwrap_or(0).saturating_sub(width(cell)));
            let (before, after) =
                if right.get(column) == Some(&true) { (pad.as_str(), "") } else { ("", pad.as_str()) };
            line.push_str(&format!("{before}{cell}{after}  "));
        }
        format!("{}\n", line.trim_end())
    };
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let mut out = line(&head);
    rows.iter().for_each(|row| out.push_str(&line(row)));
    out
}

/// A number with one decimal, or a dash.
pub(super) fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.1}"))
}

/// A whole number, rounded half up, or a dash.
pub(super) fn whole(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |value| vitalsync_core::health::shown(value).to_string())
}

/// A percentage, rounded half up, or a dash.
pub(super) fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |_| format!("{} %", whole(value)))
}

/// A change with its sign, or a dash.
pub(super) fn change(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:+.1}"))
}

/// Text, or a dash.
pub(super) fn text(value: Option<&str>) -> String {
    value.unwrap_or("–").to_owned()
}
