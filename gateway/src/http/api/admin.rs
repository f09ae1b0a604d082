//! What an operator must see, read only: sites, agreements, people, certificates, what was set aside, reports that are not home yet.
//! He changes it with the command line.

use axum::Json as Answer;
use axum::extract::State as From;
use causeway_proto::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::accounts;
use crate::delivery;
use crate::directory;
use crate::http::State;
use crate::http::auth::Who;
use crate::http::error::Problem;
use crate::ingest;

#[derive(Serialize, ToSchema)]
pub(super) struct Items<T> {
    items: Vec<T>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SiteRow {
    id: String,
    name: String,
    country: String,
    time_zone: String,
    language: String,
    phone: String,
    created_at: String,
    closed_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct AgreementRow {
    id: String,
    site: String,
    organisation: String,
    identity: String,
    options: Vec<String>,
    language: String,
    from: Option<String>,
    until: Option<String>,
    /// 0: not agreed.
    retention_days: u32,
    state: &'static str,
    ended_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct UserRow {
    id: String,
    user: String,
    title: String,
    name: String,
    organisation: String,
    country: String,
    registration: String,
    roles: Vec<&'static str>,
    disabled_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CertificateRow {
    /// What it is for: `site`.
    kind: &'static str,
    holder: String,
    serial: String,
    issued_at: String,
    not_after: String,
    /// `valid`, `expired` or `revoked`, with the reason.
    state: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SetAsideRow {
    id: String,
    site: String,
    study: String,
    reason: String,
    length: i64,
    received_at: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct AwayRow {
    case: String,
    code: String,
    site: String,
    state: String,
    sentence: String,
    signed_at: String,
    attempts: i64,
    next_try: Option<String>,
}

fn operators_only(who: &Who) -> Result<(), Problem> {
    if who.account.roles().operator {
        Ok(())
    } else {
        Err(Problem::forbidden("this is for operators of the gateway"))
    }
}

fn text(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

/// Every site.
#[utoipa::path(get, path = "/admin/sites", responses((status = 200, body = Items<SiteRow>), (status = 403)))]
pub(super) async fn sites(
    From(state): From<State>,
    who: Who,
) -> Result<Answer<Items<SiteRow>>, Problem> {
    operators_only(&who)?;
    let items = directory::sites(&state.rows).await?;
    let items = items.into_iter().map(|site| SiteRow {
        id: site.id.to_string(),
        name: site.name,
        country: site.country,
        time_zone: site.time_zone,
        language: site.language,
        phone: site.phone,
        created_at: site.created.to_string(),
        closed_at: text(site.closed),
    });
    Ok(Answer(Items {
        items: items.collect(),
    }))
}

/// Every agreement.
#[utoipa::path(get, path = "/admin/agreements", responses((status = 200, body = Items<AgreementRow>), (status = 403)))]
pub(super) async fn agreements(
    From(state): From<State>,
    who: Who,
) -> Result<Answer<Items<AgreementRow>>, Problem> {
    operators_only(&who)?;
    let now = state.clock.now();
    let items = directory::agreements(&state.rows).await?;
    let items = items.into_iter().map(|one| AgreementRow {
        state: one.state(now),
        id: one.terms.id.to_string(),
        site: one.site.to_string(),
        organisation: one.terms.organisation,
        identity: one.terms.identity,
        options: one.terms.options,
        language: one.terms.language,
        from: text(one.terms.from),
        until: text(one.terms.until),
        retention_days: one.terms.retention_days,
        ended_at: text(one.ended),
    });
    Ok(Answer(Items {
        items: items.collect(),
    }))
}

/// Every account.
#[utoipa::path(get, path = "/admin/users", responses((status = 200, body = Items<UserRow>), (status = 403)))]
pub(super) async fn users(
    From(state): From<State>,
    who: Who,
) -> Result<Answer<Items<UserRow>>, Problem> {
    operators_only(&who)?;
    let items = accounts::list(&state.rows).await?;
    let items = items.into_iter().map(|one| UserRow {
        roles: one.roles().words(),
        name: format!("{} {}", one.given_name, one.family_name)
            .trim()
            .to_owned(),
        id: one.id,
        user: one.user_name,
        title: one.title,
        organisation: one.organisation,
        country: one.country,
        registration: one.registration_number,
        disabled_at: text(one.disabled_us.map(Timestamp)),
    });
    Ok(Answer(Items {
        items: items.collect(),
    }))
}

/// Every certificate of a site, the newest first.
#[utoipa::path(get, path = "/admin/certificates", responses((status = 200, body = Items<CertificateRow>), (status = 403)))]
pub(super) async fn certificates(
    From(state): From<State>,
    who: Who,
) -> Result<Answer<Items<CertificateRow>>, Problem> {
    operators_only(&who)?;
    let now = state.clock.now();
    let items = directory::certificates(&state.rows).await?;
    let items = items.into_iter().map(|one| CertificateRow {
        kind: "site",
        holder: one.site.to_string(),
        state: match (one.revoked, &one.reason) {
            (Some(_), Some(reason)) => format!("revoked: {reason}"),
            (Some(_), None) => "revoked".to_owned(),
            (None, _) if one.not_after <= now => "expired".to_owned(),
            (None, _) => "valid".to_owned(),
        },
        serial: one.serial,
        issued_at: one.issued.to_string(),
        not_after: one.not_after.to_string(),
    });
    Ok(Answer(Items {
        items: items.collect(),
    }))
}

/// What was kept aside and is not served: other content under a UID that is taken, and what could not be read.
#[utoipa::path(get, path = "/admin/quarantine", responses((status = 200, body = Items<SetAsideRow>), (status = 403)))]
pub(super) async fn quarantine(
    From(state): From<State>,
    who: Who,
) -> Result<Answer<Items<SetAsideRow>>, Problem> {
    operators_only(&who)?;
    let items = ingest::set_aside(&state.rows).await?;
    let items = items.into_iter().map(|one| SetAsideRow {
        id: one.id,
        site: one.site,
        study: one.study,
        reason: one.reason,
        length: one.length,
        received_at: one.received.to_string(),
    });
    Ok(Answer(Items {
        items: items.collect(),
    }))
}

/// Signed reports that are not in the hospital's own system yet, the oldest first.
#[utoipa::path(get, path = "/admin/deliveries", responses((status = 200, body = Items<AwayRow>), (status = 403)))]
pub(super) async fn deliveries(
    From(state): From<State>,
    who: Who,
) -> Result<Answer<Items<AwayRow>>, Problem> {
    operators_only(&who)?;
    let items = delivery::away(&state.rows).await?;
    let items = items.into_iter().map(|one| AwayRow {
        case: one.case,
        code: one.code,
        site: one.site,
        state: one.state,
        sentence: one.sentence,
        signed_at: one.signed.to_string(),
        attempts: one.attempts,
        next_try: text(one.next_try),
    });
    Ok(Answer(Items {
        items: items.collect(),
    }))
}
