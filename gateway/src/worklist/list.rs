//! The one list over all sites that a person may see: most urgent first, then who has waited longest.

use std::collections::HashMap;

use causeway_proto::link::message::terms::PSEUDONYMOUS;
use causeway_proto::time::Timestamp;
use sqlx::FromRow;

use super::study::{Site, Study};
use crate::eligibility::Subject;
use crate::rows::Rows;

/// Ended tasks stay on the list this long (P27: seven days).
const ENDED_SHOWN_US: i64 = 7 * 24 * 3600 * 1_000_000;
const MOST: usize = 500;

/// What of a study stands on the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its row.
    pub study: Study,
    /// The modalities of its series.
    pub modalities: Vec<String>,
    /// The first body part that a series names.
    pub body_part: String,
    /// Instances here.
    pub here: i64,
}

/// One task on the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The workitem.
    pub workitem: String,
    /// Its case.
    pub case: String,
    /// The word for the case.
    pub code: String,
    /// Its agreement.
    pub agreement: String,
    /// Under that agreement identity stays at the site.
    pub pseudonymous: bool,
    /// Procedure Step State.
    pub state: String,
    /// Input Readiness State.
    pub readiness: String,
    /// The clinical level.
    pub priority: String,
    /// Account and name of its holder.
    pub holder: Option<(String, String)>,
    /// Since when the patient waits: the first instance, or when a later task was made.
    pub waiting_since: Timestamp,
    /// Where it comes from.
    pub site: Site,
    /// Its studies.
    pub studies: Vec<Line>,
    /// How many priors there are.
    pub priors: usize,
}

/// Whose list: an organisation's, or everything for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Cases under agreements in force with this organisation.
    Organisation(String),
    /// Every case.
    Everything,
}

impl Reach {
    /// What this person may list.
    #[must_use]
    pub fn of(subject: &Subject) -> Self {
        if subject.roles.operator {
            Self::Everything
        } else {
            Self::Organisation(subject.organisation.clone())
        }
    }

    /// The organisation, or nothing for everything: as the statements take it.
    fn word(&self) -> &str {
        match self {
            Self::Organisation(name) => name,
            Self::Everything => "",
        }
    }
}

#[derive(FromRow)]
struct TaskRow {
    uid: String,
    case_id: String,
    case_code: String,
    code: String,
    agreement_id: String,
    identity: String,
    state: String,
    readiness: String,
    priority: String,
    claimed_by: Option<String>,
    given_name: Option<String>,
    family_name: Option<String>,
    created_us: i64,
}

#[derive(FromRow)]
struct InCase {
    case_id: String,
    #[sqlx(flatten)]
    study: Study,
}

#[derive(FromRow)]
struct SiteOfCase {
    case_id: String,
    #[sqlx(flatten)]
    site: Site,
}

/// The list, at most 500 tasks.
///
/// # Errors
/// When the database refuses.
pub async fn list(rows: &Rows, reach: &Reach, now: Timestamp) -> Result<Vec<Item>, sqlx::Error> {
    let word = reach.word();
    let since = now.0.saturating_sub(ENDED_SHOWN_US);
    let tasks: Vec<TaskRow> = sqlx::query_as(
        "SELECT w.uid, w.case_id, c.code AS case_code, w.code, c.agreement_id, a.identity, w.state, w.readiness, w.priority, w.claimed_by, p.given_name, p.family_name, w.created_us
         FROM workitem w JOIN reading_case c ON c.id = w.case_id JOIN agreement a ON a.id = c.agreement_id LEFT JOIN account p ON p.id = w.claimed_by
         WHERE ($1 = '' OR (a.organisation = $1 AND a.ended_us IS NULL AND (a.from_us IS NULL OR a.from_us <= $3) AND (a.until_us IS NULL OR a.until_us > $3)))
         AND (w.state IN ('SCHEDULED', 'IN PROGRESS') OR (w.state = 'COMPLETED' AND w.changed_us > $2))
         ORDER BY CASE w.state WHEN 'COMPLETED' THEN 1 ELSE 0 END, w.created_us DESC, w.uid DESC",
    )
    .bind(word)
    .bind(since)
    .bind(now.0)
    .fetch_all(rows.read())
    .await?;
    let sites: Vec<SiteOfCase> = sqlx::query_as(
        "SELECT c.id AS case_id, s.id AS site_id, s.name, s.country, s.time_zone, s.language, s.phone, s.legacy_headings
         FROM reading_case c JOIN site s ON s.id = c.site_id JOIN agreement a ON a.id = c.agreement_id
         WHERE ($1 = '' OR a.organisation = $1) AND EXISTS (SELECT 1 FROM workitem w WHERE w.case_id = c.id AND (w.state IN ('SCHEDULED', 'IN PROGRESS') OR w.changed_us > $2))",
    )
    .bind(word)
    .bind(since)
    .fetch_all(rows.read())
    .await?;
    let mut sites: HashMap<_, _> = sites.into_iter().map(|s| (s.case_id, s.site)).collect();
    let (mut lines, mut priors) = studies(rows, word, since).await?;
    let mut items = Vec::new();
    for task in tasks {
        // open tasks come first, then the newest: the first of a case is the one that stands on the list
        let Some(site) = sites.remove(&task.case_id) else {
            continue;
        };
        let studies = lines.remove(&task.case_id).unwrap_or_default();
        let priors = priors.remove(&task.case_id).unwrap_or(0);
        items.push(item(task, site, studies, priors));
    }
    items.sort_by_key(|i| (ended(i), urgency(&i.priority), i.waiting_since));
    items.truncate(MOST);
    Ok(items)
}

fn item(task: TaskRow, site: Site, studies: Vec<Line>, priors: usize) -> Item {
    let first = studies.iter().map(|l| l.study.first_us).min();
    let since = match first {
        Some(first) if task.code == super::INTERPRETATION => first,
        _ => task.created_us,
    };
    let name = format!(
        "{} {}",
        task.given_name.unwrap_or_default(),
        task.family_name.unwrap_or_default()
    );
    Item {
        workitem: task.uid,
        case: task.case_id,
        code: task.case_code,
        agreement: task.agreement_id,
        pseudonymous: task.identity == PSEUDONYMOUS,
        state: task.state,
        readiness: task.readiness,
        priority: task.priority,
        holder: task.claimed_by.map(|by| (by, name.trim().to_owned())),
        waiting_since: Timestamp(since),
        site,
        studies,
        priors,
    }
}

fn ended(item: &Item) -> bool {
    item.state == "COMPLETED"
}

fn urgency(priority: &str) -> u8 {
    match priority {
        "stat" => 0,
        "urgent" => 1,
        _ => 2,
    }
}

type Lines = HashMap<String, Vec<Line>>;

/// The studies of the listed cases, and how many priors each case has.
async fn studies(
    rows: &Rows,
    word: &str,
    since: i64,
) -> Result<(Lines, HashMap<String, usize>), sqlx::Error> {
    let current: Vec<InCase> = sqlx::query_as(
        "SELECT cs.case_id, s.* FROM study s JOIN case_study cs ON cs.site_id = s.site_id AND cs.agreement_id = s.agreement_id AND cs.study_uid = s.study_uid
         JOIN agreement a ON a.id = s.agreement_id WHERE ($1 = '' OR a.organisation = $1)
         AND EXISTS (SELECT 1 FROM workitem w WHERE w.case_id = cs.case_id AND (w.state IN ('SCHEDULED', 'IN PROGRESS') OR w.changed_us > $2)) ORDER BY s.study_uid",
    )
    .bind(word)
    .bind(since)
    .fetch_all(rows.read())
    .await?;
    let others: Vec<InCase> = sqlx::query_as(
        "SELECT DISTINCT cs.case_id, p.* FROM study p JOIN study s ON s.site_id = p.site_id AND s.agreement_id = p.agreement_id AND s.patient_id = p.patient_id AND s.patient_issuer = p.patient_issuer
         JOIN case_study cs ON cs.site_id = s.site_id AND cs.agreement_id = s.agreement_id AND cs.study_uid = s.study_uid
         JOIN agreement a ON a.id = s.agreement_id WHERE ($1 = '' OR a.organisation = $1) AND s.patient_id <> '' AND s.study_uid <> p.study_uid
         AND EXISTS (SELECT 1 FROM workitem w WHERE w.case_id = cs.case_id AND (w.state IN ('SCHEDULED', 'IN PROGRESS') OR w.changed_us > $2))",
    )
    .bind(word)
    .bind(since)
    .fetch_all(rows.read())
    .await?;
    let groups: Vec<(String, String, String, String, i64)> = sqlx::query_as(
        "SELECT cs.case_id, s.study_uid, s.modality, max(s.body_part), count(i.sop_uid) FROM series s
         JOIN case_study cs ON cs.site_id = s.site_id AND cs.agreement_id = s.agreement_id AND cs.study_uid = s.study_uid
         JOIN agreement a ON a.id = s.agreement_id
         JOIN instance i ON i.site_id = s.site_id AND i.agreement_id = s.agreement_id AND i.study_uid = s.study_uid AND i.series_uid = s.series_uid
         WHERE ($1 = '' OR a.organisation = $1) AND EXISTS (SELECT 1 FROM workitem w WHERE w.case_id = cs.case_id AND (w.state IN ('SCHEDULED', 'IN PROGRESS') OR w.changed_us > $2))
         GROUP BY cs.case_id, s.study_uid, s.modality ORDER BY s.modality",
    )
    .bind(word)
    .bind(since)
    .fetch_all(rows.read())
    .await?;
    let mut lines = Lines::new();
    for InCase { case_id, study } in current {
        let mut line = Line {
            study,
            modalities: Vec::new(),
            body_part: String::new(),
            here: 0,
        };
        for (case, uid, modality, body_part, count) in &groups {
            if *case == case_id && *uid == line.study.study_uid {
                line.modalities.push(modality.clone());
                line.here += count;
                if line.body_part.is_empty() {
                    line.body_part.clone_from(body_part);
                }
            }
        }
        lines.entry(case_id).or_default().push(line);
    }
    let mut priors: HashMap<String, usize> = HashMap::new();
    for InCase { case_id, study } in others {
        let mine = lines.get(&case_id).map_or(&[][..], Vec::as_slice);
        let in_case = mine.iter().any(|l| l.study.study_uid == study.study_uid);
        if !in_case && mine.iter().any(|l| l.study.has_prior(&study)) {
            *priors.entry(case_id).or_default() += 1;
        }
    }
    Ok((lines, priors))
}
