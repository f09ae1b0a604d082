//! What a person decides about a case. Each decision is one form, changes exactly its rows, and leaves a row of its own.

use axum::extract::{Path, State};
use axum::response::Redirect;
use causeway_proto::ids::{CaseCode, Priority};

use super::Page;
use super::answer::Refusal;
use super::case::parsed;
use super::guard::Posted;
use crate::spool::decision::{By, Noted};

/// The longest reason, in characters.
const REASON: usize = 300;

/// A decision that is done, for the log: without an identity. The record of who did what to whom is the audit's.
fn noted(posted: &Posted, case: &CaseCode, what: &'static str) {
    tracing::info!(%case, who = %posted.person.name, what, "decided on the site page");
}

fn back(case: &CaseCode, said: &str) -> Redirect {
    Redirect::to(&format!("/case/{case}?said={said}"))
}

/// A reason has to be given, and is one line of text.
pub(super) fn reason(posted: &Posted) -> Result<String, Refusal> {
    let line: String = posted
        .get("reason")
        .chars()
        .filter(|c| !c.is_control())
        .take(REASON)
        .collect();
    if line.trim().is_empty() {
        return Err(Refusal::wrong(
            "Say why: the reason stays with the decision.",
        ));
    }
    Ok(line)
}

/// Releases or keeps back what was ticked.
pub(super) async fn withheld(
    State(page): State<Page>,
    Path(code): Path<String>,
    posted: Posted,
) -> Result<Redirect, Refusal> {
    let case = parsed(&code)?;
    posted.person.must_decide()?;
    let reason = reason(&posted)?;
    let release = match posted.get("act") {
        "release" => true,
        "keep" => false,
        _ => return Err(Refusal::wrong("Choose: release or keep back.")),
    };
    let by = By {
        who: &posted.person.name,
        reason: &reason,
    };
    let objects = posted.all("object").filter_map(|id| id.parse().ok());
    let objects: Vec<i64> = objects.collect();
    let done = match release {
        true => page.desk.spool.release(&case, &objects, by).await?,
        false => page.desk.spool.keep_back(&case, &objects, by).await?,
    };
    if done == 0 {
        return Err(Refusal::changed(
            "Nothing was changed: tick what you decide about, or load the page again, since somebody may have decided before you.",
        ));
    }
    noted(&posted, &case, if release { "release" } else { "keep" });
    Ok(back(&case, if release { "released" } else { "kept" }))
}

/// Lets a blocked case be signed again, or leaves it blocked.
pub(super) async fn block(
    State(page): State<Page>,
    Path(code): Path<String>,
    posted: Posted,
) -> Result<Redirect, Refusal> {
    let case = parsed(&code)?;
    posted.person.must_decide()?;
    let reason = reason(&posted)?;
    let by = By {
        who: &posted.person.name,
        reason: &reason,
    };
    let lift = posted.get("act") == "lift";
    if !page.desk.spool.decide_block(&case, lift, by).await? {
        return Err(Refusal::changed("This case is not blocked any more."));
    }
    noted(
        &posted,
        &case,
        if lift { "unblock" } else { "keep-blocked" },
    );
    Ok(back(&case, if lift { "unblocked" } else { "kept-blocked" }))
}

/// Makes a case more urgent; the gateway hears it with the next OPEN.
pub(super) async fn raise(
    State(page): State<Page>,
    Path(code): Path<String>,
    posted: Posted,
) -> Result<Redirect, Refusal> {
    let case = parsed(&code)?;
    posted.person.must_decide()?;
    let to = match posted.get("to") {
        "urgent" => Priority::Urgent,
        "stat" => Priority::Stat,
        _ => return Err(Refusal::wrong("A case is made urgent or STAT.")),
    };
    let by = By {
        who: &posted.person.name,
        reason: "",
    };
    if !page.desk.spool.raise(&case, to, by).await? {
        return Err(Refusal::changed(
            "The case is as urgent already, or was recalled.",
        ));
    }
    noted(&posted, &case, "raise");
    Ok(back(&case, "raised"))
}

/// Ends the wait for more (P30).
pub(super) async fn send_now(
    State(page): State<Page>,
    Path(code): Path<String>,
    posted: Posted,
) -> Result<Redirect, Refusal> {
    let (case, who) = (parsed(&code)?, posted.person.name.as_str());
    if page.desk.spool.send_now(Some(&case), who).await? == 0 {
        return Err(Refusal::changed("Nothing is waited for any more."));
    }
    note(&page, &posted, &case, Noted::SendNow, "").await?;
    noted(&posted, &case, "send-now");
    Ok(back(&case, "sent-now"))
}

/// Takes a study back (P17).
pub(super) async fn recall(
    State(page): State<Page>,
    Path(code): Path<String>,
    posted: Posted,
) -> Result<Redirect, Refusal> {
    let case = parsed(&code)?;
    let reason = reason(&posted)?;
    let by = By {
        who: &posted.person.name,
        reason: &reason,
    };
    if !page.desk.spool.recall(&case, by).await? {
        return Err(Refusal::changed("The study was recalled already."));
    }
    note(&page, &posted, &case, Noted::Recall, &reason).await?;
    noted(&posted, &case, "recall");
    Ok(back(&case, "recalled"))
}

/// Offers the reports of a case again.
pub(super) async fn retry(
    State(page): State<Page>,
    Path(code): Path<String>,
    posted: Posted,
) -> Result<Redirect, Refusal> {
    let (case, who) = (parsed(&code)?, posted.person.name.as_str());
    if page.desk.deliveries.retry(&case, who).await? == 0 {
        return Err(Refusal::changed(
            "There is nothing to offer again: its destination is no longer configured, or it has arrived.",
        ));
    }
    note(&page, &posted, &case, Noted::Retry, "").await?;
    noted(&posted, &case, "retry");
    Ok(back(&case, "retried"))
}

async fn note(
    page: &Page,
    posted: &Posted,
    case: &CaseCode,
    what: Noted,
    reason: &str,
) -> Result<(), Refusal> {
    let by = By {
        who: &posted.person.name,
        reason,
    };
    page.desk.spool.note(case, what, by).await?;
    Ok(())
}
