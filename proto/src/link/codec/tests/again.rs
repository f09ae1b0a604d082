//! What is asked for again keeps to its bounds, and need not be understood.

use super::super::*;
use super::samples::samples;
use super::{encoded, frame, refused};
use crate::link::message::{Again, NotKept};

#[test]
fn what_is_asked_for_again_keeps_to_its_bounds_and_need_not_be_understood() {
    let all = samples();
    let (Some(Message::Again(again)), Some(Message::NotKept(said))) = (all.get(20), all.get(21))
    else {
        panic!("AGAIN and NOT_KEPT come after the deletions");
    };
    let both = |count: usize| {
        let instances = vec![again.instances[0].clone(); count];
        let gone = vec![said.instances[0].clone(); count];
        [
            Message::from(Again {
                instances,
                ..again.clone()
            }),
            Message::from(NotKept {
                instances: gone,
                ..said.clone()
            }),
        ]
    };
    for message in both(AGAIN_MAX) {
        assert_eq!(message.kind().code & CRITICAL, 0);
        assert!(!encoded(&message).is_empty());
    }
    for message in both(AGAIN_MAX + 1) {
        let kind = message.kind();
        let mut body = Vec::new();
        message.encode_body(&mut body);
        let length = u32::try_from(body.len()).unwrap();
        let speaker = kind.speaker.unwrap_or(Speaker::Gateway);
        let head = frame(kind.code, length, &body);
        refused(Reader::control(speaker), &head, Code::TooLarge);
        let refusal = encode(&message, &mut Vec::new()).map_err(|error| error.code());
        assert_eq!(refusal, Err(Code::TooLarge), "{}", kind.name);
    }
}
