//! Block Kit's limits, as far as messages need them.
//!
//! Interactive elements are only known by name; their insides are not checked.

use serde_json::Value;

/// All text of all blocks together: measured by others, not documented.
const MOST_TEXT: usize = 13_200;

/// Checks blocks (null: none). The error's code, and messages that name the place.
pub(super) fn check(blocks: &Value) -> Result<(), (&'static str, Vec<String>)> {
    let blocks = match blocks {
        Value::Null => return Ok(()),
        Value::Array(blocks) => blocks,
        _ => return Err(("invalid_blocks_format", vec!["blocks must be an array".into()])),
    };
    let mut faults = vec![];
    if blocks.len() > 50 {
        faults.push("no more than 50 items allowed [json-pointer:/blocks]".to_owned());
    }
    let mut total = 0;
    let mut ids = vec![];
    for (at, block) in blocks.iter().enumerate() {
        let mut checker = Checker { at: format!("/blocks/{at}"), faults: &mut faults, total: &mut total };
        checker.block(block);
        if let Some(id) = block["block_id"].as_str() {
            if id.chars().count() > 255 || ids.contains(&id) {
                faults.push(format!("invalid or repeated block_id [json-pointer:/blocks/{at}/block_id]"));
            }
            ids.push(id);
        }
    }
    if !faults.is_empty() {
        return Err(("invalid_blocks", faults));
    }
    if total > MOST_TEXT {
        return Err(("msg_blocks_too_long", vec![format!("{total} characters in blocks")]));
    }
    Ok(())
}

struct Checker<'a> {
    at: String,
    faults: &'a mut Vec<String>,
    total: &'a mut usize,
}

impl Checker<'_> {
    fn fault(&mut self, what: &str, below: &str) {
        self.faults.push(format!("{what} [json-pointer:{}{below}]", self.at));
    }

    fn block(&mut self, block: &Value) {
        match block["type"].as_str() {
            Some("section") => {
                let fields = block["fields"].as_array();
                if block.get("text").is_none() && fields.is_none() {
                    self.fault("must have text or fields", "");
                }
                if block.get("text").is_some() {
                    self.text(&block["text"], "/text", 3000, false);
                }
                if fields.is_some_and(|fields| fields.is_empty() || fields.len() > 10) {
                    self.fault("must have 1 to 10 items", "/fields");
                }
                for (at, field) in fields.into_iter().flatten().enumerate() {
                    self.text(field, &format!("/fields/{at}"), 2000, false);
                }
            }
            Some("header") => self.text(&block["text"], "/text", 150, true),
            Some("context") => {
                let elements = block["elements"].as_array().cloned().unwrap_or_default();
                if elements.is_empty() || elements.len() > 10 {
                    self.fault("must have 1 to 10 items", "/elements");
                }
                for (at, element) in elements.iter().enumerate() {
                    if element["type"] != "image" {
                        self.text(element, &format!("/elements/{at}"), 2000, false);
                    }
                }
            }
            Some("actions") => {
                let elements = block["elements"].as_array().map_or(0, Vec::len);
                if elements == 0 || elements > 25 {
                    self.fault("must have 1 to 25 items", "/elements");
                }
            }
            Some("divider" | "image" | "rich_text" | "video" | "file" | "input" | "markdown" | "table") => {}
            _ => self.fault("unsupported type", "/type"),
        }
    }

    fn text(&mut self, text: &Value, below: &str, most: usize, plain: bool) {
        match text["type"].as_str() {
            Some("plain_text") => {}
            Some("mrkdwn") if !plain => {}
            _ => return self.fault("must be a text object of the right type", below),
        }
        let length = text["text"].as_str().map_or(0, |text| text.chars().count());
        *self.total += length;
        if length == 0 {
            self.fault("must be more than 0 characters", &format!("{below}/text"));
        }
        if length > most {
            self.fault(&format!("must be less than {} characters", most + 1), &format!("{below}/text"));
        }
    }
}
