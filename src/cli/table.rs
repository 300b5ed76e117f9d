//! Plain tables for people.

use std::borrow::Cow;

/// Text whose control characters are written as escapes, but for those that are `fine`.
pub(super) fn tame(text: &str, fine: impl Fn(char) -> bool) -> Cow<'_, str> {
    let wild = |c: char| c.is_control() && !fine(c);
    if !text.contains(wild) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| if wild(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// So wide a cell is shown at most, but in the last column, which makes no other row wider: there stand reasons.
const WIDEST: usize = 80;

fn cut(mut cell: String) -> String {
    if let Some((last, _)) = cell.char_indices().nth(WIDEST - 1)
        && cell.chars().nth(WIDEST).is_some()
    {
        cell.truncate(last);
        cell.push('…');
    }
    cell
}

/// Columns as wide as their widest cell, two spaces between; numbers to the right.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let shown = |(column, cell): (usize, &String)| {
        let cell = tame(cell, |_| false).into_owned();
        if column + 1 == head.len() { cell } else { cut(cell) }
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().enumerate().map(shown).collect()).collect();
    let rows = rows.as_slice();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_writes_breaks_no_row_and_tells_the_terminal_nothing() {
        let rows = [vec!["a\u{1b}[31mred\nnext".to_owned(), "1".to_owned()], vec!["é".to_owned(), "10".to_owned()]];
        assert_eq!(
            table(&["event", "n"], &rows),
            "event                  n\na\\u{1b}[31mred\\nnext   1\né                     10\n"
        );
        assert_eq!(tame("a\nb\u{7}", |c| c == '\n'), "a\nb\\u{7}");
    }

    #[test]
    fn one_long_cell_makes_no_wide_table_and_the_last_column_is_whole() {
        let long = "é".repeat(1024);
        let rows = [vec![long.clone(), "1".into(), long.clone()], vec!["b".into(), "2".into(), "c".into()]];
        let cut = format!("{}…", "é".repeat(WIDEST - 1));
        let pad = |text: &str| format!("{text}{}", " ".repeat(WIDEST - text.chars().count()));
        assert_eq!(
            table(&["account", "n", "why"], &rows),
            format!("{}  n  why\n{cut}  1  {long}\n{}  2  c\n", pad("account"), pad("b"))
        );
    }
}
