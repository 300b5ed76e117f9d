//! `vitalsync validate`

use super::{Options, Outcome, say, say_json};

pub(super) fn run(options: &Options) -> Outcome {
    let config = options.load()?;
    config.suppress.all()?;
    if options.json() {
        say_json(&serde_json::json!({
            "config": config.file.display().to_string(),
            "valid": true,
            "warnings": config.warnings,
            "sources": config.sources.iter().map(|source| &source.name).collect::<Vec<_>>(),
            "profiles": config.model.profiles.iter().map(|profile| &profile.name).collect::<Vec<_>>(),
            "destinations": config.destinations.iter().map(|destination| &destination.name).collect::<Vec<_>>(),
        }));
        return Ok(0);
    }
    config.warnings.iter().for_each(|warning| eprint!("{warning}"));
    say(&format!(
        "{}: good: {} source(s), {} profile(s), {} activation step(s), {} destination(s)",
        config.file.display(),
        config.sources.len(),
        config.model.profiles.len(),
        config.model.activation.iter().map(|list| list.steps.len()).sum::<usize>(),
        config.destinations.len()
    ));
    Ok(0)
}
