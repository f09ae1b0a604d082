//! Contexts and letters keep to their bounds, and must not be understood by everybody.

use super::super::*;
use super::samples::samples;
use super::{encoded, frame, refused};
use crate::link::message::{Context, Letter, LetterState, LetterStep};
use crate::time::Timestamp;

#[test]
fn contexts_and_letters_keep_to_their_bounds() {
    let Some(Message::Context(context)) = samples().get(22).cloned() else {
        panic!("a CONTEXT comes after the streams");
    };
    let Some(Message::Letter(letter)) = samples().get(24).cloned() else {
        panic!("then its answer and a LETTER");
    };
    let long = |field: &str, bytes: usize| {
        let facts = context.facts.map(|name, text| match name == field {
            true => "x".repeat(bytes),
            false => text.to_owned(),
        });
        Message::from(Context {
            facts,
            ..context.clone()
        })
    };
    let letter = |change: fn(&mut Letter)| {
        let mut letter = letter.clone();
        change(&mut letter);
        Message::from(letter)
    };
    for message in [
        long("question", WORDS_MAX_BYTES),
        long("call_number", SENTENCE_MAX_BYTES),
        letter(|it| it.text = "x".repeat(WORDS_MAX_BYTES)),
    ] {
        assert!(!encoded(&message).is_empty());
    }
    let state = LetterState {
        id: "i".repeat(NAME_MAX_BYTES + 1),
        step: LetterStep::Known,
        at: Timestamp(0),
    };
    let mut over = vec![
        long("question", WORDS_MAX_BYTES + 1),
        letter(|it| it.text = "x".repeat(WORDS_MAX_BYTES + 1)),
        letter(|it| it.id = "i".repeat(NAME_MAX_BYTES + 1)),
        letter(|it| it.who = "w".repeat(NAME_MAX_BYTES + 1)),
        state.into(),
    ];
    let short = context.facts.fields().into_iter().skip(1);
    over.extend(short.map(|(field, _)| long(field, SENTENCE_MAX_BYTES + 1)));
    for message in over {
        let kind = message.kind();
        let mut body = Vec::new();
        message.encode_body(&mut body);
        let length = u32::try_from(body.len()).unwrap();
        let speaker = kind.speaker.unwrap_or(Speaker::Gateway);
        refused(
            Reader::control(speaker),
            &frame(kind.code, length, &body),
            Code::TooLarge,
        );
        let refusal = encode(&message, &mut Vec::new()).map_err(|error| error.code());
        assert_eq!(refusal, Err(Code::TooLarge), "{}", kind.name);
    }
}

/// A program from before contexts and letters goes on as if they had not been said.
#[test]
fn none_of_the_words_of_people_must_be_understood() {
    for sample in samples().into_iter().skip(22) {
        assert_eq!(sample.kind().code & CRITICAL, 0, "{}", sample.kind().name);
        // and neither of them shows what was said
        let shown = format!("{sample:?}");
        assert!(
            !shown.contains("moved") && !shown.contains("eGFR"),
            "{shown}"
        );
    }
}
