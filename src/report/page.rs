//! A backtest as one page that can be mailed: self-contained, without scripts, and nothing on it comes from elsewhere.

use std::fmt::Write;

use super::{BacktestReport, PredictorReport};

/// The side of the plot, in pixels, and what is around it.
const SIDE: f64 = 400.0;
const MARGIN: f64 = 50.0;
/// A colour for each figure, told apart by colour-blind people too (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse}td,th{padding:.3rem .8rem;border-bottom:1px solid #ddd;text-align:right}\
td:first-child,th:first-child{text-align:left}.note{color:#555}";

/// The page.
pub fn page(report: &BacktestReport) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">");
    let _ =
        write!(out, "<title>Backtest</title><style>{STYLE}</style></head>\n<body>\n<h1>Who was seen leaving</h1>\n");
    let _ = writeln!(out, "<p>{}.</p>", escaped(&report.said()));
    out.push_str(&table(report));
    out.push_str(&plot(&report.predictors));
    out.push_str(
        "<p class=\"note\">The area under the curve (AUC) is the chance that a figure ranks an account that left above one that \
         stayed; 0.5 is a coin&#39;s. Intervals hold 95 % of what drawing the accounts anew gives. Lift is how many times more \
         often a flagged account left than any. A figure that foresees an end need not be its cause.</p>\n</body>\n</html>\n",
    );
    out
}

fn table(report: &BacktestReport) -> String {
    let mut out = String::from(
        "<table>\n<tr><th>figure</th><th>AUC</th><th>95 %</th><th>precision</th><th>recall</th><th>lift</th>",
    );
    let leads: Vec<i32> =
        report.predictors.first().into_iter().flat_map(|one| &one.recall_at_lead).map(|lead| lead.lead_days).collect();
    leads.iter().for_each(|days| out.push_str(&format!("<th>{days} d before</th>")));
    out.push_str("<th>in words</th></tr>\n");
    let figure = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| format!("{value:.2}"));
    for one in &report.predictors {
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}–{}</td><td>{}</td><td>{}</td><td>{}</td>",
            escaped(&one.name),
            figure(one.auc),
            figure(one.auc_low),
            figure(one.auc_high),
            figure(one.precision_at_k),
            figure(one.recall_at_k),
            figure(one.lift_at_k)
        );
        one.recall_at_lead.iter().for_each(|lead| out.push_str(&format!("<td>{}</td>", figure(lead.recall))));
        let _ = writeln!(out, "<td>{}</td></tr>", escaped(&one.said()));
    }
    out.push_str("</table>\n");
    out
}

/// The ROC curves.
fn plot(predictors: &[PredictorReport]) -> String {
    let (width, height) = (SIDE + MARGIN + 240.0, SIDE + 2.0 * MARGIN);
    let mut out = format!(
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\" aria-label=\"ROC curves\" font-size=\"13\">\n\
         <rect x=\"{MARGIN}\" y=\"{MARGIN}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#999\"/>\n\
         <line x1=\"{MARGIN}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{MARGIN}\" stroke=\"#bbb\" stroke-dasharray=\"4\"/>\n\
         <text x=\"{MARGIN}\" y=\"{under}\">share of those that stayed that is flagged (0 to 100 %)</text>\n\
         <text x=\"{MARGIN}\" y=\"{over}\">share of those that left that is found (0 to 100 %)</text>\n",
        bottom = MARGIN + SIDE,
        right = MARGIN + SIDE,
        under = MARGIN + SIDE + 24.0,
        over = MARGIN - 12.0,
    );
    for (at, (one, colour)) in predictors.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let step = SIDE / one.roc.len().saturating_sub(1).max(1) as f64;
        let points: Vec<String> = one
            .roc
            .iter()
            .enumerate()
            .map(|(place, found)| format!("{:.1},{:.1}", MARGIN + place as f64 * step, MARGIN + SIDE * (1.0 - found)))
            .collect();
        let (x, y) = (MARGIN + SIDE + 20.0, MARGIN + 20.0 + 22.0 * at as f64);
        let _ = write!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{}</text>\n",
            points.join(" "),
            escaped(&one.name)
        );
    }
    out.push_str("</svg>\n");
    out
}

/// Text as it may stand in a page.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        assert_eq!(escaped("<b>&\"'"), "&lt;b&gt;&amp;&quot;&#39;");
    }
}
