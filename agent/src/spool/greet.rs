//! HELLO, as the spool sees it: who this spool is, how often it has connected, and what a changed gateway epoch means (I9).

use causeway_proto::link::message::{Agreement, HelloAgent, HelloGateway};
use causeway_proto::link::session::has_forgotten;
use sqlx::SqliteConnection;

use super::insert::leaves_as_received;
use super::{Spool, SpoolError, adopt, digests, refused_row, uids};
use crate::rows::{fact, number, set_fact, to_row};

const SPOOL: &str = "spool_id";
const SESSION: &str = "session";
pub(super) const EPOCH: &str = "gateway_epoch";
pub(super) const RECEIPT_SEEN: &str = "receipt_seen";

/// See [`Spool::hello`].
pub(super) async fn hello(spool: &Spool) -> Result<HelloAgent, SpoolError> {
    let mut tx = spool.begin_rows().await?;
    let hello = count(spool, &mut tx)
        .await
        .map_err(refused_row("counting a connection"))?;
    tx.commit()
        .await
        .map_err(refused_row("counting a connection"))?;
    Ok(hello)
}

async fn count(spool: &Spool, tx: &mut SqliteConnection) -> Result<HelloAgent, sqlx::Error> {
    let id = match fact(tx, SPOOL).await? {
        Some(id) => id,
        None => {
            let id = spool.inner.random.token();
            set_fact(tx, SPOOL, &id).await?;
            id
        }
    };
    let session = number(tx, SESSION).await?.saturating_add(1);
    set_fact(tx, SESSION, session).await?;
    Ok(HelloAgent {
        spool: id,
        session,
        epoch_seen: number(tx, EPOCH).await?,
        receipt_seen: number(tx, RECEIPT_SEEN).await?,
    })
}

/// See [`Spool::greeted`].
pub(super) async fn greeted(spool: &Spool, hello: &HelloGateway) -> Result<(), SpoolError> {
    let mut tx = spool.begin_rows().await?;
    agreements(spool, &mut tx, hello)
        .await
        .map_err(refused_row("taking the gateway's agreements"))?;
    digests::of_twins(spool, &mut tx).await?;
    adopt::adopt(&mut tx, hello, spool.inner.clock.now())
        .await
        .map_err(refused_row("naming what came before its agreement"))?;
    uids::decide(&mut tx, &spool.inner.config.agreement)
        .await
        .map_err(refused_row("deciding under which UIDs studies leave"))?;
    forms(&mut tx)
        .await
        .map_err(refused_row("naming the forms of what waits"))?;
    let (restored, forgotten) = forget(&mut tx, hello)
        .await
        .map_err(refused_row("taking the gateway's epoch"))?;
    tx.commit()
        .await
        .map_err(refused_row("taking the gateway's greeting"))?;
    if restored {
        tracing::warn!(
            instances = forgotten,
            "the gateway was restored from a backup; what is still kept is offered, and what it had confirmed is said again"
        );
    }
    spool.wake();
    Ok(())
}

/// Keeps the list of agreements.
async fn agreements(
    spool: &Spool,
    tx: &mut SqliteConnection,
    hello: &HelloGateway,
) -> Result<(), sqlx::Error> {
    // what was opened under names is known at the gateway, whatever becomes of the agreement: its recall must still be said
    sqlx::query(
        "UPDATE study SET named = 'may' WHERE named <> 'may' \
         AND agreement IN (SELECT id FROM agreement WHERE identity = 'identified' AND in_force = 1)",
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query("UPDATE agreement SET in_force = 0")
        .execute(&mut *tx)
        .await?;
    for agreement in &hello.agreements {
        let choice = &spool.inner.config.agreement;
        let identity = choice.identity(&agreement.id, &agreement.identity);
        other_options(tx, agreement).await?;
        sqlx::query(
            "INSERT INTO agreement (id, organisation, identity, profile, options, language, from_us, until_us, retention_days, in_force) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1) \
             ON CONFLICT (id) DO UPDATE SET organisation = excluded.organisation, identity = excluded.identity, \
             profile = excluded.profile, options = excluded.options, language = excluded.language, from_us = excluded.from_us, \
             until_us = excluded.until_us, retention_days = excluded.retention_days, in_force = 1",
        )
        .bind(agreement.id.as_str())
        .bind(&agreement.organisation)
        .bind(identity)
        .bind(&agreement.profile)
        .bind(agreement.options.join(" "))
        .bind(&agreement.language)
        .bind(agreement.from.map(|at| at.0))
        .bind(agreement.until.map(|at| at.0))
        .bind(i64::from(agreement.retention_days))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// What was protected under other options, and has not left, is protected anew.
async fn other_options(
    tx: &mut SqliteConnection,
    agreement: &Agreement,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE instance SET sent_digest = NULL, sealed = NULL, remarks = '' \
         WHERE agreement = $1 AND state = 'waiting' AND profile > 0 AND sent_digest IS NOT NULL \
         AND EXISTS (SELECT 1 FROM agreement a WHERE a.id = $1 AND a.options <> $2)",
    )
    .bind(agreement.id.as_str())
    .bind(agreement.options.join(" "))
    .execute(tx)
    .await?;
    Ok(())
}

/// What was to leave as received, under an agreement that has become pseudonymous, is protected first; and what is under an
/// identified one has its form.
async fn forms(tx: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE instance SET sent_digest = NULL WHERE state = 'waiting' AND sent_digest IS NOT NULL AND profile = 0 \
         AND agreement IN (SELECT id FROM agreement WHERE identity = 'pseudonymous')",
    )
    .execute(&mut *tx)
    .await?;
    leaves_as_received(tx).await?;
    Ok(())
}

/// A new epoch, or a high-water mark below what was seen in it: the gateway was restored from a backup. Everything whose receipt
/// it no longer knows and whose bytes are still kept is offered again, and whatever else it had confirmed is said again. Answers
/// whether it was restored, and how many instances are offered.
async fn forget(
    tx: &mut SqliteConnection,
    hello: &HelloGateway,
) -> Result<(bool, u64), sqlx::Error> {
    let seen = HelloAgent {
        spool: String::new(),
        session: 0,
        epoch_seen: number(tx, EPOCH).await?,
        receipt_seen: number(tx, RECEIPT_SEEN).await?,
    };
    let restored = has_forgotten(&seen, hello);
    let again = sqlx::query(
        "UPDATE instance SET state = 'waiting', receipt_us = NULL, receipt_running = NULL, receipt_number = NULL, \
         receipt_epoch = NULL, quarantined = 0, next_try_us = 0 \
         WHERE state = 'receipted' AND handle IS NOT NULL AND (receipt_epoch <> $1 OR receipt_number > $2)",
    )
    .bind(to_row(hello.epoch))
    .bind(to_row(hello.high_water))
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if restored {
        void(tx, hello).await?;
        say_again(tx).await?;
    }
    set_fact(tx, EPOCH, hello.epoch).await?;
    set_fact(tx, RECEIPT_SEEN, hello.high_water).await?;
    Ok((restored, again))
}

/// Receipts of this epoch that the gateway no longer knows, for what is not kept here any more: they count no more. Those of another
/// epoch say so themselves.
async fn void(tx: &mut SqliteConnection, hello: &HelloGateway) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE instance SET receipt_epoch = 0 \
         WHERE state = 'receipted' AND handle IS NULL AND receipt_epoch = $1 AND receipt_number > $2",
    )
    .bind(to_row(hello.epoch))
    .bind(to_row(hello.high_water))
    .execute(tx)
    .await?;
    Ok(())
}

/// Hand-offs, recalls and the words about reports carry no number by which to tell what is older than the backup: all of them are
/// said again, and what the gateway still knows has no second effect there. In the transaction that notes the epoch: a crash in
/// between forgets neither.
async fn say_again(tx: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for statement in [
        "UPDATE study SET state = 'complete', handed_off_us = NULL WHERE state = 'handed-off'",
        "UPDATE manifest SET confirmed_us = NULL, next_try_us = 0 WHERE (study_id, version) IN \
         (SELECT id, manifest_version FROM study WHERE state = 'complete')",
        "UPDATE study SET recall_heard_us = NULL WHERE state = 'recalled'",
        "UPDATE delivery SET told_revision = 0 WHERE told_revision <> 0",
        "UPDATE case_context SET heard_us = NULL",
        "UPDATE letter SET heard_us = NULL WHERE from_site = 1",
        "UPDATE letter SET known_us = NULL WHERE from_site = 0",
    ] {
        sqlx::query(statement).execute(&mut *tx).await?;
    }
    Ok(())
}
