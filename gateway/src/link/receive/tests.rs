//! What a hostile agent sends as the bytes of an instance.

use causeway_proto::coding::{Encoder, RECORD_MAX_BYTES};
use causeway_proto::digest::Digest;

use super::*;

#[test]
fn a_few_bytes_that_stand_for_very_many_are_undone_a_piece_at_a_time() {
    let record = Encoder::default().record(&[0; RECORD_MAX_BYTES], None);
    let bomb = record.repeat(1000);
    assert!(bomb.len() < 200_000, "{} bytes", bomb.len());
    let instance = Instance {
        agreement: "a".parse().unwrap(),
        instance: "1.2.3".parse().unwrap(),
        study: "1.2".parse().unwrap(),
        series: "1.2.4".parse().unwrap(),
        class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
        syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
        source_tag: Digest::of(b""),
        coding: CODING_RECORDS,
        offset: 0,
    };
    let mut landing = Landing::begin(&instance, u64::MAX).unwrap();
    let (mut decoder, mut collected) = (Some(Decoder::default()), BytesMut::new());
    let taken = take_data(&bomb, &mut decoder, &mut landing, &mut collected);
    assert!(taken.is_ok());
    let mut pieces = 0;
    while undo(&mut decoder, &mut landing, &mut collected).is_ok_and(|more| more) {
        assert!(collected.len() <= COLLECT_BYTES + RECORD_MAX_BYTES);
        collected.clear();
        pieces += 1;
    }
    assert_eq!(pieces, 1000);
}
