//! What is odd about a config, as a report.

use std::path::Path;

use serde::{Deserialize, Serialize};
use vitalsync_core::section::Fault;

use crate::config;

/// One warning about a config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// `FILE:LINE:COLUMN`.
    pub place: String,
    /// What is odd, and why.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Warning {
    /// The reports of warnings about a file.
    pub fn all(faults: &[Fault], file: &Path) -> Vec<Self> {
        let report = |fault: &Fault| Self {
            place: config::place(fault, file),
            message: config::mask_tokens(&fault.message),
            hint: fault.hint.clone(),
        };
        faults.iter().map(report).collect()
    }

    /// In words, without the line that it is about.
    pub fn said(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("\n  = {hint}")).unwrap_or_default();
        format!("{}: warning: {}{hint}", self.place, self.message)
    }
}

/// What a look at a config came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ValidateReport {
    /// The file.
    pub config: String,
    /// False if a tool can't take what the config asks for. A config that can't be read has no report, only its faults.
    pub valid: bool,
    /// True if the tools were asked.
    pub online: bool,
    /// What the tools can't take.
    pub faults: Vec<Warning>,
    /// What is odd.
    pub warnings: Vec<Warning>,
    /// True if the data had its say too; false if only the config was looked at.
    pub data: bool,
    /// What else there is to know.
    pub notes: Vec<String>,
    /// The sources' names.
    pub sources: Vec<String>,
    /// The profiles' names.
    pub profiles: Vec<String>,
    /// The destinations' names.
    pub destinations: Vec<String>,
}
