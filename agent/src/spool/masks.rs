//! Devices whose pictures may carry a banner, and what people have drawn for them: a rule is a row, made once and never changed (P6).

use std::collections::{BTreeSet, HashMap};

use causeway_proto::ids::CaseCode;
use causeway_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::decision::{By, seal_again};
use super::entry::Looked;
use super::protection::NOT_KEPT;
use super::{Spool, SpoolError, parsed, refused_row};
use crate::audit;
use crate::mask::native::RECTANGLES;
use crate::mask::{Device, Rectangle};
use crate::rows::{Rows, from_row};

/// So many different scan areas of one device are kept.
const REGIONS: usize = 64;

/// What is black on the pictures of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its row.
    pub id: i64,
    /// Whose.
    pub device: Device,
    /// What is black; nothing when nothing is burned in on this device.
    pub rectangles: Vec<Rectangle>,
    /// A person has confirmed that it hides what the device declares as scan area.
    pub covers: bool,
    /// Who drew it.
    pub who: String,
    /// Why, in that person's words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A device that was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    /// Its row.
    pub id: i64,
    /// Which one.
    pub device: Device,
    /// What it has declared as scan area.
    pub regions: Vec<Rectangle>,
    /// How many objects wait for a rule.
    pub waiting: u64,
    /// The case and the row of one of them, to be looked at.
    pub example: Option<(CaseCode, i64)>,
    /// What is in force.
    pub rule: Option<Rule>,
}

/// What became of a rectangle that a person drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drawn {
    /// It is in force; so many objects are decided again.
    Made(u64),
    /// It would hide what the device declares as scan area: nothing was changed, and it is asked once more.
    Covers,
    /// There is no such device, or what was drawn is no rectangle of its pictures.
    Nothing,
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub struct Rules(HashMap<Device, Rule>);

impl Rules {
    /// The one for a device.
    #[must_use]
    pub fn of(&self, device: &Device) -> Option<&Rule> {
        self.0.get(device)
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<T: IntoIterator<Item = Rule>>(rules: T) -> Self {
        let named = rules.into_iter().map(|rule| (rule.device.clone(), rule));
        Self(named.collect())
    }
}

const RULE: &str = "SELECT r.id, d.family, d.manufacturer, d.model, d.image_rows, d.image_columns, r.rectangles, r.covers, r.who, \
     r.reason, r.at_us FROM mask_rule r JOIN mask_device d ON d.id = r.device_id";

/// Every device that was met, those first for whose rule something waits; at most 500.
///
/// # Errors
/// When the rows refuse.
pub async fn met(rows: &Rows) -> Result<Vec<Met>, SpoolError> {
    let rules = in_force(rows).await?;
    let found = sqlx::query(
        "SELECT w.*, s.case_code FROM (SELECT d.id, d.family, d.manufacturer, d.model, d.image_rows, d.image_columns, d.regions, \
         COUNT(i.id) AS waits, MIN(i.id) AS example \
         FROM mask_device d LEFT JOIN instance i ON i.device_id = d.id AND i.state = 'withheld' AND i.sent_digest IS NULL \
         AND i.handle IS NOT NULL GROUP BY d.id) w LEFT JOIN instance e ON e.id = w.example LEFT JOIN study s ON s.id = e.study_id \
         ORDER BY w.waits = 0, w.id LIMIT 500",
    )
    .fetch_all(rows.read())
    .await
    .map_err(refused_row("listing the devices"))?;
    let read = |row: &SqliteRow| -> Result<Met, sqlx::Error> {
        let device = device(row, 1)?;
        let case: Option<String> = row.try_get(9)?;
        let case = case.and_then(|code| code.parse().ok());
        Ok(Met {
            id: row.try_get(0)?,
            rule: rules.of(&device).cloned(),
            device,
            regions: rectangles(row, 6)?,
            waiting: from_row(row.try_get(7)?),
            example: case.zip(row.try_get::<Option<i64>, _>(8)?),
        })
    };
    found
        .iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(refused_row("reading the devices"))
}

/// The rules in force.
///
/// # Errors
/// When the rows refuse.
pub async fn in_force(rows: &Rows) -> Result<Rules, SpoolError> {
    let found = sqlx::query(sqlx::AssertSqlSafe(format!(
        "{RULE} WHERE r.gone_us IS NULL"
    )))
    .fetch_all(rows.read())
    .await
    .map_err(refused_row("listing the masks of devices"))?;
    found
        .iter()
        .map(rule)
        .collect::<Result<_, _>>()
        .map_err(refused_row("reading the masks of devices"))
}

impl Spool {
    /// The rules by which an object is decided now.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn mask_rules(&self) -> Result<Rules, SpoolError> {
        in_force(&self.inner.rows).await
    }

    /// The rules by which an object was decided, in force or not.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn masks_of(&self, ruled: [Option<i64>; 2]) -> Result<Rules, SpoolError> {
        let found = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{RULE} WHERE r.id IN ($1, $2)"
        )))
        .bind(ruled[0])
        .bind(ruled[1])
        .fetch_all(self.inner.rows.read())
        .await
        .map_err(refused_row("looking for the mask of an object"))?;
        found
            .iter()
            .map(rule)
            .collect::<Result<_, _>>()
            .map_err(refused_row("reading the mask of an object"))
    }

    /// The row of a device, made when it was never met.
    ///
    /// # Errors
    /// When the rows refuse.
    pub async fn know_device(&self, device: &Device) -> Result<i64, SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            let id = known(&mut tx, device, &[], self.inner.clock.now()).await?;
            tx.commit().await?;
            Ok(id)
        };
        work.await.map_err(refused_row("keeping a device"))
    }

    /// A person has drawn what is black on the pictures of a device (nothing at all, where nothing is burned in): a rule from now on.
    /// What waits of this device, and what was decided by an earlier rule and has not gone, is decided again; what has gone stays.
    /// `confirmed` says that hiding a declared scan area is meant.
    ///
    /// # Errors
    /// When the rows refuse; nothing is changed then.
    pub async fn draw_mask(
        &self,
        device: i64,
        rectangles: &[Rectangle],
        confirmed: bool,
        by: By<'_>,
    ) -> Result<Drawn, SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            let row = sqlx::query("SELECT id, family, manufacturer, model, image_rows, image_columns, regions FROM mask_device WHERE id = $1")
                .bind(device)
                .fetch_optional(&mut *tx)
                .await?;
            let Some(row) = row else {
                return Ok(Drawn::Nothing);
            };
            let (which, regions) = (self::device(&row, 1)?, self::rectangles(&row, 6)?);
            let Some(drawn) = within(rectangles, which.rows, which.columns) else {
                return Ok(Drawn::Nothing);
            };
            let covers = hides(&drawn, &regions);
            if covers && !confirmed {
                return Ok(Drawn::Covers);
            }
            end_rule(self, &mut tx, device, by).await?;
            let rectangles = json!(drawn).to_string();
            sqlx::query(
                "INSERT INTO mask_rule (device_id, rectangles, covers, who, reason, at_us) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(device)
            .bind(&rectangles)
            .bind(i64::from(covers))
            .bind(by.who)
            .bind(by.reason)
            .bind(self.inner.clock.now().0)
            .execute(&mut *tx)
            .await?;
            let named = (!drawn.is_empty()).then_some(by);
            let again = decided_again(self, &mut tx, device, named).await?;
            let detail = json!({ "device": which, "rectangles": drawn, "covers-scan-area": covers, "objects": again });
            let (now, subject) = (self.inner.clock.now(), which.family.as_str());
            audit::record(&mut tx, now, "mask-drawn", by.who, subject, &detail).await?;
            tx.commit().await?;
            Ok(Drawn::Made(again))
        };
        let drawn = work.await.map_err(refused_row("keeping a mask"))?;
        self.wake();
        Ok(drawn)
    }

    /// Takes the rule of a device away: what has not gone is withheld again. Answers whether there was one.
    ///
    /// # Errors
    /// When the rows refuse; nothing is changed then.
    pub async fn drop_mask(&self, device: i64, by: By<'_>) -> Result<bool, SpoolError> {
        let mut tx = self.begin_rows().await?;
        let work = async {
            if !end_rule(self, &mut tx, device, by).await? {
                return Ok(false);
            }
            let again = decided_again(self, &mut tx, device, None).await?;
            let (now, detail) = (self.inner.clock.now(), json!({ "objects": again }));
            let subject = device.to_string();
            audit::record(&mut tx, now, "mask-dropped", by.who, &subject, &detail).await?;
            tx.commit().await?;
            Ok(true)
        };
        let dropped = work.await.map_err(refused_row("dropping a mask"))?;
        self.wake();
        Ok(dropped)
    }

    /// A person has drawn what is black on one withheld object, a secondary capture for instance: it leaves with that. A sealed study
    /// gets a new version. Answers whether there was such an object.
    ///
    /// # Errors
    /// When the rows refuse; nothing is changed then.
    pub async fn mask_object(
        &self,
        case: &CaseCode,
        instance: i64,
        rectangles: &[Rectangle],
        by: By<'_>,
    ) -> Result<bool, SpoolError> {
        let drawn = within(rectangles, u32::MAX, u32::MAX).filter(|drawn| !drawn.is_empty());
        let Some(drawn) = drawn else {
            return Ok(false);
        };
        let mut tx = self.begin_rows().await?;
        let work = async {
            let study: Option<i64> = sqlx::query_scalar(
                "UPDATE instance SET state = 'waiting', reason = '', mask = $3, sent_digest = NULL, sealed = NULL, remarks = '', \
                 refusals = 0, next_try_us = 0 WHERE id = $2 AND state = 'withheld' AND handle IS NOT NULL AND lost = 0 \
                 AND study_id = (SELECT id FROM study WHERE case_code = $1 AND state <> 'recalled') RETURNING study_id",
            )
            .bind(case.as_str())
            .bind(instance)
            .bind(json!(drawn).to_string())
            .fetch_optional(&mut *tx)
            .await?;
            let Some(study) = study else { return Ok(false) };
            self.decide(&mut tx, study, Some(instance), "mask", by)
                .await?;
            let detail = json!({ "rectangles": drawn });
            self.on_record(&mut tx, study, "object-masked", by.who, detail)
                .await?;
            seal_again(self, &mut tx, study).await?;
            tx.commit().await?;
            Ok(true)
        };
        let masked = work.await.map_err(refused_row("masking an object"))?;
        self.wake();
        Ok(masked)
    }
}

/// What was drawn, as far as it lies in the picture; none when it is too much, or lies outside.
fn within(rectangles: &[Rectangle], rows: u32, columns: u32) -> Option<Vec<Rectangle>> {
    let drawn = rectangles.iter().map(|one| one.within(rows, columns));
    let drawn: Vec<Rectangle> = drawn.collect();
    let good = drawn.len() <= RECTANGLES && drawn.iter().all(|one| !one.is_empty());
    good.then_some(drawn)
}

/// Whether rectangles hide something of a scan area.
#[must_use]
pub fn hides(rectangles: &[Rectangle], regions: &[Rectangle]) -> bool {
    rectangles
        .iter()
        .any(|one| regions.iter().any(|region| one.meet(region).is_some()))
}

/// Ends the rule of a device; what was decided by it and has not gone is decided again.
async fn end_rule(
    spool: &Spool,
    tx: &mut SqliteConnection,
    device: i64,
    by: By<'_>,
) -> Result<bool, sqlx::Error> {
    let ended: Option<i64> = sqlx::query_scalar(
        "UPDATE mask_rule SET gone_us = $2, gone_who = $3, gone_reason = $4 WHERE device_id = $1 AND gone_us IS NULL RETURNING id",
    )
    .bind(device)
    .bind(spool.inner.clock.now().0)
    .bind(by.who)
    .bind(by.reason)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(ended) = ended else {
        return Ok(false);
    };
    sqlx::query(
        "UPDATE instance SET sent_digest = NULL, sealed = NULL, remarks = '' WHERE state = 'waiting' AND sent_digest IS NOT NULL \
         AND (mask_rule = $1 OR overlay_rule = $1)",
    )
    .bind(ended)
    .execute(&mut *tx)
    .await?;
    Ok(true)
}

/// What waits at the site for the rule of a device is decided again, as masked by a person where one has drawn; sealed studies get a new
/// version. What a person keeps back stays.
async fn decided_again(
    spool: &Spool,
    tx: &mut SqliteConnection,
    device: i64,
    by: Option<By<'_>>,
) -> Result<u64, sqlx::Error> {
    let again: Vec<(i64, i64)> = sqlx::query_as(
        sqlx::AssertSqlSafe(format!(
            "UPDATE instance AS i SET state = 'waiting', reason = '', refusals = 0, next_try_us = 0 WHERE device_id = $1 \
             AND state = 'withheld' AND sent_digest IS NULL AND handle IS NOT NULL AND lost = 0 \
             AND study_id IN (SELECT id FROM study WHERE state <> 'recalled') AND {NOT_KEPT} RETURNING study_id, id"
        )),
    )
    .bind(device)
    .fetch_all(&mut *tx)
    .await?;
    let mut sealed = BTreeSet::new();
    for (study, instance) in &again {
        sealed.insert(*study);
        if let Some(by) = by {
            let (study, instance) = (*study, Some(*instance));
            spool.decide(tx, study, instance, "mask", by).await?;
        }
    }
    for study in sealed {
        seal_again(spool, tx, study).await?;
    }
    Ok(again.len() as u64)
}

/// The row of a device, with the scan areas that it has declared.
pub(super) async fn known(
    tx: &mut SqliteConnection,
    device: &Device,
    regions: &[Rectangle],
    now: Timestamp,
) -> Result<i64, sqlx::Error> {
    let row = sqlx::query(
        "INSERT INTO mask_device (family, manufacturer, model, image_rows, image_columns, first_us) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (family, manufacturer, model, image_rows, image_columns) DO UPDATE SET first_us = first_us RETURNING id, regions",
    )
    .bind(device.family.as_str())
    .bind(&device.manufacturer)
    .bind(&device.model)
    .bind(i64::from(device.rows))
    .bind(i64::from(device.columns))
    .bind(now.0)
    .fetch_one(&mut *tx)
    .await?;
    let (id, mut all) = (row.try_get(0)?, rectangles(&row, 1)?);
    let before = all.len();
    for region in regions {
        if all.len() < REGIONS && !all.contains(region) {
            all.push(*region);
        }
    }
    if all.len() > before {
        sqlx::query("UPDATE mask_device SET regions = $2 WHERE id = $1")
            .bind(id)
            .bind(json!(all).to_string())
            .execute(&mut *tx)
            .await?;
    }
    Ok(id)
}

/// The devices of an object are kept, and its row names the one of its pixels. Answers false when a rule has changed since it was
/// looked at: it is then decided again.
pub(super) async fn looked_at(
    tx: &mut SqliteConnection,
    instance: i64,
    looked: &[Looked],
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let mut rules: [Option<i64>; 2] = [None; 2];
    for Looked {
        device,
        regions,
        rule,
    } in looked
    {
        let id = known(tx, device, regions, now).await?;
        let in_force: Option<i64> =
            sqlx::query_scalar("SELECT id FROM mask_rule WHERE device_id = $1 AND gone_us IS NULL")
                .bind(id)
                .fetch_optional(&mut *tx)
                .await?;
        if in_force != *rule {
            return Ok(false);
        }
        let overlay = device.family == crate::mask::Family::Overlay;
        let [of_pixels, of_overlays] = &mut rules;
        *(if overlay { of_overlays } else { of_pixels }) = *rule;
        if !overlay {
            sqlx::query("UPDATE instance SET device_id = $2 WHERE id = $1")
                .bind(instance)
                .bind(id)
                .execute(&mut *tx)
                .await?;
        }
    }
    sqlx::query("UPDATE instance SET mask_rule = $2, overlay_rule = $3 WHERE id = $1")
        .bind(instance)
        .bind(rules[0])
        .bind(rules[1])
        .execute(&mut *tx)
        .await?;
    Ok(true)
}

fn rule(row: &SqliteRow) -> Result<Rule, sqlx::Error> {
    Ok(Rule {
        id: row.try_get(0)?,
        device: device(row, 1)?,
        rectangles: rectangles(row, 6)?,
        covers: row.try_get::<i64, _>(7)? != 0,
        who: row.try_get(8)?,
        reason: row.try_get(9)?,
        at: Timestamp(row.try_get(10)?),
    })
}

/// Five columns from `first`.
fn device(row: &SqliteRow, first: usize) -> Result<Device, sqlx::Error> {
    let size = |index| -> Result<u32, sqlx::Error> {
        Ok(u32::try_from(row.try_get::<i64, _>(index)?).unwrap_or(0))
    };
    Ok(Device {
        family: parsed(row, first, "a family of devices")?,
        manufacturer: row.try_get(first + 1)?,
        model: row.try_get(first + 2)?,
        rows: size(first + 3)?,
        columns: size(first + 4)?,
    })
}

/// A column of rectangles.
pub(super) fn rectangles(row: &SqliteRow, index: usize) -> Result<Vec<Rectangle>, sqlx::Error> {
    let text: String = row.try_get(index)?;
    serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))
}
