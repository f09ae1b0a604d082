//! Overlays of plain films (P25): removed and named, until a person has said once for the device what else is drawn in them.

use causeway_proto::dataset::Value;
use causeway_proto::element::implicit_vr;
use dicom_core::{Tag, VR};

use super::masked::{BY, PIXELS, banner, picture, store};
use super::worker::{leaving, protector, pseudonymous, sent};
use super::*;
use crate::mask::{Device, Family, Rectangle};
use crate::spool::masks::{Drawn, Rule, Rules, met};

const MAMMOGRAM: &str = "1.2.840.10008.5.1.4.1.1.1.2";

/// A plain film, 8 columns by 6 rows, with a plane that draws everywhere, and a smaller one two rows lower.
fn film(instance: &str) -> Dataset {
    let mut it = picture(instance, "Alpha");
    it.put_text(Tag(0x0008, 0x0016), VR::UI, MAMMOGRAM);
    it.put_text(Tag(0x0028, 0x0301), VR::CS, "NO");
    it.put_text(Tag(0x0010, 0x0010), VR::PN, "Blomqvist^Zoe");
    overlay(&mut it, 0x6000, 1, 6);
    overlay(&mut it, 0x6002, 3, 4);
    it
}

fn overlay(it: &mut Dataset, group: u16, top: i16, rows: u16) {
    let mut put = |element, value: &[u8]| {
        let tag = Tag(group, element);
        it.put(tag, implicit_vr(tag), Value::Bytes(value.to_vec()));
    };
    put(0x0010, &rows.to_le_bytes());
    put(0x0011, &8_u16.to_le_bytes());
    put(0x0022, b"L of Blomqvist");
    put(0x0040, b"G ");
    put(0x0050, &[top.to_le_bytes(), 1_i16.to_le_bytes()].concat());
    put(0x0100, &1_u16.to_le_bytes());
    put(0x0102, &0_u16.to_le_bytes());
    put(0x1500, b"Blomqvist Zoe ");
    put(0x3000, &vec![0xFF; usize::from(rows)]);
    put(0x4000, b"a comment ");
}

const CORNER: Rectangle = Rectangle {
    left: 0,
    top: 0,
    right: 4,
    bottom: 3,
};

#[tokio::test]
async fn an_overlay_goes_until_somebody_has_said_what_is_drawn_in_it() {
    let bench = pseudonymous().await;
    bench.greet(1, 0).await;
    store(&bench, &film("1.2.1.1")).await;
    let protector = protector(&bench).await;
    let out = leaving(&bench).await;
    assert_eq!(out.len(), 1, "the film waits for nobody");
    let first = sent(&protector, &out[0]).await;
    assert!(first.get(Tag(0x6000, 0x3000)).is_none() && first.get(Tag(0x6002, 0x0010)).is_none());
    let told = &bench.spool.studies_to_open().await.unwrap()[0].open.remarks;
    assert_eq!(told, &["2 overlays removed at the site"]);

    let known = met(bench.spool.rows()).await.unwrap();
    assert_eq!(known.len(), 1, "{known:?}");
    assert_eq!(
        (known[0].device.family, known[0].waiting),
        (Family::Overlay, 0)
    );
    let drawn = bench.spool.draw_mask(known[0].id, &[CORNER], false, BY);
    assert_eq!(drawn.await.unwrap(), Drawn::Made(0));

    store(&bench, &film("1.2.1.2")).await;
    while protector.work().await.unwrap() > 0 {}
    let out = leaving(&bench).await;
    let made_again = sent(&protector, &out[0]).await;
    assert!(
        made_again.get(Tag(0x6000, 0x3000)).is_none(),
        "what was decided stays so"
    );
    let second = sent(&protector, &out[1]).await;
    assert_eq!(
        second.bytes(Tag(0x6000, 0x3000)),
        [0xF0, 0xF0, 0xF0, 0xFF, 0xFF, 0xFF]
    );
    assert_eq!(second.bytes(Tag(0x6002, 0x3000)), [0xF0, 0xFF, 0xFF, 0xFF]);
    assert_eq!(
        second.bytes(PIXELS),
        film("1.2.1.2").bytes(PIXELS),
        "the image below is not touched"
    );
    assert_eq!(second.code(Tag(0x6000, 0x0022)), "L of [removed]");
    assert_eq!(second.code(Tag(0x6000, 0x1500)), "[removed]");
    assert!(second.get(Tag(0x6000, 0x4000)).is_none());
    let open = bench.spool.studies_to_open().await.unwrap();
    let remarks = &open[0].open.remarks;
    assert!(
        remarks
            .iter()
            .any(|it| it == "2 overlays masked at the site"),
        "{remarks:?}"
    );
}

/// The rule of the films' device.
fn rules(rectangles: &[Rectangle]) -> Rules {
    let device = Device::new(Family::Overlay, "Maker", "Alpha", 6, 8).unwrap();
    let rule = Rule {
        id: 1,
        device,
        rectangles: rectangles.to_vec(),
        covers: false,
        who: "anna".to_owned(),
        reason: "looked at".to_owned(),
        at: causeway_proto::time::Timestamp(0),
    };
    [rule].into_iter().collect()
}

/// The film as it leaves, by what a person has drawn for its device; and what stays of its overlays.
fn by_rule(received: &Dataset, rectangles: &[Rectangle]) -> (Plan, Dataset) {
    let bytes = received.write();
    let (plan, _) = leaves(&bytes, EXPLICIT, &Options::default());
    let (_, overlays) =
        super::super::overlays::choose(&plan.header, &plan.overlays, &rules(rectangles)).unwrap();
    let options = Options {
        overlays,
        ..Options::default()
    };
    let (plan, out) = leaves(&bytes, EXPLICIT, &options);
    let protected = Dataset::read(&out, &plan.syntax).unwrap();
    (plan, protected)
}

#[test]
fn a_masked_plane_comes_back_whole_from_the_sealed_originals() {
    let received = film("1.2.1.1");
    let (plan, protected) = by_rule(&received, &[CORNER]);
    assert!(protected.bytes(Tag(0x6000, 0x3000)) != received.bytes(Tag(0x6000, 0x3000)));
    assert!(put_back(protected, &plan.originals) == received);
    let (plan, protected) = by_rule(&received, &[]);
    assert_eq!(
        protected.bytes(Tag(0x6000, 0x3000)),
        received.bytes(Tag(0x6000, 0x3000))
    );
    assert!(
        plan.remarks.iter().all(|it| !it.contains("overlay")),
        "{:?}",
        plan.remarks
    );
    assert!(put_back(protected, &plan.originals) == received);
}

#[test]
fn a_plane_that_is_not_understood_goes_and_its_neighbour_stays() {
    let mut received = film("1.2.1.1");
    received.put(Tag(0x6000, 0x3000), VR::OW, Value::Bytes(vec![0xFF; 8]));
    let (plan, protected) = by_rule(&received, &[banner(8, 1)]);
    assert!(
        protected.get(Tag(0x6000, 0x3000)).is_none()
            && protected.get(Tag(0x6000, 0x0010)).is_none()
    );
    assert!(protected.get(Tag(0x6002, 0x3000)).is_some());
    let told = "1 overlay removed at the site";
    assert!(
        plan.remarks.iter().any(|it| it == told),
        "{:?}",
        plan.remarks
    );
}

#[test]
fn overlays_of_other_images_and_inside_items_go_whatever_was_drawn() {
    let bytes = |class: &str| {
        let mut it = film("1.2.1.1");
        it.put_text(Tag(0x0008, 0x0016), VR::UI, class);
        let mut item = Dataset::new();
        overlay(&mut item, 0x6000, 1, 6);
        it.put_items(Tag(0x0008, 0x1140), vec![item]);
        it
    };
    let (plan, _) = leaves(
        &bytes("1.2.840.10008.5.1.4.1.1.2").write(),
        EXPLICIT,
        &Options::default(),
    );
    let chosen = super::super::overlays::choose(&plan.header, &plan.overlays, &rules(&[]));
    assert!(chosen.is_none(), "a CT draws no side markers in overlays");
    let (plan, protected) = by_rule(&bytes(MAMMOGRAM), &[]);
    assert!(
        protected.items(Tag(0x0008, 0x1140))[0]
            .get(Tag(0x6000, 0x3000))
            .is_none()
    );
    assert!(
        plan.remarks
            .iter()
            .any(|it| it == "1 overlay removed at the site"),
        "{:?}",
        plan.remarks
    );
}
