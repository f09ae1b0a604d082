//! One state out of many: where a document stands, given what the site says of each destination and form.

use sqlx::FromRow;

use super::ACKNOWLEDGED;

/// Where a document stands at one destination in one form.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Form {
    /// The destination; `site` for the agent itself.
    pub destination: String,
    /// `sr` and others.
    pub form: String,
    /// A word of `link::message::DeliveryState`.
    pub state: String,
}

/// The state of the whole. What a person at the site has acknowledged is no place of a report. The agent itself counts only until a destination has said something; a rejection by the agent is final,
/// and an agent that waits for the report itself, having lost its bytes, is offered it again.
#[must_use]
pub fn overall(forms: &[Form]) -> &'static str {
    let forms: Vec<&Form> = forms.iter().filter(|f| f.form != ACKNOWLEDGED).collect();
    let at_agent = |state: &str| {
        forms
            .iter()
            .any(|f| f.destination == "site" && f.state == state)
    };
    if at_agent("rejected") {
        return "rejected";
    }
    if at_agent("waiting") {
        return "waiting";
    }
    let outside: Vec<&str> = forms
        .iter()
        .filter(|f| f.destination != "site")
        .map(|f| f.state.as_str())
        .collect();
    if outside.is_empty() {
        return match forms.iter().find(|f| f.destination == "site") {
            Some(f) if f.state == "held" => "held",
            Some(_) => "at-site",
            None => "waiting",
        };
    }
    let any = |state: &str| outside.contains(&state);
    if any("held") {
        "held"
    } else if any("waiting") || any("at-site") {
        "at-site"
    } else if any("delivered") {
        "delivered"
    } else if any("not-taken") {
        "not-taken"
    } else {
        "rejected"
    }
}
