//! Two readers of one hospital, each under an agreement of its own, put together all that they and the gateway have: which of it tells
//! that two studies are of one patient, and what an agreement can do about it.

mod kinds;
mod side;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use causeway_proto::dataset::{Dataset, Value};
use causeway_tests::hospital::Hospital;
use causeway_tests::pacs::Behaviour;
use causeway_tests::phantom::{self, Identity};
use causeway_tests::reader::Reader;
use causeway_tests::sender::{self, file};
use causeway_tests::stack::build::root;
use dicom_core::{Tag, VR};

use kinds::{KINDS, NEVER, kind};
use side::{Side, Study};

const A_MINUTE: Duration = Duration::from_secs(60);
/// The title that is called for the second agreement.
const SECOND: &str = "CW_SECOND";

/// A patient at a device on a day, beside what the phantom says.
struct Person {
    id: &'static str,
    name: &'static str,
    sex: &'static str,
    age: &'static str,
    weight: &'static str,
    model: &'static str,
    serial: &'static str,
    protocol: &'static str,
}

const ERIKA: Person = Person {
    id: "HOSP-556677",
    name: "Blomqvist^Erika",
    sex: "F",
    age: "071Y",
    weight: "81.5",
    model: "Scanner 64",
    serial: "SN-900817",
    protocol: "Head routine 120kV",
};
const STRANGER: Person = Person {
    id: "HOSP-998811",
    name: "Quillfeather^Otto",
    sex: "M",
    age: "044Y",
    weight: "66",
    model: "Tomograph 16",
    serial: "SN-112233",
    protocol: "Skull low dose 100kV",
};

/// A study of somebody: images are those of `seed`, in a frame of reference shifted by it.
struct Wanted<'a> {
    root: &'a str,
    who: &'a Person,
    seed: u16,
    date: &'a str,
    time: &'a str,
    accession: &'a str,
}

impl Wanted<'_> {
    fn study(&self) -> String {
        format!("{}.1", self.root)
    }

    fn write(&self, hospital: &Hospital) -> anyhow::Result<Vec<PathBuf>> {
        let mut identity = Identity::sample(self.root, self.date, self.time);
        identity.seed = u64::from(self.seed);
        identity.patient_id = self.who.id.to_owned();
        identity.patient_name = self.who.name.to_owned();
        identity.accession = self.accession.to_owned();
        let folder = &hospital.stack.options.folder.join(self.accession);
        let files = phantom::write_slices(folder, &identity, 40..42)?;
        for path in &files {
            let object = file::read(path, 0)?;
            let mut dataset = Dataset::read(&object.bytes, &object.syntax.parse()?)?;
            self.dress(&mut dataset);
            std::fs::write(path, dataset.write())?;
        }
        Ok(files)
    }

    /// What real objects say beyond the phantom.
    fn dress(&self, it: &mut Dataset) {
        let seed = self.seed;
        for (tag, vr, text) in [
            ((0x0008, 0x1010), VR::SH, format!("ST-{}", self.who.serial)),
            ((0x0008, 0x1090), VR::LO, self.who.model.to_owned()),
            ((0x0010, 0x0040), VR::CS, self.who.sex.to_owned()),
            ((0x0010, 0x1010), VR::AS, self.who.age.to_owned()),
            ((0x0010, 0x1030), VR::DS, self.who.weight.to_owned()),
            ((0x0018, 0x1000), VR::LO, self.who.serial.to_owned()),
            ((0x0018, 0x1030), VR::LO, self.who.protocol.to_owned()),
            ((0x0018, 0x1151), VR::IS, format!("{}", 200 + seed)),
            (
                (0x0018, 0x9074),
                VR::DT,
                format!("{}{}", self.date, self.time),
            ),
            ((0x0020, 0x0010), VR::SH, format!("SID-{}", self.accession)),
            (
                (0x0020, 0x0032),
                VR::DS,
                format!("-120.{seed}\\-97.{seed}\\41"),
            ),
            ((0x0029, 0x0010), VR::LO, "SIEMENS CSA HEADER".to_owned()),
        ] {
            it.put_text(Tag(tag.0, tag.1), vr, &text);
        }
        // the device's own header: as long as its measurement was
        let header =
            vec![u8::try_from(seed % 251).unwrap_or_default(); 400 + 2 * usize::from(seed)];
        it.put(Tag(0x0029, 0x1010), VR::OB, Value::Bytes(header));
        let mut request = Dataset::new();
        request.put_text(
            Tag(0x0040, 0x1001),
            VR::SH,
            &format!("RP-{}", self.accession),
        );
        request.put_text(Tag(0x0008, 0x0050), VR::SH, self.accession);
        it.put_items(Tag(0x0040, 0x0275), vec![request]);
    }
}

/// A hospital with a second agreement, chosen by the title that is called; answers its identifier and its reader.
async fn second_agreement(hospital: &mut Hospital) -> anyhow::Result<(String, Reader)> {
    let stack = &mut hospital.stack;
    let organisation = "Second TEST reading";
    let add = [
        "agreement",
        "add",
        "--site",
        &stack.site,
        "--organisation",
        organisation,
    ];
    let said = stack.gateway_cli(&add).await?;
    let id = said
        .lines()
        .find_map(|line| line.strip_prefix("agreement "));
    let id = id.context("no agreement was added")?.trim().to_owned();
    let password = stack.options.folder.join("reader-password");
    let password = password.display().to_string();
    let person = [
        "user",
        "add",
        "--name",
        "second",
        "--given",
        "Ruth",
        "--family",
        "Other",
        "--organisation",
        organisation,
        "--country",
        "SE",
        "--registration",
        "TEST-2",
        "--phone",
        "+46 8 000 00 01",
        "--role",
        "reader,verifier",
        "--password-file",
        &password,
    ];
    stack.gateway_cli(&person).await?;
    let path = stack.options.folder.join("agent.toml");
    let first = format!(
        "ae_title = \"CAUSEWAY\"\nagreement = \"{}\"",
        stack.agreement
    );
    let second = format!(
        "[[dicom.called]]\nae_title = \"{SECOND}\"\npurpose = \"read\"\nagreement = \"{id}\"\n\n[agreement]\n"
    );
    let config = std::fs::read_to_string(&path)?
        .replacen("ae_title = \"CAUSEWAY\"", &first, 1)
        .replacen("[agreement]\n", &second, 1);
    std::fs::write(&path, config)?;
    stack.restart_agent().await?;
    let reader = Reader::sign_in(&stack.url(), "second", &stack.password).await?;
    Ok((id, reader))
}

/// Sends a study under an agreement and takes in what that side then has of it.
async fn sent(
    hospital: &Hospital,
    side: &Side,
    called: &str,
    wanted: &Wanted<'_>,
) -> anyhow::Result<Study> {
    let files = wanted.write(hospital)?;
    for answer in sender::send(&files, &hospital.stack.dicom(), "PACS", called).await? {
        ensure!(answer.stored(), "{answer:?}");
    }
    let study = wanted.study();
    let ready = side.reader.wait_ready(&study, A_MINUTE).await;
    ready.with_context(|| hospital.logs())?;
    side.study(&study).await
}

/// Where two studies say the same and the stranger's do not, by what it is.
fn links(one: &Study, other: &Study, stranger: &Study) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut found = BTreeMap::<_, BTreeSet<String>>::new();
    for place in one.shared(other) {
        if one
            .values(&place)
            .intersection(other.values(&place))
            .any(|value| !stranger.values(&place).contains(value))
        {
            found.entry(kind(&place)).or_default().insert(place);
        }
    }
    found
}

/// What must never be the same on both sides, whoever else has it.
fn never(one: &Study, other: &Study) -> Vec<String> {
    let shared = one.shared(other);
    shared
        .into_iter()
        .filter(|place| NEVER.contains(&place.as_str()))
        .collect()
}

#[tokio::test]
async fn what_links_one_patient_across_agreements_is_what_is_documented() -> anyhow::Result<()> {
    let mut hospital = Hospital::pseudonymous(Behaviour::default()).await?;
    let (id, reader) = second_agreement(&mut hospital).await?;
    let folder = hospital.stack.options.folder.clone();
    let first = Side::new(&folder, &hospital.stack.agreement, hospital.reader.clone());
    let second = Side::new(&folder, &id, reader);

    let study = |root, who, seed, date, time, accession| Wanted {
        root,
        who,
        seed,
        date,
        time,
        accession,
    };
    let one = study("2.25.6001", &ERIKA, 11, "20261121", "093011", "ACC-100001");
    let later = study("2.25.6002", &ERIKA, 12, "20261203", "154502", "ACC-100002");
    let copy = study("2.25.6003", &ERIKA, 11, "20261121", "093011", "ACC-100003");
    let stranger = study(
        "2.25.6004",
        &STRANGER,
        14,
        "20260708",
        "112233",
        "ACC-100004",
    );

    let one_first = sent(&hospital, &first, "CAUSEWAY", &one).await?;
    let later_first = sent(&hospital, &first, "CAUSEWAY", &later).await?;
    let one_second = sent(&hospital, &second, SECOND, &one).await?;
    let later_second = sent(&hospital, &second, SECOND, &later).await?;
    let copy_second = sent(&hospital, &second, SECOND, &copy).await?;
    let stranger_second = sent(&hospital, &second, SECOND, &stranger).await?;

    // under one agreement priors find each other, by the pseudonym
    let pseudonym = "(0010,0020)";
    ensure!(one_first.values(pseudonym) == later_first.values(pseudonym));
    ensure!(one_second.values(pseudonym) == later_second.values(pseudonym));
    let both = NEVER.iter().filter(|place| {
        one_first
            .values(place)
            .is_disjoint(later_first.values(place))
    });
    println!(
        "two studies of one patient under one agreement share the pseudonym, and none of: {}",
        both.copied().collect::<Vec<_>>().join(", ")
    );

    let pairs = [
        ("the same study", &one_first, &one_second),
        ("its images under new UIDs", &one_first, &copy_second),
        ("another study of the patient", &one_first, &later_second),
    ];
    let mut table = BTreeMap::<&str, [usize; 3]>::new();
    let mut unknown = BTreeSet::new();
    for (column, (what, left, right)) in pairs.iter().enumerate() {
        let forbidden = never(left, right);
        ensure!(forbidden.is_empty(), "{what}: {forbidden:?}");
        for (kind, places) in links(left, right, &stranger_second) {
            table.entry(kind).or_default()[column] = places.len();
            if kind.is_empty() {
                unknown.extend(places);
            }
        }
    }
    ensure!(
        unknown.is_empty(),
        "links, and is not documented: {unknown:#?}"
    );
    documented(&table)?;
    hospital.close().await
}

/// The table of CONFORMANCE.md names these kinds and no others; printed with what was found and what can be done about it.
fn documented(table: &BTreeMap<&str, [usize; 3]>) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(root().join("agent/CONFORMANCE.md"))?;
    let section = text.split(" What still links\n").nth(1);
    let section = section.context("what still links is not documented")?;
    let section = section.split("\n### ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let mut named = BTreeSet::new();
    println!(
        "\nplaces that link two agreements: the same study, its images under new UIDs, another study of the patient"
    );
    for row in rows.skip(1) {
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        let [kind, _, remedy] = cells.as_slice() else {
            bail!("not three cells: {row}");
        };
        let counts = table.get(kind).copied().unwrap_or_default();
        println!("{kind:>40} {counts:>2?}  {remedy}");
        named.insert(*kind);
    }
    println!(
        "{:>40} [ 0,  0,  0]  {}",
        "never the same",
        NEVER.join(", ")
    );
    let found: BTreeSet<&str> = table.keys().copied().collect();
    ensure!(named == found, "documented: {named:#?}, found: {found:#?}");
    ensure!(KINDS.len() == found.len(), "a kind links nothing");
    Ok(())
}
