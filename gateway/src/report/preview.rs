//! The report as it will read, as HTML and as plain text: the same model that is signed, every word of it escaped.

use causeway_proto::report::closing;
use causeway_proto::report::coding;
use causeway_proto::report::model::{Paragraph, Report, Section, Standing};
use maud::{Markup, html};

fn heading(report: &Report, section: &Section) -> &'static str {
    coding::heading(section.kind, report.headings).2
}

fn first_lines(report: &Report) -> Vec<Paragraph> {
    let mut out = Vec::new();
    if matches!(report.standing, Standing::Preliminary) {
        out.push(closing::preliminary(&report.language));
    }
    out.extend(report.notices.iter().cloned());
    out
}

/// HTML without scripts, styles or links; everything typed is text.
#[must_use]
pub fn html(report: &Report) -> String {
    let page = html! {
        article.report lang=(report.language.as_str()) {
            h1 { (report.title.meaning) }
            @for paragraph in first_lines(report) {
                p.notice { (lines(&paragraph)) }
            }
            @for section in &report.sections {
                section {
                    h2 { (heading(report, section)) }
                    @for paragraph in &section.paragraphs {
                        p dir="auto" { (lines(paragraph)) }
                    }
                }
            }
            footer {
                @for paragraph in closing::closing(report) {
                    p { (lines(&paragraph)) }
                }
            }
        }
    };
    page.into_string()
}

fn lines(paragraph: &Paragraph) -> Markup {
    html! {
        @for (at, line) in paragraph.as_str().split('\n').enumerate() {
            @if at > 0 { br; }
            (line)
        }
    }
}

/// Plain text, ended as every form of the report ends (P29).
#[must_use]
pub fn text(report: &Report) -> String {
    let mut blocks = vec![report.title.meaning.clone()];
    let owned = |paragraph: &Paragraph| paragraph.as_str().to_owned();
    blocks.extend(first_lines(report).iter().map(owned));
    for section in &report.sections {
        blocks.push(format!("{}\n{}", heading(report, section), section.text()));
    }
    blocks.extend(closing::closing(report).iter().map(owned));
    let mut out = blocks.join("\n\n");
    out.push('\n');
    out
}
