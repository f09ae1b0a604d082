//! Sites: a hospital with its zone, language and telephone (P28).

use causeway_proto::ids::SiteId;
use causeway_proto::random::Random;
use causeway_proto::time::{Clock, Timestamp};
use serde_json::json;

use super::{DirectoryError, readable_id, value};
use crate::audit;
use crate::rows::Rows;

/// What an operator says of a new site.
#[derive(Clone, Debug)]
pub struct NewSite {
    /// Its identifier; made from the name when none is given.
    pub id: Option<SiteId>,
    /// Its name, for people.
    pub name: String,
    /// Two letters (ISO 3166).
    pub country: String,
    /// An IANA zone, such as `Europe/Athens`.
    pub time_zone: String,
    /// A language tag, such as `el`.
    pub language: String,
    /// Where somebody answers.
    pub phone: String,
    /// Reports with the document title and headings of before TID 2000's present codes (standards.md 5.3).
    pub legacy_headings: bool,
}

/// A site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its identifier; stands in its agent's certificate.
    pub id: SiteId,
    /// Its name, for people.
    pub name: String,
    /// Two letters.
    pub country: String,
    /// An IANA zone.
    pub time_zone: String,
    /// A language tag.
    pub language: String,
    /// Where somebody answers.
    pub phone: String,
    /// Reports with legacy headings.
    pub legacy_headings: bool,
    /// Since when.
    pub created: Timestamp,
    /// Closed since.
    pub closed: Option<Timestamp>,
}

type SiteRow = (
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    i64,
    Option<i64>,
);

fn from_row(row: SiteRow) -> Result<Site, DirectoryError> {
    let (id, name, country, time_zone, language, phone, legacy, created, closed) = row;
    Ok(Site {
        id: id.parse()?,
        name,
        country,
        time_zone,
        language,
        phone,
        legacy_headings: legacy != 0,
        created: Timestamp(created),
        closed: closed.map(Timestamp),
    })
}

fn letters(text: &str, from: usize, to: usize) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphabetic() || byte == b'-';
    (from..=to).contains(&text.len()) && text.bytes().all(legal)
}

/// Whether this is a language in which reports can be.
pub(super) fn language(tag: &str) -> Result<(), DirectoryError> {
    value(
        "--language",
        "a language tag, such as el or pt-BR",
        letters(tag, 2, 12),
    )
}

impl NewSite {
    fn check(&self) -> Result<(), DirectoryError> {
        value(
            "--name",
            "1 to 120 characters",
            (1..=120).contains(&self.name.trim().chars().count()),
        )?;
        value(
            "--country",
            "two letters of ISO 3166, such as GR",
            letters(&self.country, 2, 2),
        )?;
        language(&self.language)?;
        value(
            "--phone",
            "1 to 40 characters",
            (1..=40).contains(&self.phone.trim().chars().count()),
        )?;
        let zone = jiff::tz::TimeZone::get(&self.time_zone).is_ok();
        value(
            "--time-zone",
            "an IANA time zone, such as Europe/Athens",
            zone,
        )
    }
}

/// Adds a site.
///
/// # Errors
/// When a value is not one a site can have, the identifier is taken, or the database refuses.
pub async fn add_site(
    rows: &Rows,
    clock: &Clock,
    random: &Random,
    actor: &str,
    new: &NewSite,
) -> Result<Site, DirectoryError> {
    new.check()?;
    let id = match &new.id {
        Some(id) => id.clone(),
        None => readable_id(&new.name, random).parse()?,
    };
    let now = clock.now();
    let mut tx = rows.begin().await?;
    let added = sqlx::query(
        "INSERT INTO site (id, name, country, time_zone, language, phone, legacy_headings, created_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    )
    .bind(id.as_str())
    .bind(new.name.trim())
    .bind(new.country.to_ascii_uppercase())
    .bind(&new.time_zone)
    .bind(&new.language)
    .bind(new.phone.trim())
    .bind(i64::from(new.legacy_headings))
    .bind(now.0)
    .execute(&mut *tx)
    .await?;
    if added.rows_affected() == 0 {
        return Err(DirectoryError::Exists(format!("site {id}")));
    }
    let detail = json!({ "name": new.name, "country": new.country });
    audit::record(
        &mut tx,
        now,
        "site-added",
        actor,
        id.as_str(),
        id.as_str(),
        &detail,
    )
    .await?;
    tx.commit().await?;
    site(rows, &id).await
}

/// One site.
///
/// # Errors
/// When there is none, or the database refuses.
pub async fn site(rows: &Rows, id: &SiteId) -> Result<Site, DirectoryError> {
    let row: Option<SiteRow> = sqlx::query_as(
        "SELECT id, name, country, time_zone, language, phone, legacy_headings, created_us, closed_us FROM site WHERE id = $1",
    )
    .bind(id.as_str())
    .fetch_optional(rows.read())
    .await?;
    row.map_or_else(|| Err(DirectoryError::NoSite(id.to_string())), from_row)
}

/// All sites by name.
///
/// # Errors
/// When the database refuses.
pub async fn sites(rows: &Rows) -> Result<Vec<Site>, DirectoryError> {
    let found: Vec<SiteRow> = sqlx::query_as(
        "SELECT id, name, country, time_zone, language, phone, legacy_headings, created_us, closed_us FROM site ORDER BY name, id",
    )
    .fetch_all(rows.read())
    .await?;
    found.into_iter().map(from_row).collect()
}
