//! What a radiographer types for the reader names the patient in every spelling: the page says before anything is sent what is cut,
//! and nothing of it is found at the gateway or before the reader.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::planted::{self, spellings};
use causeway_tests::site_page::{SitePage, field};
use causeway_tests::stack::{log, wait_until};
use reqwest::Url;

use crate::protected::{found, holds};

const A_MINUTE: Duration = Duration::from_secs(60);

/// What is typed about the patient, and the piece of it that must not leave.
const TYPED: [(&str, &str); 14] = [
    ("Mrs BLOMQVIST-ÄRLIG fell in the ward", "BLOMQVIST-ÄRLIG"),
    ("blomqvist aerlig, zoe: known to us", "blomqvist aerlig"),
    ("Zoë says it is worse", "Zoë"),
    ("Zoe Blomqvist Arlig", "Blomqvist Arlig"),
    ("η κυρία ΠΑΠΑΔΟΠΟΥΛΟΣ ήρθε πεζή", "ΠΑΠΑΔΟΠΟΥΛΟΣ"),
    ("виноградова людмила, как прежде", "виноградова"),
    ("山田太郎 と同じ", "山田太郎"),
    ("number HOSP884213 of ours", "HOSP884213"),
    ("number hosp 884213", "hosp 884213"),
    ("order ACC-7731945", "ACC-7731945"),
    ("born 17.11.1955", "17.11.1955"),
    ("born 1955-11-17", "1955-11-17"),
    ("born 17 November 1955", "17 November 1955"),
    ("born 19551117 at home", "19551117"),
];

/// What has to reach the reader whole.
const STAYS: &str = "Fall from standing height, headache. Bleed?";

/// Sends a form of the page of a case; where the page stops at names, checks that it shows them, and says "send it like this".
async fn sent(
    site: &SitePage,
    case: &str,
    to: &str,
    fields: &[(&str, String)],
    cut: &[&str],
) -> anyhow::Result<()> {
    let (of, to) = (format!("/case/{case}"), format!("/case/{case}/{to}"));
    let mut form: Vec<(&str, &str)> = Vec::new();
    form.extend(fields.iter().map(|(name, text)| (*name, text.as_str())));
    let shown = site.send(&of, &to, &form).await?;
    ensure!(
        shown.contains("Not sent yet: this names the patient"),
        "{shown}"
    );
    for piece in cut {
        ensure!(
            shown.contains(piece),
            "{piece} is not named as taken out: {shown}"
        );
    }
    let taken = shown.matches("taken out: ").count();
    ensure!(taken > 0, "{shown}");
    let seen = field(&shown, "seen").context("what was seen")?.to_owned();
    form.push(("seen", &seen));
    let shown = site.send(&of, &to, &form).await?;
    ensure!(!shown.contains("Not sent yet"), "{shown}");
    Ok(())
}

/// Every spelling of a word as it stands on the wire of a page: as JSON text and as percent-encoded text.
fn on_a_page(word: &str) -> Vec<Vec<u8>> {
    let mut all = spellings(word);
    let mut url = Url::parse("http://page/").map_err(drop);
    if let Ok(url) = &mut url {
        url.query_pairs_mut().append_pair("", word);
        let coded = url.query().unwrap_or_default().trim_start_matches('=');
        all.push(coded.as_bytes().to_vec());
    }
    all
}

#[tokio::test]
async fn what_is_typed_for_the_reader_names_nobody_when_it_leaves() -> anyhow::Result<()> {
    let hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let folder = hospital.stack.options.folder.clone();
    let (files, _) = planted::write(&folder.join("planted"))?;
    for answer in hospital.send_files(&files, "CAUSEWAY").await? {
        ensure!(answer.stored(), "{answer:?}");
    }
    let task = hospital.claimed_with_draft(planted::STUDY).await?;
    let site = SitePage::sign_in(&hospital.stack).await?;

    // the context (P9): the question names the patient in every spelling, the short fields once each
    let cut: Vec<&str> = TYPED.iter().map(|(_, piece)| *piece).collect();
    let typed: Vec<&str> = TYPED.iter().map(|(line, _)| *line).collect();
    let context = [
        ("question", format!("{STAYS}\n{}", typed.join("\n"))),
        ("contrast", "none, says Rosalind Quillfeather".to_owned()),
        ("allergy", "none known to Blomqvist".to_owned()),
        ("renal", "eGFR 74 (HOSP884213)".to_owned()),
        ("call_role", "ward of Ärlig".to_owned()),
        ("call_number", "+30 210 1234567".to_owned()),
    ];
    sent(&site, &task.code, "context", &context, &cut).await?;
    // and a letter (P10) of each spelling, so that none hides behind another
    for (line, piece) in TYPED {
        let letter = [("text", format!("{STAYS} {line}"))];
        sent(&site, &task.code, "letter", &letter, &[piece]).await?;
    }

    let path = format!("/api/v1/cases/{}", task.case);
    let reader = &hospital.reader;
    let told = wait_until("every word to be at the reader", A_MINUTE, async || {
        let page = reader.get(&path).await?;
        let letters = page["letters"].as_array().map(Vec::len);
        let question = page["context"][0]["question"].as_str();
        Ok((letters == Some(TYPED.len()) && question.is_some()).then_some(page))
    });
    let page = told.await.with_context(|| hospital.logs())?;
    let question = page["context"][0]["question"].as_str().unwrap_or_default();
    assert!(question.starts_with(STAYS), "{question}");
    assert!(question.contains("[removed]"), "{question}");
    assert_eq!(page["context"][0]["call_number"], "+30 210 1234567");
    for letter in page["letters"].as_array().into_iter().flatten() {
        let text = letter["text"].as_str().unwrap_or_default();
        assert!(
            text.starts_with(STAYS) && text.contains("[removed]"),
            "{text}"
        );
    }

    // signed with the context in it: what comes of it is looked through too
    let preview = reader.preview(&task.case, "final").await?;
    reader.sign(&task.case, "final", &preview).await?.ok()?;
    reader
        .wait_delivery(&task.case, "delivered", A_MINUTE)
        .await?;
    let more: Vec<&str> = planted::SECRETS.into_iter().chain(cut).collect();
    let logs = ["gateway", "agent"].map(|which| log(&folder, which));
    let places = [vec![folder.join("gateway-data")], logs.to_vec()].concat();
    let hits = found(&places, &more)?;
    assert!(hits.is_empty(), "at the gateway or in a log: {hits:#?}");
    let list = reader.get("/api/v1/worklist").await?;
    let shown = format!("{page}{list}{preview}");
    let hits = more
        .iter()
        .filter(|word| holds(shown.as_bytes(), &on_a_page(word)));
    assert_eq!(hits.collect::<Vec<_>>(), Vec::<&&str>::new(), "{shown}");
    hospital.close().await
}
