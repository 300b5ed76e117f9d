//! HubSpot, Intercom, Slack and a receiver of webhooks, emulated: strict, stateful and pure.
//!
//! One [`Sandbox`] is one account at one vendor. It answers as the vendor's documents say, refuses what the vendor
//! would refuse, and keeps what was written, so that the demo and the tests see the product's real effect, and so that
//! a client that is sloppy fails here first.
//!
//! There is deliberately no socket, no clock, no thread and no chance here: [`Sandbox::handle`] is a function of the
//! state, the request and the moment. Serving it over HTTP is the shell's work.

use serde::Serialize;
use serde_json::Value;

mod control;
mod faults;
mod http;
mod hubspot;
mod intercom;
mod limits;
mod page;
mod slack;
mod webhook;

pub use faults::{Canned, Fault, FaultKind};
pub use hubspot::Company;
pub use intercom::Contact;
pub use limits::Limits;
pub use slack::Message;

use http::{Answer, Call};

/// One HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// The method, in capitals.
    pub method: String,
    /// Path and query, not decoded.
    pub path: String,
    /// Header names (in any case) and values.
    pub headers: Vec<(String, String)>,
    /// The body as sent.
    pub body: Vec<u8>,
}

/// What to answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// The status; 0 if `drop`.
    pub status: u16,
    /// The headers, without those of the transport.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// Wait so many milliseconds before answering.
    pub delay_ms: u64,
    /// Close the connection without answering.
    pub drop: bool,
}

/// The vendors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Vendor {
    /// HubSpot's CRM.
    HubSpot,
    /// Intercom.
    Intercom,
    /// Slack's Web API and incoming webhooks.
    Slack,
    /// An address of one's own: `/hooks/TOKEN`.
    Webhook,
}

impl Vendor {
    /// The vendor behind a `type:` of the config.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "hubspot" => Self::HubSpot,
            "intercom" => Self::Intercom,
            "slack" => Self::Slack,
            "webhook" => Self::Webhook,
            _ => return None,
        })
    }
}

/// One request of the vendor's API, as it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The status answered; 0 if the connection was closed.
    pub status: u16,
    /// What happened, in a few words.
    pub note: String,
}

enum Account {
    HubSpot(Box<hubspot::HubSpot>),
    Intercom(Box<intercom::Intercom>),
    Slack(Box<slack::Slack>),
    Webhook(Box<webhook::Webhook>),
}

/// One account at one vendor.
pub struct Sandbox {
    token: String,
    account: Account,
    faults: faults::Plan,
    journal: Vec<Entry>,
    now: i64,
}

impl Sandbox {
    /// An empty account that accepts this bearer token. The account's own id follows from the token.
    pub fn new(vendor: Vendor, token: &str) -> Self {
        let account = match vendor {
            Vendor::HubSpot => Account::HubSpot(Box::new(hubspot::HubSpot::new(token))),
            Vendor::Intercom => Account::Intercom(Box::new(intercom::Intercom::new(token))),
            Vendor::Slack => Account::Slack(Box::new(slack::Slack::new(token))),
            Vendor::Webhook => Account::Webhook(Box::default()),
        };
        Self { token: token.to_owned(), account, faults: faults::Plan::default(), journal: vec![], now: 0 }
    }

    /// Which vendor this is.
    pub fn vendor(&self) -> Vendor {
        match self.account {
            Account::HubSpot(_) => Vendor::HubSpot,
            Account::Intercom(_) => Vendor::Intercom,
            Account::Slack(_) => Vendor::Slack,
            Account::Webhook(_) => Vendor::Webhook,
        }
    }

    /// Answers one request at a moment (milliseconds since 1970). Moments may repeat; they must not run backwards.
    pub fn handle(&mut self, request: &Request, now_ms: i64) -> Reply {
        self.now = self.now.max(now_ms);
        let call = Call::of(request, now_ms);
        if call.segments.first().is_some_and(|part| part == "_sandbox") {
            return control::handle(self, &call).reply();
        }
        if call.path == "/" && call.method == "GET" {
            let html = call.header("accept").is_some_and(|kinds| kinds.contains("text/html"));
            if html || call.header("authorization").is_none() {
                return Answer::text(200, "text/html; charset=utf-8", page::render(self)).reply();
            }
        }
        let reply = match self.faults.meet(call.method, call.path) {
            None => self.carry_out(&call),
            Some(FaultKind::Answer(canned)) => (said(canned), "fault: answered, not carried out".into()),
            Some(FaultKind::AnswerAfter(canned)) => {
                let (done, note) = self.carry_out(&call);
                (said(canned), format!("fault: carried out with {} {note}", done.status))
            }
            Some(FaultKind::DropBefore) => (dropped(), "fault: dropped, not carried out".into()),
            Some(FaultKind::DropAfter) => {
                let (done, note) = self.carry_out(&call);
                (dropped(), format!("fault: dropped, carried out with {} {note}", done.status))
            }
            Some(FaultKind::SlowMs(delay_ms)) => {
                let (reply, note) = self.carry_out(&call);
                (Reply { delay_ms, ..reply }, note)
            }
            Some(FaultKind::EmptyResults) => {
                (hubspot::empty_results(&call).reply(), "fault: no results, nothing written".into())
            }
            Some(FaultKind::Partial(status)) => {
                let (fewer, refused) = hubspot::refuse_half(request);
                let (reply, note) = self.carry_out(&Call::of(&fewer, now_ms));
                (hubspot::with_refused(reply, status, refused), format!("fault: half of it refused; {note}"))
            }
        };
        let (reply, note) = reply;
        self.journal.push(Entry {
            at: now_ms,
            method: request.method.clone(),
            path: request.path.clone(),
            status: reply.status,
            note,
        });
        reply
    }

    fn carry_out(&mut self, call: &Call) -> (Reply, String) {
        let answer = match &mut self.account {
            Account::HubSpot(account) => account.handle(call, &self.token),
            Account::Intercom(account) => account.handle(call, &self.token),
            Account::Slack(account) => account.handle(call, &self.token),
            Account::Webhook(account) => account.handle(call, &self.token),
        };
        let note = answer.note.clone();
        (answer.reply(), note)
    }

    /// Every request of the vendor's API so far; control requests and the page are not in it.
    pub fn journal(&self) -> &[Entry] {
        &self.journal
    }

    /// Appends faults to the plan.
    pub fn add_faults(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.0.extend(faults);
    }

    /// Forgets all faults.
    pub fn clear_faults(&mut self) {
        self.faults.0.clear();
    }

    /// Sets limits; those of other vendors are ignored.
    pub fn set_limits(&mut self, limits: &Limits) {
        match &mut self.account {
            Account::HubSpot(account) => account.set_limits(limits),
            Account::Intercom(account) => account.set_limits(limits),
            Account::Slack(account) => account.set_limits(limits),
            Account::Webhook(_) => {}
        }
    }

    /// The whole remote state, as `GET /_sandbox/state` gives it.
    pub fn state(&self) -> Value {
        match &self.account {
            Account::HubSpot(account) => account.state(),
            Account::Intercom(account) => account.state(),
            Account::Slack(account) => account.state(),
            Account::Webhook(account) => account.state(),
        }
    }

    /// Puts things there, from the JSON of `POST /_sandbox/seed`; gives the new ids by kind.
    ///
    /// # Errors
    /// In words, at the first thing that the vendor could not hold; what came before it stays.
    pub fn seed(&mut self, wanted: &Value) -> Result<Value, String> {
        let now = self.now;
        match &mut self.account {
            Account::HubSpot(account) => account.seed(wanted, now),
            Account::Intercom(account) => account.seed(wanted, now),
            Account::Slack(account) => account.seed(wanted),
            Account::Webhook(account) => account.seed(wanted),
        }
    }

    fn seed_one(&mut self, kind: &str, thing: Value) -> String {
        let ids = self.seed(&serde_json::json!({ kind: [thing] })).unwrap_or_else(|error| panic!("seed: {error}"));
        ids[kind][0].as_str().unwrap_or_else(|| panic!("seed: this vendor has no {kind}")).to_owned()
    }

    /// A company with these properties (HubSpot), or these fields, `company_id` among them (Intercom); gives its id.
    ///
    /// # Panics
    /// If the vendor has no companies or could not hold this one.
    pub fn seed_company(&mut self, properties: &[(&str, &str)]) -> String {
        let fields: Value = properties.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
        self.seed_one("companies", fields)
    }

    /// A contact; `external_id` is only Intercom's. Gives its id.
    ///
    /// # Panics
    /// If the vendor has no contacts or could not hold this one.
    pub fn seed_contact(&mut self, external_id: &str, email: &str, name: &str) -> String {
        let contact = match self.account {
            Account::HubSpot(_) => serde_json::json!({"email": email, "firstname": name}),
            _ => serde_json::json!({"external_id": external_id, "email": email, "name": name}),
        };
        self.seed_one("contacts", contact)
    }

    /// A public Slack channel that the bot is a member of; gives its id.
    ///
    /// # Panics
    /// If the vendor is not Slack, or the name is taken.
    pub fn add_channel(&mut self, name: &str) -> String {
        self.seed_one("channels", Value::from(name))
    }

    /// HubSpot's companies that are not archived; empty elsewhere.
    pub fn companies(&self) -> Vec<Company> {
        if let Account::HubSpot(account) = &self.account { account.companies() } else { vec![] }
    }

    /// Intercom's contacts that are not archived; empty elsewhere.
    pub fn contacts(&self) -> Vec<Contact> {
        if let Account::Intercom(account) = &self.account { account.contacts() } else { vec![] }
    }

    /// The names of the tags of one Intercom contact, by its Intercom id or else its external id.
    pub fn tags_of(&self, contact: &str) -> Vec<String> {
        let found = self.contacts().into_iter().find(|one| one.id == contact || one.external_id == contact);
        found.map(|one| one.tags).unwrap_or_default()
    }

    /// Slack's messages, by channel and then in order; empty elsewhere.
    pub fn messages(&self) -> Vec<Message> {
        if let Account::Slack(account) = &self.account { account.messages() } else { vec![] }
    }
}

fn said(canned: Canned) -> Reply {
    let headers = canned.headers.into_iter().collect();
    Reply { status: canned.status, headers, body: canned.body, delay_ms: 0, drop: false }
}

fn dropped() -> Reply {
    Reply { drop: true, ..Reply::default() }
}
