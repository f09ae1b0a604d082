//! Answers to enrolment and renewal: the code is judged and spent, and the certificate issued, in one transaction.

use std::time::Duration;

use causeway_certs::authority::{
    AuthorityError, LinkAuthority, RENEW_AFTER, RENEW_BEFORE, SignerAuthority,
};
use causeway_certs::enrol::{
    Answer, Ask, Enrolled, MAX_TRIES, Named, Refused, Request, Secret, Word,
};
use causeway_certs::identity::Peer;
use causeway_proto::ids::SiteId;
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use serde_json::json;
use sqlx::{Any, Transaction};

use super::certificate::{hold_site, remember, revoke_older};
use super::{DirectoryError, agreements_of, site};
use crate::audit;
use crate::rows::Rows;

/// Two clocks further apart than this do not enrol: certificates and reports carry times.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

/// What answering needs beside the rows.
#[derive(Clone, Debug)]
pub struct Authorities {
    /// Signs the certificate.
    pub link: LinkAuthority,
    /// Its certificate goes along.
    pub signer: SignerAuthority,
    /// The wall clock.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

/// A code as it is stored.
type CodeRow = (String, String, i64, i64, Option<i64>);

/// Answers a request that comes with a code.
///
/// # Errors
/// When the database refuses or the authority cannot sign; what the agent did wrong is an answer.
pub async fn enrol(
    rows: &Rows,
    with: &Authorities,
    request: &Request,
) -> Result<Answer, DirectoryError> {
    let Ask::Enrol { id, secret } = &request.ask else {
        return Ok(refuse(
            Word::NotYours,
            "this connection came without a certificate, so there is nothing to renew",
        ));
    };
    if let Some(refused) = clock_refusal(request.now, with.clock.now()) {
        return Ok(refused);
    }
    let mut tx = rows.begin().await?;
    let owner: Option<(String,)> =
        sqlx::query_as("SELECT site_id FROM enrolment_code WHERE id = $1")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
    if let Some((owner,)) = owner {
        hold_site(&mut tx, &owner.parse()?).await?;
    }
    let now = with.clock.now();
    let site_id = match spend_try(&mut tx, id, secret, now).await? {
        Ok(site_id) => site_id,
        Err(refused) => {
            tx.commit().await?;
            return Ok(Answer::Refused(refused));
        }
    };
    let certificate = match issue(&mut tx, with, &site_id, &request.csr, now).await {
        Ok(certificate) => certificate,
        Err(DirectoryError::Authority(error)) => return bad_request(error),
        Err(other) => return Err(other),
    };
    sqlx::query("UPDATE enrolment_code SET used_us = $1 WHERE id = $2")
        .bind(now.0)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    revoke_older(&mut tx, &site_id, now.0, now, "enrolled anew").await?;
    let detail = json!({ "code": id, "software": clip(&request.software) });
    audit::record(
        &mut tx,
        now,
        "site-enrolled",
        "site",
        site_id.as_str(),
        certificate.serial.as_str(),
        &detail,
    )
    .await?;
    tx.commit().await?;
    answer(rows, with, &site_id, certificate.der.to_vec()).await
}

/// Answers a request that comes with the certificate to be renewed, which TLS has verified but for the 30 days of grace.
///
/// # Errors
/// When the database refuses or the authority cannot sign; what the agent did wrong is an answer.
pub async fn renew(
    rows: &Rows,
    with: &Authorities,
    peer: &Peer,
    request: &Request,
) -> Result<Answer, DirectoryError> {
    if request.ask != Ask::Renew {
        return Ok(refuse(
            Word::BadRequest,
            "this agent has a certificate: it renews, a code is for a new agent",
        ));
    }
    if let Some(refused) = clock_refusal(request.now, with.clock.now()) {
        return Ok(refused);
    }
    let mut tx = rows.begin().await?;
    hold_site(&mut tx, &peer.site).await?;
    let now = with.clock.now();
    let row: Option<(i64, Option<i64>)> = sqlx::query_as(
        "SELECT not_after_us, revoked_us FROM site_certificate WHERE serial = $1 AND site_id = $2",
    )
    .bind(peer.serial.as_str())
    .bind(peer.site.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    let not_after = match row {
        Some((not_after, None)) => Timestamp(not_after),
        Some((_, Some(_))) => {
            return Ok(refuse(
                Word::NotYours,
                "this agent's certificate is revoked: it needs a new enrolment code",
            ));
        }
        None => {
            return Ok(refuse(
                Word::NotYours,
                "this agent's certificate is not in the gateway's directory: enrol the agent again",
            ));
        }
    };
    if now < not_after.minus(RENEW_BEFORE) {
        return Ok(refuse(
            Word::NotYours,
            "it is too early: a certificate is renewed in its last 30 days",
        ));
    }
    if now > not_after.plus(RENEW_AFTER) {
        return Ok(refuse(
            Word::NotYours,
            "it is too late: the certificate ended more than 30 days ago; the agent needs a new enrolment code",
        ));
    }
    let certificate = match issue(&mut tx, with, &peer.site, &request.csr, now).await {
        Ok(certificate) => certificate,
        Err(DirectoryError::Authority(error)) => return bad_request(error),
        Err(other) => return Err(other),
    };
    let detail = json!({ "renews": peer.serial.as_str(), "software": clip(&request.software) });
    audit::record(
        &mut tx,
        now,
        "certificate-renewed",
        "site",
        peer.site.as_str(),
        certificate.serial.as_str(),
        &detail,
    )
    .await?;
    tx.commit().await?;
    answer(rows, with, &peer.site, certificate.der.to_vec()).await
}

async fn issue(
    tx: &mut Transaction<'_, Any>,
    with: &Authorities,
    site: &SiteId,
    request: &[u8],
    now: Timestamp,
) -> Result<causeway_certs::authority::SiteCertificate, DirectoryError> {
    let certificate = with.link.issue_site(site, request, now, &with.random)?;
    remember(tx, site, &certificate, now).await?;
    Ok(certificate)
}

async fn answer(
    rows: &Rows,
    with: &Authorities,
    id: &SiteId,
    certificate: Vec<u8>,
) -> Result<Answer, DirectoryError> {
    let site = site(rows, id).await?;
    let agreements = agreements_of(rows, id, with.clock.now()).await?;
    let named = agreements.into_iter().map(|one| Named {
        id: one.terms.id,
        organisation: one.terms.organisation,
        identity: one.terms.identity,
    });
    Ok(Answer::Enrolled(Box::new(Enrolled {
        certificate: certificate.into(),
        link_authority: with.link.certificate().to_vec().into(),
        signer_authority: with.signer.certificate().to_vec().into(),
        site: site.id,
        name: site.name,
        agreements: named.collect(),
        now: with.clock.now(),
    })))
}

/// A wrong request is the agent's fault and leaves the code as it was; anything else is ours.
fn bad_request(error: AuthorityError) -> Result<Answer, DirectoryError> {
    match error {
        AuthorityError::Request(_) | AuthorityError::RequestKey => Ok(refuse(
            Word::BadRequest,
            "the request for a certificate cannot be read, or is not for an ECDSA P-256 key",
        )),
        other => Err(other.into()),
    }
}

/// The site behind a code and its secret. A wrong try is counted and written to the trail; the caller commits it.
async fn spend_try(
    tx: &mut Transaction<'_, Any>,
    id: &str,
    secret: &str,
    now: Timestamp,
) -> Result<Result<SiteId, Refused>, DirectoryError> {
    // takes the row's lock before it is judged: two who come with one code are judged one after the other
    sqlx::query("UPDATE enrolment_code SET tries = tries WHERE id = $1")
        .bind(id)
        .execute(&mut **tx)
        .await?;
    let row: Option<CodeRow> = sqlx::query_as(
        "SELECT site_id, secret_hash, tries, expires_us, used_us FROM enrolment_code WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else {
        let sentence =
            "this gateway has no such code: compare it with what `site add` or `site code` printed";
        return Ok(Err(Refused {
            word: Word::UnknownCode,
            sentence: sentence.to_owned(),
        }));
    };
    let Err(refused) = judge(&row, secret, now) else {
        return Ok(Ok(row.0.parse()?));
    };
    if refused.word == Word::UnknownCode {
        sqlx::query("UPDATE enrolment_code SET tries = tries + 1, used_us = CASE WHEN tries + 1 >= $2 THEN $3 ELSE used_us END WHERE id = $1")
            .bind(id)
            .bind(MAX_TRIES)
            .bind(now.0)
            .execute(&mut **tx)
            .await?;
    }
    let detail = json!({ "why": format!("{:?}", refused.word) });
    audit::record(tx, now, "enrolment-refused", "site", &row.0, id, &detail).await?;
    Ok(Err(refused))
}

/// Whether a code lets in whoever shows this secret.
fn judge(row: &CodeRow, secret: &str, now: Timestamp) -> Result<(), Refused> {
    let (_, hash, tries, expires, used) = row;
    let (word, sentence) = if *tries >= MAX_TRIES {
        (
            Word::TooManyTries,
            "this code was tried five times with a wrong secret and is spent; have a new one made with `site code`",
        )
    } else if used.is_some() {
        (
            Word::UsedCode,
            "this code has been used: a code enrols once; have a new one made with `site code`",
        )
    } else if *expires <= now.0 {
        (
            Word::ExpiredCode,
            "this code has expired: a code holds for one hour; have a new one made with `site code`",
        )
    } else if Secret::parse(secret).is_ok_and(|secret| secret.matches(hash)) {
        return Ok(());
    } else {
        (
            Word::UnknownCode,
            "the code is mistyped: its middle part does not match; five wrong tries end it",
        )
    };
    Err(Refused {
        word,
        sentence: sentence.to_owned(),
    })
}

fn clock_refusal(theirs: Timestamp, ours: Timestamp) -> Option<Answer> {
    let apart = theirs.since(ours).max(ours.since(theirs));
    (apart > MAX_SKEW).then(|| {
        let sentence = format!(
            "this machine's clock says {theirs}, the gateway's says {ours}: set the clock (more than five minutes apart); the code was not spent"
        );
        Answer::Refused(Refused { word: Word::Clock, sentence })
    })
}

fn refuse(word: Word, sentence: &str) -> Answer {
    Answer::Refused(Refused {
        word,
        sentence: sentence.to_owned(),
    })
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
