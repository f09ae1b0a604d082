//! What of the words of people leaves, what the gateway hears of them and how often, and what comes back.

use causeway_proto::dataset::Dataset;
use causeway_proto::ids::AgreementId;
use causeway_proto::link::message::{Context, ContextHeld, Facts, Letter, LetterState, LetterStep};
use causeway_proto::link::talk::held;
use causeway_proto::time::Timestamp;

use super::*;
use crate::protect::seal;
use crate::spool::decision::By;
use crate::spool::tests::{Bench, What};
use crate::spool::{Config, Private};

const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// One element of Explicit VR Little Endian with a short length.
fn element(tag: (u16, u16), vr: &str, value: &str) -> Vec<u8> {
    let mut value = value.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(b' ');
    }
    let mut out = tag.0.to_le_bytes().to_vec();
    out.extend(tag.1.to_le_bytes());
    out.extend(vr.as_bytes());
    out.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
    out.extend(value);
    out
}

/// The header of an image of Eleni Papadopoulou.
fn image() -> Vec<u8> {
    [
        element((0x0008, 0x0005), "CS", "ISO_IR 192"),
        element((0x0008, 0x0020), "DA", "20261120"),
        element((0x0008, 0x0050), "SH", "ACC-77310"),
        element(
            (0x0010, 0x0010),
            "PN",
            "Papadopoulou^Eleni==Παπαδοπούλου^Ελένη",
        ),
        element((0x0010, 0x0020), "LO", "4711-0815"),
        element((0x0010, 0x0030), "DA", "19560307"),
        element((0x0010, 0x2154), "SH", "+30 2310 999888"),
    ]
    .concat()
}

/// A site with one study of such an image, under a pseudonymous agreement or not.
async fn site(identified: bool) -> (Bench, Talk, CaseCode) {
    let bench = match identified {
        true => Bench::new().await,
        false => Bench::strict(Config::default()).await,
    };
    bench.greet(1, 0).await;
    let what = What::image("1.2.3", "1.2.3.1").with_bytes(&image());
    bench.store(&what).await.unwrap();
    let case: String = sqlx::query_scalar("SELECT case_code FROM study")
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap();
    let talk = Talk::new(bench.spool.clone());
    // its object was decided about: its study UID holds nothing of the patient
    sql(&bench, "UPDATE study SET named = 'may'").await;
    (bench, talk, case.parse().unwrap())
}

async fn sql(bench: &Bench, sql: &'static str) {
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

fn question(text: &str) -> Facts {
    Facts {
        question: text.to_owned(),
        ..Facts::default()
    }
}

async fn describe(talk: &Talk, case: &CaseCode, facts: &Facts) {
    let checked = talk.check_context(case, facts).await.unwrap();
    talk.describe(case, &checked, "rita").await.unwrap();
}

async fn write(talk: &Talk, case: &CaseCode, text: &str) {
    let checked = talk.check_letter(case, text).await.unwrap();
    let by = ("rita", "radiographer");
    talk.write(case, &checked, by).await.unwrap();
}

fn from_reader(id: &str, case: &CaseCode) -> Letter {
    Letter {
        id: id.to_owned(),
        agreement: "a1".parse().unwrap(),
        case: case.clone(),
        written: Timestamp(5),
        who: "Dr. Weiß".to_owned(),
        text: format!("Which arm? ({id})"),
    }
}

fn state(id: &str, step: LetterStep) -> LetterState {
    LetterState {
        id: id.to_owned(),
        step,
        at: Timestamp(99),
    }
}

async fn audited(bench: &Bench) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT event || ' by ' || actor FROM audit_event WHERE event LIKE 'letter%' OR event LIKE 'context%' ORDER BY seq",
    )
    .fetch_all(bench.spool.rows().read())
    .await
    .unwrap()
}

/// P11: what was checked before the agreement asked for shifted dates is shifted too when it is said.
#[tokio::test]
async fn dates_leave_shifted_or_not_at_all() {
    let (bench, talk, case) = site(false).await;
    let typed = Facts {
        question: "Fall on 20 November, CT of 3.11.2026?".to_owned(),
        renal: "eGFR 54".to_owned(),
        renal_date: "2026-11-13".to_owned(),
        ..Facts::default()
    };
    describe(&talk, &case, &typed).await;
    write(&talk, &case, "Compare with 3.11.2026.").await;
    let said = async || {
        let contexts = talk.contexts_to_say().await.unwrap();
        let letters = talk.letters_to_say().await.unwrap();
        (contexts[0].facts.clone(), letters[0].text.clone())
    };
    assert_eq!(
        said().await,
        (typed.clone(), "Compare with 3.11.2026.".to_owned())
    );
    bench.greet_wanting(1, 0, &["modified-dates"]).await;
    let (facts, letter) = said().await;
    assert_eq!(facts.question, "Fall on [removed], CT of [removed]?");
    assert_eq!(letter, "Compare with [removed].");
    let keys = bench.spool.keys();
    let (issuer, id): (String, String) = sqlx::query_as("SELECT bound_issuer, bound_id FROM study")
        .fetch_one(bench.spool.rows().read())
        .await
        .unwrap();
    let days = keys.date_shift(&"a1".parse().unwrap(), &issuer, &id);
    let days = days.unwrap();
    let date = |text: &str| text.parse::<jiff::civil::Date>().unwrap();
    let back = date("2026-11-13") - date(&facts.renal_date);
    assert_eq!(back.get_days(), i32::from(days));

    // the person is told what does not leave; the day in its own field does
    let checked = talk.check_context(&case, &typed).await.unwrap();
    let fields: Vec<&str> = checked.removed.iter().map(|it| it.field).collect();
    assert_eq!(fields, ["question"]);
    assert_eq!(checked.removed[0].pieces, ["20 November", "3.11.2026"]);
    let letter = talk.check_letter(&case, "As on 3 November.").await.unwrap();
    assert_eq!(letter.leaves, "As on [removed].");
}

#[tokio::test]
async fn what_names_the_patient_is_taken_out_in_every_spelling() {
    let (_bench, talk, case) = site(false).await;
    let check = async |typed: &str, expect: &str| {
        let checked = talk.check_letter(&case, typed).await.unwrap();
        assert_eq!(checked.leaves, expect, "{typed}");
        assert_eq!(checked.removed.is_empty(), typed == expect, "{typed}");
    };
    check(
        "Bleeding? Fell at 20:10, left side weak.",
        "Bleeding? Fell at 20:10, left side weak.",
    )
    .await;
    check("Eleni PAPADOPOULOU fell.", "[removed] fell.").await;
    check("Η Παπαδοπούλου έπεσε.", "Η [removed] έπεσε.").await;
    check("ΠΑΠΑΔΟΠΟΥΛΟΥ", "[removed]").await;
    // decomposed: the accent is a character of its own
    check("Παπαδοπου\u{301}λου", "[removed]").await;
    check(
        "ID 4711-0815, also 4711 0815 and 47110815.",
        "ID [removed], also [removed] and [removed].",
    )
    .await;
    check(
        "born 7.3.1956 (07/03/1956, 1956-03-07)",
        "born [removed] ([removed])",
    )
    .await;
    check("order ACC-77310", "order [removed]").await;
    check(
        "call the ward at +30 2310 555 100",
        "call the ward at +30 2310 555 100",
    )
    .await;
    check("ישנה אלרגיה ליוד", "ישנה אלרגיה ליוד").await;
    let facts = Facts {
        question: "Papadopoulou: stroke?".to_owned(),
        call_role: "Dr Papadopoulou's ward".to_owned(),
        call_number: "+30 2310 555 100".to_owned(),
        ..Facts::default()
    };
    let checked = talk.check_context(&case, &facts).await.unwrap();
    assert_eq!(checked.typed, facts);
    assert_eq!(checked.leaves.question, "[removed]: stroke?");
    assert_eq!(checked.leaves.call_number, facts.call_number);
    let fields: Vec<_> = checked.removed.iter().map(|it| it.field).collect();
    assert_eq!(fields, ["question", "call_role"]);
    assert_eq!(checked.removed[0].pieces, ["Papadopoulou"]);
    // nothing of it is ever printed
    assert_eq!(format!("{checked:?}"), "Checked(2 removed)");
}

#[tokio::test]
async fn under_an_identified_agreement_words_leave_as_they_are() {
    let (_bench, talk, case) = site(true).await;
    describe(&talk, &case, &question("Papadopoulou: stroke?")).await;
    write(&talk, &case, "Eleni is at the scanner.").await;
    let said = talk.contexts_to_say().await.unwrap();
    assert_eq!(said[0].facts.question, "Papadopoulou: stroke?");
    let letters = talk.letters_to_say().await.unwrap();
    assert_eq!(letters[0].text, "Eleni is at the scanner.");
}

#[tokio::test]
async fn nothing_leaves_that_cannot_be_checked() {
    let (bench, talk, case) = site(false).await;
    sql(&bench, "UPDATE instance SET handle = NULL").await;
    let refused = talk.check_letter(&case, "Anything.").await;
    assert!(matches!(refused, Err(TalkError::Unchecked)), "{refused:?}");
    // the sealed originals outlive the objects
    let originals = Dataset::read(&image(), &EXPLICIT.parse().unwrap()).unwrap();
    let sealed = bench
        .spool
        .keys()
        .seal(&seal::plain(&originals, b"ISO_IR 192"));
    let mut tx = bench.spool.rows().begin().await.unwrap();
    sqlx::query("INSERT INTO sealed_set (study_id, agreement, pseudonym, sealed, made_us) VALUES (1, 'a1', 'CWX', $1, 1)")
        .bind(sealed.unwrap())
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let text = "Παπαδοπούλου, 4711 0815, 7.3.1956";
    let checked = talk.check_letter(&case, text).await.unwrap();
    assert_eq!(checked.leaves, "[removed]");
    let (bench, talk, case) = site(false).await;
    sql(&bench, "UPDATE instance SET syntax = '1.2.840.10008.1.2.2'").await;
    let refused = talk.check_letter(&case, "Anything.").await;
    assert!(matches!(refused, Err(TalkError::Unchecked)), "{refused:?}");
    let nobody = talk.check_letter(&"33333333".parse().unwrap(), "x").await;
    assert!(matches!(nobody, Err(TalkError::Unknown)), "{nobody:?}");
}

#[tokio::test]
async fn the_newest_context_is_said_until_it_is_held() {
    let (bench, talk, case) = site(false).await;
    describe(&talk, &case, &question("Papadopoulou: stroke?")).await;
    describe(&talk, &case, &question("Papadopoulou: bleeding?")).await;
    let said = talk.contexts_to_say().await.unwrap();
    let questions: Vec<_> = said.iter().map(|it| it.facts.question.as_str()).collect();
    assert_eq!(questions, ["[removed]: bleeding?"]);
    let standing = |said: Option<Said>| said.map(|said| said.standing);
    let shown = context(bench.spool.rows(), &case).await.unwrap();
    assert_eq!(standing(shown), Some(Standing::Going));
    drop(talk);
    let bench = bench.restart().await;
    let talk = Talk::new(bench.spool.clone());
    assert_eq!(
        talk.contexts_to_say().await.unwrap(),
        said,
        "kept over a restart"
    );
    // an answer to the older one silences nothing
    let older = ContextHeld {
        version: said[0].version - 1,
        ..held(&said[0])
    };
    talk.context_held(&older).await.unwrap();
    assert_eq!(talk.contexts_to_say().await.unwrap(), said);
    talk.context_held(&held(&said[0])).await.unwrap();
    assert_eq!(talk.contexts_to_say().await.unwrap(), []);
    let shown = context(bench.spool.rows(), &case).await.unwrap().unwrap();
    assert!(matches!(shown.standing, Standing::Held(_)));
    assert_eq!(shown.typed.question, "Papadopoulou: bleeding?");
    // a restored gateway hears it again, whatever the study has come to
    sql(
        &bench,
        "UPDATE study SET state = 'handed-off', handed_off_us = 1",
    )
    .await;
    bench.greet(1, 0).await;
    assert_eq!(talk.contexts_to_say().await.unwrap(), []);
    bench.greet(2, 0).await;
    assert_eq!(talk.contexts_to_say().await.unwrap(), said);
    // and nothing of a study that was taken back
    assert!(
        bench
            .spool
            .recall(
                &case,
                By {
                    who: "rita",
                    reason: "wrong"
                }
            )
            .await
            .unwrap()
    );
    assert_eq!(talk.contexts_to_say().await.unwrap(), []);
    let refused = talk.check_context(&case, &question("x")).await;
    assert!(matches!(refused, Err(TalkError::Recalled)), "{refused:?}");
    assert_eq!(audited(&bench).await, ["context-given by rita"; 2]);
}

/// The hospital withdraws its leave to send names: what was written before, and not yet heard, says nothing any more.
#[tokio::test]
async fn words_written_while_names_could_leave_do_not_leave_once_they_cannot() {
    let (bench, talk, case) = site(true).await;
    describe(&talk, &case, &question("Papadopoulou: stroke?")).await;
    write(&talk, &case, "About Papadopoulou.").await;
    assert_eq!(
        talk.letters_to_say().await.unwrap()[0].text,
        "About Papadopoulou."
    );
    sql(&bench, "UPDATE agreement SET identity = 'pseudonymous'").await;
    assert_eq!(talk.letters_to_say().await.unwrap()[0].text, "[removed]");
    let said = talk.contexts_to_say().await.unwrap();
    assert_eq!(said[0].facts, Facts::default());
}

#[tokio::test]
async fn without_an_agreement_nothing_is_said_yet() {
    let (bench, talk, case) = site(false).await;
    sql(&bench, "UPDATE agreement SET in_force = 0").await;
    describe(&talk, &case, &question("Stroke?")).await;
    write(&talk, &case, "Hello.").await;
    assert_eq!(talk.contexts_to_say().await.unwrap(), []);
    assert_eq!(talk.letters_to_say().await.unwrap(), []);
    let shown = context(bench.spool.rows(), &case).await.unwrap().unwrap();
    assert_eq!(shown.standing, Standing::NoAgreement);
    bench.greet(1, 0).await;
    assert_eq!(talk.contexts_to_say().await.unwrap().len(), 1);
    assert_eq!(talk.letters_to_say().await.unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_is_said_of_a_study_whose_uid_may_not_be_said() {
    let (bench, talk, case) = site(false).await;
    describe(&talk, &case, &question("Stroke?")).await;
    write(&talk, &case, "Hello.").await;
    for (named, said) in [
        ("UPDATE study SET named = ''", 0),
        ("UPDATE study SET named = 'must-not'", 0),
        ("UPDATE study SET named = 'may'", 1),
    ] {
        sql(&bench, named).await;
        assert_eq!(talk.contexts_to_say().await.unwrap().len(), said);
        assert_eq!(talk.letters_to_say().await.unwrap().len(), said);
    }
}

#[tokio::test]
async fn letters_go_in_order_and_their_steps_are_noted() {
    let (bench, talk, case) = site(false).await;
    write(&talk, &case, "First, about Papadopoulou.").await;
    write(&talk, &case, "Second.").await;
    let said = talk.letters_to_say().await.unwrap();
    let texts: Vec<_> = said.iter().map(|it| it.text.as_str()).collect();
    assert_eq!(texts, ["First, about [removed].", "Second."]);
    assert_eq!(said[0].who, "radiographer", "no account leaves");
    let answer = talk.heard(&state(&said[0].id, LetterStep::Held)).await;
    assert_eq!(answer.unwrap(), None);
    assert_eq!(talk.letters_to_say().await.unwrap(), said[1..]);
    // read says that it is held as well, and is answered
    let answer = talk.heard(&state(&said[1].id, LetterStep::Read)).await;
    assert_eq!(answer.unwrap().map(|it| it.step), Some(LetterStep::Known));
    assert_eq!(talk.letters_to_say().await.unwrap(), []);
    let lines = letters(bench.spool.rows(), &case).await.unwrap();
    assert_eq!(lines[0].text.reveal(), "First, about Papadopoulou.");
    assert_eq!(
        lines[0].leaves,
        Some(Private::new("First, about [removed]."))
    );
    assert_eq!((lines[0].read, lines[1].read), (None, Some(Timestamp(99))));
    bench.greet(2, 0).await;
    assert_eq!(
        talk.letters_to_say().await.unwrap(),
        said,
        "after a restore"
    );
    assert!(
        bench
            .spool
            .recall(
                &case,
                By {
                    who: "rita",
                    reason: "wrong"
                }
            )
            .await
            .unwrap()
    );
    assert_eq!(talk.letters_to_say().await.unwrap(), []);
    assert_eq!(audited(&bench).await, ["letter-written by rita"; 2]);
}

#[tokio::test]
async fn a_readers_letter_is_kept_once_and_its_reading_is_told() {
    let (bench, talk, case) = site(false).await;
    let rows = bench.spool.rows();
    for id in ["r1", "r2", "r1"] {
        let answer = talk.take(&from_reader(id, &case)).await.unwrap().unwrap();
        assert_eq!((answer.id.as_str(), answer.step), (id, LetterStep::Held));
    }
    assert_eq!(unread(rows).await.unwrap(), 2);
    let asked = questions(rows).await.unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (asked[0].count, asked[0].text.reveal()),
        (2, "Which arm? (r1)")
    );
    assert_eq!(asked[0].patient.reveal(), "Test^One");
    // of another agreement, or of a case that is not here: nobody answers
    let mut other = from_reader("r9", &case);
    other.agreement = "a2".parse::<AgreementId>().unwrap();
    assert_eq!(talk.take(&other).await.unwrap(), None);
    let unknown = from_reader("r9", &"33333333".parse().unwrap());
    assert_eq!(talk.take(&unknown).await.unwrap(), None);
    assert_eq!(talk.readings_to_say().await.unwrap(), []);
    write(&talk, &case, "The left one.").await;
    assert_eq!(unread(rows).await.unwrap(), 0, "an answer reads");
    let readings = talk.readings_to_say().await.unwrap();
    let ids: Vec<_> = readings.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["r1", "r2"]);
    for id in ids {
        talk.heard(&state(id, LetterStep::Known)).await.unwrap();
    }
    assert_eq!(talk.readings_to_say().await.unwrap(), []);
    talk.take(&from_reader("r3", &case)).await.unwrap();
    assert_eq!(talk.mark_read(&case, "rita").await.unwrap(), 1);
    assert_eq!(talk.mark_read(&case, "rita").await.unwrap(), 0);
    let lines = letters(rows, &case).await.unwrap();
    let order: Vec<_> = lines.iter().map(|it| it.from_site).collect();
    assert_eq!(order, [false, false, true, false]);
    assert_eq!(lines[3].read_by, "rita");
    let expect = [
        "letter-received by gateway",
        "letter-received by gateway",
        "letter-written by rita",
        "letter-received by gateway",
        "letter-read by rita",
    ];
    assert_eq!(audited(&bench).await, expect);
}

#[tokio::test]
async fn length_and_number_are_bounded() {
    let (bench, talk, case) = site(false).await;
    let long = "ä".repeat(LONG + 5);
    let checked = talk.check_letter(&case, &long).await.unwrap();
    assert_eq!(checked.leaves.chars().count(), LONG);
    let empty = talk.check_letter(&case, " \n\u{202E} ").await;
    assert!(matches!(empty, Err(TalkError::Empty)), "{empty:?}");
    let facts = Facts::default().map(|_, _| "ä".repeat(LONG + 5));
    let checked = talk.check_context(&case, &facts).await.unwrap();
    assert_eq!(checked.typed.question.chars().count(), LONG);
    assert_eq!(checked.typed.allergy.chars().count(), SHORT);
    sql(
        &bench,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) \
         INSERT INTO letter (id, study_id, from_site, who, says_who, text, leaves, written_us, came_us) \
         SELECT 'x' || i, 1, 1, 'rita', '', '', '', 1, 1 FROM n",
    )
    .await;
    let checked = talk.check_letter(&case, "One more.").await.unwrap();
    let full = talk.write(&case, &checked, ("rita", "radiographer")).await;
    assert!(matches!(full, Err(TalkError::TooMany)), "{full:?}");
    let said: Vec<Context> = talk.contexts_to_say().await.unwrap();
    assert_eq!(said, []);
}
