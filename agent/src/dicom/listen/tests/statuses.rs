//! Every kind of message and data set that is not taken, with the status and the comment that it is answered with.

use super::messages::{dataset, say};
use super::*;

const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
/// Contexts 1 and 3.
const CONTEXTS: [(&str, &str); 2] = [STORE[0], ECHO[0]];
/// A peer may take so little (PS3.8 D.1, and our own least).
const LEAST_PEER_PDU: usize = 1024;

/// What is said in which context, and the answer: a status in hexadecimal and the Error Comment, or how the association ends.
struct Row {
    what: String,
    context: u8,
    command: Vec<u8>,
    data: Option<Vec<u8>>,
    answer: String,
}

fn row(what: &str, context: u8, command: &[u8], data: Option<Vec<u8>>, answer: &str) -> Row {
    Row {
        what: what.to_owned(),
        context,
        command: command.to_vec(),
        data,
        answer: answer.to_owned(),
    }
}

/// There is no answer.
const UNANSWERED: &str = "";

/// A C-STORE of 1.2.3.4.
fn stored(what: &str, bytes: Vec<u8>, answer: &str) -> Row {
    let command = command::write_store_request(7, CT, "1.2.3.4");
    row(what, 1, &command, Some(bytes), answer)
}

fn with(tag: u32, value: &[u8]) -> Vec<u8> {
    dataset(|elements| {
        let found = elements.iter_mut().find(|(t, _, _)| *t == tag);
        found.unwrap().2 = value.to_vec();
    })
}

/// The good data set and what follows it.
fn and(more: &[u8]) -> Vec<u8> {
    [dataset(|_| {}), more.to_vec()].concat()
}

/// What an instance is filed by.
#[expect(clippy::too_many_lines, reason = "a table stays a table")]
fn identity() -> Vec<Row> {
    let mut rows = vec![
        stored(
            "another instance than the command's",
            with(0x0008_0018, b"9.9"),
            "A900 the SOP instance of the data set is not the command's",
        ),
        stored(
            "another class than the command's",
            with(0x0008_0016, MR.as_bytes()),
            "A900 the SOP class of the data set is not that of the command",
        ),
    ];
    let long = [b'1'; 65];
    for (tag, name, missing) in [
        (0x0008_0016, "SOP Class UID", "SOP Class UID (0008,0016)"),
        (
            0x0008_0018,
            "SOP Instance UID",
            "SOP Instance UID (0008,0018)",
        ),
        (
            0x0020_000D,
            "Study Instance UID",
            "Study Instance UID (0020,000D)",
        ),
        (
            0x0020_000E,
            "Series Instance UID",
            "Series Instance UID (0020,000E)",
        ),
    ] {
        let missing = format!("C000 {missing} is missing or empty");
        let without = dataset(|elements| elements.retain(|(t, _, _)| *t != tag));
        rows.push(stored(&format!("no {name}"), without, &missing));
        rows.push(stored(&format!("empty {name}"), with(tag, b""), &missing));
        for value in [&b".."[..], b"1.2.x", b"1..2", b".1", b"1.2.3/", &long] {
            let what = format!("{name} {}", String::from_utf8_lossy(value));
            let answer = format!("C000 {name} is not a UID");
            rows.push(stored(&what, with(tag, value), &answer));
        }
    }
    let store = |class: &str, instance: &str| command::write_store_request(7, class, instance);
    let good = || Some(dataset(|_| {}));
    let illegal = "C000 the SOP instance UID of the command is not legal";
    let lacks = "0212 the command lacks a SOP class or instance UID";
    let other = "0122 the SOP class was not negotiated in this context";
    rows.extend([
        row(
            "a path for an instance",
            1,
            &store(CT, ".."),
            good(),
            illegal,
        ),
        row("65 digits", 1, &store(CT, &"1".repeat(65)), good(), illegal),
        row(
            "10,000 digits",
            1,
            &store(CT, &"1".repeat(10_000)),
            good(),
            illegal,
        ),
        row(
            "10,000 digits of class",
            1,
            &store(&"1".repeat(10_000), "1.2.3.4"),
            good(),
            "C000 the SOP class UID of the command is not legal",
        ),
        row("no instance", 1, &store(CT, ""), good(), lacks),
        row("no class", 1, &store("", "1.2.3.4"), good(), lacks),
        row(
            "a class that was not negotiated",
            1,
            &store(MR, "1.2.3.4"),
            good(),
            other,
        ),
        row(
            "an image in an echo's context",
            3,
            &store(CT, "1.2.3.4"),
            good(),
            other,
        ),
    ]);
    rows
}

/// What cannot be read, or is more than may be.
#[expect(clippy::too_many_lines, reason = "a table stays a table")]
fn unreadable() -> Vec<Row> {
    let good = dataset(|_| {});
    let end = good.len();
    let sequence = |length, value: &[u8]| element((0x0040, 0xA730), "SQ", length, value);
    let open = [sequence(u32::MAX, &[]), item(u32::MAX)].concat();
    let limit = "C000 nesting or size limit: more than";
    let items = item(0).repeat(200_001);
    let length = u32::try_from(items.len()).unwrap();
    let short = element((0x0009, 0x0001), "SH", 0, &[]);
    let cut = format!("C000 the dataset ends inside an element at byte {end}");
    let place = format!("C000 item or delimiter out of place at byte {end}");
    let beyond = format!(
        "C000 the length of (FFFE,E000) at byte {} reaches beyond what encloses",
        end + 12
    );
    let odd = format!("C000 a value of VR UN has an odd length at byte {end}");
    vec![
        stored(
            "cut in an element",
            good[..30].to_vec(),
            "C000 the dataset ends inside an element at byte 0",
        ),
        stored(
            "nothing",
            Vec::new(),
            "C000 SOP Class UID (0008,0016) is missing or empty",
        ),
        stored(
            "a value of 4 GB that is not there",
            and(&element((0x7FE0, 0x0010), "OW", 0xFFFF_FFFE, &[1, 2])),
            &cut,
        ),
        stored(
            "a sequence without end",
            and(&open),
            &format!(
                "C000 the dataset ends inside an element at byte {}",
                end + 20
            ),
        ),
        stored("an item outside of a sequence", and(&item(0)), &place),
        stored(
            "an end of nothing",
            and(&[0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]),
            &place,
        ),
        stored(
            "an item longer than its sequence",
            and(&sequence(8, &item(4))),
            &beyond,
        ),
        stored(
            "UN of odd length",
            and(&element((0x0009, 0x1001), "UN", 3, b"abc")),
            &odd,
        ),
        stored(
            "65 levels",
            and(&open.repeat(65)),
            &format!("{limit} 64 levels of sequences"),
        ),
        stored(
            "100,000 levels",
            and(&open.repeat(100_000)),
            &format!("{limit} 64 levels of sequences"),
        ),
        stored(
            "1,000,001 elements",
            and(&short.repeat(999_994)),
            &format!("{limit} 1000000 elements"),
        ),
        stored(
            "200,001 items",
            and(&sequence(length, &items)),
            &format!("{limit} 200000 items"),
        ),
    ]
}

/// A command set with another number in one element.
fn changed(set: &[u8], element: u16, value: u16) -> Vec<u8> {
    let [low, high] = element.to_le_bytes();
    let header = [0, 0, low, high, 2, 0, 0, 0];
    let at = set.windows(8).position(|w| w == header).unwrap() + 8;
    let mut set = set.to_vec();
    set[at..at + 2].copy_from_slice(&value.to_le_bytes());
    set
}

/// Command sets that are not what they should be.
#[expect(clippy::too_many_lines, reason = "a table stays a table")]
fn commands() -> Vec<Row> {
    let echo = command::write_echo_request(3, negotiate::VERIFICATION);
    let store = command::write_store_request(7, CT, "1.2.3.4");
    let data = || Some(dataset(|_| {}));
    let with_field = |field: u16| changed(&echo, 0x0100, field);
    let with_data = |set: &[u8]| changed(set, 0x0800, 0);
    let mut wrong_length = echo.clone();
    wrong_length[8] ^= 1;
    let unlike = |cut: usize, more: &[u8]| {
        let mut set = [&echo[..echo.len() - cut], more].concat();
        let length = u32::try_from(set.len() - 12).unwrap();
        set[8..12].copy_from_slice(&length.to_le_bytes());
        set
    };
    let only = "0122 this application stores and echoes only";
    vec![
        row("C-ECHO", 3, &echo, None, "0000 "),
        row(
            "C-ECHO elsewhere",
            1,
            &echo,
            None,
            "0122 C-ECHO outside of the Verification SOP class",
        ),
        row(
            "C-ECHO with a data set",
            3,
            &with_data(&echo),
            data(),
            "0212 C-ECHO with a data set",
        ),
        row(
            "C-CANCEL with a data set",
            3,
            &with_data(&with_field(0x0FFF)),
            data(),
            UNANSWERED,
        ),
        row("C-CANCEL", 3, &with_field(0x0FFF), None, UNANSWERED),
        row(
            "C-STORE without a data set",
            1,
            &changed(&store, 0x0800, 0x0101),
            None,
            "0212 C-STORE without a data set",
        ),
        row("C-GET", 3, &with_field(0x0010), None, only),
        row("C-FIND", 3, &with_field(0x0020), None, only),
        row("C-MOVE", 3, &with_field(0x0021), None, only),
        row("N-ACTION", 3, &with_field(0x0130), None, only),
        row(
            "no command field",
            3,
            &with_field(0x0077),
            None,
            "0211 the command field is not known",
        ),
        row(
            "another group length",
            3,
            &wrong_length,
            None,
            "0212 the group length is wrong",
        ),
        row(
            "no group length",
            3,
            &echo[12..],
            None,
            "0212 the group length is missing",
        ),
        row(
            "no data set type",
            3,
            &unlike(10, &[]),
            None,
            "0212 the command data set type is missing",
        ),
        row(
            "an element twice",
            3,
            &unlike(0, &echo[echo.len() - 10..]),
            None,
            "0212 an element stands twice",
        ),
        row(
            "a number of 4 bytes",
            3,
            &unlike(10, &[0, 0, 0, 8, 4, 0, 0, 0, 1, 1, 0, 0]),
            None,
            "0212 a number that is not two bytes long",
        ),
        row(
            "another group",
            3,
            &unlike(0, &[8, 0, 0, 0, 0, 0, 0, 0]),
            None,
            "0212 an element outside of group 0000",
        ),
        row("nothing", 3, &[], None, "0212 the group length is missing"),
        row(
            "an answer unasked",
            3,
            &with_field(0x8030),
            None,
            "abort 2/2",
        ),
        row(
            "an element that overruns",
            3,
            &echo[..20],
            None,
            "abort 2/6",
        ),
    ]
}

#[tokio::test]
async fn each_message_has_its_status() {
    let site = Site::open("").await;
    let mut peer = Peer::associated(&site, &CONTEXTS).await;
    let echo = command::write_echo_request(3, negotiate::VERIFICATION);
    for row in identity().into_iter().chain(unreadable()).chain(commands()) {
        let what = row.what;
        say(&mut peer, row.context, &row.command, row.data.as_deref()).await;
        if row.answer.starts_with("abort") {
            assert_eq!(peer.short().await, row.answer, "{what}");
            peer = Peer::associated(&site, &CONTEXTS).await;
            continue;
        }
        if row.answer != UNANSWERED {
            let answer = peer.read().await;
            assert!(answer.len() - 6 <= LEAST_PEER_PDU, "{what}");
            let (status, comment) = response(&answer);
            // an Error Comment is LO: 64 characters
            let expect: String = row.answer.chars().take(5 + 64).collect();
            assert_eq!(format!("{status:04X} {comment}"), expect, "{what}");
        }
        // the association is still of use
        say(&mut peer, 3, &echo, None).await;
        assert_eq!(peer.response().await, (0, String::new()), "{what}");
    }
    assert_eq!(site.held().await, []);
    drop(peer);
    site.close().await;
}
