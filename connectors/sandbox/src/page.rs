//! What an account holds, as one page of HTML for people who run the demo.
//!
//! Everything that was written by a client is escaped. No script, nothing loaded from elsewhere.

use std::fmt::Write;

use serde_json::Value;

use crate::{Sandbox, Vendor};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:0;background:#f6f7f9;color:#1d2433}\
header{background:#1d2433;color:#fff;padding:18px 28px}header h1{font-size:19px;margin:0}header p{margin:2px 0 0;\
opacity:.7}main{padding:22px 28px;overflow-x:auto}table{border-collapse:collapse;background:#fff;border-radius:8px;\
box-shadow:0 1px 3px #0002}th,td{text-align:left;padding:7px 14px;border-bottom:1px solid #edf0f4;vertical-align:top;\
max-width:32em;overflow-wrap:anywhere}th{font-size:12px;color:#667085;white-space:nowrap}.tag{display:inline-block;\
background:#e4edff;color:#1a4fbf;border-radius:9px;padding:0 9px;margin:0 4px 4px 0}.message{background:#fff;\
border-radius:8px;box-shadow:0 1px 3px #0002;padding:12px 16px;margin:0 0 12px;max-width:46em;white-space:pre-wrap}\
.message b.header{display:block;font-size:17px}.small{color:#667085;font-size:12.5px}hr{border:0;border-top:1px solid \
#edf0f4}.fields{display:grid;grid-template-columns:1fr 1fr;gap:6px 18px}h2{font-size:16px}";

/// What the standard says about itself rather than about the customer.
const PLUMBING: &[&str] = &["hs_object_id", "createdate", "hs_lastmodifieddate"];

pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

pub(crate) fn render(sandbox: &Sandbox) -> String {
    let (title, body) = match sandbox.vendor() {
        Vendor::HubSpot => ("HubSpot", companies(sandbox)),
        Vendor::Intercom => ("Intercom", contacts(sandbox)),
        Vendor::Slack => ("Slack", messages(sandbox)),
        Vendor::Webhook => ("Webhook", hooks(sandbox)),
    };
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title} (sandbox)</title><style>{STYLE}</style><header><h1>{title} \
         <small>(sandbox)</small></h1><p>Not the real thing: an emulation that holds what was written to it. {} \
         requests so far.</p></header><main>{body}</main></html>",
        sandbox.journal().len()
    )
}

fn table(head: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head: String = head.iter().map(|name| format!("<th>{}</th>", escape(name))).collect();
    let rows: String = rows
        .map(|cells| format!("<tr>{}</tr>", cells.iter().map(|cell| format!("<td>{cell}</td>")).collect::<String>()))
        .collect();
    if rows.is_empty() {
        return "<p>Nothing here yet.</p>".to_owned();
    }
    format!("<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
}

fn companies(sandbox: &Sandbox) -> String {
    let companies = sandbox.companies();
    let mut columns = vec!["name".to_owned(), "domain".to_owned()];
    for company in &companies {
        for name in company.properties.keys() {
            if !PLUMBING.contains(&name.as_str()) && !columns.contains(name) {
                columns.push(name.clone());
            }
        }
    }
    columns[2..].sort();
    let head: Vec<String> = ["id".to_owned()].into_iter().chain(columns.iter().cloned()).collect();
    let row = |company: &crate::Company| {
        let cell = |name: &String| company.properties.get(name).map(|value| escape(value)).unwrap_or_default();
        [escape(&company.id)].into_iter().chain(columns.iter().map(cell)).collect()
    };
    format!("<h2>{} companies</h2>{}", companies.len(), table(&head, companies.iter().map(row)))
}

fn contacts(sandbox: &Sandbox) -> String {
    let contacts = sandbox.contacts();
    let head = ["external id", "name", "email", "tags", "custom attributes"].map(str::to_owned);
    let row = |contact: &crate::Contact| {
        let tags: String = contact.tags.iter().map(|tag| format!("<span class=tag>{}</span>", escape(tag))).collect();
        let custom: Vec<String> = contact
            .custom_attributes
            .iter()
            .map(|(name, value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                format!("<span class=small>{}</span> {}", escape(name), escape(&value))
            })
            .collect();
        let plain = [&contact.external_id, &contact.name, &contact.email].map(|text| escape(text));
        plain.into_iter().chain([tags, custom.join("<br>")]).collect()
    };
    format!("<h2>{} contacts</h2>{}", contacts.len(), table(&head, contacts.iter().map(row)))
}

fn hooks(sandbox: &Sandbox) -> String {
    let crate::Account::Webhook(account) = &sandbox.account else { return String::new() };
    let head = ["record", "newest message"].map(str::to_owned);
    let rows = account.records().iter().map(|(name, message)| vec![escape(name), escape(&message.to_string())]);
    format!("<h2>{} records</h2>{}", account.records().len(), table(&head, rows))
}

fn messages(sandbox: &Sandbox) -> String {
    let crate::Account::Slack(account) = &sandbox.account else { return String::new() };
    let messages = sandbox.messages();
    let mut out = String::new();
    for name in account.channel_names() {
        _ = write!(out, "<h2># {}</h2>", escape(name));
        for message in messages.iter().filter(|message| message.channel_name == name) {
            let body = match message.blocks.as_array() {
                Some(blocks) if !blocks.is_empty() => blocks.iter().map(block).collect(),
                _ => text(&message.text),
            };
            let seconds: i64 = message.ts.split('.').next().and_then(|text| text.parse().ok()).unwrap_or(0);
            let at = vitalsync_core::Timestamp(seconds * 1000);
            _ = write!(out, "<div class=message><div class=small>vitalsync · {at}</div>{body}</div>");
        }
    }
    if out.is_empty() { "<p>No channels yet.</p>".to_owned() } else { out }
}

/// Slack escapes `& < >` itself: what arrives escaped is shown as what it means.
fn text(raw: &str) -> String {
    let meant = raw.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let mut out = String::new();
    let mut bold = false;
    for (at, part) in escape(&meant).split('*').enumerate() {
        if at > 0 {
            out.push_str(if bold { "</b>" } else { "<b>" });
            bold = !bold;
        }
        out.push_str(part);
    }
    if bold { escape(&meant) } else { out }
}

fn block(block: &Value) -> String {
    let own = |value: &Value| text(value["text"].as_str().unwrap_or_default());
    let list = |key: &str| block[key].as_array().into_iter().flatten().map(own).collect::<Vec<_>>();
    match block["type"].as_str().unwrap_or_default() {
        "header" => format!("<b class=header>{}</b>", own(&block["text"])),
        "section" => {
            let fields: String = list("fields").iter().map(|field| format!("<div>{field}</div>")).collect();
            format!("<div>{}</div><div class=fields>{fields}</div>", own(&block["text"]))
        }
        "context" => format!("<div class=small>{}</div>", list("elements").join(" · ")),
        "divider" => "<hr>".to_owned(),
        other => format!("<div class=small>[{}]</div>", escape(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_client_is_markup() {
        assert_eq!(escape("<a b='\"&"), "&lt;a b=&#39;&quot;&amp;");
        assert_eq!(text("*&lt;b&gt;* <script>"), "<b>&lt;b&gt;</b> &lt;script&gt;");
        assert_eq!(text("2 * 3"), "2 * 3");
    }
}
