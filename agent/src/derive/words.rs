//! What stands on the pages: the document's own words in their order, and on every page whose they are and what they were signed as.

use causeway_proto::report::closing::{WITHDRAWN, closing, preliminary};
use causeway_proto::report::coding;
use causeway_proto::report::model::{Patient, Report, Standing};

use super::Source;
use super::ink::Style;

/// One text with the way it is set.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) text: String,
    pub(super) style: Style,
    /// White above it, in pixels.
    pub(super) above: i32,
    /// A heading: it does not stand last on a page.
    pub(super) heads: bool,
}

/// Everything that is drawn.
#[derive(Debug)]
pub(super) struct Words {
    /// First on every page: how far the report may be relied on, when that is not far.
    pub(super) banner: Vec<Block>,
    /// The patient, on every page.
    pub(super) patient: Vec<Block>,
    /// The case and the study, on every page.
    pub(super) study: Vec<Block>,
    /// The report.
    pub(super) body: Vec<Block>,
    /// Last on every page, before its number.
    pub(super) foot: Vec<Block>,
}

impl Words {
    /// How many characters there are, those of every page once.
    pub(super) fn characters(&self) -> usize {
        [
            &self.banner,
            &self.patient,
            &self.study,
            &self.body,
            &self.foot,
        ]
        .into_iter()
        .flatten()
        .map(|block| block.text.chars().count())
        .sum()
    }
}

const NAME: Style = set(36.0, true);
const BANNER: Style = set(34.0, true);
const TITLE: Style = set(32.0, true);
const HEADING: Style = set(27.0, true);
const TEXT: Style = set(25.0, false);
const SMALL: Style = set(18.0, false);

const fn set(size: f32, bold: bool) -> Style {
    Style {
        size,
        bold,
        indent: 0,
    }
}

/// A block that follows at once.
fn block(text: impl Into<String>, style: Style) -> Block {
    Block {
        text: text.into(),
        style,
        above: 0,
        heads: false,
    }
}

fn heading(text: &str, style: Style) -> Block {
    Block {
        above: 26,
        heads: true,
        ..block(text, style)
    }
}

fn paragraph(text: &str) -> Block {
    Block {
        above: 10,
        style: Style { indent: 24, ..TEXT },
        ..block(text, TEXT)
    }
}

/// The words of a report.
pub(super) fn words(report: &Report, source: &Source<'_>) -> Words {
    let banner = match report.standing {
        Standing::Preliminary => vec![block(
            preliminary(&report.language).as_str().replace('\n', ": "),
            BANNER,
        )],
        Standing::Final(_) => withdrawn(report)
            .map(|line| block(line, BANNER))
            .into_iter()
            .collect(),
    };
    Words {
        banner,
        patient: patient(&report.patient),
        study: study(report, source),
        body: body(report),
        foot: foot(report, source),
    }
}

/// The first words of a report that takes back another (P17).
pub(super) fn withdrawn(report: &Report) -> Option<&'static str> {
    let first = report.notices.first()?;
    first.as_str().starts_with(WITHDRAWN).then_some(WITHDRAWN)
}

fn patient(patient: &Patient) -> Vec<Block> {
    let mut facts = vec![format!("ID {}", or_none(patient.id.reveal()))];
    if !patient.issuer.is_empty() {
        facts.push(format!("of {}", patient.issuer.reveal()));
    }
    facts.push(format!(
        "born {}",
        or_none(&date(patient.birth_date.reveal()))
    ));
    facts.push(format!("sex {}", or_none(patient.sex.reveal())));
    vec![
        block(person_name(patient.name.reveal()), NAME),
        block(facts.join("   "), TEXT),
    ]
}

fn study(report: &Report, source: &Source<'_>) -> Vec<Block> {
    let study = &report.study;
    let mut accessions: Vec<&str> = report
        .requests
        .iter()
        .map(|request| request.accession.reveal())
        .chain([study.accession.reveal()])
        .filter(|one| !one.is_empty())
        .collect();
    accessions.sort_unstable();
    accessions.dedup();
    let accession = accessions.join(", ");
    let when = format!(
        "{} {}",
        date(study.date.reveal()),
        time(study.time.reveal())
    );
    let mut first = vec![format!("Case {}", source.case)];
    if !accession.is_empty() {
        first.push(format!("accession {accession}"));
    }
    let mut second = vec![format!("Study of {}", or_none(when.trim()))];
    if !study.description.is_empty() {
        second.push(study.description.reveal().to_owned());
    }
    if !study.referrer.is_empty() {
        second.push(format!(
            "referred by {}",
            person_name(study.referrer.reveal())
        ));
    }
    vec![
        block(first.join("   "), TEXT),
        block(second.join("   "), TEXT),
    ]
}

fn body(report: &Report) -> Vec<Block> {
    let status = match report.standing {
        Standing::Preliminary => "preliminary",
        Standing::Final(_) if withdrawn(report).is_some() => "withdrawal",
        Standing::Final(_) => "final",
    };
    let mut body = vec![heading(
        &format!("{} ({status})", report.title.meaning),
        TITLE,
    )];
    if let Some(procedure) = &report.procedure {
        body.push(paragraph(&procedure.meaning));
    }
    body.extend(
        report
            .notices
            .iter()
            .map(|notice| paragraph(notice.as_str())),
    );
    for section in &report.sections {
        let (_, _, meaning) = coding::heading(section.kind, report.headings);
        body.push(heading(meaning, HEADING));
        body.extend(section.paragraphs.iter().map(|it| paragraph(it.as_str())));
    }
    for (index, person) in closing(report).iter().enumerate() {
        body.push(Block {
            above: if index == 0 { 44 } else { 18 },
            ..block(person.as_str(), TEXT)
        });
    }
    body
}

/// What makes the page checkable: the document that it shows.
fn foot(report: &Report, source: &Source<'_>) -> Vec<Block> {
    vec![
        block(
            "Picture of a digitally signed report. The signed document is the one that counts.",
            SMALL,
        ),
        block(
            format!("Signed document {}", report.document.instance),
            SMALL,
        ),
        block(format!("SHA-256 {}", source.digest), SMALL),
    ]
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "not known" } else { text }
}

/// A PN as one reads it: every group in its script, the family name first (PS3.5 6.2.1).
pub(super) fn person_name(raw: &str) -> String {
    let groups: Vec<String> = raw
        .split('=')
        .map(|group| {
            let mut parts = group.split('^').map(str::trim).filter(|it| !it.is_empty());
            let family = parts.next().unwrap_or_default().to_owned();
            let given = parts.collect::<Vec<_>>().join(" ");
            if given.is_empty() {
                family
            } else {
                format!("{family}, {given}")
            }
        })
        .filter(|group| !group.is_empty())
        .collect();
    if groups.is_empty() {
        "(no name)".to_owned()
    } else {
        groups.join("   ")
    }
}

/// A DA with hyphens; anything else as it stands.
fn date(raw: &str) -> String {
    match (raw.get(..4), raw.get(4..6), raw.get(6..)) {
        (Some(year), Some(month), Some(day)) if day.len() == 2 => {
            format!("{year}-{month}-{day}")
        }
        _ => raw.to_owned(),
    }
}

/// A TM to the minute; anything else as it stands.
fn time(raw: &str) -> String {
    match (raw.get(..2), raw.get(2..4)) {
        (Some(hour), Some(minute)) => format!("{hour}:{minute}"),
        _ => raw.to_owned(),
    }
}
